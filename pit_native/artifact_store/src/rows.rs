//! The rows of the index.

use crate::log::Place;
use crate::types::ArtifactId;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;
/// The place of a content whose record is damaged or lost.
pub(crate) const LOST: Place = Place {
    segment: u32::MAX,
    offset: 0,
};

/// One distinct content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) id: ArtifactId,
    pub(crate) place: Place,
    pub(crate) bytes: u64,
    /// Its newest entry.
    pub(crate) newest: u32,
}

/// What an entry counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is listed.
    Current = 0,
    /// The same name and version was put again by another run: listed for its own run only.
    Repeated = 1,
    /// Removed, or put again by the same run.
    Gone = 2,
}

impl Standing {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Current, Self::Repeated, Self::Gone]
            .into_iter()
            .find(|one| *one as u8 == byte)
    }
}

/// One entry, in the order of sequences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) content: u32,
    pub(crate) name: u32,
    pub(crate) kind: u32,
    pub(crate) run: u32,
    pub(crate) version: u32,
    pub(crate) quality: f32,
    pub(crate) created: f64,
    pub(crate) place: Place,
    /// The entry before with the same content.
    pub(crate) older_of_content: u32,
    /// The entry before with the same name.
    pub(crate) older_of_name: u32,
    pub(crate) standing: Standing,
}

/// What is needed of an entry's record to add its row.
pub(crate) struct NewEntry<'a> {
    pub(crate) id: ArtifactId,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) run: &'a str,
    pub(crate) bytes: u64,
    pub(crate) version: u32,
    pub(crate) quality: f32,
    pub(crate) created: f64,
    pub(crate) place: Place,
}

/// Why a content must not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) place: Place,
    pub(crate) reason: Box<str>,
}
