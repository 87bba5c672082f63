//! The end that believes nothing: descriptors are checked, bytes copied out, before anything is made of them.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rmpv::Value;
use rustix::fs::SealFlags;

use crate::reference::{Place, Reference};
use crate::{DESCRIPTORS, Fault, SEGMENT_START, Terms};

/// `f_type` of the file system that plain files in memory are in. Those of huge pages are not taken: to read
/// a hole of one may end the process.
const TMPFS: u64 = 0x0102_1994;

/// What arrives in one direction of one connection.
#[derive(Debug)]
pub struct Receiver {
    terms: Terms,
    segment: Option<OwnedFd>,
    /// How many payloads of the segment were taken, modulo 256.
    taken: u8,
    /// Descriptors that no reference has claimed, each with the end of the piece of stream it came with.
    arrived: VecDeque<(u64, OwnedFd)>,
    /// Bytes that the references of this frame have named.
    named: u64,
}

impl Receiver {
    /// Nothing has arrived yet.
    pub fn new(terms: Terms) -> Self {
        Receiver {
            terms,
            segment: None,
            taken: 0,
            arrived: VecDeque::new(),
            named: 0,
        }
    }

    /// Takes descriptors that came with a piece of the stream that ends at `end`.
    ///
    /// # Errors
    /// [`Fault::Unagreed`] when more wait than one frame may bring. All of them are closed with the receiver.
    pub fn arrive(&mut self, end: u64, descriptors: Vec<OwnedFd>) -> Result<(), Fault> {
        self.arrived
            .extend(descriptors.into_iter().map(|descriptor| (end, descriptor)));
        if self.arrived.len() > DESCRIPTORS {
            return Err(Fault::Unagreed);
        }
        Ok(())
    }

    /// How many descriptors wait for their frame.
    pub fn waiting(&self) -> usize {
        self.arrived.len()
    }

    /// Copies out what a reference names. Call it in the order in which the references stand in the frame.
    ///
    /// # Errors
    /// [`Fault`]; the connection cannot be used afterwards.
    pub fn take(&mut self, reference: Reference) -> Result<Vec<u8>, Fault> {
        self.named = self.named.saturating_add(reference.length);
        if self.named > self.terms.payload {
            return Err(Fault::TooLarge(self.terms.payload));
        }
        match reference.place {
            Place::Segment => self.take_part(reference),
            Place::File => {
                let (_, file) = self.arrived.pop_front().ok_or(Fault::Missing)?;
                check_sealed(&file, reference.length)?;
                read(&file, 0, reference.length)
            }
        }
    }

    fn take_part(&mut self, reference: Reference) -> Result<Vec<u8>, Fault> {
        if self.segment.is_none() {
            let (_, segment) = self.arrived.pop_front().ok_or(Fault::Missing)?;
            check_segment(&segment, self.terms.segment)?;
            self.segment = Some(segment);
        }
        let segment = self.segment.as_ref().expect("it was just put there");
        let end = reference.offset.checked_add(reference.length);
        if reference.offset < SEGMENT_START || end.is_none_or(|end| end > self.terms.segment) {
            return Err(Fault::Outside);
        }
        let bytes = read(segment, reference.offset, reference.length)?;
        self.taken = self.taken.wrapping_add(1);
        // One byte, so that the sender reads the former count or the new one and nothing between.
        if rustix::io::pwrite(segment, &[self.taken], 0)? != 1 {
            return Err(Fault::Seals);
        }
        Ok(bytes)
    }

    /// Says that a frame which ends at `end` of the stream has been read whole; how many bytes lay beside it.
    ///
    /// # Errors
    /// [`Fault::Extra`] when a descriptor came with it that nothing in it refers to.
    pub fn end_frame(&mut self, end: u64) -> Result<u64, Fault> {
        let named = std::mem::take(&mut self.named);
        match self.arrived.front() {
            Some((came, _)) if *came <= end => Err(Fault::Extra),
            _ => Ok(named),
        }
    }
}

/// Whether a segment is of the agreed size for good, and written by both.
fn check_segment(file: &OwnedFd, size: u64) -> Result<(), Fault> {
    let seals = seals_of(file)?;
    let wanted = SealFlags::SHRINK | SealFlags::GROW;
    let unwanted = SealFlags::WRITE | SealFlags::FUTURE_WRITE;
    if !seals.contains(wanted) || seals.intersects(unwanted) {
        return Err(Fault::Seals);
    }
    check_size(file, size).map(drop)
}

/// Whether a file can change no more, has the size, and has all its memory.
fn check_sealed(file: &OwnedFd, size: u64) -> Result<(), Fault> {
    let wanted = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    if !seals_of(file)?.contains(wanted) {
        return Err(Fault::Seals);
    }
    let blocks = check_size(file, size)?;
    if blocks.saturating_mul(512) < size {
        return Err(Fault::Holes);
    }
    Ok(())
}

/// The seals, which only files in memory have.
fn seals_of(file: &OwnedFd) -> Result<SealFlags, Fault> {
    let seals = rustix::fs::fcntl_get_seals(file).map_err(|_| Fault::Kind)?;
    let system = rustix::fs::fstatfs(file).map_err(|_| Fault::Kind)?;
    if system.f_type as u64 != TMPFS {
        return Err(Fault::Kind);
    }
    Ok(seals)
}

fn check_size(file: &OwnedFd, wanted: u64) -> Result<u64, Fault> {
    let status = rustix::fs::fstat(file)?;
    let found = status.st_size as u64;
    if found != wanted {
        return Err(Fault::Size { found, wanted });
    }
    Ok(status.st_blocks as u64)
}

fn read(file: &impl AsFd, offset: u64, length: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(|_| Fault::Outside)?);
    let wanted = bytes.capacity().min(length as usize);
    while bytes.len() < wanted {
        let at = offset + bytes.len() as u64;
        let room = &mut bytes.spare_capacity_mut()[..];
        let left = wanted - (at - offset) as usize;
        let (read, _) = match rustix::io::pread(file, &mut room[..left], at) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        if read.is_empty() {
            return Err(Fault::Outside);
        }
        let arrived = read.len();
        // SAFETY: the kernel has written that many bytes behind those that were there.
        unsafe { bytes.set_len(bytes.len() + arrived) };
    }
    Ok(bytes)
}

/// Puts what they name in the place of all references in a value, in order. The value is at most as deep as
/// frames may be.
///
/// # Errors
/// As [`Receiver::take`], and [`Fault::Utf8`].
pub fn resolve(value: &mut Value, receiver: &mut Receiver) -> Result<(), Fault> {
    match value {
        Value::Ext(kind, data) => {
            let reference = Reference::read(*kind, data)?;
            let bytes = receiver.take(reference)?;
            *value = if reference.is_text {
                Value::from(String::from_utf8(bytes).map_err(|_| Fault::Utf8)?)
            } else {
                Value::Binary(bytes)
            };
            Ok(())
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| resolve(item, receiver)),
        Value::Map(entries) => entries
            .iter_mut()
            .try_for_each(|(_, item)| resolve(item, receiver)),
        _ => Ok(()),
    }
}
