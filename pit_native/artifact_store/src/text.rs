//! The full-text index (tantivy): one document for each content under each name.
//!
//! It lies under `index/text`, or in memory when the store is encrypted, for it holds the contents' words. Its last
//! commit says up to which sequence of which store it reaches; what is missing is added, and what cannot be opened is built
//! anew.

use crate::error::{Result, StoreError};
use crate::query::{FieldName, Parsed};
use std::path::Path;
use tantivy::collector::TopDocs;
use tantivy::directory::MmapDirectory;
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{
    Field, INDEXED as INDEXED_BYTES, IndexRecordOption, STORED, STRING, Schema, TantivyDocument,
    TextFieldIndexing, TextOptions, Value,
};
use tantivy::snippet::SnippetGenerator;
use tantivy::tokenizer::{
    AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer, TokenStream,
};
use tantivy::{DocAddress, Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, Term};

/// Bytes of a content that are indexed.
pub(crate) const INDEXED: usize = 1 << 20;
/// Memory of the writer, the least that tantivy takes.
const WRITER_BYTES: usize = 15_000_000;
const WORDS: &str = "words";
/// Characters of a snippet.
const SNIPPET: usize = 200;

/// The fields of a document.
#[derive(Clone, Copy)]
struct Fields {
    id: Field,
    content: Field,
    key: Field,
    name: Field,
    exact_name: Field,
    kind: Field,
    run: Field,
    node: Field,
    text: Field,
}

/// What is indexed of an entry.
pub(crate) struct Document<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) run: &'a str,
    pub(crate) node: &'a str,
    pub(crate) text: &'a str,
}

/// The places of documents that match, best first. Loading one is most of a search's cost, so that those
/// which nobody looks at are not loaded.
pub(crate) struct Matches {
    searcher: Searcher,
    found: Vec<(f32, DocAddress)>,
    pub(crate) snippets: SnippetGenerator,
}

/// A document that matches; its content is read by the caller, for the snippet.
pub(crate) struct Match {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) score: f32,
}

/// The opened index.
pub(crate) struct TextIndex {
    index: Index,
    reader: IndexReader,
    fields: Fields,
}

fn failed(error: tantivy::TantivyError) -> StoreError {
    StoreError::Search(error.to_string())
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let words = |stored: bool| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let options = TextOptions::default().set_indexing_options(indexing);
        if stored {
            options.set_stored()
        } else {
            options
        }
    };
    let fields = Fields {
        id: builder.add_text_field("id", STORED),
        content: builder.add_bytes_field("content", INDEXED_BYTES),
        key: builder.add_bytes_field("key", INDEXED_BYTES),
        name: builder.add_text_field("name", words(true)),
        exact_name: builder.add_text_field("exact_name", STRING),
        kind: builder.add_text_field("type", STRING | STORED),
        run: builder.add_text_field("run", STRING),
        node: builder.add_text_field("node", STRING),
        text: builder.add_text_field("text", words(false)),
    };
    (builder.build(), fields)
}

/// A short term for a text: every byte of a term costs when the index is written, and the ids alone would
/// cost more than all words.
fn short(parts: &[&str]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(str::as_bytes(part));
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

impl TextIndex {
    /// Opens the index in `folder`, or makes an empty one; in memory without a folder.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let (schema, fields) = schema();
        let index = match folder {
            None => Index::create_in_ram(schema),
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(|source| StoreError::Io {
                    doing: "cannot make",
                    path: folder.to_path_buf(),
                    source,
                })?;
                let directory = MmapDirectory::open(folder)
                    .map_err(|error| StoreError::Search(error.to_string()))?;
                let index = Index::open_or_create(directory, schema).map_err(failed)?;
                let damaged = index.validate_checksum().map_err(failed)?;
                if !damaged.is_empty() {
                    return Err(StoreError::Search("a file of the index is damaged".into()));
                }
                index
            }
        };
        let analyzer = TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(RemoveLongFilter::limit(80))
            .filter(LowerCaser)
            .filter(AsciiFoldingFilter)
            .build();
        index.tokenizers().register(WORDS, analyzer);
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(failed)?;
        Ok(Self {
            index,
            reader,
            fields,
        })
    }

    /// What the last commit said.
    pub(crate) fn payload(&self) -> Option<String> {
        self.index.load_metas().ok()?.payload
    }

    /// A writer; it holds threads and memory, so it is dropped when there is nothing to write.
    pub(crate) fn writer(&self) -> Result<IndexWriter> {
        self.index
            .writer_with_num_threads(1, WRITER_BYTES)
            .map_err(failed)
    }

    /// Adds a document in the place of the one with the same content and name.
    pub(crate) fn add(&self, writer: &IndexWriter, document: &Document<'_>) -> Result<()> {
        let fields = self.fields;
        let key = short(&[document.id, document.name]);
        writer.delete_term(Term::from_field_bytes(fields.key, &key));
        let mut fields_and_texts = TantivyDocument::default();
        fields_and_texts.add_bytes(fields.key, &key);
        fields_and_texts.add_bytes(fields.content, &short(&[document.id]));
        for (field, text) in [
            (fields.id, document.id),
            (fields.name, document.name),
            (fields.exact_name, document.name),
            (fields.kind, document.kind),
            (fields.run, document.run),
            (fields.node, document.node),
            (fields.text, document.text),
        ] {
            if !text.is_empty() {
                fields_and_texts.add_text(field, text);
            }
        }
        writer.add_document(fields_and_texts).map_err(failed)?;
        Ok(())
    }

    /// Removes all documents of a content.
    pub(crate) fn remove(&self, writer: &IndexWriter, id: &str) {
        let content = short(&[id]);
        writer.delete_term(Term::from_field_bytes(self.fields.content, &content));
    }

    /// Makes all that was added visible, and notes how far the index reaches.
    pub(crate) fn commit(&self, writer: &mut IndexWriter, payload: &str) -> Result<()> {
        let mut prepared = writer.prepare_commit().map_err(failed)?;
        prepared.set_payload(payload);
        prepared.commit().map_err(failed)?;
        self.reader.reload().map_err(failed)
    }

    fn words(&self, text: &str) -> Result<Vec<String>> {
        let mut analyzer = self
            .index
            .tokenizer_for_field(self.fields.text)
            .map_err(failed)?;
        let mut stream = analyzer.token_stream(text);
        let mut words = Vec::new();
        while let Some(token) = stream.next() {
            words.push(token.text.clone());
        }
        Ok(words)
    }

    /// A word or phrase in the name, which counts double, or in the text.
    fn anywhere(&self, text: &str) -> Result<Option<Box<dyn Query>>> {
        let words = self.words(text)?;
        let in_field = |field: Field| -> Option<Box<dyn Query>> {
            let terms: Vec<Term> = words
                .iter()
                .map(|word| Term::from_field_text(field, word))
                .collect();
            match terms.as_slice() {
                [] => None,
                [term] => Some(Box::new(TermQuery::new(
                    term.clone(),
                    IndexRecordOption::WithFreqs,
                ))),
                _ => Some(Box::new(PhraseQuery::new(terms))),
            }
        };
        let (Some(name), Some(text)) = (in_field(self.fields.name), in_field(self.fields.text))
        else {
            return Ok(None);
        };
        Ok(Some(Box::new(BooleanQuery::union(vec![
            Box::new(BoostQuery::new(name, 2.0)),
            text,
        ]))))
    }

    fn exactly(&self, field: FieldName, value: &str) -> Result<Box<dyn Query>> {
        let term = |field| -> Box<dyn Query> {
            Box::new(TermQuery::new(
                Term::from_field_text(field, value),
                IndexRecordOption::Basic,
            ))
        };
        Ok(match field {
            FieldName::Type => term(self.fields.kind),
            FieldName::Run => term(self.fields.run),
            FieldName::Node => term(self.fields.node),
            FieldName::Name => {
                let exact = term(self.fields.exact_name);
                let words = self
                    .words(value)?
                    .into_iter()
                    .map(|word| -> Box<dyn Query> {
                        let term = Term::from_field_text(self.fields.name, &word);
                        Box::new(TermQuery::new(term, IndexRecordOption::Basic))
                    });
                let all = BooleanQuery::intersection(words.collect());
                Box::new(BooleanQuery::union(vec![exact, Box::new(all)]))
            }
        })
    }

    /// The query, and the part of it that looks into texts.
    fn build(&self, parsed: &Parsed) -> Result<(Box<dyn Query>, Box<dyn Query>)> {
        let mut wanted = Vec::new();
        for text in &parsed.wanted {
            wanted.extend(self.anywhere(text)?);
        }
        let has_words = !wanted.is_empty();
        let texts: Box<dyn Query> = Box::new(BooleanQuery::union(wanted));
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        if has_words {
            clauses.push((Occur::Must, texts.box_clone()));
        } else if parsed.wanted.is_empty() {
            clauses.push((Occur::Must, Box::new(AllQuery)));
        }
        for (field, value) in &parsed.fields {
            clauses.push((Occur::Must, self.exactly(*field, value)?));
        }
        for text in &parsed.unwanted {
            clauses.extend(self.anywhere(text)?.map(|query| (Occur::MustNot, query)));
        }
        Ok((Box::new(BooleanQuery::new(clauses)), texts))
    }

    /// The `limit` best matches, and what makes their snippets.
    pub(crate) fn search(&self, parsed: &Parsed, limit: usize) -> Result<Matches> {
        let (query, texts) = self.build(parsed)?;
        let searcher = self.reader.searcher();
        let top = TopDocs::with_limit(limit.max(1)).order_by_score();
        let found = searcher.search(&query, &top).map_err(failed)?;
        let mut snippets =
            SnippetGenerator::create(&searcher, &*texts, self.fields.text).map_err(failed)?;
        snippets.set_max_num_chars(SNIPPET);
        Ok(Matches {
            searcher,
            found,
            snippets,
        })
    }

    /// What the index keeps of a match.
    pub(crate) fn load(&self, matches: &Matches, at: usize) -> Result<Option<Match>> {
        let Some((score, address)) = matches.found.get(at) else {
            return Ok(None);
        };
        let document: TantivyDocument = matches.searcher.doc(*address).map_err(failed)?;
        let text = |field| {
            let value = document.get_first(field);
            value
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Some(Match {
            id: text(self.fields.id),
            name: text(self.fields.name),
            kind: text(self.fields.kind),
            score: *score,
        }))
    }
}

/// The passage of `text` that matches, or its beginning, on one line.
pub(crate) fn snippet(generator: &SnippetGenerator, text: &str) -> String {
    let found = generator.snippet(text);
    let fragment = if found.is_empty() {
        let end = text
            .char_indices()
            .nth(SNIPPET)
            .map_or(text.len(), |(index, _)| index);
        &text[..end]
    } else {
        found.fragment()
    };
    fragment.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The part of a content that is indexed; nothing of what is no text.
pub(crate) fn text_of(content: &[u8]) -> &str {
    let window = &content[..content.len().min(INDEXED)];
    let text = match std::str::from_utf8(window) {
        Ok(text) => text,
        // The window may cut a character in two.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    if text.contains('\0') { "" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_bytes() {
        assert_eq!(text_of("größer".as_bytes()), "größer");
        assert_eq!(text_of(b"\x89PNG\x00"), "");
        assert_eq!(text_of(b"a\0b"), "");
        let long = "ä".repeat(INDEXED);
        assert!(text_of(long.as_bytes()).len() <= INDEXED);
        assert!(!text_of(&long.as_bytes()[..INDEXED + 1]).is_empty());
    }
}
