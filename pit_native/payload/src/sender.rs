//! The end that puts payloads where the receiver finds them, and never waits for it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rmpv::Value;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use crate::reference::{Place, Reference};
use crate::{DESCRIPTORS, SEGMENT_START, Terms};

/// The receiver counts what it has taken in one byte: more than this may not be on the way.
const MOST_PENDING: usize = 255;

/// What is sent in one direction of one connection. Frames must be sent in the order in which their parcels
/// were filled, because the receiver counts and does not name what it took.
#[derive(Debug)]
pub struct Sender {
    terms: Terms,
    segment: Option<OwnedFd>,
    /// Whether the receiver has the segment's descriptor, or a frame on its way brings it.
    is_announced: bool,
    /// Where the next payload would begin.
    head: u64,
    /// The parts of the segment that may still be read, oldest first.
    pending: VecDeque<(u64, u64)>,
    /// The receiver's count when it was last looked at.
    seen: u8,
}

/// What travels beside one frame.
#[derive(Debug, Default)]
pub struct Parcel {
    /// The descriptors for the frame's first byte, in their order.
    pub descriptors: Vec<OwnedFd>,
    /// Bytes in files of their own, which are kept in memory until the receiver has them.
    pub bytes: usize,
    /// Parts of the segment that it takes.
    parts: usize,
    /// Bytes of all its payloads.
    named: u64,
    announces: bool,
}

impl Sender {
    /// Nothing was sent yet; the segment is made when it is first needed.
    pub fn new(terms: Terms) -> Self {
        Sender {
            terms,
            segment: None,
            is_announced: false,
            head: SEGMENT_START,
            pending: VecDeque::new(),
            seen: 0,
        }
    }

    /// Puts a payload beside the frame; none when it has to stand in the frame: it is small, there is no room,
    /// or the kernel gives no memory.
    pub fn put(&mut self, bytes: &[u8], is_text: bool, parcel: &mut Parcel) -> Option<Reference> {
        let length = bytes.len() as u64;
        let is_over = parcel.named.saturating_add(length) > self.terms.payload;
        if length < self.terms.least || is_over || parcel.descriptors.len() >= DESCRIPTORS {
            return None;
        }
        let (place, offset) = if length >= self.terms.file {
            parcel.descriptors.push(sealed(bytes).ok()?);
            parcel.bytes += bytes.len();
            (Place::File, 0)
        } else {
            (Place::Segment, self.put_part(bytes, parcel)?)
        };
        parcel.named += length;
        Some(Reference {
            place,
            is_text,
            offset,
            length,
        })
    }

    fn put_part(&mut self, bytes: &[u8], parcel: &mut Parcel) -> Option<u64> {
        let segment = match self.segment.take() {
            Some(segment) => segment,
            None => segment(self.terms.segment).ok()?,
        };
        let offset = self.put_into(&segment, bytes, parcel);
        self.segment = Some(segment);
        offset
    }

    fn put_into(&mut self, segment: &OwnedFd, bytes: &[u8], parcel: &mut Parcel) -> Option<u64> {
        let mut count = [0];
        rustix::io::pread(segment, &mut count, 0).ok()?;
        self.free(count[0], parcel.parts);
        let offset = self.room_for(bytes.len() as u64)?;
        let announcement = if self.is_announced {
            None
        } else {
            Some(rustix::io::fcntl_dupfd_cloexec(segment, 0).ok()?)
        };
        write_all(segment, bytes, offset).ok()?;
        if let Some(descriptor) = announcement {
            parcel.descriptors.push(descriptor);
            parcel.announces = true;
            self.is_announced = true;
        }
        self.head = offset + bytes.len() as u64;
        self.pending.push_back((offset, self.head));
        parcel.parts += 1;
        Some(offset)
    }

    /// Forgets the parts that the receiver says it has taken. One that says more than it was sent is not
    /// believed; one that says what is not so spoils its own payloads and nothing else.
    fn free(&mut self, count: u8, unsent: usize) {
        let taken = usize::from(count.wrapping_sub(self.seen));
        if taken <= self.pending.len() - unsent {
            self.pending.drain(..taken);
            self.seen = count;
        }
    }

    /// Where so many bytes may go in one piece.
    fn room_for(&mut self, length: u64) -> Option<u64> {
        if self.pending.len() >= MOST_PENDING {
            return None;
        }
        let fits = |start: u64, end: u64| (start + length <= end).then_some(start);
        match self.pending.front() {
            None => fits(SEGMENT_START, self.terms.segment),
            Some((oldest, _)) if self.head > *oldest => {
                fits(self.head, self.terms.segment).or_else(|| fits(SEGMENT_START, *oldest))
            }
            Some((oldest, _)) => fits(self.head, *oldest),
        }
    }

    /// Takes back what was put for a frame that is not sent.
    pub fn take_back(&mut self, parcel: Parcel) {
        for _ in 0..parcel.parts {
            self.pending.pop_back();
        }
        self.head = self.pending.back().map_or(SEGMENT_START, |(_, end)| *end);
        if parcel.announces {
            self.is_announced = false;
        }
    }
}

/// A new segment, which keeps its size.
fn segment(size: u64) -> Result<OwnedFd, Errno> {
    let file = memory_file()?;
    rustix::fs::ftruncate(&file, size)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// A file of these bytes, which nobody can change.
fn sealed(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let file = memory_file()?;
    rustix::fs::ftruncate(&file, bytes.len() as u64)?;
    write_all(&file, bytes, 0)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}

fn memory_file() -> Result<OwnedFd, Errno> {
    rustix::fs::memfd_create("payload", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
}

fn write_all(file: &impl AsFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(Errno::NOSPC),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes a value into a frame, its large texts and bytes beside it where the sender has room for them.
///
/// # Errors
/// Writing to memory does not fail.
pub fn write_value(
    frame: &mut Vec<u8>,
    value: &Value,
    beside: &mut impl FnMut(&[u8], bool) -> Option<Reference>,
) -> Result<(), rmpv::encode::Error> {
    let reference = match value {
        Value::Array(items) => {
            rmp::encode::write_array_len(frame, length(items))?;
            return items
                .iter()
                .try_for_each(|item| write_value(frame, item, beside));
        }
        Value::Map(entries) => {
            rmp::encode::write_map_len(frame, length(entries))?;
            return entries.iter().try_for_each(|(key, item)| {
                rmpv::encode::write_value(frame, key)?;
                write_value(frame, item, beside)
            });
        }
        Value::Binary(bytes) => beside(bytes, false),
        Value::String(text) if text.as_str().is_some() => beside(text.as_bytes(), true),
        _ => None,
    };
    match reference {
        Some(reference) => {
            // The header of `fixext 16`.
            frame.extend_from_slice(&[0xd8, reference.kind() as u8]);
            frame.extend_from_slice(&reference.data());
            Ok(())
        }
        None => rmpv::encode::write_value(frame, value),
    }
}

/// Containers of more items than MessagePack can count do not fit into any frame.
fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
