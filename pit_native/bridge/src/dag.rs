//! The Python face of `dag_tracker`.

use std::path::{Path, PathBuf};

use dag_tracker::{
    Cycle, End, Finding, Graph, GraphError, LogError, SnapshotError, State, Tracker,
    TrackerJournal, TransitionError, recover,
};
use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyType};
use smallvec::SmallVec;

use crate::dag_ids::{Edges, Ids, shown};
use crate::errors::{bad_input, cycle_error, not_found, raise, raise_coded};

/// See `pit_native.pyi`. Ids are the caller's own objects; the tracker knows their positions.
#[pyclass(name = "DagTracker", module = "pit_native", frozen)]
pub(crate) struct PyDagTracker {
    ids: Ids,
    /// Never held while Python may run: a finalizer could enter again.
    inner: Mutex<Inner>,
}

struct Inner {
    tracker: Tracker,
    journal: Option<TrackerJournal>,
}

/// The nodes that a step made ready; mostly few.
type Few = SmallVec<[u32; 16]>;

#[pymethods]
impl PyDagTracker {
    #[new]
    fn new(
        py: Python<'_>,
        node_ids: &Bound<'_, PyAny>,
        edges: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let ids = Ids::read_distinct(node_ids)?;
        let edges = ids.edges(edges)?;
        let built = py.detach(|| Graph::new(ids.len(), &edges.pairs).map(Tracker::new));
        let tracker = built.map_err(|error| graph_error(py, &error, &edges))?;
        let tracker = tracker.map_err(|cycle| cycle_of(py, &cycle, &ids))?;
        Ok(Self::around(ids, tracker, None))
    }

    #[staticmethod]
    fn validate<'py>(
        py: Python<'py>,
        node_ids: &Bound<'py, PyAny>,
        edges: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        Self::check(py, node_ids, edges).map(|(findings, _)| findings)
    }

    #[staticmethod]
    fn check<'py>(
        py: Python<'py>,
        node_ids: &Bound<'py, PyAny>,
        edges: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyList>, Option<Self>)> {
        let (mut findings, mut repeated) = (Vec::new(), Vec::new());
        let ids = Ids::read(node_ids, &mut |node, first, _| {
            findings.push(Finding::DuplicateNode { node, first });
            repeated.push(node);
            Ok(())
        })?;
        let edges = ids.edges(edges)?;
        let found = py.detach(|| dag_tracker::check(ids.len(), &edges.pairs));
        let (found, tracker) = found.map_err(|error| graph_error(py, &error, &edges))?;
        for mut finding in found {
            match &mut finding {
                Finding::UnknownNode { edge, end, .. } if edges.is_malformed(*edge) => {
                    if *end == End::Target {
                        continue;
                    }
                    finding = Finding::MalformedEdge { edge: *edge };
                }
                // Edges lead to the first node of a name, so that the others have none.
                Finding::Orphans(nodes) => {
                    nodes.retain(|node| repeated.binary_search(node).is_err());
                    if nodes.is_empty() {
                        continue;
                    }
                }
                _ => {}
            }
            findings.push(finding);
        }
        let told = findings.iter();
        let told = told.map(|finding| finding_dict(py, finding, &ids, &edges));
        let told = PyList::new(py, told.collect::<PyResult<Vec<_>>>()?)?;
        let tracker = tracker.filter(|_| repeated.is_empty());
        Ok((
            told,
            tracker.map(|tracker| Self::around(ids, tracker, None)),
        ))
    }

    #[staticmethod]
    fn sortable<'py>(
        py: Python<'py>,
        node_ids: &Bound<'py, PyAny>,
        edges: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let ids = Ids::read_distinct(node_ids)?;
        let edges = ids.edges(edges)?;
        let order = py.detach(|| Graph::new(ids.len(), &edges.pairs).map(|graph| graph.sortable()));
        let order = order.map_err(|error| graph_error(py, &error, &edges))?;
        ids.list(py, &order)
    }

    fn topological_order<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let order = self.inner.lock().tracker.order().to_vec();
        self.ids.list(py, &order)
    }

    fn critical_path<'py>(
        &self,
        py: Python<'py>,
        weights: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut seconds = Vec::with_capacity(self.ids.len());
        for at in 0..self.ids.len() as u32 {
            let id = self.ids.get(py, at);
            let weight = weights
                .get_item(&id)
                .map_err(|_| bad_input(&format!("the weights lack the node {}", shown(&id)), ""))?;
            let weight: f64 = weight.extract()?;
            if !weight.is_finite() || weight < 0.0 {
                let name = shown(&id);
                let message = format!("the weight of {name} is {weight}, which is no duration");
                return Err(bad_input(&message, "give seconds that are not negative"));
            }
            seconds.push(weight);
        }
        let path = py.detach(|| {
            let tracker = &self.inner.lock().tracker;
            tracker.graph().critical_path(tracker.order(), &seconds)
        });
        self.ids.list(py, &path)
    }

    fn ready<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ready = self.inner.lock().tracker.ready().to_vec();
        self.ids.list(py, &ready)
    }

    fn start(&self, node: &Bound<'_, PyAny>) -> PyResult<()> {
        let at = self.position(node)?;
        let inner = &mut *self.inner.lock();
        let started = inner.tracker.start(at);
        started
            .map_err(|error| Refused::Step(at, error))
            .and_then(|()| inner.record(&[at], State::Running))
            .map_err(|refused| self.raise(node.py(), refused))
    }

    fn complete<'py>(&self, node: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let at = self.position(node)?;
        let ready = self.inner.lock().complete(at);
        let ready = ready.map_err(|refused| self.raise(node.py(), refused))?;
        self.ids.list(node.py(), &ready)
    }

    fn complete_many<'py>(&self, nodes: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = nodes.py();
        let mut places = Vec::with_capacity(nodes.len().unwrap_or(0));
        for node in nodes.try_iter()? {
            places.push(self.position(&node?)?);
        }
        let ready = self.inner.lock().complete_many(&places);
        let ready = ready.map_err(|refused| self.raise(py, refused))?;
        self.ids.list(py, &ready)
    }

    fn fail<'py>(&self, node: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let at = self.position(node)?;
        let skipped = self.inner.lock().fail(at);
        let skipped = skipped.map_err(|refused| self.raise(node.py(), refused))?;
        self.ids.list(node.py(), &skipped)
    }

    fn state(&self, node: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        let at = self.position(node)?;
        Ok(self.inner.lock().tracker.state(at).word())
    }

    #[getter]
    fn finished(&self) -> bool {
        self.inner.lock().tracker.is_finished()
    }

    fn __len__(&self) -> usize {
        self.ids.len()
    }

    fn journal(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let mut ids = Vec::with_capacity(self.ids.len());
        for at in 0..self.ids.len() as u32 {
            ids.push(id_to_bytes(&self.ids.get(py, at))?);
        }
        let begun = py.detach(|| {
            let inner = &mut *self.inner.lock();
            inner.journal = Some(TrackerJournal::create(&path, &ids, &inner.tracker)?);
            Ok(())
        });
        begun.map_err(|error| log_error(&error))
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let handle = self
            .inner
            .lock()
            .journal
            .as_ref()
            .map(TrackerJournal::handle);
        let Some(handle) = handle else {
            return Ok(());
        };
        let handle = handle.map_err(|error| log_error(&error))?;
        py.detach(|| handle.sync_data()).map_err(|error| {
            let message = format!("the journal cannot be synced: {error}");
            raise_coded(
                "EnvironmentLacks",
                &message,
                "check the disk",
                "storage_failed",
            )
        })
    }

    #[classmethod]
    fn recover(_class: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        if !path.exists() {
            return Err(not_found(
                &format!("there is no journal {}", path.display()),
                "",
            ));
        }
        let found = py
            .detach(|| recover(&path))
            .map_err(|error| snapshot_error(&path, &error))?;
        let ids: PyResult<Vec<_>> = found.ids.iter().map(|id| id_from_bytes(py, id)).collect();
        let ids = Ids::read_distinct(PyList::new(py, ids?)?.as_any())?;
        Ok(Self::around(ids, found.tracker, Some(found.journal)))
    }
}

/// Why a step was not taken.
enum Refused {
    /// The state of a node does not allow it.
    Step(u32, TransitionError),
    /// It was taken, but could not be journalled.
    Log(LogError),
}

impl PyDagTracker {
    fn around(ids: Ids, tracker: Tracker, journal: Option<TrackerJournal>) -> Self {
        let inner = Mutex::new(Inner { tracker, journal });
        Self { ids, inner }
    }

    #[inline]
    fn position(&self, node: &Bound<'_, PyAny>) -> PyResult<u32> {
        self.ids.position(node)?.ok_or_else(|| {
            let message = format!("the graph has no node {}", shown(node));
            not_found(&message, "")
        })
    }

    #[cold]
    fn raise(&self, py: Python<'_>, refused: Refused) -> PyErr {
        match refused {
            Refused::Step(node, error) => transition_error(&self.ids.name(py, node), &error),
            Refused::Log(error) => log_error(&error),
        }
    }
}

impl Inner {
    #[inline]
    fn complete(&mut self, node: u32) -> Result<Few, Refused> {
        let ready = self.tracker.complete(node);
        let ready = Few::from_slice(ready.map_err(|error| Refused::Step(node, error))?);
        self.record(&[node], State::Done)?;
        Ok(ready)
    }

    fn complete_many(&mut self, nodes: &[u32]) -> Result<Vec<u32>, Refused> {
        let ready = self.tracker.complete_many(nodes);
        let ready = ready
            .map_err(|error| Refused::Step(error.node, error))?
            .to_vec();
        self.record(nodes, State::Done)?;
        Ok(ready)
    }

    fn fail(&mut self, node: u32) -> Result<Vec<u32>, Refused> {
        let mut skipped = Vec::new();
        let failed = self.tracker.fail(node, &mut skipped);
        failed.map_err(|error| Refused::Step(node, error))?;
        self.record(&[node], State::Failed)?;
        Ok(skipped)
    }

    #[inline]
    fn record(&mut self, nodes: &[u32], state: State) -> Result<(), Refused> {
        match &mut self.journal {
            Some(journal) => journal.steps(nodes, state).map_err(Refused::Log),
            None => Ok(()),
        }
    }
}

fn finding_dict<'py>(
    py: Python<'py>,
    finding: &Finding,
    ids: &Ids,
    edges: &Edges,
) -> PyResult<Bound<'py, PyDict>> {
    let name = |at: u32| {
        if (at as usize) < ids.len() {
            ids.name(py, at)
        } else {
            edges.unknown_name(py, at)
        }
    };
    let dict = PyDict::new(py);
    dict.set_item("code", finding.code())?;
    let severity = if finding.is_error() {
        "error"
    } else {
        "warning"
    };
    dict.set_item("severity", severity)?;
    dict.set_item("message", finding.words(name))?;
    dict.set_item("nodes", ids.list(py, finding.nodes())?)?;
    dict.set_item("edges", finding.edges())?;
    Ok(dict)
}

fn cycle_of(py: Python<'_>, cycle: &Cycle, ids: &Ids) -> PyErr {
    let names: Vec<String> = cycle.0.iter().map(|&node| ids.name(py, node)).collect();
    cycle_error(&names)
}

fn graph_error(py: Python<'_>, error: &GraphError, edges: &Edges) -> PyErr {
    match *error {
        GraphError::UnknownNode { edge, .. } if edges.is_malformed(edge as u32) => bad_input(
            &format!("edge {edge} is no pair of ids"),
            "give (source, target)",
        ),
        GraphError::UnknownNode { edge, node, .. } => {
            let name = edges.unknown_name(py, node);
            let message = format!("edge {edge} names {name}, which is no node");
            raise_coded(
                "BadInput",
                &message,
                "add the node or remove the edge",
                "unknown_node",
            )
        }
        GraphError::TooLarge => bad_input(&error.to_string(), ""),
    }
}

fn transition_error(name: &str, error: &TransitionError) -> PyErr {
    let (step, state) = (error.step, error.state.word());
    raise_coded(
        "BadInput",
        &format!("cannot {step} the node {name}, which is {state}"),
        "start what ready() names, complete or fail what was started",
        "wrong_state",
    )
}

fn log_error(error: &LogError) -> PyErr {
    match error {
        LogError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            raise("StorageFull", &error.to_string(), "free some space")
        }
        LogError::Io { .. } => raise_coded(
            "EnvironmentLacks",
            &error.to_string(),
            "check the disk and its permissions",
            "storage_failed",
        ),
        LogError::NotALog { .. } => {
            bad_input(&error.to_string(), "name the file that journal() wrote")
        }
        LogError::Damaged { path, .. } => damaged(&error.to_string(), path),
    }
}

fn snapshot_error(path: &Path, error: &SnapshotError) -> PyErr {
    match error {
        SnapshotError::Log(error) => log_error(error),
        SnapshotError::Damaged { .. } => damaged(&error.to_string(), path),
    }
}

fn damaged(message: &str, path: &Path) -> PyErr {
    let remedy = format!("begin anew without {}", path.display());
    raise_coded("BadInput", message, &remedy, "damaged_journal")
}

/// Only text and integers can be written and read back as the same id.
fn id_to_bytes(id: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = id.cast::<PyString>() {
        return Ok([b"s", text.to_str()?.as_bytes()].concat());
    }
    if id.is_instance_of::<PyInt>() {
        return Ok(format!("i{}", id.str()?).into_bytes());
    }
    Err(PyTypeError::new_err(
        "a journal can hold ids that are text or integers",
    ))
}

fn id_from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Py<PyAny>> {
    let text = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default());
    match bytes.first() {
        Some(b'i') => Ok(py.get_type::<PyInt>().call1((text.as_ref(),))?.unbind()),
        _ => Ok(PyString::new(py, &text).into_any().unbind()),
    }
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyDagTracker>()
}
