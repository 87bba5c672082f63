//! Melodies as binary files.

use crate::errors::bad_input;
use crate::json;
use melody_file::FileError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use serde_json::Value;

#[pyfunction]
fn encode_melody<'py>(
    py: Python<'py>,
    document: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyBytes>> {
    let document = Value::Object(json::to_map(Some(document))?);
    let bytes = py.detach(|| melody_file::encode(&document));
    Ok(PyBytes::new(py, &bytes.map_err(refused)?))
}

#[pyfunction]
fn decode_melody<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    // The bytes are Python's and unchanging: they may be read without the GIL.
    match py.detach(|| melody_file::decode(data)).map_err(refused)? {
        Value::Object(members) => json::map_to_python(py, &members),
        _ => Err(bad_input("it holds no Melody", "export it again")),
    }
}

#[pyfunction]
fn is_plain_document(value: &Bound<'_, PyAny>, depth: usize) -> bool {
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return dict.iter().all(|(key, inner)| {
            key.is_exact_instance_of::<PyString>()
                && depth > 0
                && is_plain_document(&inner, depth - 1)
        });
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return list
            .iter()
            .all(|inner| depth > 0 && is_plain_document(&inner, depth - 1));
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return number.value().is_finite();
    }
    value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_none()
}

fn refused(error: FileError) -> PyErr {
    bad_input(&error.to_string(), "export it again")
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(encode_melody, module)?)?;
    module.add_function(wrap_pyfunction!(is_plain_document, module)?)?;
    module.add_function(wrap_pyfunction!(decode_melody, module)?)
}
