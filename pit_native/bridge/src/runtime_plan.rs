//! A plan from the dict that Python sends, read in pieces: beside a large plan no second form of it is held.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use rmpv::Value;
use run_loop::{Plan, PlanError, PlanReader, read_plan};

use crate::errors::{cycle_error, raise_coded};
use crate::values::from_python;

/// Nodes or edges that are read while the GIL is held: some milliseconds.
const TURN: usize = 1024;

/// The plan that `document` describes; `folder` takes the place of its own.
pub(crate) fn plan_from_python(
    document: &Bound<'_, PyAny>,
    folder: Option<String>,
) -> PyResult<Plan> {
    let py = document.py();
    let Some((top, nodes, edges)) = parts(document)? else {
        // It has another form than it should: what is wrong is said by who reads it whole.
        let whole = with_folder(from_python(document)?, folder);
        return py.detach(|| read_plan(&whole)).map_err(refused);
    };
    let mut reader = PlanReader::new(&with_folder(from_python(&top)?, folder)).map_err(refused)?;
    reader.reserve(nodes.len(), edges.as_ref().map_or(0, PyListMethods::len));
    for node in &nodes {
        match id_of(&node) {
            Some(id) => reader.declare(id.to_str()?).map_err(refused)?,
            // Only to be told what is wrong with it.
            None => reader.read_node(&from_python(&node)?).map_err(refused)?,
        }
    }
    in_turns(&nodes, |node| reader.read_node(node))?;
    if let Some(edges) = edges {
        in_turns(&edges, |edge| reader.read_edge(edge))?;
    }
    py.detach(|| reader.finish()).map_err(refused)
}

type Parts<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyList>,
    Option<Bound<'py, PyList>>,
);

/// The document without its nodes and edges, and these; none when they are no lists.
fn parts<'py>(document: &Bound<'py, PyAny>) -> PyResult<Option<Parts<'py>>> {
    let Ok(document) = document.cast::<PyDict>() else {
        return Ok(None);
    };
    let Some(Ok(nodes)) = document.get_item("nodes")?.map(|nodes| nodes.cast_into()) else {
        return Ok(None);
    };
    let edges = document.get_item("edges")?.filter(|edges| !edges.is_none());
    let Ok(edges) = edges.map(Bound::cast_into).transpose() else {
        return Ok(None);
    };
    let top = document.copy()?;
    top.del_item("nodes")?;
    if top.contains("edges")? {
        top.del_item("edges")?;
    }
    Ok(Some((top.into_any(), nodes, edges)))
}

fn with_folder(mut document: Value, folder: Option<String>) -> Value {
    if let (Value::Map(entries), Some(folder)) = (&mut document, folder) {
        entries.retain(|(key, _)| key.as_str() != Some("dir"));
        entries.push(("dir".into(), folder.into()));
    }
    document
}

fn id_of<'py>(node: &Bound<'py, PyAny>) -> Option<Bound<'py, PyString>> {
    let node = node.cast::<PyDict>().ok()?;
    node.get_item("id").ok()??.cast_into().ok()
}

/// Reads one after the other, so that no second form of the whole is made. Others get the GIL about as often as the
/// interpreter itself would give it to them.
fn in_turns(
    list: &Bound<'_, PyList>,
    mut read: impl FnMut(&Value) -> Result<(), PlanError>,
) -> PyResult<()> {
    let mut at = 0;
    // While the GIL is free the list may change its length.
    while at < list.len() {
        read(&from_python(&list.get_item(at)?)?).map_err(refused)?;
        at += 1;
        if at % TURN == 0 {
            list.py().detach(|| {});
        }
    }
    Ok(())
}

fn refused(error: PlanError) -> PyErr {
    match error {
        PlanError::Cycle(cycle) => cycle_error(&cycle),
        error => raise_coded("BadInput", &error.to_string(), "", "invalid_plan"),
    }
}
