//! The full-text index (tantivy): one document for each content under each name.
//!
//! It lies under `index/text`, or in memory when the store is encrypted, for it holds the contents' words. Its last
//! commit says up to which sequence of which store it reaches; what is missing is added, and what cannot be opened is built
//! anew.

use crate::error::{Result, StoreError};
use crate::query::{FieldName, Parsed};
use crate::snippet::Snippets;
use crate::types::ArtifactId;
use std::path::Path;
use tantivy::collector::TopDocs;
use tantivy::directory::MmapDirectory;
use tantivy::merge_policy::LogMergePolicy;
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{
    Field, INDEXED as INDEXED_BYTES, IndexRecordOption, STORED, STRING, Schema, TantivyDocument,
    TextFieldIndexing, TextOptions, Value,
};
use tantivy::store::Compressor;
use tantivy::tokenizer::{
    AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer, TokenStream,
};
use tantivy::{
    DocAddress, Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, Term,
};

/// Bytes of a content that are indexed.
pub(crate) const INDEXED: usize = 1 << 20;
/// Memory of the writer, the least that tantivy takes.
const WRITER_BYTES: usize = 15_000_000;
/// Segments of fewer documents are merged with each other whatever their sizes. Artifacts come a few at a time and
/// may be a megabyte of words each: were this the library's 10,000, every eighth commit would write all of a long
/// session's texts again.
const MERGED_AT_ONCE: u32 = 64;
/// Segments are merged with those of the same layer; a layer's are up to two to this many times larger than the last's.
const LAYER: f64 = 3.0;
const WORDS: &str = "words";
/// Bytes of documents that are read at once. They are short and lie in the page cache: what a search
/// would pay for is unpacking a large block for each of its hits.
const BLOCK: usize = 1024;

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
    pub(crate) id: ArtifactId,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) run: &'a str,
    pub(crate) node: &'a str,
    pub(crate) text: &'a str,
}

/// The places of documents that match, best first.
pub(crate) struct Matches {
    searcher: Searcher,
    found: Vec<(f32, DocAddress)>,
}

impl Matches {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }
}

/// A document that matches; its content is read by the caller, for the snippet.
pub(crate) struct Match {
    pub(crate) id: ArtifactId,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) score: f32,
}

/// The opened index.
pub(crate) struct TextIndex {
    index: Index,
    analyzer: TextAnalyzer,
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
        id: builder.add_bytes_field("id", STORED),
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
fn short(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

/// What cuts texts into words.
pub(crate) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(80))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

impl TextIndex {
    /// Opens the index in `folder`, or makes an empty one; in memory without a folder.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let (schema, fields) = schema();
        let builder = Index::builder().schema(schema).settings(IndexSettings {
            docstore_compression: Compressor::None,
            docstore_compress_dedicated_thread: false,
            docstore_blocksize: BLOCK,
            ..IndexSettings::default()
        });
        let index = match folder {
            None => builder.create_in_ram().map_err(failed)?,
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(|source| StoreError::Io {
                    doing: "cannot make",
                    path: folder.to_path_buf(),
                    source,
                })?;
                let directory = MmapDirectory::open(folder)
                    .map_err(|error| StoreError::Search(error.to_string()))?;
                let index = builder.open_or_create(directory).map_err(failed)?;
                let damaged = index.validate_checksum().map_err(failed)?;
                if !damaged.is_empty() {
                    return Err(StoreError::Search("a file of the index is damaged".into()));
                }
                index
            }
        };
        let analyzer = analyzer();
        index.tokenizers().register(WORDS, analyzer.clone());
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(failed)?;
        Ok(Self {
            index,
            analyzer,
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
        let writer = self
            .index
            .writer_with_num_threads(1, WRITER_BYTES)
            .map_err(failed)?;
        let mut merging = LogMergePolicy::default();
        merging.set_min_layer_size(MERGED_AT_ONCE);
        merging.set_level_log_size(LAYER);
        writer.set_merge_policy(Box::new(merging));
        Ok(writer)
    }

    /// Adds a document in the place of the one with the same content and name.
    pub(crate) fn add(&self, writer: &IndexWriter, document: &Document<'_>) -> Result<()> {
        let fields = self.fields;
        let key = short(&[&document.id.0, document.name.as_bytes()]);
        writer.delete_term(Term::from_field_bytes(fields.key, &key));
        let mut fields_and_texts = TantivyDocument::default();
        fields_and_texts.add_bytes(fields.key, &key);
        fields_and_texts.add_bytes(fields.content, &short(&[&document.id.0]));
        fields_and_texts.add_bytes(fields.id, &document.id.0);
        for (field, text) in [
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
    pub(crate) fn remove(&self, writer: &IndexWriter, id: &ArtifactId) {
        let content = short(&[&id.0]);
        writer.delete_term(Term::from_field_bytes(self.fields.content, &content));
    }

    /// Makes all that was added visible, and notes how far the index reaches.
    pub(crate) fn commit(&self, writer: &mut IndexWriter, payload: &str) -> Result<()> {
        let mut prepared = writer.prepare_commit().map_err(failed)?;
        prepared.set_payload(payload);
        prepared.commit().map_err(failed)?;
        self.reader.reload().map_err(failed)
    }

    fn words(&self, text: &str) -> Vec<String> {
        let mut analyzer = self.analyzer.clone();
        let mut stream = analyzer.token_stream(text);
        let mut words = Vec::new();
        while let Some(token) = stream.next() {
            words.push(token.text.clone());
        }
        words
    }

    /// A word or phrase in the name, which counts double, or in the text: queries of which one must match.
    fn anywhere(&self, words: &[String]) -> Vec<Box<dyn Query>> {
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
        let name = in_field(self.fields.name);
        let name = name.map(|query| -> Box<dyn Query> { Box::new(BoostQuery::new(query, 2.0)) });
        name.into_iter().chain(in_field(self.fields.text)).collect()
    }

    fn exactly(&self, field: FieldName, value: &str) -> Box<dyn Query> {
        let term = |field| -> Box<dyn Query> {
            Box::new(TermQuery::new(
                Term::from_field_text(field, value),
                IndexRecordOption::Basic,
            ))
        };
        match field {
            FieldName::Type => term(self.fields.kind),
            FieldName::Run => term(self.fields.run),
            FieldName::Node => term(self.fields.node),
            FieldName::Name => {
                let exact = term(self.fields.exact_name);
                let words = self.words(value).into_iter();
                let words = words.map(|word| -> Box<dyn Query> {
                    let term = Term::from_field_text(self.fields.name, &word);
                    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
                });
                let all = BooleanQuery::intersection(words.collect());
                Box::new(BooleanQuery::union(vec![exact, Box::new(all)]))
            }
        }
    }

    /// The query, and the words that it looks for in texts.
    fn build(&self, parsed: &Parsed) -> (Box<dyn Query>, Vec<String>) {
        let mut looked_for = Vec::new();
        let mut wanted = Vec::new();
        for text in &parsed.wanted {
            let words = self.words(text);
            wanted.extend(self.anywhere(&words));
            looked_for.extend(words);
        }
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for (field, value) in &parsed.fields {
            clauses.push((Occur::Must, self.exactly(*field, value)));
        }
        for text in &parsed.unwanted {
            let unwanted = self.anywhere(&self.words(text));
            clauses.extend(unwanted.into_iter().map(|query| (Occur::MustNot, query)));
        }
        if !wanted.is_empty() {
            // One flat union of terms is what tantivy passes over by blocks that cannot win any more.
            let union = Box::new(BooleanQuery::union(wanted));
            if clauses.is_empty() {
                return (union, looked_for);
            }
            clauses.push((Occur::Must, union));
        } else if parsed.wanted.is_empty() {
            clauses.push((Occur::Must, Box::new(AllQuery)));
        }
        (Box::new(BooleanQuery::new(clauses)), looked_for)
    }

    /// What finds a parsed query, and what makes the snippets of that which it finds.
    pub(crate) fn query(&self, parsed: &Parsed) -> (Box<dyn Query>, Snippets) {
        let (query, words) = self.build(parsed);
        (query, Snippets::new(words, self.analyzer.clone()))
    }

    /// The `limit` best matches.
    pub(crate) fn search(&self, query: &dyn Query, limit: usize) -> Result<Matches> {
        let searcher = self.reader.searcher();
        let top = TopDocs::with_limit(limit.max(1)).order_by_score();
        let found = searcher.search(query, &top).map_err(failed)?;
        Ok(Matches { searcher, found })
    }

    /// What the index keeps of a match.
    pub(crate) fn load(&self, matches: &Matches, at: usize) -> Result<Option<Match>> {
        let Some((score, address)) = matches.found.get(at) else {
            return Ok(None);
        };
        let document: TantivyDocument = matches.searcher.doc(*address).map_err(failed)?;
        let mut found = Match {
            id: ArtifactId([0; 32]),
            name: String::new(),
            kind: String::new(),
            score: *score,
        };
        for (field, value) in document.field_values() {
            if field == self.fields.id {
                let id = value.as_bytes().and_then(|id| id.try_into().ok());
                found.id = ArtifactId(id.unwrap_or_default());
            } else if field == self.fields.name {
                found.name = value.as_str().unwrap_or_default().to_owned();
            } else if field == self.fields.kind {
                found.kind = value.as_str().unwrap_or_default().to_owned();
            }
        }
        Ok(Some(found))
    }
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
