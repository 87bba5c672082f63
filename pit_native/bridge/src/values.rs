//! Between Python objects and the values that travel to Players.

use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use rmpv::Value;

use crate::errors::bad_input;

/// Nesting beyond this is refused, as the bus would; so no input overflows the stack.
const DEPTH: usize = 64;

/// The value of a Python object made of None, bool, int, float, str, bytes-like, list, tuple and dict.
pub(crate) fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    convert(object, 0)
}

fn convert(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > DEPTH {
        return Err(bad_input(
            &format!("a value is nested deeper than {DEPTH} levels"),
            "",
        ));
    }
    if object.is_none() {
        return Ok(Value::Nil);
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::from(text.to_str()?));
    }
    if let Ok(truth) = object.cast::<PyBool>() {
        return Ok(Value::from(truth.is_true()));
    }
    if object.is_instance_of::<PyInt>() {
        return integer(object);
    }
    if object.is_instance_of::<PyFloat>() {
        return Ok(Value::F64(object.extract()?));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        return pairs(dict.iter(), dict.len(), depth);
    }
    if let Ok(list) = object.cast::<PyList>() {
        return items(list.iter(), list.len(), depth);
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return items(tuple.iter(), tuple.len(), depth);
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Value::Binary(bytes.as_bytes().to_vec()));
    }
    if let Ok(buffer) = PyBuffer::<u8>::get(object) {
        return Ok(Value::Binary(buffer.to_vec(object.py())?));
    }
    let kind = object.get_type().name()?;
    Err(bad_input(
        &format!("a value of type {kind} cannot be sent to a Player"),
        "",
    ))
}

fn integer(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(number) = object.extract::<i64>() {
        return Ok(Value::from(number));
    }
    let number = object.extract::<u64>();
    number
        .map(Value::from)
        .map_err(|_| bad_input("an integer does not fit into 64 bits", "pass it as text"))
}

fn pairs<'py>(
    entries: impl Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    length: usize,
    depth: usize,
) -> PyResult<Value> {
    let mut map = Vec::with_capacity(length);
    for (key, value) in entries {
        let Ok(key) = key.cast::<PyString>() else {
            return Err(bad_input("the keys of a mapping must be text", ""));
        };
        map.push((Value::from(key.to_str()?), convert(&value, depth + 1)?));
    }
    Ok(Value::Map(map))
}

fn items<'py>(
    entries: impl Iterator<Item = Bound<'py, PyAny>>,
    length: usize,
    depth: usize,
) -> PyResult<Value> {
    let mut list = Vec::with_capacity(length);
    for entry in entries {
        list.push(convert(&entry, depth + 1)?);
    }
    Ok(Value::Array(list))
}

/// The Python object of a value. What came over the bus is at most 64 levels deep.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Nil => py.None().into_bound(py),
        Value::Boolean(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::Integer(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (None, number) => number.unwrap_or_default().into_pyobject(py)?.into_any(),
        },
        Value::F32(number) => PyFloat::new(py, f64::from(*number)).into_any(),
        Value::F64(number) => PyFloat::new(py, *number).into_any(),
        Value::String(text) => match text.as_str() {
            Some(text) => PyString::new(py, text).into_any(),
            None => PyBytes::new(py, text.as_bytes()).into_any(),
        },
        Value::Binary(bytes) | Value::Ext(_, bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Array(items) => {
            let items: PyResult<Vec<_>> = items.iter().map(|item| to_python(py, item)).collect();
            PyList::new(py, items?)?.into_any()
        }
        Value::Map(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(to_python(py, key)?, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

/// The dict of values by port.
pub(crate) fn ports_to_python<'py>(
    py: Python<'py>,
    values: &[(Arc<str>, Arc<Value>)],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (port, value) in values {
        dict.set_item(&**port, to_python(py, value)?)?;
    }
    Ok(dict)
}

/// A value's JSON form, for metadata: bytes and numbers that JSON lacks become null.
pub(crate) fn to_json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}
