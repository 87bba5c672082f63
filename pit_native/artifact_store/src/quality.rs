//! Scores an artifact by its type, with the reasons.
//!
//! A score is a product of factors between 0 and 1, one for each thing that is found wanting; nothing
//! wanting gives 1. Only what can be seen in the bytes counts: this says how well-formed a result is, not how true.
//! At most the first 256 KiB are looked at, so that a put never waits for it.

/// Bytes that are looked at.
const WINDOW: usize = 256 << 10;

/// A score with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// 0 to 1.
    pub score: f32,
    /// One sentence for each thing that lowered the score, worst first; `sound …` when none did.
    pub reasons: Vec<String>,
}

/// Collects what is found wanting.
struct Judge {
    findings: Vec<(f32, String)>,
}

impl Judge {
    /// Lowers the score by `factor` if `is_wanting`.
    fn check(&mut self, is_wanting: bool, factor: f32, reason: impl FnOnce() -> String) {
        if is_wanting {
            self.findings.push((factor, reason()));
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

/// The quality of `content` of the media type `kind`.
pub fn score(kind: &str, content: &[u8]) -> Quality {
    let mut judge = Judge {
        findings: Vec::new(),
    };
    if content.is_empty() {
        judge.check(true, 0.1, || "it is empty".into());
        return judge.verdict(kind);
    }
    let is_cut = content.len() > WINDOW;
    let window = &content[..content.len().min(WINDOW)];
    match family(kind) {
        Family::Image => image(&mut judge, kind, window),
        Family::Binary => {}
        family => match text_of(window, is_cut) {
            None => judge.check(true, 0.3, || {
                format!("{kind} should be UTF-8 text and is not")
            }),
            Some(text) => {
                prose(&mut judge, text, family);
                match family {
                    Family::Markdown => markdown(&mut judge, text, is_cut),
                    Family::Json => json(&mut judge, text, is_cut),
                    Family::Table => table(&mut judge, text, is_cut),
                    Family::Markup => markup(&mut judge, kind, text, is_cut),
                    _ => {}
                }
            }
        },
    }
    judge.verdict(kind)
}

/// Types that are judged alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Markdown,
    Json,
    Table,
    Markup,
    Text,
    Image,
    Binary,
}

fn family(kind: &str) -> Family {
    let base = kind.split(';').next().unwrap_or_default().trim();
    match base {
        "text/markdown" | "markdown" => Family::Markdown,
        "text/csv" | "text/tab-separated-values" => Family::Table,
        "image/svg+xml" | "text/html" | "application/xml" | "text/xml" => Family::Markup,
        "application/json" | "json" => Family::Json,
        _ if base.starts_with("text/") || base == "text" => Family::Text,
        _ if base.ends_with("+json") => Family::Json,
        _ if base.ends_with("+xml") => Family::Markup,
        _ if base.starts_with("image/") => Family::Image,
        _ => Family::Binary,
    }
}

/// The window as text; a character that the window cuts in two does not count against it.
fn text_of(window: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(window) {
        Ok(text) => Some(text),
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&window[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

fn prose(judge: &mut Judge, text: &str, family: Family) {
    judge.check(text.trim().is_empty(), 0.1, || {
        "it holds only white space".into()
    });
    let controls = text
        .bytes()
        .filter(|byte| *byte < 32 && !b"\t\n\r\x1b\x0c".contains(byte))
        .count();
    judge.check(controls > 0, 0.6, || {
        format!("it holds {controls} control characters")
    });
    judge.check(text.contains('\u{fffd}'), 0.7, || {
        "it holds replacement characters, so bytes were lost before".into()
    });
    if matches!(family, Family::Text | Family::Markdown) {
        let mut lines = 0u32;
        let mut repeated = 0u32;
        let mut before = "";
        for line in text.lines().map(str::trim).filter(|line| line.len() > 8) {
            lines += 1;
            repeated += u32::from(line == before);
            before = line;
        }
        judge.check(lines >= 8 && repeated * 3 > lines, 0.6, || {
            format!("{repeated} of {lines} lines repeat the line before")
        });
    }
}

fn markdown(judge: &mut Judge, text: &str, is_cut: bool) {
    let words = text.split_whitespace().take(200).count();
    judge.check(words < 5, 0.6, || format!("it has only {words} words"));
    let headings = text.lines().filter(|line| line.starts_with('#')).count();
    judge.check(words >= 200 && headings == 0, 0.8, || {
        "it is long and has no heading".into()
    });
    let fences = text
        .lines()
        .filter(|line| line.trim_start().starts_with("```"))
        .count();
    judge.check(!is_cut && fences % 2 == 1, 0.7, || {
        "a code block is not closed".into()
    });
    let mut sections = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .peekable();
    let mut empty = 0;
    while let Some(line) = sections.next() {
        let level = |line: &str| {
            line.chars()
                .take_while(|character| *character == '#')
                .count()
        };
        let depth = level(line);
        let next = sections.peek().map_or(0, |next| level(next));
        empty +=
            usize::from(depth > 0 && sections.peek().is_none_or(|_| next > 0 && next <= depth));
    }
    judge.check(!is_cut && fences == 0 && empty > 0, 0.85, || {
        format!("{empty} headings have nothing under them")
    });
}

fn json(judge: &mut Judge, text: &str, is_cut: bool) {
    if is_cut {
        return;
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Err(error) => judge.check(true, 0.3, || {
            format!(
                "it is no JSON: line {}, column {}",
                error.line(),
                error.column()
            )
        }),
        Ok(_) => {
            let is_bare = matches!(text.trim(), "[]" | "{}" | "null" | "\"\"");
            judge.check(is_bare, 0.5, || "it is an empty value".into());
        }
    }
}

fn table(judge: &mut Judge, text: &str, is_cut: bool) {
    let separator = if text.lines().next().is_some_and(|line| line.contains('\t')) {
        '\t'
    } else {
        ','
    };
    // Quoted fields may hold separators and line ends; only lines without quotes are counted.
    let mut rows: Vec<usize> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.contains('"'))
        .map(|line| line.matches(separator).count())
        .collect();
    if is_cut {
        rows.pop();
    }
    let width = rows.first().copied().unwrap_or_default();
    let ragged = rows.iter().filter(|row| **row != width).count();
    judge.check(ragged > 0, 0.6, || {
        format!(
            "{ragged} of {} rows differ in length from the first",
            rows.len()
        )
    });
    judge.check(!text.trim().contains('\n'), 0.7, || {
        "it has no row beside the first".into()
    });
}

fn markup(judge: &mut Judge, kind: &str, text: &str, is_cut: bool) {
    let is_svg = kind.starts_with("image/svg");
    judge.check(is_svg && !text.contains("<svg"), 0.3, || {
        "it has no <svg> element".into()
    });
    let opened = text.matches('<').count();
    let closed = text.matches('>').count();
    judge.check(opened == 0, 0.5, || "it has no element".into());
    judge.check(!is_cut && opened > closed, 0.7, || {
        "a tag is not closed".into()
    });
    let wants_end = is_svg || kind == "text/html";
    let has_end = text.trim_end().ends_with('>');
    judge.check(!is_cut && wants_end && !has_end, 0.8, || {
        "it ends in the middle".into()
    });
}

fn image(judge: &mut Judge, kind: &str, window: &[u8]) {
    let starts: &[(&str, &[u8])] = &[
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("image/jpeg", b"\xff\xd8\xff"),
        ("image/gif", b"GIF8"),
        ("image/webp", b"RIFF"),
    ];
    if let Some((_, start)) = starts.iter().find(|(name, _)| *name == kind) {
        judge.check(!window.starts_with(start), 0.2, || {
            format!("its first bytes are not those of {kind}")
        });
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
            let quality = score(kind, content);
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

    proptest! {
        #[test]
        fn every_content_gets_a_score_with_a_reason(
            content in prop::collection::vec(any::<u8>(), 0..600),
            kind in prop::sample::select(vec![
                "text/markdown", "text/csv", "application/json", "image/svg+xml", "image/png", "x", "",
            ]),
        ) {
            let quality = score(kind, &content);
            prop_assert!((0.0..=1.0).contains(&quality.score));
            prop_assert!(!quality.reasons.is_empty());
        }
    }
}
