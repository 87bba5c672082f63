//! The Python face of `dag_tracker`.

use std::path::{Path, PathBuf};

use dag_tracker::{
    Cycle, Graph, GraphError, LogError, SnapshotError, State, Tracker, TrackerJournal,
    TransitionError, recover,
};
use parking_lot::Mutex;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyRange, PySequence, PyString, PyTuple, PyType};
use rustc_hash::FxHashMap;

use crate::errors::{bad_input, cycle_error, not_found, raise, raise_coded};

/// See `pit_native.pyi`. Ids are the caller's own objects; the tracker knows their positions.
#[pyclass(name = "DagTracker", module = "pit_native", frozen)]
pub(crate) struct PyDagTracker {
    ids: Vec<Py<PyAny>>,
    index: Py<PyDict>,
    inner: Mutex<Inner>,
}

struct Inner {
    tracker: Tracker,
    edges: Vec<(u32, u32)>,
    journal: Option<TrackerJournal>,
    scratch: Vec<u32>,
}

#[pymethods]
impl PyDagTracker {
    #[new]
    fn new(
        py: Python<'_>,
        node_ids: &Bound<'_, PyAny>,
        edges: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let names = Names::read(node_ids)?;
        let edges = match flat_pairs(edges)? {
            Some(edges) => edges,
            None => names.edges(edges)?,
        };
        let built = py.detach(|| Graph::new(names.ids.len(), &edges).map(Tracker::new));
        let tracker = built.map_err(|error| graph_error(py, &error, &names.ids))?;
        let tracker = tracker.map_err(|cycle| cycle_of(py, &cycle, &names.ids))?;
        Ok(Self::around(names, tracker, edges, None))
    }

    fn topological_order<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let order = self.inner.lock().tracker.graph().topological_order();
        self.list(py, &order.map_err(|cycle| cycle_of(py, &cycle, &self.ids))?)
    }

    fn critical_path<'py>(
        &self,
        py: Python<'py>,
        weights: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut seconds = Vec::with_capacity(self.ids.len());
        for id in &self.ids {
            let weight = weights.get_item(id);
            let weight = weight.map_err(|_| {
                bad_input(
                    &format!("the weights lack the node {}", shown(id.bind(py))),
                    "",
                )
            })?;
            let weight: f64 = weight.extract()?;
            if !weight.is_finite() || weight < 0.0 {
                let message = format!(
                    "the weight of {} is {weight}, which is no duration",
                    shown(id.bind(py))
                );
                return Err(bad_input(&message, "give seconds that are not negative"));
            }
            seconds.push(weight);
        }
        let path = self.inner.lock().tracker.graph().critical_path(&seconds);
        self.list(py, &path.map_err(|cycle| cycle_of(py, &cycle, &self.ids))?)
    }

    fn ready<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ready = self.inner.lock().tracker.ready().to_vec();
        self.list(py, &ready)
    }

    fn start(&self, node: &Bound<'_, PyAny>) -> PyResult<()> {
        let at = self.position(node)?;
        let inner = &mut *self.inner.lock();
        inner
            .tracker
            .start(at)
            .map_err(|error| transition_error(node, &error))?;
        inner.record(at, State::Running)
    }

    fn complete<'py>(&self, node: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        self.step(node, State::Done, Tracker::complete)
    }

    fn fail<'py>(&self, node: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        self.step(node, State::Failed, Tracker::fail)
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
        for id in &self.ids {
            ids.push(id_to_bytes(id.bind(py))?);
        }
        let inner = &mut *self.inner.lock();
        let journal = TrackerJournal::create(&path, &ids, &inner.edges, &inner.tracker);
        inner.journal = Some(journal.map_err(|error| log_error(&error))?);
        Ok(())
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let synced = py.detach(|| {
            self.inner
                .lock()
                .journal
                .as_ref()
                .map_or(Ok(()), TrackerJournal::sync)
        });
        synced.map_err(|error| log_error(&error))
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
        let names = Names::of(py, ids?)?;
        let graph = found.tracker.graph();
        let mut edges = vec![(0, 0); graph.edges()];
        for node in 0..graph.nodes() as u32 {
            for (&edge, &target) in graph.out_edges(node).iter().zip(graph.successors(node)) {
                edges[edge as usize] = (node, target);
            }
        }
        Ok(Self::around(
            names,
            found.tracker,
            edges,
            Some(found.journal),
        ))
    }
}

type Step = fn(&mut Tracker, u32, &mut Vec<u32>) -> Result<(), TransitionError>;

impl PyDagTracker {
    fn around(
        names: Names,
        tracker: Tracker,
        edges: Vec<(u32, u32)>,
        journal: Option<TrackerJournal>,
    ) -> Self {
        let inner = Mutex::new(Inner {
            tracker,
            edges,
            journal,
            scratch: Vec::new(),
        });
        Self {
            ids: names.ids,
            index: names.index,
            inner,
        }
    }

    #[inline]
    fn position(&self, node: &Bound<'_, PyAny>) -> PyResult<u32> {
        match self.index.bind(node.py()).get_item(node)? {
            Some(at) => at.extract(),
            None => Err(not_found(
                &format!("the graph has no node {}", shown(node)),
                "",
            )),
        }
    }

    #[inline]
    fn step<'py>(
        &self,
        node: &Bound<'py, PyAny>,
        state: State,
        step: Step,
    ) -> PyResult<Bound<'py, PyList>> {
        let at = self.position(node)?;
        let inner = &mut *self.inner.lock();
        inner.scratch.clear();
        step(&mut inner.tracker, at, &mut inner.scratch)
            .map_err(|error| transition_error(node, &error))?;
        inner.record(at, state)?;
        self.list(node.py(), &inner.scratch)
    }

    fn list<'py>(&self, py: Python<'py>, nodes: &[u32]) -> PyResult<Bound<'py, PyList>> {
        PyList::new(
            py,
            nodes.iter().map(|&node| self.ids[node as usize].bind(py)),
        )
    }
}

impl Inner {
    fn record(&mut self, node: u32, state: State) -> PyResult<()> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        journal.step(node, state).map_err(|error| log_error(&error))
    }
}

/// The caller's ids in order, and where each is.
struct Names {
    ids: Vec<Py<PyAny>>,
    index: Py<PyDict>,
}

impl Names {
    /// A number stands for the ids 0, 1, … below it.
    fn read(node_ids: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = node_ids.py();
        if node_ids.is_instance_of::<PyInt>() {
            let count: isize = node_ids.extract()?;
            let range = PyRange::new(py, 0, count.max(0))?;
            return Self::of(
                py,
                range
                    .try_iter()?
                    .map(|id| Ok(id?.unbind()))
                    .collect::<PyResult<_>>()?,
            );
        }
        Self::of(
            py,
            node_ids
                .try_iter()?
                .map(|id| Ok(id?.unbind()))
                .collect::<PyResult<_>>()?,
        )
    }

    fn of(py: Python<'_>, ids: Vec<Py<PyAny>>) -> PyResult<Self> {
        let index = PyDict::new(py);
        for (at, id) in ids.iter().enumerate() {
            index.set_item(id, at as u32)?;
        }
        if index.len() < ids.len() {
            let twice = ids.iter().enumerate().find(|(at, id)| {
                index
                    .get_item(id)
                    .ok()
                    .flatten()
                    .and_then(|last| last.extract::<usize>().ok())
                    != Some(*at)
            });
            let name = twice.map_or_else(String::new, |(_, id)| shown(id.bind(py)));
            return Err(bad_input(
                &format!("the node {name} is there twice"),
                "give each node an id of its own",
            ));
        }
        Ok(Self {
            ids,
            index: index.unbind(),
        })
    }

    /// Edges given as pairs of ids. Most ids of edges are the very objects of the node list, so they are
    /// found by address; the others by equality.
    fn edges(&self, edges: &Bound<'_, PyAny>) -> PyResult<Vec<(u32, u32)>> {
        let py = edges.py();
        let by_address: FxHashMap<usize, u32> = self
            .ids
            .iter()
            .enumerate()
            .map(|(at, id)| (id.as_ptr() as usize, at as u32))
            .collect();
        let index = self.index.bind(py);
        let find = |edge: usize, id: &Bound<'_, PyAny>| -> PyResult<u32> {
            if let Some(&at) = by_address.get(&(id.as_ptr() as usize)) {
                return Ok(at);
            }
            match index.get_item(id)? {
                Some(at) => at.extract(),
                None => {
                    let message = format!("edge {edge} names {}, which is no node", shown(id));
                    Err(raise_coded(
                        "BadInput",
                        &message,
                        "add the node or remove the edge",
                        "unknown_node",
                    ))
                }
            }
        };
        let mut pairs = Vec::with_capacity(edges.len().unwrap_or(0));
        let mut add = |pair: &Bound<'_, PyAny>| -> PyResult<()> {
            let at = pairs.len();
            let (source, target) = match pair.cast_exact::<PyTuple>() {
                Ok(pair) if pair.len() == 2 => (
                    find(at, &*pair.get_borrowed_item(0)?)?,
                    find(at, &*pair.get_borrowed_item(1)?)?,
                ),
                _ => {
                    let ends = pair
                        .cast::<PySequence>()
                        .ok()
                        .filter(|ends| ends.len().is_ok_and(|length| length == 2));
                    let ends = ends.filter(|ends| !ends.is_instance_of::<PyString>());
                    let ends =
                        ends.ok_or_else(|| bad_input(&format!("edge {at} is no pair of ids"), ""))?;
                    (find(at, &ends.get_item(0)?)?, find(at, &ends.get_item(1)?)?)
                }
            };
            pairs.push((source, target));
            Ok(())
        };
        if let Ok(list) = edges.cast_exact::<PyList>() {
            for pair in list.iter() {
                add(&pair)?;
            }
        } else {
            for pair in edges.try_iter()? {
                add(&pair?)?;
            }
        }
        Ok(pairs)
    }
}

/// Edges given as one buffer of integers: source, target, source, target, …, each a position.
fn flat_pairs(edges: &Bound<'_, PyAny>) -> PyResult<Option<Vec<(u32, u32)>>> {
    fn read<T: pyo3::buffer::Element + TryInto<u32>>(
        edges: &Bound<'_, PyAny>,
    ) -> Option<PyResult<Vec<u32>>> {
        let buffer = PyBuffer::<T>::get(edges).ok()?;
        let convert = |number: T| {
            number
                .try_into()
                .map_err(|_| bad_input("an edge names a position below 0 or above 2^32", ""))
        };
        Some(
            buffer
                .to_vec(edges.py())
                .and_then(|numbers| numbers.into_iter().map(convert).collect()),
        )
    }
    if edges.is_instance_of::<PyList>() || edges.is_instance_of::<PyTuple>() {
        return Ok(None);
    }
    let found = read::<u32>(edges)
        .or_else(|| read::<i64>(edges))
        .or_else(|| read::<u64>(edges))
        .or_else(|| read::<i32>(edges));
    let Some(numbers) = found else {
        return Ok(None);
    };
    let numbers = numbers?;
    if numbers.len() % 2 == 1 {
        return Err(bad_input(
            "the buffer of edges has an odd length",
            "give pairs of positions",
        ));
    }
    Ok(Some(
        numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect(),
    ))
}

fn shown(id: &Bound<'_, PyAny>) -> String {
    id.str().map(|text| text.to_string()).unwrap_or_default()
}

fn cycle_of(py: Python<'_>, cycle: &Cycle, ids: &[Py<PyAny>]) -> PyErr {
    let names: Vec<String> = cycle
        .0
        .iter()
        .map(|&node| shown(ids[node as usize].bind(py)))
        .collect();
    cycle_error(&names)
}

fn graph_error(py: Python<'_>, error: &GraphError, ids: &[Py<PyAny>]) -> PyErr {
    let known = ids.first().map(|id| shown(id.bind(py))).unwrap_or_default();
    let remedy = format!("positions count from 0, which is {known}");
    raise_coded("BadInput", &error.to_string(), &remedy, "unknown_node")
}

fn transition_error(node: &Bound<'_, PyAny>, error: &TransitionError) -> PyErr {
    let (name, state) = (shown(node), error.state.word());
    let remedy = "start what ready() names, complete or fail what was started";
    raise_coded(
        "BadInput",
        &format!("cannot {} the node {name}, which is {state}", error.step),
        remedy,
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
    }
}

fn snapshot_error(path: &Path, error: &SnapshotError) -> PyErr {
    match error {
        SnapshotError::Log(error) => log_error(error),
        SnapshotError::Damaged { .. } => raise_coded(
            "BadInput",
            &error.to_string(),
            &format!("begin anew without {}", path.display()),
            "damaged_journal",
        ),
    }
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
