//! The Python face of `artifact_store`.

use crate::errors::store_error;
use crate::json::{map_to_python, serialised, to_map};
use crate::store_stream::{self, PyArtifactReader, PyArtifactWriter};
use artifact_store::quality::Quality;
use artifact_store::{ArtifactId, Filter, Info, Key, Options, Put, Store, Whereabouts};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::path::PathBuf;
use std::sync::Arc;

/// See `pit_native.pyi`.
#[pyclass(name = "ArtifactStore", module = "pit_native", frozen)]
pub(crate) struct PyArtifactStore {
    store: Arc<Store>,
}

impl PyArtifactStore {
    /// The store itself, for other faces of the bridge.
    #[allow(dead_code, reason = "used by the face of the run loop")]
    pub(crate) fn inner(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }
}

#[pymethods]
impl PyArtifactStore {
    #[new]
    #[pyo3(signature = (path, key=None, *, encrypt=false))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        key: Option<&Bound<'_, PyAny>>,
        encrypt: bool,
    ) -> PyResult<Self> {
        let options = Options {
            key: key.map(key_of).transpose()?,
            encrypt,
            ..Options::default()
        };
        let store = py
            .detach(|| Store::open(&path, options))
            .map_err(store_error)?;
        Ok(Self {
            store: Arc::new(store),
        })
    }

    #[pyo3(signature = (content, name, r#type="application/octet-stream", meta=None))]
    fn put(
        &self,
        py: Python<'_>,
        content: &Bound<'_, PyAny>,
        name: String,
        r#type: &str,
        meta: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<String> {
        let put = Put {
            name,
            kind: r#type.to_owned(),
            meta: to_map(meta)?,
        };
        let id = store_stream::put(py, &self.store, content, put)?;
        Ok(id.to_string())
    }

    #[pyo3(signature = (id, offset=0, length=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        offset: u64,
        length: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        store_stream::get(py, &self.store, &parse(id)?, offset, length)
    }

    #[pyo3(signature = (name, r#type="application/octet-stream", meta=None))]
    fn writer(
        &self,
        py: Python<'_>,
        name: String,
        r#type: &str,
        meta: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyArtifactWriter> {
        let put = Put {
            name,
            kind: r#type.to_owned(),
            meta: to_map(meta)?,
        };
        let writer = py.detach(|| self.store.writer(put)).map_err(store_error)?;
        Ok(PyArtifactWriter::new(Arc::clone(&self.store), writer))
    }

    fn reader(&self, py: Python<'_>, id: &str) -> PyResult<PyArtifactReader> {
        let id = parse(id)?;
        let cursor = py.detach(|| self.store.cursor(&id)).map_err(store_error)?;
        Ok(PyArtifactReader::new(Arc::clone(&self.store), cursor))
    }

    fn info<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyDict>> {
        let id = parse(id)?;
        let info = py.detach(|| self.store.info(&id)).map_err(store_error)?;
        info_dict(py, &info)
    }

    #[pyo3(signature = (limit=100, offset=0, *, r#type=None, run=None, name=None))]
    fn list<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
        offset: usize,
        r#type: Option<String>,
        run: Option<String>,
        name: Option<String>,
    ) -> PyResult<Bound<'py, PyList>> {
        let filter = Filter {
            kind: r#type,
            run,
            name,
        };
        let infos = py
            .detach(|| self.store.list(limit, offset, &filter))
            .map_err(store_error)?;
        info_list(py, &infos)
    }

    fn versions<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyList>> {
        let infos = py
            .detach(|| self.store.versions(name))
            .map_err(store_error)?;
        info_list(py, &infos)
    }

    #[pyo3(signature = (words, limit=10))]
    fn search<'py>(
        &self,
        py: Python<'py>,
        words: &str,
        limit: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let hits = py
            .detach(|| self.store.search(words, limit))
            .map_err(store_error)?;
        let list = PyList::empty(py);
        for hit in hits {
            let dict = PyDict::new(py);
            dict.set_item("id", hit.id)?;
            dict.set_item("name", hit.name)?;
            dict.set_item("type", hit.kind)?;
            dict.set_item("score", hit.score)?;
            dict.set_item("snippet", hit.snippet)?;
            list.append(dict)?;
        }
        Ok(list)
    }

    fn flush_search(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.store.flush_search()).map_err(store_error)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = py.detach(|| self.store.stats()).map_err(store_error)?;
        serialised(py, &stats)
    }

    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let findings = py.detach(|| self.store.verify()).map_err(store_error)?;
        serialised(py, &findings)
    }

    #[pyo3(signature = (id, tier=""))]
    fn evict(&self, py: Python<'_>, id: &str, tier: &str) -> PyResult<bool> {
        let id = parse(id)?;
        py.detach(|| self.store.evict(&id, tier))
            .map_err(store_error)
    }

    fn restore(&self, py: Python<'_>, id: &str, content: &Bound<'_, PyAny>) -> PyResult<bool> {
        let id = parse(id)?;
        store_stream::with_bytes(py, content, |content| self.store.restore(&id, content))
    }

    fn restorer(&self, py: Python<'_>, id: &str) -> PyResult<PyArtifactWriter> {
        let id = parse(id)?;
        let writer = py
            .detach(|| self.store.restorer(&id))
            .map_err(store_error)?;
        Ok(PyArtifactWriter::new(Arc::clone(&self.store), writer))
    }

    fn is_local(&self, id: &str) -> PyResult<bool> {
        self.store.is_local(&parse(id)?).map_err(store_error)
    }

    fn whereabouts(&self, py: Python<'_>, id: &str) -> PyResult<(&'static str, Option<String>)> {
        let id = parse(id)?;
        let found = py.detach(|| self.store.whereabouts(&id));
        Ok(match found.map_err(store_error)? {
            Whereabouts::Here => ("here", None),
            Whereabouts::Remote { tier } => ("remote", Some(tier)),
            Whereabouts::Damaged => ("damaged", None),
            Whereabouts::Unknown => ("unknown", None),
        })
    }

    fn remote(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let ids = py.detach(|| self.store.remote()).map_err(store_error)?;
        Ok(ids.iter().map(ArtifactId::to_string).collect())
    }

    #[pyo3(signature = (after="", limit=10_000))]
    fn ids(&self, py: Python<'_>, after: &str, limit: usize) -> PyResult<Vec<String>> {
        let after = (!after.is_empty()).then(|| parse(after)).transpose()?;
        let ids = py.detach(|| self.store.ids(after.as_ref(), limit));
        Ok(ids
            .map_err(store_error)?
            .iter()
            .map(ArtifactId::to_string)
            .collect())
    }

    fn hold(&self, py: Python<'_>, id: &str, reason: &str) -> PyResult<bool> {
        let id = parse(id)?;
        py.detach(|| self.store.hold(&id, reason))
            .map_err(store_error)
    }

    fn lift_hold(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        let id = parse(id)?;
        py.detach(|| self.store.lift_hold(&id)).map_err(store_error)
    }

    fn held<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let held = py.detach(|| self.store.held()).map_err(store_error)?;
        let dict = PyDict::new(py);
        for (id, reason) in held {
            dict.set_item(id.to_string(), reason)?;
        }
        Ok(dict)
    }

    fn remove(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        let id = parse(id)?;
        py.detach(|| self.store.remove(&id)).map_err(store_error)
    }

    #[pyo3(signature = (keep, before=None))]
    fn gc<'py>(
        &self,
        py: Python<'py>,
        keep: &Bound<'py, PyAny>,
        before: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut ids = Vec::new();
        for id in keep.try_iter()? {
            ids.push(parse(id?.extract::<&str>()?)?);
        }
        let collected = py
            .detach(|| self.store.gc(&ids, before))
            .map_err(store_error)?;
        serialised(py, &collected)
    }

    fn set_quality(
        &self,
        py: Python<'_>,
        id: &str,
        score: f32,
        reasons: Vec<String>,
    ) -> PyResult<bool> {
        let id = parse(id)?;
        let quality = Quality { score, reasons };
        py.detach(|| self.store.set_quality(&id, &quality))
            .map_err(store_error)
    }

    #[pyo3(signature = (key, *, renew=false))]
    fn rotate_key(&self, py: Python<'_>, key: &Bound<'_, PyAny>, renew: bool) -> PyResult<()> {
        let key = key_of(key)?;
        py.detach(|| self.store.rotate_key(&key, renew))
            .map_err(store_error)
    }

    fn reencrypt<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let encryption = py.detach(|| self.store.reencrypt()).map_err(store_error)?;
        serialised(py, &encryption)
    }

    fn encryption<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let encryption = py.detach(|| self.store.encryption()).map_err(store_error)?;
        serialised(py, &encryption)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.store.close()).map_err(store_error)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py)
    }
}

/// 32 bytes, or a passphrase.
fn key_of(object: &Bound<'_, PyAny>) -> PyResult<Key> {
    if let Ok(words) = object.cast::<PyString>() {
        return Ok(words.to_cow()?.as_ref().into());
    }
    let bytes = object.extract::<&[u8]>().ok();
    match bytes.map(<[u8; 32]>::try_from) {
        Some(Ok(key)) => Ok(key.into()),
        _ => Err(crate::errors::bad_input(
            "the store's key must be 32 bytes, or a passphrase",
            "",
        )),
    }
}

fn parse(id: &str) -> PyResult<ArtifactId> {
    id.parse().map_err(store_error)
}

fn info_dict<'py>(py: Python<'py>, info: &Info) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("id", &info.id)?;
    dict.set_item("name", &info.name)?;
    dict.set_item("type", &info.kind)?;
    dict.set_item("bytes", info.bytes)?;
    dict.set_item("quality", rounded(info.quality))?;
    dict.set_item("reasons", &info.reasons)?;
    dict.set_item("created", info.created)?;
    dict.set_item("run", &info.run)?;
    dict.set_item("node", &info.node)?;
    dict.set_item("version", info.version)?;
    dict.set_item("meta", map_to_python(py, &info.meta)?)?;
    Ok(dict)
}

/// Four digits, so that 0.7 does not read 0.699999988079071.
pub(crate) fn rounded(quality: f32) -> f64 {
    (f64::from(quality) * 10_000.0).round() / 10_000.0
}

fn info_list<'py>(py: Python<'py>, infos: &[Info]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for info in infos {
        list.append(info_dict(py, info)?)?;
    }
    Ok(list)
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    store_stream::register(module)?;
    module.add_class::<PyArtifactStore>()
}
