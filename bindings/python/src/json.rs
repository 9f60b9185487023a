//! Python's values to JSON, without a detour through Python's own `json`; `json/read.rs` is the way back.

mod read;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyNone, PyString, PyTuple};

pub(crate) use read::{parsed, told};

/// Deeper values are no request: what reads the body goes no deeper than 128. A list that holds itself ends
/// here, before a thread with a small stack does.
const DEEPEST: u32 = 130;

/// The body of a call. Keywords that are `None` were not given.
pub(crate) fn body(fields: &Bound<'_, PyDict>) -> PyResult<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    out.push(b'{');
    each(fields, |key, value| {
        if value.is_none() {
            return Ok(());
        }
        let written = match value.cast_exact::<PyList>() {
            Ok(messages) if key.eq(intern!(fields.py(), "messages"))? => {
                conversation(&key, messages, &mut out)
            }
            _ => member(&key, &value, &mut out, 0),
        };
        written.map_err(|error| named(fields.py(), &key, error))
    })?;
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
                each(
                    fields,
                    |key, value| {
                        if value.is_none() { Ok(()) } else { member(&key, &value, out, 2) }
                    },
                )?;
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
    each(map, |key, value| member(&key, &value, out, depth))?;
    out.push(b'}');
    Ok(())
}

/// Every member of a dict. Writing one may run Python, and that, or another thread meanwhile, may change the
/// dict: which is their mistake, and no reason to panic as the iterator does.
fn each<'py>(
    map: &Bound<'py, PyDict>,
    mut see: impl FnMut(Bound<'py, PyAny>, Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let size = map.len();
    let mut members = map.iter();
    for _ in 0..size {
        if map.len() != size {
            return Err(PyRuntimeError::new_err("dictionary changed size during iteration"));
        }
        let Some((key, value)) = members.next() else { break };
        see(key, value)?;
    }
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
            // int's own: what a subclass calls itself is no number.
            let digits =
                number.py().get_type::<PyInt>().call_method1(intern!(number.py(), "__repr__"), (number,));
            out.extend_from_slice(digits?.cast::<PyString>()?.to_str()?.as_bytes());
            Ok(())
        }
    }
}

fn serialized<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> PyResult<()> {
    serde_json::to_writer(out, value).map_err(|error| PyValueError::new_err(error.to_string()))
}
