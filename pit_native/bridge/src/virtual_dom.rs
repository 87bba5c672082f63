//! The Python face of `virtual_dom`: dicts become nodes here, and patches bytes.

use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};
use virtual_dom::{DomError, Element, MAX_DEPTH, Node};

use crate::errors;

/// Trees of more nodes than this are compared without the GIL; below, giving it up costs more.
const COMPARE_DETACHED: usize = 2_000;

/// The tree as the page has it. Rendering gives the patch that brings the page up to date.
#[pyclass(frozen, module = "pit_native")]
struct VirtualDom {
    dom: Mutex<virtual_dom::VirtualDom>,
}

#[pymethods]
impl VirtualDom {
    #[new]
    fn new() -> Self {
        VirtualDom {
            dom: Mutex::new(virtual_dom::VirtualDom::new()),
        }
    }

    /// Renders the whole tree (key None) or the subtree of a key; the JSON patch, or None when equal.
    fn render<'py>(
        &self,
        py: Python<'py>,
        key: Option<String>,
        node: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut count = 0;
        let node = read_node(node, 1, &mut count)?;
        let work = || match key {
            None => self.dom.lock().render(node),
            Some(key) => self.dom.lock().update(vec![(key, node)]),
        };
        let patch = if count > COMPARE_DETACHED {
            py.detach(work)
        } else {
            work()
        };
        as_bytes(py, patch)
    }

    /// Renders several subtrees, each by its key, into one patch.
    fn update<'py>(
        &self,
        py: Python<'py>,
        changes: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut count = 0;
        let mut nodes = Vec::new();
        for change in changes.try_iter()? {
            let (key, node): (String, Bound<'py, PyAny>) = change?.extract()?;
            nodes.push((key, read_node(&node, 1, &mut count)?));
        }
        let work = || self.dom.lock().update(nodes);
        let patch = if count > COMPARE_DETACHED {
            py.detach(work)
        } else {
            work()
        };
        as_bytes(py, patch)
    }

    /// The whole tree as JSON, `null` before the first rendering.
    fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = py.detach(|| self.dom.lock().snapshot());
        PyBytes::new(py, &bytes)
    }

    /// The number of patches made so far.
    #[getter]
    fn seq(&self) -> u64 {
        self.dom.lock().seq()
    }

    /// The number of nodes in the tree, texts included.
    fn __len__(&self) -> usize {
        self.dom.lock().len()
    }
}

fn as_bytes(
    py: Python<'_>,
    patch: Result<Option<Vec<u8>>, DomError>,
) -> PyResult<Option<Bound<'_, PyBytes>>> {
    match patch {
        Ok(patch) => Ok(patch.map(|bytes| PyBytes::new(py, &bytes))),
        Err(error @ DomError::UnknownKey(_)) => {
            Err(errors::not_found(&error.to_string(), "render its parent"))
        }
        Err(error @ DomError::Empty) => Err(errors::bad_input(
            &error.to_string(),
            "call render(None, tree)",
        )),
        Err(error) => Err(errors::bad_input(
            &error.to_string(),
            "mend the view that made this tree",
        )),
    }
}

/// A child as views write it: a text, or a dict with `type` and, where they say something, `key`,
/// `props` and `children`.
fn read_node(object: &Bound<'_, PyAny>, depth: usize, count: &mut usize) -> PyResult<Node> {
    *count += 1;
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Node::Text(text.to_str()?.to_owned()));
    }
    let Ok(fields) = object.cast::<PyDict>() else {
        return Err(wrong_type("a node", "a dict or a str", object));
    };
    if depth > MAX_DEPTH {
        return Err(errors::bad_input(
            &DomError::TooDeep(MAX_DEPTH).to_string(),
            "mend the view that made this tree",
        ));
    }
    let mut element = Element {
        kind: String::new(),
        key: None,
        props: Map::new(),
        children: Vec::new(),
    };
    for (name, value) in fields.iter() {
        match name.cast::<PyString>()?.to_str()? {
            "type" => element.kind = value.extract()?,
            "key" => element.key = value.extract()?,
            "props" => {
                let Ok(props) = value.cast::<PyDict>() else {
                    return Err(wrong_type("the props of a node", "a dict", &value));
                };
                element.props = read_members(props, depth)?;
            }
            "children" => {
                for child in items(&value)
                    .ok_or_else(|| wrong_type("the children of a node", "a list", &value))?
                {
                    element.children.push(read_node(&child, depth + 1, count)?);
                }
            }
            other => {
                let message = format!("a node has the field {other:?}");
                return Err(errors::bad_input(
                    &message,
                    "a node has type, key, props and children",
                ));
            }
        }
    }
    if element.kind.is_empty() {
        return Err(errors::bad_input(
            "a node has no type",
            "name a component of the catalogue",
        ));
    }
    Ok(Node::Element(element))
}

fn items<'py>(value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    if let Ok(list) = value.cast::<PyList>() {
        return Some(list.iter().collect());
    }
    value
        .cast::<PyTuple>()
        .ok()
        .map(|tuple| tuple.iter().collect())
}

fn read_members(dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<Map<String, Value>> {
    let mut members = Map::with_capacity(dict.len());
    for (name, value) in dict.iter() {
        let Ok(name) = name.cast::<PyString>() else {
            return Err(wrong_type("the name of a property", "a str", &name));
        };
        members.insert(name.to_str()?.to_owned(), read_value(&value, depth + 1)?);
    }
    Ok(members)
}

/// A property: whatever JSON has.
fn read_value(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    // Before int: a bool is one in Python.
    if let Ok(fact) = value.cast::<PyBool>() {
        return Ok(Value::Bool(fact.is_true()));
    }
    if value.cast::<PyInt>().is_ok() {
        return read_integer(value);
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        let number = Number::from_f64(float.value());
        return number.map(Value::Number).ok_or_else(|| {
            errors::bad_input(
                "a property is NaN or infinite, which JSON cannot say",
                "leave it out, or use None",
            )
        });
    }
    if depth > MAX_DEPTH {
        return Err(errors::bad_input(
            "a property is nested too deeply",
            "flatten it",
        ));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return read_members(dict, depth).map(Value::Object);
    }
    match items(value) {
        Some(items) => items
            .iter()
            .map(|item| read_value(item, depth + 1))
            .collect::<PyResult<_>>()
            .map(Value::Array),
        None => Err(wrong_type("a property", "what JSON has", value)),
    }
}

fn read_integer(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(number) = value.extract::<i64>() {
        return Ok(number.into());
    }
    match value.extract::<u64>() {
        Ok(number) => Ok(number.into()),
        Err(_) => Err(errors::bad_input(
            "a property is an integer of more than 64 bits",
            "give it as text",
        )),
    }
}

fn wrong_type(what: &str, expected: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let name = found
        .get_type()
        .name()
        .map_or_else(|_| "another type".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{what} must be {expected}, not {name}"))
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<VirtualDom>()
}
