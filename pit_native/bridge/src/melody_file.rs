//! Melodies as binary files.

use crate::errors::bad_input;
use melody_file::{Build, DEPTH, File, FileError, Token, Writer};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use rustc_hash::FxHashMap;

#[pyfunction]
fn encode_melody<'py>(
    py: Python<'py>,
    document: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut walk = Walk::default();
    walk.map(document, 0)?;
    let writer = walk.writer;
    let bytes = py.detach(|| writer.finish());
    Ok(PyBytes::new(py, &bytes.map_err(refused)?))
}

#[pyfunction]
fn decode_melody<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    // The bytes are Python's and unchanging: they may be read without the GIL.
    let file = py.detach(|| File::open(data)).map_err(refused)?;
    let mut objects = Objects {
        py,
        texts: Vec::new(),
    };
    let document = file.build(&mut objects).map_err(|refusal| match refusal {
        Refusal::File(error) => refused(error),
        Refusal::Python(error) => error,
    })?;
    document
        .cast_into::<PyDict>()
        .map_err(|_| bad_input("it holds no Melody", "export it again"))
}

/// Writes Python's values as they stand, without a copy in between.
#[derive(Default)]
struct Walk {
    writer: Writer,
    /// The numbers of texts by their address, for most of them are the keys of many mappings. No text goes away
    /// meanwhile: the document holds them, and nothing of Python runs.
    known: FxHashMap<usize, u32>,
}

impl Walk {
    fn word(&mut self, text: &Bound<'_, PyString>) -> PyResult<u32> {
        let address = text.as_ptr() as usize;
        if let Some(number) = self.known.get(&address) {
            return Ok(*number);
        }
        let number = self.writer.word(text.to_str()?);
        self.known.insert(address, number);
        Ok(number)
    }

    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        let token = if let Ok(text) = value.cast_exact::<PyString>() {
            Token::Text(self.word(text)?)
        } else if let Ok(dict) = value.cast_exact::<PyDict>() {
            return self.map(dict, depth);
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            check(depth)?;
            self.writer.push(Token::List(list.len() as u32));
            return list
                .iter()
                .try_for_each(|item| self.value(&item, depth + 1));
        } else if let Ok(number) = value.cast_exact::<PyInt>() {
            whole(number)?
        } else if let Ok(number) = value.cast_exact::<PyFloat>() {
            finite(number.value())?
        } else if let Ok(truth) = value.cast_exact::<PyBool>() {
            if truth.is_true() {
                Token::True
            } else {
                Token::False
            }
        } else if value.is_none() {
            Token::Null
        } else {
            let kind = value.get_type().name()?;
            return Err(bad_input(
                &format!("a Melody holds no value of type {kind}"),
                "",
            ));
        };
        check(depth)?;
        self.writer.push(token);
        Ok(())
    }

    fn map(&mut self, dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<()> {
        check(depth)?;
        let mut keys = Vec::with_capacity(dict.len());
        for (key, _) in dict.iter() {
            let Ok(key) = key.cast_exact::<PyString>() else {
                return Err(bad_input("the keys of a mapping must be text", ""));
            };
            keys.push(self.word(key)?);
        }
        let shape = self.writer.shape(&keys);
        self.writer.push(Token::Map(shape));
        dict.iter()
            .try_for_each(|(_, item)| self.value(&item, depth + 1))
    }
}

fn check(depth: usize) -> PyResult<()> {
    if depth > DEPTH {
        return Err(refused(FileError::Depth));
    }
    Ok(())
}

fn whole(number: &Bound<'_, PyInt>) -> PyResult<Token> {
    if let Ok(small) = number.extract::<i64>() {
        return Ok(Token::Int(small));
    }
    let large = number.extract::<u64>();
    large
        .map(Token::Large)
        .map_err(|_| bad_input("an integer does not fit into 64 bits", "write it as text"))
}

fn finite(number: f64) -> PyResult<Token> {
    if !number.is_finite() {
        return Err(bad_input(&format!("{number} is no number of JSON"), ""));
    }
    Ok(Token::Float(number))
}

/// Makes Python's values; each text is made once.
struct Objects<'py> {
    py: Python<'py>,
    texts: Vec<Option<Bound<'py, PyString>>>,
}

enum Refusal {
    File(FileError),
    Python(PyErr),
}

impl From<FileError> for Refusal {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl<'py> Objects<'py> {
    /// A text by its number. Keys are interned as Python's own are, so that they are found by their address.
    fn word(&mut self, number: u32, text: &str, is_key: bool) -> &Bound<'py, PyString> {
        let place = number as usize;
        if place >= self.texts.len() {
            self.texts.resize(place + 1, None);
        }
        let py = self.py;
        self.texts[place].get_or_insert_with(|| {
            if is_key {
                PyString::intern(py, text)
            } else {
                PyString::new(py, text)
            }
        })
    }
}

impl<'py> Build for Objects<'py> {
    type Value = Bound<'py, PyAny>;
    type Error = Refusal;

    fn scalar(&mut self, token: Token) -> Result<Self::Value, Refusal> {
        let py = self.py;
        Ok(match token {
            Token::False => PyBool::new(py, false).to_owned().into_any(),
            Token::True => PyBool::new(py, true).to_owned().into_any(),
            Token::Int(number) => PyInt::new(py, number).into_any(),
            Token::Large(number) => PyInt::new(py, number).into_any(),
            Token::Float(number) => PyFloat::new(py, number).into_any(),
            _ => py.None().into_bound(py),
        })
    }

    fn text(&mut self, number: u32, text: &str) -> Result<Self::Value, Refusal> {
        Ok(self.word(number, text, false).clone().into_any())
    }

    fn list(&mut self, items: Vec<Self::Value>) -> Result<Self::Value, Refusal> {
        Ok(PyList::new(self.py, items)?.into_any())
    }

    fn map<'k>(
        &mut self,
        keys: impl Iterator<Item = (u32, &'k str)>,
        values: Vec<Self::Value>,
    ) -> Result<Self::Value, Refusal> {
        let dict = PyDict::new(self.py);
        for ((number, text), value) in keys.zip(values) {
            dict.set_item(self.word(number, text, true), value)?;
        }
        Ok(dict.into_any())
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
