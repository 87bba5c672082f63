//! Scores an artifact by its type, with the reasons.
//!
//! A score is a product of factors between 0 and 1, one for each thing that is found wanting; nothing
//! wanting gives 1. Only what can be seen in the bytes counts: this says how well-formed a result is, not how true.
//! At most the first 256 KiB are looked at, so that a put never waits for it. Who knows more of a type registers
//! a scorer for it; one that takes longer, or that is written in another language, scores after the put,
//! see [`crate::Store::set_quality`].

use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::Arc;

mod builtin;

/// Bytes that are looked at.
pub const WINDOW: usize = 256 << 10;

/// A score with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// 0 to 1.
    pub score: f32,
    /// One sentence for each thing that lowered the score, worst first; `sound …` when none did.
    pub reasons: Vec<String>,
}

/// Collects what is found wanting.
#[derive(Debug, Default)]
pub struct Judge {
    findings: Vec<(f32, String)>,
}

impl Judge {
    /// Lowers the score by `factor` (0 to 1) if `is_wanting`.
    pub fn check(&mut self, is_wanting: bool, factor: f32, reason: impl FnOnce() -> String) {
        if is_wanting {
            self.findings.push((factor.clamp(0.0, 1.0), reason()));
        }
    }

    fn verdict(mut self, what: &str) -> Quality {
        self.findings.sort_by(|a, b| a.0.total_cmp(&b.0));
        let score = self.findings.iter().map(|(factor, _)| factor).product();
        let mut reasons: Vec<String> = self
            .findings
            .into_iter()
            .map(|(_, reason)| reason)
            .collect();
        if reasons.is_empty() {
            reasons.push(format!("sound {what}"));
        }
        Quality { score, reasons }
    }
}

/// What a scorer sees of a content; never empty.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The media type, without parameters.
    pub kind: &'a str,
    /// The content's beginning.
    pub window: &'a [u8],
    /// Whether there is more.
    pub is_cut: bool,
}

impl<'a> Sample<'a> {
    /// The window as text; a character that the window cuts in two does not count against it.
    pub fn text(&self) -> Option<&'a str> {
        match std::str::from_utf8(self.window) {
            Ok(text) => Some(text),
            Err(error) if self.is_cut && error.error_len().is_none() => {
                std::str::from_utf8(&self.window[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }
}

/// Knows what may be wanting in contents of some types. The put waits for it.
pub trait Scorer: Send + Sync {
    /// Tells the judge all that is found wanting.
    fn judge(&self, sample: &Sample<'_>, judge: &mut Judge);
}

impl<F: Fn(&Sample<'_>, &mut Judge) + Send + Sync> Scorer for F {
    fn judge(&self, sample: &Sample<'_>, judge: &mut Judge) {
        self(sample, judge);
    }
}

/// Scorers by media type.
#[derive(Clone)]
pub struct Scorers {
    by_pattern: FxHashMap<String, Arc<dyn Scorer>>,
}

impl fmt::Debug for Scorers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut patterns: Vec<&String> = self.by_pattern.keys().collect();
        patterns.sort_unstable();
        formatter.debug_tuple("Scorers").field(&patterns).finish()
    }
}

impl Default for Scorers {
    /// For texts, Markdown, JSON, tables, markup and images.
    fn default() -> Self {
        let mut scorers = Self {
            by_pattern: FxHashMap::default(),
        };
        builtin::register(&mut scorers);
        scorers
    }
}

impl Scorers {
    /// Takes `scorer` for the types of `pattern`, in the place of another: a type, `*+json` for a
    /// suffix, or `text/*`. The nearest pattern in this order counts, alone.
    pub fn register(&mut self, pattern: &str, scorer: impl Scorer + 'static) {
        self.by_pattern.insert(pattern.to_owned(), Arc::new(scorer));
    }

    fn find(&self, kind: &str) -> Option<&dyn Scorer> {
        let get = |pattern: &str| self.by_pattern.get(pattern).map(AsRef::as_ref);
        let suffix = || {
            kind.rsplit_once('+')
                .and_then(|(_, suffix)| get(&format!("*+{suffix}")))
        };
        let family = || {
            kind.split_once('/')
                .and_then(|(family, _)| get(&format!("{family}/*")))
        };
        get(kind).or_else(suffix).or_else(family)
    }

    /// The quality of `content` of the media type `kind`. What no scorer is for is sound unless it is
    /// empty. The beginning of a content is enough; `is_cut` says that there is more.
    pub fn score(&self, kind: &str, content: &[u8], is_cut: bool) -> Quality {
        let mut judge = Judge::default();
        if content.is_empty() {
            judge.check(true, 0.1, || "it is empty".into());
            return judge.verdict(kind);
        }
        let sample = Sample {
            kind: kind.split(';').next().unwrap_or_default().trim(),
            window: &content[..content.len().min(WINDOW)],
            is_cut: is_cut || content.len() > WINDOW,
        };
        if let Some(scorer) = self.find(sample.kind) {
            scorer.judge(&sample, &mut judge);
        }
        judge.verdict(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sound_results_score_one_and_flaws_are_named() {
        let table: &[(&str, &[u8], f32, &str)] = &[
            (
                "text/markdown",
                b"# Report\n\nFive words stand right here.\n",
                1.0,
                "sound",
            ),
            (
                "text/markdown",
                b"# Report\n\n```\ncode that is never closed here\n",
                0.8,
                "code block",
            ),
            (
                "text/markdown",
                b"# One\n# Two\n\nSome words are here, enough of them.",
                0.9,
                "nothing under",
            ),
            ("text/plain", b"", 0.2, "empty"),
            ("text/plain", b"  \n ", 0.2, "white space"),
            ("text/plain", b"\xff\xfe\x00", 0.4, "UTF-8"),
            ("application/json", b"{\"a\": 1}", 1.0, "sound"),
            ("application/json", b"{\"a\": ", 0.4, "line 1"),
            ("application/json", b"[]", 0.6, "empty value"),
            ("git/commit+json", b"nope", 0.4, "no JSON"),
            ("text/csv", b"a,b\n1,2\n3\n", 0.7, "1 of 3 rows"),
            ("text/csv", b"a,b\n1,2\n3,4\n", 1.0, "sound"),
            ("image/png", b"\x89PNG\r\n\x1a\n....", 1.0, "sound"),
            ("image/png", b"<svg>", 0.3, "first bytes"),
            ("image/svg+xml", b"<svg><g/></svg>", 1.0, "sound"),
            ("image/svg+xml", b"<svg><g/></sv", 0.7, "not closed"),
            ("application/octet-stream", b"\x00\xff", 1.0, "sound"),
        ];
        for (kind, content, most, reason) in table {
            let quality = Scorers::default().score(kind, content, false);
            let is_sound = *most == 1.0;
            assert!(
                quality.score <= *most && (quality.score == 1.0) == is_sound,
                "{kind} {quality:?}"
            );
            assert!(
                quality.reasons.iter().any(|one| one.contains(reason)),
                "{kind} {quality:?}"
            );
        }
    }

    #[test]
    fn the_nearest_registered_scorer_judges_alone() {
        let mut scorers = Scorers::default();
        let says = |word: &'static str| {
            move |_: &Sample<'_>, judge: &mut Judge| judge.check(true, 0.5, || word.into())
        };
        scorers.register("text/*", says("any text"));
        scorers.register("*+json", says("any json"));
        scorers.register("text/x-log", says("a log"));
        for (kind, reason) in [
            ("text/x-log; charset=utf-8", "a log"),
            ("text/plain", "any text"),
            ("text/x+json", "any json"),
            ("text/markdown", "it has only 1 words"),
            ("application/zip", "sound application/zip"),
        ] {
            assert_eq!(
                scorers.score(kind, b"word", false).reasons,
                [reason],
                "{kind}"
            );
        }
    }

    #[test]
    fn what_the_window_cuts_is_not_held_against_a_content() {
        let long = "é".repeat(WINDOW);
        let cut = Scorers::default().score("text/plain", &long.as_bytes()[..WINDOW - 1], true);
        assert_eq!(cut.reasons, ["sound text/plain"]);
        let broken = Scorers::default().score("text/plain", &long.as_bytes()[..WINDOW - 1], false);
        assert!(broken.score < 1.0);
    }

    proptest! {
        #[test]
        fn every_content_gets_a_score_with_a_reason(
            content in prop::collection::vec(any::<u8>(), 0..600),
            kind in prop::sample::select(vec![
                "text/markdown", "text/csv", "application/json", "image/svg+xml", "image/png", "x", "",
            ]),
        ) {
            let quality = Scorers::default().score(kind, &content, false);
            prop_assert!((0.0..=1.0).contains(&quality.score));
            prop_assert!(!quality.reasons.is_empty());
        }
    }
}
