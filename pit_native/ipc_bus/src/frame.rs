//! Cuts a stream of bytes into frames, without believing the lengths that it announces.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::Malformed;

/// How much is read at once.
const READ_SIZE: usize = 64 << 10;

/// Bytes that arrived and are not consumed yet.
#[derive(Debug)]
pub struct FrameBuffer {
    buffer: BytesMut,
    limit: usize,
}

impl FrameBuffer {
    /// An empty buffer for frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        FrameBuffer {
            buffer: BytesMut::with_capacity(READ_SIZE),
            limit,
        }
    }

    /// Changes the longest frame that is taken.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where to read into. It grows with what has arrived, never with what was announced.
    pub fn space(&mut self) -> &mut BytesMut {
        let arrived = self.buffer.len();
        self.buffer.reserve(READ_SIZE.max(arrived.min(self.limit)));
        &mut self.buffer
    }

    /// The next whole frame, or `None` while it is incomplete.
    ///
    /// # Errors
    /// [`Malformed::TooLong`] as soon as a length over the limit is seen.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some(header) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*header) as usize;
        if length > self.limit {
            return Err(Malformed::TooLong {
                length,
                limit: self.limit,
            });
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// How many bytes are not consumed.
    pub fn unread(&self) -> usize {
        self.buffer.len()
    }

    /// Whether a frame has begun that is not complete.
    pub fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty()
    }
}
