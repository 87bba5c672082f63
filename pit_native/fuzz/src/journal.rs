//! The reader of a run's journal, over a file that anybody may have written: it may not panic, hang or
//! take memory without bound. Checksums are put right first, unless the first bit says no.

use dag_tracker::{LogName, RecordLog};
use run_loop::{JOURNAL, read_history};

const NAME: &LogName = b"SYMRUN0";

/// A journal.
pub fn journal(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let mut file = data.to_vec();
    if first & 1 == 0 {
        mend(&mut file);
    }
    let dir = crate::scratch::folder();
    let path = dir.path().join(JOURNAL);
    std::fs::write(&path, &file).expect("written");
    let _ = read_history(&path, "run");
    let _ = dag_tracker::recover(&path);
    if let Ok((mut log, before)) = RecordLog::open(&path, NAME) {
        // What is added afterwards is read, whatever stood there.
        log.push(b"one more");
        log.flush().expect("written");
        let again = dag_tracker::read_records(&path, NAME).expect("read");
        assert_eq!(again.payloads.len(), before.payloads.len() + 1);
    }
}

/// Makes records of any bytes: each gets a length that fits, its number and its checksums. The byte after
/// the name chooses the form.
fn mend(file: &mut [u8]) {
    let Some((head, mut rest)) = file.split_at_mut_checked(NAME.len() + 1) else {
        return;
    };
    head[..NAME.len()].copy_from_slice(NAME);
    let is_plain = head[NAME.len()] == b'1';
    head[NAME.len()] = if is_plain { b'1' } else { b'2' };
    let size = if is_plain { 8 } else { 16 };
    for number in 0u32.. {
        let Some((header, body)) = rest.split_at_mut_checked(size) else {
            return;
        };
        let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
        let length = match length as usize > body.len() {
            true => length % (body.len() as u32 + 1),
            false => length,
        };
        let (payload, behind) = body.split_at_mut(length as usize);
        header[..4].copy_from_slice(&length.to_le_bytes());
        if is_plain {
            let sum = crc32fast::hash(&[&header[..4], payload].concat());
            header[4..].copy_from_slice(&sum.to_le_bytes());
        } else {
            header[4..8].copy_from_slice(&number.to_le_bytes());
            header[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
            let sum = crc32fast::hash(&header[..12]);
            header[12..].copy_from_slice(&sum.to_le_bytes());
        }
        rest = behind;
    }
}
