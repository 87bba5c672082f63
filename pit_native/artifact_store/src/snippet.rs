//! The passage of a text that shows why it was found.
//!
//! tantivy's own generator cuts the whole text into words, which for ten hits costs more than finding them.
//! Here reading ends at the first passage that has all words of the query.

use std::collections::VecDeque;
use tantivy::tokenizer::{TextAnalyzer, TokenStream};

/// Characters of a snippet.
const SNIPPET: usize = 200;
/// Bytes that are shown before the first word of a passage that matches.
const BEFORE: usize = 60;
/// Bytes in which the words of a passage lie.
const PASSAGE: usize = 140;

/// Makes snippets for the words of one query.
pub(crate) struct Snippets {
    /// In the form in which they are indexed.
    words: Vec<String>,
    analyzer: TextAnalyzer,
}

/// What was found of a text.
pub(crate) struct Snippet {
    /// On one line; the beginning of the text where nothing matches.
    pub(crate) text: String,
    /// Whether a passage has every word, so that there is no reason to read on.
    pub(crate) is_best: bool,
}

impl Snippets {
    /// `words` are the words of a query as `analyzer` gives them.
    pub(crate) fn new(mut words: Vec<String>, analyzer: TextAnalyzer) -> Self {
        words.sort_unstable();
        words.dedup();
        Self { words, analyzer }
    }

    /// The first of the passages that have most words of the query.
    pub(crate) fn of(&mut self, text: &str) -> Snippet {
        let passage = self.passage(text);
        let is_best = passage.is_some_and(|(_, count)| count == self.words.len());
        let from = match passage {
            Some((at, _)) if text.len() > SNIPPET => begin(text, at),
            _ => 0,
        };
        let mut shown = String::with_capacity(SNIPPET);
        let end = text[from..].char_indices().nth(SNIPPET);
        let end = end.map_or(text.len(), |(offset, _)| from + offset);
        for word in text[from..end].split_whitespace() {
            if !shown.is_empty() {
                shown.push(' ');
            }
            shown.push_str(word);
        }
        Snippet {
            text: shown,
            is_best: is_best || self.words.is_empty(),
        }
    }

    /// Where the best passage begins, and how many of the words it has.
    fn passage(&mut self, text: &str) -> Option<(usize, usize)> {
        // The words that matched last, each with its place; those that are too far back have left.
        let mut near: VecDeque<(usize, usize)> = VecDeque::new();
        let mut best: Option<(usize, usize)> = None;
        for (from, word) in Words::of(text) {
            let Some(which) = self.find(word) else {
                continue;
            };
            near.push_back((from, which));
            while near.front().is_some_and(|(at, _)| from - at > PASSAGE) {
                near.pop_front();
            }
            let count = (0..self.words.len())
                .filter(|word| near.iter().any(|(_, which)| which == word))
                .count();
            if best.is_none_or(|(_, most)| count > most) {
                best = near.front().map(|(at, _)| (*at, count));
                if count == self.words.len() {
                    break;
                }
            }
        }
        best
    }

    /// Which of the query's words a word of a text is.
    fn find(&mut self, word: &str) -> Option<usize> {
        if word.is_ascii() {
            let is_it = |wanted: &String| wanted.eq_ignore_ascii_case(word);
            return self.words.iter().position(is_it);
        }
        let mut stream = self.analyzer.token_stream(word);
        let mut found = None;
        while let Some(token) = stream.next() {
            found = found.or_else(|| self.words.iter().position(|wanted| *wanted == token.text));
        }
        found
    }
}

/// Where a snippet begins that shows the passage at `at`: a little before it, at a word.
fn begin(text: &str, at: usize) -> usize {
    let from = text.ceil_char_boundary(at.saturating_sub(BEFORE));
    if from == 0 {
        return 0;
    }
    let white = text[from..at].find(char::is_whitespace);
    white.map_or(at, |offset| from + offset)
}

/// The words of a text with their places, as tantivy's simple tokenizer cuts them.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The first place from `at` on that is part of a word, or is not.
    fn next_place(&self, mut at: usize, in_word: bool) -> Option<usize> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(at) {
            if byte.is_ascii() {
                if byte.is_ascii_alphanumeric() == in_word {
                    return Some(at);
                }
                at += 1;
            } else {
                let character = self.text[at..].chars().next()?;
                if character.is_alphanumeric() == in_word {
                    return Some(at);
                }
                at += character.len_utf8();
            }
        }
        None
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.next_place(self.at, true)?;
        let end = self.next_place(from, false).unwrap_or(self.text.len());
        self.at = end;
        Some((from, &self.text[from..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::analyzer;
    use proptest::prelude::*;

    fn snippets(words: &[&str]) -> Snippets {
        Snippets::new(
            words.iter().map(|word| (*word).to_owned()).collect(),
            analyzer(),
        )
    }

    #[test]
    fn the_passage_with_most_words_is_shown() {
        let filler = "lorem ipsum ".repeat(100);
        let text =
            format!("{filler}churn alone {filler}the hot\n\tspots of churn {filler}churn hot");
        let found = snippets(&["churn", "hot"]).of(&text);
        assert!(found.is_best);
        assert!(
            found.text.contains("the hot spots of churn"),
            "{}",
            found.text
        );
        assert!(found.text.chars().count() <= SNIPPET);
    }

    #[test]
    fn the_beginning_is_shown_where_nothing_matches() {
        let text = "ä".repeat(500);
        let found = snippets(&["churn"]).of(&text);
        assert!(!found.is_best);
        assert_eq!(found.text, "ä".repeat(SNIPPET));
        assert!(snippets(&[]).of("  a\n b ").text == "a b");
    }

    #[test]
    fn case_and_accents_do_not_count() {
        let text = format!("{}Die GRÖSSTE Datei", "x ".repeat(300));
        let found = snippets(&["grosste"]).of(&text);
        assert!(
            found.is_best && found.text.contains("GRÖSSTE"),
            "{}",
            found.text
        );
    }

    proptest! {
        #[test]
        fn words_are_those_that_are_indexed(text in "[a-zA-Z0-9äöüß一 .,\n\t]{0,80}") {
            let mut analyzer = analyzer();
            let mut stream = analyzer.token_stream(&text);
            let mut indexed = Vec::new();
            while let Some(token) = stream.next() {
                indexed.push(token.offset_from);
            }
            let places: Vec<usize> = Words::of(&text).map(|(from, _)| from).collect();
            prop_assert_eq!(places, indexed);
        }

        #[test]
        fn any_text_has_a_snippet(text in ".{0,600}", word in "[a-z]{1,3}") {
            let found = snippets(&[&word]).of(&text);
            prop_assert!(found.text.chars().count() <= SNIPPET);
        }
    }
}
