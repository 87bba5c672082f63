//! Contents of the Artifact Store that come and go piece by piece, and buffers that are read in place.

use crate::errors::{bad_input, store_error};
use artifact_store::{ArtifactId, Cursor, Put, Store, StoreError, Writer};
use parking_lot::Mutex;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use std::sync::Arc;

/// What a content may be.
const CONTENT_TYPES: &str = "content must be bytes, bytearray or a contiguous memoryview";
/// Below this a copy is as quick as anything else.
const IN_PLACE: usize = 64 << 10;
/// Bytes that are copied at once out of memory that somebody may write to.
const PIECE: usize = 256 << 10;

/// The caller's memory, held as long as this lives.
pub(crate) struct Memory {
    buffer: PyBuffer<u8>,
    /// Nobody can write to it: it is that of a bytes object.
    is_constant: bool,
}

impl Memory {
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = PyBuffer::<u8>::get(object).map_err(|_| bad_input(CONTENT_TYPES, ""))?;
        let is_constant = object.is_exact_instance_of::<PyBytes>()
            || object.is_exact_instance_of::<PyMemoryView>()
                && object.getattr("obj")?.is_exact_instance_of::<PyBytes>();
        Ok(Self {
            buffer,
            is_constant,
        })
    }

    fn address(&self) -> usize {
        self.buffer.buf_ptr() as usize
    }

    fn len(&self) -> usize {
        self.buffer.len_bytes()
    }

    /// The bytes of a bytes object.
    fn constant(&self) -> Option<&[u8]> {
        if !self.is_constant || !self.buffer.is_c_contiguous() {
            return None;
        }
        if self.len() == 0 {
            return Some(&[]);
        }
        // SAFETY: the buffer keeps a bytes object alive, whose memory is contiguous, of this length and
        // never written.
        Some(unsafe { std::slice::from_raw_parts(self.address() as *const u8, self.len()) })
    }
}

/// Puts what is in `object`. A bytes object is read where it is. Of other memory, which somebody may
/// write to meanwhile, a small one is copied; a large one is copied piece by piece on its way to the
/// disk, so that what is digested is what is stored.
pub(crate) fn put(
    py: Python<'_>,
    store: &Store,
    object: &Bound<'_, PyAny>,
    put: Put,
) -> PyResult<ArtifactId> {
    let memory = Memory::of(object)?;
    if memory.constant().is_some() || memory.len() < IN_PLACE || !memory.buffer.is_c_contiguous() {
        return with_bytes(py, object, |content| store.put(content, &put));
    }
    let (address, length) = (memory.address(), memory.len());
    let streamed = py.detach(|| {
        let mut writer = store.writer(put)?;
        write_from(store, &mut writer, address, length)?;
        store.finish(writer)
    });
    // The buffer keeps the memory at its address until here.
    drop(memory);
    streamed.map_err(store_error)
}

/// Runs `step` on what is in `object`, copied where somebody could write to it.
pub(crate) fn with_bytes<T: Send>(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    step: impl FnOnce(&[u8]) -> Result<T, StoreError> + Send,
) -> PyResult<T> {
    let memory = Memory::of(object)?;
    let copied;
    let content = match memory.constant() {
        Some(content) => content,
        None => {
            copied = memory.buffer.to_vec(py);
            copied
                .as_deref()
                .map_err(|_| bad_input(CONTENT_TYPES, ""))?
        }
    };
    py.detach(|| step(content)).map_err(store_error)
}

/// Writes `length` bytes at `address`, which the caller keeps alive, through a piece of own memory.
fn write_from(
    store: &Store,
    writer: &mut Writer,
    address: usize,
    length: usize,
) -> Result<(), StoreError> {
    let mut piece = vec![0u8; length.min(PIECE)];
    let mut done = 0;
    while done < length {
        let count = piece.len().min(length - done);
        // SAFETY: the buffer that the caller holds exports `length` contiguous bytes at this address, and
        // `piece` is memory of our own that is at least `count` long. Another Python thread may write to
        // the exported bytes meanwhile; then each byte is one of its values, which is all that is needed.
        unsafe {
            std::ptr::copy_nonoverlapping((address + done) as *const u8, piece.as_mut_ptr(), count);
        }
        store.write(writer, &piece[..count])?;
        done += count;
    }
    Ok(())
}

/// The content of `id`, or `length` bytes of it from `offset` on, read straight into a bytes object.
pub(crate) fn get<'py>(
    py: Python<'py>,
    store: &Store,
    id: &ArtifactId,
    offset: u64,
    length: Option<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    if offset == 0 && length.is_none() {
        // Two look-ups in memory: quicker than letting the GIL go.
        let size = store.size(id).map_err(store_error)?;
        return PyBytes::new_with(py, size, |out| {
            py.detach(|| store.get_into(id, out)).map_err(store_error)
        });
    }
    let mut cursor = py.detach(|| store.cursor(id)).map_err(store_error)?;
    cursor.seek(offset);
    read_bytes(py, store, &mut cursor, length)
}

fn read_bytes<'py>(
    py: Python<'py>,
    store: &Store,
    cursor: &mut Cursor,
    length: Option<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    let left = cursor.bytes().saturating_sub(cursor.position());
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let size = length.map_or(left, |length| length.min(left));
    PyBytes::new_with(py, size, |out| {
        let read = py.detach(|| store.read(cursor, out)).map_err(store_error)?;
        debug_assert_eq!(read, size, "a read is cut short only by the end");
        Ok(())
    })
}

/// See `pit_native.pyi`.
#[pyclass(name = "ArtifactWriter", module = "pit_native", frozen)]
pub(crate) struct PyArtifactWriter {
    store: Arc<Store>,
    state: Mutex<WriterState>,
}

enum WriterState {
    Open(Box<Writer>),
    Finished(ArtifactId),
    Aborted,
}

impl PyArtifactWriter {
    pub(crate) fn new(store: Arc<Store>, writer: Writer) -> Self {
        let state = Mutex::new(WriterState::Open(Box::new(writer)));
        Self { store, state }
    }

    fn finish_now(&self) -> Result<Option<ArtifactId>, StoreError> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, WriterState::Aborted) {
            WriterState::Open(writer) => {
                let id = self.store.finish(*writer)?;
                *state = WriterState::Finished(id);
                Ok(Some(id))
            }
            WriterState::Finished(id) => {
                *state = WriterState::Finished(id);
                Ok(Some(id))
            }
            WriterState::Aborted => Ok(None),
        }
    }
}

#[pymethods]
impl PyArtifactWriter {
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        let memory = Memory::of(data)?;
        let (address, length) = (memory.address(), memory.len());
        let copied;
        let constant = if memory.constant().is_some() || memory.buffer.is_c_contiguous() {
            memory.constant()
        } else {
            copied = memory.buffer.to_vec(py)?;
            Some(copied.as_slice())
        };
        let written = py.detach(|| {
            let mut state = self.state.lock();
            let WriterState::Open(writer) = &mut *state else {
                return Ok(false);
            };
            let written = match constant {
                Some(content) => self.store.write(writer, content),
                None => write_from(&self.store, writer, address, length),
            };
            if written.is_err() {
                // What is missing in the middle cannot be made good.
                *state = WriterState::Aborted;
            }
            written.map(|()| true)
        });
        if written.map_err(store_error)? {
            Ok(length)
        } else {
            Err(PyValueError::new_err("the writer is finished or aborted"))
        }
    }

    fn finish(&self, py: Python<'_>) -> PyResult<String> {
        match py.detach(|| self.finish_now()).map_err(store_error)? {
            Some(id) => Ok(id.to_string()),
            None => Err(PyValueError::new_err("the writer was aborted")),
        }
    }

    fn abort(&self, py: Python<'_>) {
        py.detach(|| {
            let mut state = self.state.lock();
            if matches!(*state, WriterState::Open(_)) {
                *state = WriterState::Aborted;
            }
        });
    }

    #[getter]
    fn id(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| match &*self.state.lock() {
            WriterState::Finished(id) => Some(id.to_string()),
            _ => None,
        })
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if kind.is_none() {
            py.detach(|| self.finish_now()).map_err(store_error)?;
        } else {
            self.abort(py);
        }
        Ok(())
    }
}

/// See `pit_native.pyi`.
#[pyclass(name = "ArtifactReader", module = "pit_native", frozen)]
pub(crate) struct PyArtifactReader {
    store: Arc<Store>,
    cursor: Mutex<Option<Cursor>>,
    size: u64,
}

impl PyArtifactReader {
    pub(crate) fn new(store: Arc<Store>, cursor: Cursor) -> Self {
        let size = cursor.bytes();
        Self {
            store,
            cursor: Mutex::new(Some(cursor)),
            size,
        }
    }

    /// Runs `step` on the cursor, which nobody else uses meanwhile.
    fn with<T>(
        &self,
        py: Python<'_>,
        step: impl FnOnce(Python<'_>, &mut Cursor) -> PyResult<T>,
    ) -> PyResult<T> {
        // Taken out, for the GIL must not be waited for with the lock held.
        let Some(mut cursor) = self.cursor.lock().take() else {
            return Err(PyValueError::new_err(
                "the reader is closed, or another thread reads from it",
            ));
        };
        let result = step(py, &mut cursor);
        *self.cursor.lock() = Some(cursor);
        result
    }
}

#[pymethods]
impl PyArtifactReader {
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn read<'py>(&self, py: Python<'py>, size: isize) -> PyResult<Bound<'py, PyBytes>> {
        let length = usize::try_from(size).ok();
        let mut read = None;
        self.with(py, |_, cursor| {
            read = Some(read_bytes(py, &self.store, cursor, length)?);
            Ok(())
        })?;
        read.ok_or_else(|| PyOSError::new_err("nothing was read"))
    }

    #[pyo3(signature = (buffer, /))]
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let wrong = "readinto needs writable, contiguous memory of bytes";
        let memory = PyBuffer::<u8>::get(buffer).map_err(|_| bad_input(wrong, ""))?;
        if memory.readonly() || !memory.is_c_contiguous() {
            return Err(bad_input(wrong, ""));
        }
        let (address, length) = (memory.buf_ptr() as usize, memory.len_bytes());
        if length == 0 {
            return Ok(0);
        }
        let read = self.with(py, |py, cursor| {
            let read = py.detach(|| {
                // SAFETY: the buffer exports `length` writable bytes at this address until it is dropped
                // below; that nobody else uses them meanwhile is up to the caller, as with any `readinto`.
                let out = unsafe { std::slice::from_raw_parts_mut(address as *mut u8, length) };
                self.store.read(cursor, out)
            });
            read.map_err(store_error)
        });
        drop(memory);
        read
    }

    #[pyo3(signature = (offset, whence=0, /))]
    fn seek(&self, py: Python<'_>, offset: i64, whence: u8) -> PyResult<u64> {
        self.with(py, |_, cursor| {
            let from = match whence {
                0 => 0,
                1 => cursor.position(),
                2 => cursor.bytes(),
                _ => return Err(bad_input("whence is 0, 1 or 2", "")),
            };
            let Some(at) = from.checked_add_signed(offset) else {
                return Err(bad_input("a position is 0 or more", ""));
            };
            cursor.seek(at);
            Ok(at)
        })
    }

    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |_, cursor| Ok(cursor.position()))
    }

    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    fn readable(&self) -> bool {
        true
    }

    fn seekable(&self) -> bool {
        true
    }

    fn close(&self) {
        self.cursor.lock().take();
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close();
    }
}

/// Adds this file's classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyArtifactWriter>()?;
    module.add_class::<PyArtifactReader>()
}
