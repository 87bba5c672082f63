//! How a payload that travels beside its frame is named in it: MessagePack's `fixext 16`.

use crate::Fault;

/// The extension types of the protocol, in the order of [`Reference::kind`].
pub const TYPES: std::ops::RangeInclusive<i8> = 1..=4;

/// Where the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the sender's segment.
    Segment,
    /// In a file of their own, which travels with the frame.
    File,
}

/// One payload outside of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Where the bytes are.
    pub place: Place,
    /// Whether they are text.
    pub is_text: bool,
    /// Where they begin; 0 in a file.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
}

impl Reference {
    /// The extension type: 1 bytes and 2 text in the segment, 3 bytes and 4 text in a file.
    pub fn kind(&self) -> i8 {
        let place = match self.place {
            Place::Segment => 1,
            Place::File => 3,
        };
        place + i8::from(self.is_text)
    }

    /// Offset and length, little-endian.
    pub fn data(&self) -> [u8; 16] {
        let mut data = [0; 16];
        data[..8].copy_from_slice(&self.offset.to_le_bytes());
        data[8..].copy_from_slice(&self.length.to_le_bytes());
        data
    }

    /// The reference of an extension value.
    ///
    /// # Errors
    /// [`Fault::Reference`].
    pub fn read(kind: i8, data: &[u8]) -> Result<Self, Fault> {
        let data: &[u8; 16] = data.try_into().map_err(|_| Fault::Reference)?;
        if !TYPES.contains(&kind) {
            return Err(Fault::Reference);
        }
        let number = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().expect("eight"));
        let reference = Reference {
            place: if kind < 3 {
                Place::Segment
            } else {
                Place::File
            },
            is_text: kind % 2 == 0,
            offset: number(0),
            length: number(8),
        };
        if reference.place == Place::File && reference.offset != 0 {
            return Err(Fault::Reference);
        }
        Ok(reference)
    }
}
