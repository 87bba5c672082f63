//! Between Python objects and JSON values, for metadata and settings.

use crate::errors::bad_input;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// Nesting beyond this is refused, so that no input overflows the stack.
const DEPTH: usize = 64;

/// The JSON object of a mapping; of None an empty one. Values are None, bool, int, float, str, list,
/// tuple and dict.
pub(crate) fn to_map(object: Option<&Bound<'_, PyDict>>) -> PyResult<Map<String, Value>> {
    match object {
        None => Ok(Map::new()),
        Some(dict) => members(dict, 0),
    }
}

fn convert(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > DEPTH {
        return Err(bad_input(
            &format!("a value is nested deeper than {DEPTH} levels"),
            "",
        ));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(truth) = object.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if object.is_instance_of::<PyInt>() {
        if let Ok(number) = object.extract::<i64>() {
            return Ok(number.into());
        }
        if let Ok(number) = object.extract::<u64>() {
            return Ok(number.into());
        }
        return Err(bad_input(
            "an integer does not fit into 64 bits",
            "pass it as text",
        ));
    }
    if object.is_instance_of::<PyFloat>() {
        let number = object.extract::<f64>()?;
        let number = Number::from_f64(number)
            .ok_or_else(|| bad_input(&format!("{number} is no JSON number"), ""))?;
        return Ok(Value::Number(number));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        return Ok(Value::Object(members(dict, depth)?));
    }
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().map(|item| convert(&item, depth + 1)).collect();
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.iter().map(|item| convert(&item, depth + 1)).collect();
    }
    let kind = object.get_type().name()?;
    Err(bad_input(
        &format!("a value of type {kind} cannot be stored as JSON"),
        "",
    ))
}

fn members(dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<Map<String, Value>> {
    let mut map = Map::with_capacity(dict.len());
    for (key, value) in dict.iter() {
        let Ok(key) = key.cast::<PyString>() else {
            return Err(bad_input("the keys of a mapping must be text", ""));
        };
        map.insert(key.to_str()?.to_owned(), convert(&value, depth + 1)?);
    }
    Ok(map)
}

/// The Python object of a JSON value.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (None, Some(number)) => number.into_pyobject(py)?.into_any(),
            _ => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Value::Array(items) => {
            let items: PyResult<Vec<_>> = items.iter().map(|item| to_python(py, item)).collect();
            PyList::new(py, items?)?.into_any()
        }
        Value::Object(map) => map_to_python(py, map)?.into_any(),
    })
}

/// The Python dict of a JSON object.
pub(crate) fn map_to_python<'py>(
    py: Python<'py>,
    map: &Map<String, Value>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in map {
        dict.set_item(key, to_python(py, value)?)?;
    }
    Ok(dict)
}

/// The Python object of anything that serialises to JSON.
pub(crate) fn serialised<'py, T: serde::Serialize>(
    py: Python<'py>,
    value: &T,
) -> PyResult<Bound<'py, PyAny>> {
    let value = serde_json::to_value(value)
        .map_err(|error| bad_input(&format!("it cannot be shown as JSON: {error}"), ""))?;
    to_python(py, &value)
}
