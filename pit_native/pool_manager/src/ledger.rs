//! How much of the pool's room is booked: entries, memory, memory of GPUs.

/// What an entry occupies while it is loaded, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Main memory.
    pub memory: u64,
    /// Memory of GPUs.
    pub gpu: u64,
}

/// What may be loaded at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) entries: usize,
    /// Bytes; unlimited when absent.
    pub(crate) memory: Option<u64>,
    /// Bytes; unlimited when absent.
    pub(crate) gpu: Option<u64>,
}

impl Room {
    /// Whether an entry of this size could be loaded if nothing else were.
    pub(crate) fn can_ever_take(&self, size: Size) -> bool {
        self.memory.is_none_or(|limit| size.memory <= limit)
            && self.gpu.is_none_or(|limit| size.gpu <= limit)
    }

    /// The largest share of any limit that an entry takes: its dominant share.
    pub(crate) fn share(&self, size: Size) -> f64 {
        let part = |used: u64, limit: Option<u64>| {
            limit.map_or(0.0, |limit| used as f64 / limit.max(1) as f64)
        };
        (1.0 / self.entries.max(1) as f64)
            .max(part(size.memory, self.memory))
            .max(part(size.gpu, self.gpu))
    }
}

/// What is booked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) entries: usize,
    pub(crate) used: Size,
}

impl Ledger {
    pub(crate) fn add(&mut self, size: Size) {
        self.entries += 1;
        self.used.memory += size.memory;
        self.used.gpu += size.gpu;
    }

    pub(crate) fn remove(&mut self, size: Size) {
        self.entries -= 1;
        self.used.memory -= size.memory;
        self.used.gpu -= size.gpu;
    }

    /// Books another size for an entry that is booked.
    pub(crate) fn resize(&mut self, old: Size, new: Size) {
        self.remove(old);
        self.add(new);
    }

    /// Whether one more entry of this size fits.
    pub(crate) fn fits(&self, room: &Room, size: Size) -> bool {
        let fits = |used: u64, more: u64, limit: Option<u64>| {
            limit.is_none_or(|limit| used.saturating_add(more) <= limit)
        };
        self.entries < room.entries
            && fits(self.used.memory, size.memory, room.memory)
            && fits(self.used.gpu, size.gpu, room.gpu)
    }

    /// Whether more is booked than there is room: entries have grown since they were loaded.
    pub(crate) fn is_over(&self, room: &Room) -> bool {
        room.memory.is_some_and(|limit| self.used.memory > limit)
            || room.gpu.is_some_and(|limit| self.used.gpu > limit)
    }
}
