//! The binary file format of Melodies: a document of plain values in postcard.
//!
//! A Melody says the same words again and again: keys, Players, ports. Each text stands once in a table, and
//! so does each *shape*, the keys of a mapping in their order; what follows is a flat list of tokens in
//! preorder. A file is `SyMel`, the format's number, the CRC-32 of the rest, and the rest in postcard. It is
//! read without recursion beyond [`DEPTH`] and without allocating more than its tokens account for, whoever
//! wrote it.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

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

#[derive(Serialize, Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    words: Vec<&'a str>,
    shapes: Vec<Vec<u32>>,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Token {
    Null,
    False,
    True,
    Int(i64),
    /// An integer beyond the range of `i64`.
    Large(u64),
    Float(f64),
    /// A text, by its number in the table.
    Text(u32),
    /// So many values follow.
    List(u32),
    /// One value follows for each key of this shape.
    Map(u32),
}

/// The bytes of a document.
pub fn encode(document: &Value) -> Result<Vec<u8>, FileError> {
    let mut writer = Writer::default();
    writer.value(document, 0)?;
    let mut shapes = vec![Vec::new(); writer.shapes.len()];
    for (shape, number) in writer.shapes {
        shapes[number as usize] = shape;
    }
    let file = File {
        words: writer.words,
        shapes,
        tokens: writer.tokens,
    };
    let body =
        postcard::to_stdvec(&file).map_err(|_| FileError::Malformed("it cannot be written"))?;
    let mut out = Vec::with_capacity(MAGIC.len() + 4 + body.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    out.extend_from_slice(&body);
    Ok(out)
}

/// The document of a file.
pub fn decode(bytes: &[u8]) -> Result<Value, FileError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(FileError::Magic)?;
    let (crc, body) = rest.split_first_chunk::<4>().ok_or(FileError::Checksum)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(FileError::Checksum);
    }
    let (file, left): (File<'_>, &[u8]) = postcard::take_from_bytes(body)
        .map_err(|_| FileError::Malformed("it is no list of values"))?;
    if !left.is_empty() {
        return Err(FileError::Malformed("something follows its end"));
    }
    let mut reader = Reader {
        tokens: file.tokens.iter(),
        words: &file.words,
        shapes: &file.shapes,
        text: 0,
    };
    let document = reader.value(0)?;
    match reader.tokens.next() {
        None => Ok(document),
        Some(_) => Err(FileError::Malformed("a value follows its end")),
    }
}

#[derive(Default)]
struct Writer<'a> {
    words: Vec<&'a str>,
    numbers: FxHashMap<&'a str, u32>,
    shapes: FxHashMap<Vec<u32>, u32>,
    tokens: Vec<Token>,
}

impl<'a> Writer<'a> {
    fn word(&mut self, text: &'a str) -> u32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.words.push(text);
            self.words.len() as u32 - 1
        })
    }

    fn value(&mut self, value: &'a Value, depth: usize) -> Result<(), FileError> {
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
            Value::String(text) => Token::Text(self.word(text)),
            Value::Array(items) => {
                self.tokens.push(Token::List(items.len() as u32));
                return items
                    .iter()
                    .try_for_each(|item| self.value(item, depth + 1));
            }
            Value::Object(members) => {
                let shape: Vec<u32> = members.keys().map(|key| self.word(key)).collect();
                let next = self.shapes.len() as u32;
                let number = *self.shapes.entry(shape).or_insert(next);
                self.tokens.push(Token::Map(number));
                return members
                    .values()
                    .try_for_each(|item| self.value(item, depth + 1));
            }
        };
        self.tokens.push(token);
        Ok(())
    }
}

struct Reader<'a> {
    tokens: std::slice::Iter<'a, Token>,
    words: &'a [&'a str],
    shapes: &'a [Vec<u32>],
    /// Bytes of text written out so far.
    text: usize,
}

impl Reader<'_> {
    fn word(&mut self, number: u32) -> Result<String, FileError> {
        let word = self
            .words
            .get(number as usize)
            .ok_or(FileError::Malformed("a text is missing"))?;
        self.text += word.len();
        if self.text > TEXT {
            return Err(FileError::Malformed("its texts are too long"));
        }
        Ok((*word).to_owned())
    }

    fn value(&mut self, depth: usize) -> Result<Value, FileError> {
        if depth > DEPTH {
            return Err(FileError::Depth);
        }
        let token = self
            .tokens
            .next()
            .ok_or(FileError::Malformed("a value is missing"))?;
        Ok(match token {
            Token::Null => Value::Null,
            Token::False => Value::Bool(false),
            Token::True => Value::Bool(true),
            Token::Int(number) => Value::from(*number),
            Token::Large(number) => Value::from(*number),
            Token::Float(number) => Value::Number(
                Number::from_f64(*number).ok_or(FileError::Malformed("a number is not finite"))?,
            ),
            Token::Text(number) => Value::String(self.word(*number)?),
            Token::List(count) => {
                self.enough_for(*count as usize)?;
                let mut items = Vec::with_capacity(*count as usize);
                for _ in 0..*count {
                    items.push(self.value(depth + 1)?);
                }
                Value::Array(items)
            }
            Token::Map(shape) => {
                let shapes = self.shapes;
                let keys = shapes
                    .get(*shape as usize)
                    .ok_or(FileError::Malformed("the keys of a mapping are missing"))?;
                self.enough_for(keys.len())?;
                let mut members = Map::with_capacity(keys.len());
                for key in keys {
                    let key = self.word(*key)?;
                    let value = self.value(depth + 1)?;
                    if members.insert(key, value).is_some() {
                        return Err(FileError::Malformed("a key stands twice"));
                    }
                }
                Value::Object(members)
            }
        })
    }

    /// Each value takes a token, so a count beyond them is a lie and nothing is allocated for it.
    fn enough_for(&self, count: usize) -> Result<(), FileError> {
        if count > self.tokens.len() {
            return Err(FileError::Malformed("it ends within a list"));
        }
        Ok(())
    }
}
