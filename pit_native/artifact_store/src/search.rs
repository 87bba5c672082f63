//! From a query to hits: the text index says which documents match, the log what they say.

use crate::core::Core;
use crate::error::{Result, StoreError};
use crate::query;
use crate::snippet::Snippets;
use crate::text::{INDEXED, TextIndex, text_of};
use crate::types::{ArtifactId, Hit};

/// Bytes of a content in which a passage is looked for first.
const NEAR: usize = 64 << 10;
/// Hits at most.
const MOST: usize = 100_000;

/// Hits whose content is still there, with their snippets.
pub(crate) fn find(core: &Core, text: &TextIndex, query: &str, limit: usize) -> Result<Vec<Hit>> {
    let (query, mut snippets) = text.query(&query::parse(query));
    let mut wanted = limit.min(MOST);
    loop {
        let matches = text.search(&*query, wanted)?;
        let mut hits = Vec::with_capacity(limit.min(matches.count()));
        for at in 0..matches.count() {
            if hits.len() == limit {
                break;
            }
            let Some(found) = text.load(&matches, at)? else {
                break;
            };
            let snippet = match snippet(core, &found.id, &mut snippets) {
                Ok(snippet) => snippet,
                Err(StoreError::NotFound(_)) => continue,
                // A damaged artifact is found by its words, and reading it says what is wrong.
                Err(_) => String::new(),
            };
            hits.push(Hit {
                id: found.id.to_string(),
                name: found.name,
                kind: found.kind,
                score: found.score,
                snippet,
            });
        }
        if hits.len() >= limit || matches.count() < wanted || wanted == MOST {
            return Ok(hits);
        }
        // Contents removed since the last commit are left out; there may be others behind them.
        wanted = (2 * wanted + 16).min(MOST);
    }
}

fn snippet(core: &Core, id: &ArtifactId, snippets: &mut Snippets) -> Result<String> {
    let near = core.searchable(id, NEAR)?;
    let text = text_of(&near);
    let found = snippets.of(text);
    if found.is_best || text.is_empty() || near.len() < NEAR {
        return Ok(found.text);
    }
    let whole = core.searchable(id, INDEXED)?;
    Ok(snippets.of(text_of(&whole)).text)
}
