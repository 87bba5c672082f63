//! A record that begins with a key, of which no more is read than is asked for.

use std::io::Cursor;

use rmp_serde::Deserializer;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The largest array whose length stands in its first byte, and what that byte is without the length.
const SHORT: u8 = 15;
const ARRAY: u8 = 0x90;

/// The fields of a record after its key, in the MessagePack form in which they were written: an array whose first
/// item is the key.
#[derive(Debug)]
pub(crate) struct KeyedRecord {
    payload: Vec<u8>,
    fields: u8,
    /// Where the next field begins.
    at: usize,
}

impl KeyedRecord {
    /// The key of a record and the rest; none of what is no such record.
    pub(crate) fn read<K: DeserializeOwned>(payload: Vec<u8>) -> Option<(K, Self)> {
        let fields = payload.first()?.checked_sub(ARRAY)?;
        if !(2..=SHORT).contains(&fields) {
            return None;
        }
        let mut record = Self {
            payload,
            fields,
            at: 1,
        };
        Some((record.take()?, record))
    }

    /// How many fields there are, the key among them.
    pub(crate) fn fields(&self) -> u8 {
        self.fields
    }

    /// The next field, which is behind us then.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut reader = Deserializer::new(Cursor::new(self.payload.get(self.at..)?));
        let value = T::deserialize(&mut reader).ok()?;
        self.at += reader.position() as usize;
        Some(value)
    }

    /// The last field.
    pub(crate) fn value<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        rmp_serde::from_slice(self.payload.get(self.at..)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_as_one_is_read_in_parts() {
        let payload = rmp_serde::to_vec(&([200u8; 32], 1u64 << 40, vec!["a", "b"])).unwrap();
        let (key, mut record): ([u8; 32], _) = KeyedRecord::read(payload).unwrap();
        assert_eq!((key, record.fields()), ([200; 32], 3));
        assert_eq!(record.take::<u64>(), Some(1 << 40));
        assert_eq!(record.value(), Some(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn what_is_cut_off_or_no_record_is_not_there() {
        let payload = rmp_serde::to_vec(&([1u8; 16], "value")).unwrap();
        for cut in 0..payload.len() {
            let read = KeyedRecord::read::<[u8; 16]>(payload[..cut].to_vec());
            assert_eq!(read.and_then(|(_, record)| record.value::<String>()), None);
        }
        assert!(KeyedRecord::read::<[u8; 16]>(vec![0x81, 1, 2]).is_none());
    }
}
