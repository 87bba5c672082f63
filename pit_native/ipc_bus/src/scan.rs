//! Checks MessagePack bytes before any value is built: well-formed, shallow, small, with unique string keys.
//!
//! It walks the bytes with a stack of its own, so that a frame nested 100,000 deep costs 64 steps and
//! no recursion, and allocates nothing for the values themselves.

use std::collections::HashSet;

use crate::error::Malformed;

/// Maps of more keys than this are checked through a hash set instead of pairwise.
const PAIRWISE_KEYS: usize = 16;

/// A container that is open at this point of the walk.
struct Open<'a> {
    /// Values that still belong to it; a map counts keys and values.
    left: u64,
    is_map: bool,
    /// Where its keys begin in the shared list.
    keys_start: usize,
    /// Present once the map is large; hashed with a random seed, so that keys cannot be chosen to collide.
    large: Option<HashSet<&'a [u8]>>,
}

/// What may still be spent on a frame.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Levels of containers that may still open.
    pub depth: usize,
    /// The frame's whole depth limit, for the message.
    pub depth_limit: usize,
    /// Values that may still come.
    pub values: usize,
    /// The frame's whole value limit, for the message.
    pub values_limit: usize,
    /// References to payloads beside the frame so far; none where they were not agreed on.
    pub references: Option<usize>,
}

/// Checks the one value that begins at `start` and gives the position behind it.
///
/// # Errors
/// [`Malformed`] with the first thing that is wrong.
pub fn check_value(bytes: &[u8], start: usize, budget: &mut Budget) -> Result<usize, Malformed> {
    let mut position = start;
    let mut stack: Vec<Open<'_>> = Vec::new();
    let mut keys: Vec<&[u8]> = Vec::new();
    loop {
        if budget.values == 0 {
            return Err(Malformed::TooMany(budget.values_limit));
        }
        budget.values -= 1;
        let is_key = stack
            .last()
            .is_some_and(|open| open.is_map && open.left % 2 == 0);
        let head = read_head(bytes, position)?;
        if is_key && !matches!(head.content, Content::Text(_)) {
            return Err(Malformed::KeyType);
        }
        if matches!(head.content, Content::Reference) {
            let found = budget.references.as_mut();
            *found.ok_or(Malformed::Type(bytes[position]))? += 1;
        }
        position = head.end;
        if let Content::Text(text) = head.content {
            std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?;
            if is_key {
                note_key(stack.last_mut(), &mut keys, text)?;
            }
        }
        if let Some(open) = stack.last_mut() {
            open.left -= 1;
        }
        if let Content::Container { items, is_map } = head.content {
            if stack.len() >= budget.depth {
                return Err(Malformed::TooDeep(budget.depth_limit));
            }
            // Each item takes at least one byte, so a longer container cannot be complete.
            if items > (bytes.len() - position) as u64 {
                return Err(Malformed::Truncated);
            }
            stack.push(Open {
                left: items,
                is_map,
                keys_start: keys.len(),
                large: None,
            });
        }
        while stack.last().is_some_and(|open| open.left == 0) {
            let open = stack.pop().expect("the loop saw it");
            keys.truncate(open.keys_start);
        }
        if stack.is_empty() {
            return Ok(position);
        }
    }
}

fn note_key<'a>(
    open: Option<&mut Open<'a>>,
    keys: &mut Vec<&'a [u8]>,
    key: &'a [u8],
) -> Result<(), Malformed> {
    let open = open.expect("a key has its map");
    let repeated =
        || Malformed::DuplicateKey(String::from_utf8_lossy(&key[..key.len().min(64)]).into_owned());
    if let Some(large) = &mut open.large {
        return if large.insert(key) {
            Ok(())
        } else {
            Err(repeated())
        };
    }
    if keys[open.keys_start..].contains(&key) {
        return Err(repeated());
    }
    keys.push(key);
    if keys.len() - open.keys_start > PAIRWISE_KEYS {
        open.large = Some(keys.drain(open.keys_start..).collect());
    }
    Ok(())
}

/// What stands at one position.
pub(crate) enum Content<'a> {
    /// Nil, a boolean, a number: nothing of interest here.
    Scalar,
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    /// A payload that lies beside the frame.
    Reference,
    Container {
        items: u64,
        is_map: bool,
    },
}

pub(crate) struct Head<'a> {
    pub content: Content<'a>,
    /// Behind the scalar or string, or behind the header of a container.
    pub end: usize,
}

/// Reads one header and, for strings, their bytes.
pub(crate) fn read_head(bytes: &[u8], position: usize) -> Result<Head<'_>, Malformed> {
    let marker = *bytes.get(position).ok_or(Malformed::Truncated)?;
    let after = position + 1;
    let scalar = |width: usize| {
        take(bytes, after, width).map(|(_, end)| Head {
            content: Content::Scalar,
            end,
        })
    };
    let text = |at: usize, length: usize| {
        take(bytes, at, length).map(|(text, end)| Head {
            content: Content::Text(text),
            end,
        })
    };
    let binary = |at: usize, length: usize| {
        take(bytes, at, length).map(|(bytes, end)| Head {
            content: Content::Bytes(bytes),
            end,
        })
    };
    let array = |items: usize, end: usize| Head {
        content: Content::Container {
            items: items as u64,
            is_map: false,
        },
        end,
    };
    let map = |pairs: usize, end: usize| Head {
        content: Content::Container {
            items: pairs as u64 * 2,
            is_map: true,
        },
        end,
    };
    match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => scalar(0),
        0x80..=0x8f => Ok(map((marker & 0x0f) as usize, after)),
        0x90..=0x9f => Ok(array((marker & 0x0f) as usize, after)),
        0xa0..=0xbf => text(after, (marker & 0x1f) as usize),
        0xc4..=0xc6 => {
            length(bytes, after, 1 << (marker - 0xc4)).and_then(|(size, at)| binary(at, size))
        }
        0xcc | 0xd0 => scalar(1),
        0xcd | 0xd1 => scalar(2),
        0xca | 0xce | 0xd2 => scalar(4),
        0xcb | 0xcf | 0xd3 => scalar(8),
        0xd9..=0xdb => {
            length(bytes, after, 1 << (marker - 0xd9)).and_then(|(size, at)| text(at, size))
        }
        0xdc | 0xdd => {
            length(bytes, after, 2 << (marker - 0xdc)).map(|(items, at)| array(items, at))
        }
        0xde | 0xdf => length(bytes, after, 2 << (marker - 0xde)).map(|(pairs, at)| map(pairs, at)),
        REFERENCE if is_reference(bytes, after) => {
            take(bytes, after, 1 + 16).map(|(_, end)| Head {
                content: Content::Reference,
                end,
            })
        }
        0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => Err(Malformed::Type(marker)),
    }
}

/// `fixext 16`, which references are.
const REFERENCE: u8 = 0xd8;

fn is_reference(bytes: &[u8], at: usize) -> bool {
    let kind = bytes.get(at).map(|kind| *kind as i8);
    kind.is_some_and(|kind| payload::TYPES.contains(&kind))
}

fn take(bytes: &[u8], at: usize, length: usize) -> Result<(&[u8], usize), Malformed> {
    let end = at.checked_add(length).ok_or(Malformed::Truncated)?;
    bytes
        .get(at..end)
        .map(|slice| (slice, end))
        .ok_or(Malformed::Truncated)
}

/// A big-endian length of 1, 2 or 4 bytes.
fn length(bytes: &[u8], at: usize, width: usize) -> Result<(usize, usize), Malformed> {
    let (digits, end) = take(bytes, at, width)?;
    Ok((
        digits
            .iter()
            .fold(0usize, |sum, digit| (sum << 8) | *digit as usize),
        end,
    ))
}
