//! Writes operations of RFC 6902 straight into bytes.

use serde_json::Value;

/// A patch that grows, and the pointer to where in the tree the work is.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    bytes: Vec<u8>,
    pointer: String,
}

/// A pointer's length to return to.
pub(crate) struct Mark(usize);

impl Patch {
    /// Moves the pointer to `segment` below; escaped as RFC 6901 says.
    pub(crate) fn enter(&mut self, segment: &str) -> Mark {
        let mark = Mark(self.pointer.len());
        self.pointer.push('/');
        for character in segment.chars() {
            match character {
                '~' => self.pointer.push_str("~0"),
                '/' => self.pointer.push_str("~1"),
                other => self.pointer.push(other),
            }
        }
        mark
    }

    /// Moves the pointer to an item of a list.
    pub(crate) fn enter_index(&mut self, index: usize) -> Mark {
        let mark = Mark(self.pointer.len());
        self.pointer.push('/');
        self.pointer.push_str(&index.to_string());
        mark
    }

    /// Moves the pointer through the children at these indexes.
    pub(crate) fn enter_path(&mut self, path: &[usize]) -> Mark {
        let mark = Mark(self.pointer.len());
        for index in path {
            self.pointer.push_str("/children/");
            self.pointer.push_str(&index.to_string());
        }
        mark
    }

    pub(crate) fn leave(&mut self, mark: Mark) {
        self.pointer.truncate(mark.0);
    }

    /// Replaces what the pointer points at.
    pub(crate) fn replace(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.begin("replace");
        self.bytes.extend_from_slice(b",\"value\":");
        write(&mut self.bytes);
        self.bytes.push(b'}');
    }

    /// Adds at the pointer: a member of an object, or an item before the one that is there.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.begin("add");
        self.bytes.extend_from_slice(b",\"value\":");
        write(&mut self.bytes);
        self.bytes.push(b'}');
    }

    /// Removes what the pointer points at.
    pub(crate) fn remove(&mut self) {
        self.begin("remove");
        self.bytes.push(b'}');
    }

    /// Moves an item of the list that the pointer points at.
    pub(crate) fn move_item(&mut self, from: usize, to: usize) {
        let mark = self.enter_index(to);
        self.begin("move");
        self.leave(mark);
        self.bytes.extend_from_slice(b",\"from\":");
        let mark = self.enter_index(from);
        write_text(&mut self.bytes, &self.pointer);
        self.leave(mark);
        self.bytes.push(b'}');
    }

    fn begin(&mut self, operation: &str) {
        self.bytes
            .push(if self.bytes.is_empty() { b'[' } else { b',' });
        self.bytes.extend_from_slice(b"{\"op\":\"");
        self.bytes.extend_from_slice(operation.as_bytes());
        self.bytes.extend_from_slice(b"\",\"path\":");
        write_text(&mut self.bytes, &self.pointer);
    }

    /// Where the patch is now, to come back to with [`Patch::rewind`].
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back everything written after `length`.
    pub(crate) fn rewind(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// The finished patch; `None` when it says nothing.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() {
            return None;
        }
        self.bytes.push(b']');
        Some(self.bytes)
    }
}

/// A JSON string.
pub(crate) fn write_text(bytes: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(bytes, text).expect("a text is always JSON");
}

/// Any JSON value.
pub(crate) fn write_value(bytes: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(bytes, value).expect("a value is always JSON");
}
