//! The binary file format of Melodies: a document of plain values in postcard.
//!
//! A Melody says the same words again and again: keys, Players, ports. Each text stands once in a table, and
//! so does each *shape*, the keys of a mapping in their order; what follows is a flat list of tokens in
//! preorder. A file is `SyMel`, the format's number, the CRC-32 of the rest, and the rest in postcard. It is
//! read without recursion beyond [`DEPTH`] and without allocating more than its tokens account for, whoever
//! wrote it.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use std::sync::Arc;

/// What each file begins with: the name and the number of the format.
pub const MAGIC: &[u8; 6] = b"SyMel\x01";
/// Nesting beyond this is refused.
pub const DEPTH: usize = 64;
/// Bytes of text that a document may hold once its words are written out.
const TEXT: usize = 256 << 20;

/// Why bytes are no Melody file, or a document cannot become one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The first bytes are other ones.
    #[error("it does not begin as a Melody file does")]
    Magic,
    /// The checksum does not match.
    #[error("its checksum does not match: it was cut short or changed")]
    Checksum,
    /// The content is no list of tokens, or not a well-formed one.
    #[error("its content makes no sense: {0}")]
    Malformed(&'static str),
    /// Nested deeper than [`DEPTH`].
    #[error("a value is nested deeper than {DEPTH} levels")]
    Depth,
}

/// What a file holds, read but not yet built.
#[derive(Serialize, Deserialize)]
pub struct File<'a> {
    #[serde(borrow)]
    words: Vec<&'a str>,
    shapes: Vec<Vec<u32>>,
    tokens: Vec<Token>,
}

/// One step of a document in preorder.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum Token {
    /// Nothing.
    Null,
    /// No.
    False,
    /// Yes.
    True,
    /// An integer.
    Int(i64),
    /// An integer beyond the range of `i64`.
    Large(u64),
    /// A finite number.
    Float(f64),
    /// A text, by its number in the table.
    Text(u32),
    /// So many values follow.
    List(u32),
    /// One value follows for each key of this shape.
    Map(u32),
}

/// Makes the values of whoever reads a file. A text comes with its number, so that it need be made only once.
pub trait Build {
    /// A value.
    type Value;
    /// Why a value cannot be made.
    type Error: From<FileError>;

    /// A value that is no text and holds no others: never `Text`, `List` or `Map`.
    fn scalar(&mut self, token: Token) -> Result<Self::Value, Self::Error>;
    /// A text.
    fn text(&mut self, number: u32, text: &str) -> Result<Self::Value, Self::Error>;
    /// A list.
    fn list(&mut self, items: Vec<Self::Value>) -> Result<Self::Value, Self::Error>;
    /// A mapping; there are as many keys as values, and no key stands twice.
    fn map<'k>(
        &mut self,
        keys: impl Iterator<Item = (u32, &'k str)>,
        values: Vec<Self::Value>,
    ) -> Result<Self::Value, Self::Error>;
}

/// The bytes of a document.
pub fn encode(document: &Value) -> Result<Vec<u8>, FileError> {
    let mut writer = Writer::default();
    write_value(&mut writer, document, 0)?;
    writer.finish()
}

/// The document of a file.
pub fn decode(bytes: &[u8]) -> Result<Value, FileError> {
    File::open(bytes)?.build(&mut Values)
}

/// Writes a document value by value, each before those that it holds.
#[derive(Default)]
pub struct Writer {
    words: Vec<Arc<str>>,
    numbers: FxHashMap<Arc<str>, u32>,
    shapes: FxHashMap<Vec<u32>, u32>,
    tokens: Vec<Token>,
}

impl Writer {
    /// The number of a text, for `Token::Text` and for shapes.
    pub fn word(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (word, number) = (Arc::<str>::from(text), self.words.len() as u32);
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        number
    }

    /// The number of the keys of a mapping in their order, for `Token::Map`.
    pub fn shape(&mut self, keys: &[u32]) -> u32 {
        if let Some(number) = self.shapes.get(keys) {
            return *number;
        }
        let number = self.shapes.len() as u32;
        self.shapes.insert(keys.to_vec(), number);
        number
    }

    /// Writes a value, or the head of one that holds others.
    pub fn push(&mut self, token: Token) {
        self.tokens.push(token);
    }

    /// The file's bytes.
    pub fn finish(self) -> Result<Vec<u8>, FileError> {
        let mut shapes = vec![Vec::new(); self.shapes.len()];
        for (shape, number) in self.shapes {
            shapes[number as usize] = shape;
        }
        let file = File {
            words: self.words.iter().map(AsRef::as_ref).collect(),
            shapes,
            tokens: self.tokens,
        };
        let body =
            postcard::to_stdvec(&file).map_err(|_| FileError::Malformed("it cannot be written"))?;
        let mut out = Vec::with_capacity(MAGIC.len() + 4 + body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        out.extend_from_slice(&body);
        Ok(out)
    }
}

fn write_value(writer: &mut Writer, value: &Value, depth: usize) -> Result<(), FileError> {
    if depth > DEPTH {
        return Err(FileError::Depth);
    }
    let token = match value {
        Value::Null => Token::Null,
        Value::Bool(false) => Token::False,
        Value::Bool(true) => Token::True,
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Token::Int(number),
            (None, Some(number)) => Token::Large(number),
            _ => Token::Float(number.as_f64().unwrap_or(0.0)),
        },
        Value::String(text) => Token::Text(writer.word(text)),
        Value::Array(items) => {
            writer.push(Token::List(items.len() as u32));
            return items
                .iter()
                .try_for_each(|item| write_value(writer, item, depth + 1));
        }
        Value::Object(members) => {
            let keys: Vec<u32> = members.keys().map(|key| writer.word(key)).collect();
            let shape = writer.shape(&keys);
            writer.push(Token::Map(shape));
            return members
                .values()
                .try_for_each(|item| write_value(writer, item, depth + 1));
        }
    };
    writer.push(token);
    Ok(())
}

impl<'a> File<'a> {
    /// Reads a file's bytes; nothing is built yet.
    pub fn open(bytes: &'a [u8]) -> Result<Self, FileError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(FileError::Magic)?;
        let (crc, body) = rest.split_first_chunk::<4>().ok_or(FileError::Checksum)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(FileError::Checksum);
        }
        let (file, left): (Self, &[u8]) = postcard::take_from_bytes(body)
            .map_err(|_| FileError::Malformed("it is no list of values"))?;
        if !left.is_empty() {
            return Err(FileError::Malformed("something follows its end"));
        }
        file.check_shapes()?;
        Ok(file)
    }

    /// Every shape names texts that are there, each once.
    fn check_shapes(&self) -> Result<(), FileError> {
        let mut seen = FxHashSet::default();
        for shape in &self.shapes {
            seen.clear();
            for key in shape {
                let word = self
                    .words
                    .get(*key as usize)
                    .ok_or(FileError::Malformed("a text is missing"))?;
                if !seen.insert(*word) {
                    return Err(FileError::Malformed("a key stands twice"));
                }
            }
        }
        Ok(())
    }

    /// The document, made by `builder`.
    pub fn build<B: Build>(&self, builder: &mut B) -> Result<B::Value, B::Error> {
        let mut reader = Reader {
            file: self,
            tokens: self.tokens.iter(),
            text: 0,
        };
        let document = reader.value(builder, 0)?;
        match reader.tokens.next() {
            None => Ok(document),
            Some(_) => Err(FileError::Malformed("a value follows its end").into()),
        }
    }
}

struct Reader<'a> {
    file: &'a File<'a>,
    tokens: std::slice::Iter<'a, Token>,
    /// Bytes of text written out so far.
    text: usize,
}

impl<'a> Reader<'a> {
    fn word(&mut self, number: u32) -> Result<&'a str, FileError> {
        let word = self
            .file
            .words
            .get(number as usize)
            .ok_or(FileError::Malformed("a text is missing"))?;
        self.text += word.len();
        if self.text > TEXT {
            return Err(FileError::Malformed("its texts are too long"));
        }
        Ok(word)
    }

    fn value<B: Build>(&mut self, builder: &mut B, depth: usize) -> Result<B::Value, B::Error> {
        if depth > DEPTH {
            return Err(FileError::Depth.into());
        }
        let token = *self
            .tokens
            .next()
            .ok_or(FileError::Malformed("a value is missing"))?;
        match token {
            Token::Float(number) if !number.is_finite() => {
                Err(FileError::Malformed("a number is not finite").into())
            }
            Token::Text(number) => {
                let text = self.word(number)?;
                builder.text(number, text)
            }
            Token::List(count) => {
                let items = self.values(builder, count as usize, depth)?;
                builder.list(items)
            }
            Token::Map(shape) => {
                let file = self.file;
                let keys = file
                    .shapes
                    .get(shape as usize)
                    .ok_or(FileError::Malformed("the keys of a mapping are missing"))?;
                for key in keys {
                    self.word(*key)?;
                }
                let values = self.values(builder, keys.len(), depth)?;
                let named = keys.iter().map(|key| (*key, file.words[*key as usize]));
                builder.map(named, values)
            }
            scalar => builder.scalar(scalar),
        }
    }

    /// The values inside of one. Each takes a token, so a count beyond them is a lie and nothing is allocated for it.
    fn values<B: Build>(
        &mut self,
        builder: &mut B,
        count: usize,
        depth: usize,
    ) -> Result<Vec<B::Value>, B::Error> {
        if count > self.tokens.len() {
            return Err(FileError::Malformed("it ends within a list").into());
        }
        (0..count).map(|_| self.value(builder, depth + 1)).collect()
    }
}

/// Makes JSON values.
struct Values;

impl Build for Values {
    type Value = Value;
    type Error = FileError;

    fn scalar(&mut self, token: Token) -> Result<Value, FileError> {
        Ok(match token {
            Token::False => Value::Bool(false),
            Token::True => Value::Bool(true),
            Token::Int(number) => Value::from(number),
            Token::Large(number) => Value::from(number),
            Token::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
            _ => Value::Null,
        })
    }

    fn text(&mut self, _number: u32, text: &str) -> Result<Value, FileError> {
        Ok(Value::from(text))
    }

    fn list(&mut self, items: Vec<Value>) -> Result<Value, FileError> {
        Ok(Value::Array(items))
    }

    fn map<'k>(
        &mut self,
        keys: impl Iterator<Item = (u32, &'k str)>,
        values: Vec<Value>,
    ) -> Result<Value, FileError> {
        let members = keys.map(|(_, key)| key.to_owned()).zip(values);
        Ok(Value::Object(members.collect::<Map<_, _>>()))
    }
}
