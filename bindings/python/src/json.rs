//! Python's values to JSON and back, without a detour through Python's own `json`.

use std::fmt;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyNone, PyString, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// Deeper values are no request; a list that holds itself ends here.
const DEEPEST: u32 = 200;

/// The body of a call. Keywords that are `None` were not given.
pub(crate) fn body(fields: &Bound<'_, PyDict>) -> PyResult<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    out.push(b'{');
    for (key, value) in fields {
        if value.is_none() {
            continue;
        }
        let written = match value.cast_exact::<PyList>() {
            Ok(messages) if key.eq(intern!(fields.py(), "messages"))? => {
                conversation(&key, messages, &mut out)
            }
            _ => member(&key, &value, &mut out, 0),
        };
        written.map_err(|error| named(fields.py(), &key, error))?;
    }
    out.push(b'}');
    Ok(out)
}

/// Messages, without the fields of theirs that are null: an answer's message, sent back, has those that
/// providers refuse.
fn conversation(key: &Bound<'_, PyAny>, messages: &Bound<'_, PyList>, out: &mut Vec<u8>) -> PyResult<()> {
    name(key, out, 0)?;
    out.push(b'[');
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match message.cast_exact::<PyDict>() {
            Ok(fields) => {
                out.push(b'{');
                for (key, value) in fields {
                    if !value.is_none() {
                        member(&key, &value, out, 2)?;
                    }
                }
                out.push(b'}');
            }
            Err(_) => write(&message, out, 2)?,
        }
    }
    out.push(b']');
    Ok(())
}

/// Any value.
pub(crate) fn written(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    write(value, &mut out, 0)?;
    Ok(out)
}

/// A value for Rust.
pub(crate) fn value(value: &Bound<'_, PyAny>) -> PyResult<serde_json::Value> {
    serde_json::from_slice(&written(value)?).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Says which keyword could not be written.
fn named(py: Python<'_>, key: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let text = format!("{key}: {}", error.value(py));
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(text)
    } else if error.is_instance_of::<PyValueError>(py) {
        PyValueError::new_err(text)
    } else {
        error
    }
}

fn write(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: u32) -> PyResult<()> {
    if let Ok(text) = value.cast_exact::<PyString>() {
        return string(text, out);
    }
    if depth > DEEPEST {
        return Err(PyValueError::new_err(format!("is nested more than {DEEPEST} times")));
    }
    if let Ok(map) = value.cast_exact::<PyDict>() {
        return dict(map, out, depth);
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return items(list.iter(), out, depth);
    }
    if value.is_none() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    if let Ok(truth) = value.cast_exact::<PyBool>() {
        out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
        return Ok(());
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return integer(number, out);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        let number = number.value();
        if !number.is_finite() {
            return Err(PyValueError::new_err(format!("{number} is no number that JSON has")));
        }
        return serialized(&number, out);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return items(tuple.iter(), out, depth);
    }
    other(value, out, depth)
}

/// What is not one of JSON's own: models with `model_dump` (this package's answers, pydantic's), and
/// whatever else is like a string, a map or a list.
fn other(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: u32) -> PyResult<()> {
    let py = value.py();
    if let Ok(text) = value.cast::<PyString>() {
        return string(text, out);
    }
    if let Some(dump) = value.getattr_opt(intern!(py, "model_dump"))? {
        // What a model does not say is not sent: providers refuse fields that are null.
        let options = PyDict::new(py);
        options.set_item(intern!(py, "exclude_none"), true)?;
        let dumped = dump.call((), Some(&options))?;
        if dumped.is(value) {
            return Err(PyTypeError::new_err("its model_dump() gives itself"));
        }
        return write(&dumped, out, depth + 1);
    }
    if let Ok(map) = value.cast::<PyDict>() {
        return dict(map, out, depth);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return items(list.iter(), out, depth);
    }
    if let Ok(map) = value.cast::<PyMapping>() {
        let copy = PyDict::new(py);
        copy.update(map)?;
        return dict(&copy, out, depth);
    }
    let set = value.get_type().name()?;
    let is_many = matches!(
        set.to_str()?,
        "set" | "frozenset" | "generator" | "range" | "deque" | "dict_values" | "dict_keys"
    );
    if is_many && !value.is_instance_of::<PyBytes>() {
        let all = value.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        return items(all.into_iter(), out, depth);
    }
    // numpy's arrays and numbers.
    if let Some(plain) = value.getattr_opt(intern!(py, "tolist"))? {
        return write(&plain.call0()?, out, depth + 1);
    }
    Err(PyTypeError::new_err(format!("a value of type {set} cannot be sent as JSON")))
}

fn dict(map: &Bound<'_, PyDict>, out: &mut Vec<u8>, depth: u32) -> PyResult<()> {
    out.push(b'{');
    for (key, value) in map {
        member(&key, &value, out, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn member(key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: u32) -> PyResult<()> {
    name(key, out, depth)?;
    write(value, out, depth + 1)
}

/// The name of a member, and what stands around it.
fn name(key: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: u32) -> PyResult<()> {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    let is_plain =
        || key.is_instance_of::<PyInt>() || key.is_instance_of::<PyFloat>() || key.is_instance_of::<PyNone>();
    match key.cast::<PyString>() {
        Ok(key) => string(key, out)?,
        // As Python's json has it.
        Err(_) if is_plain() => {
            let mut name = Vec::new();
            write(key, &mut name, depth)?;
            serialized(&*String::from_utf8_lossy(&name), out)?;
        }
        Err(_) => {
            let kind = key.get_type().name()?.to_string();
            return Err(PyTypeError::new_err(format!("a key of type {kind} cannot be sent as JSON")));
        }
    }
    out.push(b':');
    Ok(())
}

fn items<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, out: &mut Vec<u8>, depth: u32) -> PyResult<()> {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(&item, out, depth + 1)?;
    }
    out.push(b']');
    Ok(())
}

fn string(text: &Bound<'_, PyString>, out: &mut Vec<u8>) -> PyResult<()> {
    match text.to_str() {
        Ok(text) => serialized(text, out),
        Err(_) => Err(PyValueError::new_err("holds half of a surrogate pair, which is no text")),
    }
}

fn integer(number: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> PyResult<()> {
    match number.extract::<i64>() {
        Ok(number) => serialized(&number, out),
        Err(_) => {
            out.extend_from_slice(number.str()?.to_str()?.as_bytes());
            Ok(())
        }
    }
}

fn serialized<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> PyResult<()> {
    serde_json::to_writer(out, value).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// JSON as Python's own dicts, lists, texts and numbers.
///
/// # Errors
/// `ValueError`: it is no JSON.
pub(crate) fn parsed(py: Python<'_>, text: &[u8]) -> PyResult<Py<PyAny>> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read =
        Builder(py).deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    read.map(Bound::unbind).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A value that is there already, for Python.
pub(crate) fn told(py: Python<'_>, value: &serde_json::Value) -> PyResult<Py<PyAny>> {
    let built = Builder(py).deserialize(value);
    built.map(Bound::unbind).map_err(|error| PyValueError::new_err(error.to_string()))
}

#[derive(Clone, Copy)]
struct Builder<'py>(Python<'py>);

impl<'py> Builder<'py> {
    fn made<E: serde::de::Error>(self, value: impl IntoPyObjectExt<'py>) -> Result<Bound<'py, PyAny>, E> {
        value.into_bound_py_any(self.0).map_err(E::custom)
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
        Ok(self.0.None().into_bound(self.0))
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
        self.made(value)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(PyString::new(self.0, text).into_any())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let list = PyList::empty(self.0);
        while let Some(item) = seq.next_element_seed(self)? {
            list.append(item).map_err(A::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let dict = PyDict::new(self.0);
        while let Some(key) = map.next_key_seed(Key(self.0))? {
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
