//! What is known to be wanting in the types that Players usually make.

use super::{Judge, Sample, Scorers};

/// Adds the scorers that every store has.
pub(super) fn register(scorers: &mut Scorers) {
    scorers.register("text/*", |sample: &Sample<'_>, judge: &mut Judge| {
        with_text(sample, judge, repetition);
    });
    scorers.register("text", |sample: &Sample<'_>, judge: &mut Judge| {
        with_text(sample, judge, repetition);
    });
    for pattern in ["text/markdown", "markdown"] {
        scorers.register(pattern, |sample: &Sample<'_>, judge: &mut Judge| {
            with_text(sample, judge, |judge, text| {
                repetition(judge, text);
                markdown(judge, text, sample.is_cut);
            });
        });
    }
    for pattern in ["application/json", "json", "*+json"] {
        scorers.register(pattern, |sample: &Sample<'_>, judge: &mut Judge| {
            with_text(sample, judge, |judge, text| {
                json(judge, text, sample.is_cut)
            });
        });
    }
    for pattern in ["text/csv", "text/tab-separated-values"] {
        scorers.register(pattern, |sample: &Sample<'_>, judge: &mut Judge| {
            with_text(sample, judge, |judge, text| {
                table(judge, text, sample.is_cut)
            });
        });
    }
    for pattern in ["text/html", "application/xml", "text/xml", "*+xml"] {
        scorers.register(pattern, |sample: &Sample<'_>, judge: &mut Judge| {
            let kind = sample.kind;
            with_text(sample, judge, |judge, text| {
                markup(judge, kind, text, sample.is_cut)
            });
        });
    }
    scorers.register("image/*", |sample: &Sample<'_>, judge: &mut Judge| {
        image(judge, sample.kind, sample.window);
    });
}

/// Judges what should be text, first as any text, then by `further`.
fn with_text(sample: &Sample<'_>, judge: &mut Judge, further: impl FnOnce(&mut Judge, &str)) {
    match sample.text() {
        None => judge.check(true, 0.3, || {
            format!("{} should be UTF-8 text and is not", sample.kind)
        }),
        Some(text) => {
            plain(judge, text);
            further(judge, text);
        }
    }
}

/// What any text may lack.
fn plain(judge: &mut Judge, text: &str) {
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
}

/// Whether it says the same again and again.
fn repetition(judge: &mut Judge, text: &str) {
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
