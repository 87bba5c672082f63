//! A lock-free ring of bytes from one writer to one reader, who need not trust each other.
//!
//! Each side keeps its own index to itself and publishes a copy. Of the other's it takes a copy, once for
//! each operation, and holds it against what it knows: an index can only go forwards, the writer's at most a
//! ring ahead of the reader's. So whatever the other side writes into the memory, no access leaves the ring,
//! and what is read has been copied out before anybody looks at it.
//!
//! Who finds nothing to do raises a flag before it sleeps and looks once more; who has made something to do
//! takes the flag down and rings. Between raising and looking, as between publishing and taking, stands a
//! full fence: one of the two sees the other, so that no ring is missed. Pure but for the memory, which is
//! given: `tests/ring_model.rs` runs it on loom's.

use std::sync::Arc;

use crate::transport::Mapped;

/// Whose index or flag it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Publishes how many bytes were ever written.
    Writer,
    /// Publishes how many bytes were ever read.
    Reader,
}

/// The memory that both sides see. Everything in it may change at any time.
pub trait Memory {
    /// Bytes of the ring, a power of two.
    fn capacity(&self) -> usize;
    /// A side's index; what that side did before it stored it is seen.
    fn load(&self, side: Side) -> u64;
    /// Publishes an index after all that was done before.
    fn store(&self, side: Side, index: u64);
    /// Orders all before it before all behind it, for every thread.
    fn fence(&self);
    /// Raises or lowers the flag of a side that is about to sleep.
    fn set_waiting(&self, side: Side, waits: bool);
    /// Takes a side's flag down and says whether it was up.
    fn take_waiting(&self, side: Side) -> bool;
    /// Copies into the ring; `at + bytes.len()` is at most the capacity.
    fn copy_in(&self, at: usize, bytes: &[u8]);
    /// Copies out of the ring; `at + bytes.len()` is at most the capacity.
    fn copy_out(&self, at: usize, bytes: &mut [u8]);
}

/// The other side published an index that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer's index of the shared ring is impossible")]
pub struct Corrupt;

/// The writing side.
#[derive(Debug)]
pub struct Producer<M: Memory = Arc<Mapped>> {
    memory: M,
    written: u64,
    /// The reader's index as last seen.
    read: u64,
}

/// The reading side.
#[derive(Debug)]
pub struct Consumer<M: Memory = Arc<Mapped>> {
    memory: M,
    read: u64,
    /// The writer's index as last seen.
    written: u64,
}

impl<M: Memory> Producer<M> {
    /// The writer of a ring that nothing was written to yet.
    pub fn new(memory: M) -> Self {
        Producer {
            memory,
            written: 0,
            read: 0,
        }
    }

    /// How many bytes may be written now.
    ///
    /// # Errors
    /// [`Corrupt`]; the ring is of no use then.
    pub fn room(&mut self) -> Result<usize, Corrupt> {
        let waiting = self.written.wrapping_sub(self.memory.load(Side::Reader));
        let waited = self.written.wrapping_sub(self.read);
        // The reader can only have come nearer.
        if waiting > waited {
            return Err(Corrupt);
        }
        self.read = self.written.wrapping_sub(waiting);
        Ok(self.memory.capacity() - waiting as usize)
    }

    /// Writes as much of `bytes` as there is room for, and says how much.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let count = bytes.len().min(self.room()?);
        if count == 0 {
            return Ok(0);
        }
        let at = self.written as usize & (self.memory.capacity() - 1);
        let first = count.min(self.memory.capacity() - at);
        self.memory.copy_in(at, &bytes[..first]);
        self.memory.copy_in(0, &bytes[first..count]);
        self.written = self.written.wrapping_add(count as u64);
        self.memory.store(Side::Writer, self.written);
        Ok(count)
    }

    /// Whether the reader sleeps and must be rung for; to be asked after writing.
    pub fn must_ring(&self) -> bool {
        self.memory.fence();
        self.memory.take_waiting(Side::Reader)
    }

    /// Raises this side's flag; false when there is room after all, and no need to sleep.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn may_sleep(&mut self) -> Result<bool, Corrupt> {
        self.memory.set_waiting(Side::Writer, true);
        self.memory.fence();
        let is_full = self.room()? == 0;
        if !is_full {
            self.memory.set_waiting(Side::Writer, false);
        }
        Ok(is_full)
    }
}

impl<M: Memory> Consumer<M> {
    /// The reader of a ring that nothing was read from yet.
    pub fn new(memory: M) -> Self {
        Consumer {
            memory,
            read: 0,
            written: 0,
        }
    }

    /// How many bytes can be read now.
    ///
    /// # Errors
    /// [`Corrupt`]; the ring is of no use then.
    pub fn available(&mut self) -> Result<usize, Corrupt> {
        let available = self.memory.load(Side::Writer).wrapping_sub(self.read);
        let known = self.written.wrapping_sub(self.read);
        // The writer can only have gone on, and not over what was not read.
        if available < known || available > self.memory.capacity() as u64 {
            return Err(Corrupt);
        }
        self.written = self.read.wrapping_add(available);
        Ok(available as usize)
    }

    /// Copies out what is there, at most as much as `out` has room for, and says how much.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Corrupt> {
        let count = out.len().min(self.available()?);
        if count == 0 {
            return Ok(0);
        }
        let at = self.read as usize & (self.memory.capacity() - 1);
        let first = count.min(self.memory.capacity() - at);
        self.memory.copy_out(at, &mut out[..first]);
        self.memory.copy_out(0, &mut out[first..count]);
        self.read = self.read.wrapping_add(count as u64);
        self.memory.store(Side::Reader, self.read);
        Ok(count)
    }

    /// Whether the writer sleeps and must be rung for; to be asked after reading.
    pub fn must_ring(&self) -> bool {
        self.memory.fence();
        self.memory.take_waiting(Side::Writer)
    }

    /// Raises this side's flag; false when there is something to read after all, and no need to sleep.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn may_sleep(&mut self) -> Result<bool, Corrupt> {
        self.memory.set_waiting(Side::Reader, true);
        self.memory.fence();
        let is_empty = self.available()? == 0;
        if !is_empty {
            self.memory.set_waiting(Side::Reader, false);
        }
        Ok(is_empty)
    }
}
