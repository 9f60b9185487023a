//! JSON to Python's values.

use std::fmt;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// JSON as Python's own dicts, lists, texts and numbers.
///
/// # Errors
/// `ValueError`: it is no JSON.
pub(crate) fn parsed(py: Python<'_>, text: &[u8]) -> PyResult<Py<PyAny>> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let builder = Builder { py, is_exact: true };
    match builder.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value.unbind()),
        Err(_) => as_python_reads(py, text),
    }
}

/// What only Python reads: numbers that need more than 64 bits, or are too large for a float. And bytes
/// that are no text: the answer is paid for, and one broken letter is no reason to withhold it.
fn as_python_reads(py: Python<'_>, text: &[u8]) -> PyResult<Py<PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let loads = LOADS.import(py, "json", "loads")?;
    Ok(loads.call1((String::from_utf8_lossy(text),))?.unbind())
}

/// A value that is there already, for Python.
pub(crate) fn told(py: Python<'_>, value: &serde_json::Value) -> PyResult<Py<PyAny>> {
    let built = Builder { py, is_exact: false }.deserialize(value);
    built.map(Bound::unbind).map_err(|error| PyValueError::new_err(error.to_string()))
}

#[derive(Clone, Copy)]
struct Builder<'py> {
    py: Python<'py>,
    /// Refuses numbers that may have been integers, and lost digits.
    is_exact: bool,
}

impl<'py> Builder<'py> {
    fn made<E: serde::de::Error>(self, value: impl IntoPyObjectExt<'py>) -> Result<Bound<'py, PyAny>, E> {
        value.into_bound_py_any(self.py).map_err(E::custom)
    }
}

impl<'de, 'py> DeserializeSeed<'de> for Builder<'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, 'py> Visitor<'de> for Builder<'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(self.py.None().into_bound(self.py))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.made(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.made(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.made(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        if self.is_exact && value.abs() >= 9e18 {
            return Err(E::custom("a number of more than 64 bits"));
        }
        self.made(value)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(PyString::new(self.py, text).into_any())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let list = PyList::empty(self.py);
        while let Some(item) = seq.next_element_seed(self)? {
            list.append(item).map_err(A::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let dict = PyDict::new(self.py);
        while let Some(key) = map.next_key_seed(Key(self.py))? {
            let value = map.next_value_seed(self)?;
            dict.set_item(key, value).map_err(A::Error::custom)?;
        }
        Ok(dict.into_any())
    }
}

/// A member's name. Those that come with every reply are interned; any name would not do, since Python
/// may keep what is interned for ever, and names are the upstream's to choose.
struct Key<'py>(Python<'py>);

const USUAL: &[&str] = &[
    "choices",
    "completion_tokens",
    "completion_tokens_details",
    "content",
    "created",
    "data",
    "delta",
    "embedding",
    "finish_reason",
    "function",
    "arguments",
    "id",
    "index",
    "logprobs",
    "message",
    "model",
    "name",
    "object",
    "prompt_tokens",
    "prompt_tokens_details",
    "refusal",
    "role",
    "service_tier",
    "system_fingerprint",
    "text",
    "tool_calls",
    "total_tokens",
    "type",
    "usage",
];

impl<'de, 'py> DeserializeSeed<'de> for Key<'py> {
    type Value = Bound<'py, PyString>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'py> Visitor<'de> for Key<'py> {
    type Value = Bound<'py, PyString>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(if USUAL.contains(&text) { PyString::intern(self.0, text) } else { PyString::new(self.0, text) })
    }
}
