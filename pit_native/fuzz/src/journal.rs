//! The reader of a run's journal, over a file that anybody may have written: it may not panic, hang or
//! take memory without bound. Checksums are put right first, unless the first bit says no.

use dag_tracker::RecordLog;
use run_loop::{JOURNAL, read_history};

const MAGIC: &[u8; 8] = b"SYMRUN01";

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
    if let Ok((mut log, before)) = RecordLog::open(&path, MAGIC) {
        // What is added afterwards is read, whatever stood there.
        log.push(b"one more");
        log.flush().expect("written");
        let again = dag_tracker::read_records(&path, MAGIC).expect("read");
        assert_eq!(again.payloads.len(), before.payloads.len() + 1);
    }
}

/// Makes records of any bytes: each gets a length that fits and its checksum.
fn mend(file: &mut [u8]) {
    if file.len() < MAGIC.len() {
        return;
    }
    file[..MAGIC.len()].copy_from_slice(MAGIC);
    let mut at = MAGIC.len();
    while file.len() - at >= 8 {
        let rest = (file.len() - at - 8) as u32;
        let record = &mut file[at..];
        let length = u32::from_le_bytes(record[..4].try_into().expect("four bytes"));
        let length = if length > rest {
            length % (rest + 1)
        } else {
            length
        };
        record[..4].copy_from_slice(&length.to_le_bytes());
        let end = 8 + length as usize;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&record[..4]);
        crc.update(&record[8..end]);
        let crc = crc.finalize();
        record[4..8].copy_from_slice(&crc.to_le_bytes());
        at += end;
    }
}
