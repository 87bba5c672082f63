//! Names of topics, and patterns that mean many of them.

use std::fmt;

/// A topic or pattern has at most so many bytes, and so many parts.
const LONGEST: usize = 256;
const MOST_PARTS: usize = 16;

/// Why a text is no topic, or no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {why}")]
pub struct BadTopic {
    text: String,
    what: &'static str,
    why: &'static str,
}

/// What is published under: parts of letters, digits, `_`, `.` and `-` between slashes, such as
/// `symphony/git/commits`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic(Box<str>);

impl Topic {
    /// The topic that `text` names.
    ///
    /// # Errors
    /// [`BadTopic`] when a part is empty or has another character, or there is too much of it.
    pub fn parse(text: &str) -> Result<Topic, BadTopic> {
        check(text, "topic", is_word)?;
        Ok(Topic(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, in order.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it lies below `owner`, itself not included: `symphony/git/commits` below `symphony/git`.
    pub fn is_below(&self, owner: &str) -> bool {
        let rest = self.0.strip_prefix(owner);
        !owner.is_empty() && rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A topic in which `*` stands for any one part and, at the end, `**` for any parts that follow, one at least.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// The pattern that `text` writes.
    ///
    /// # Errors
    /// [`BadTopic`] as for a topic, or when `**` does not stand at the end.
    pub fn parse(text: &str) -> Result<Pattern, BadTopic> {
        check(text, "pattern", |part| {
            matches!(part, "*" | "**") || is_word(part)
        })?;
        let head = text.strip_suffix("**").unwrap_or(text);
        if head.split('/').any(|part| part == "**") {
            return Err(bad(text, "pattern", "** stands at the end"));
        }
        Ok(Pattern(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, in order.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it means this topic.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut wanted = self.parts();
        let mut parts = topic.parts();
        loop {
            match (wanted.next(), parts.next()) {
                (None, None) => return true,
                (Some("**"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(part)) if wanted == part => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_word(part: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !part.is_empty() && part.bytes().all(is_letter)
}

fn check(text: &str, what: &'static str, is_part: impl Fn(&str) -> bool) -> Result<(), BadTopic> {
    if text.len() > LONGEST {
        let start: String = text.chars().take(40).collect();
        return Err(bad(&start, what, "it has more than 256 bytes"));
    }
    if text.split('/').count() > MOST_PARTS {
        return Err(bad(text, what, "it has more than 16 parts"));
    }
    if !text.split('/').all(is_part) {
        let why = "its parts have letters, digits, _ . and -, and none is empty";
        return Err(bad(text, what, why));
    }
    Ok(())
}

fn bad(text: &str, what: &'static str, why: &'static str) -> BadTopic {
    BadTopic {
        text: text.to_owned(),
        what,
        why,
    }
}
