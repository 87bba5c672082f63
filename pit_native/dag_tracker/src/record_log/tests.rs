use super::*;
use proptest::prelude::*;
use std::fs;

const NAME: &LogName = b"SYMTEST";
const PLAIN: &[u8] = b"SYMTEST1";

/// A log of `payloads` in `form`, and where its name and each of its records end.
fn written(path: &Path, form: Form, payloads: &[Vec<u8>]) -> Vec<u64> {
    let mut log = RecordLog::create(path, NAME).unwrap();
    if form == Form::Plain {
        fs::write(path, PLAIN).unwrap();
        (log, _) = RecordLog::open(path, NAME).unwrap();
        assert_eq!(log.form, form);
    }
    let mut ends = vec![log.length()];
    for payload in payloads {
        log.push(payload);
        log.flush().unwrap();
        ends.push(log.length());
    }
    ends
}

fn payloads(count: u8, step: usize) -> Vec<Vec<u8>> {
    let payload = |i: u8| vec![i.wrapping_mul(37) | 1; i as usize * step];
    (0..count).map(payload).collect()
}

/// How many records end at or before `byte`.
fn before(ends: &[u64], byte: usize) -> usize {
    let ended = ends.iter().filter(|&&end| end <= byte as u64).count();
    ended.saturating_sub(1)
}

/// Opens `bytes`, which must give the first `kept` records, and goes on with them.
fn goes_on(path: &Path, bytes: &[u8], payloads: &[Vec<u8>], kept: usize) {
    fs::write(path, bytes).unwrap();
    let (mut log, records) = RecordLog::open(path, NAME).unwrap();
    assert_eq!(records.payloads, payloads[..kept]);
    log.push(b"after");
    log.push(b"it");
    log.flush().unwrap();
    let again = read_records(path, NAME).unwrap();
    assert_eq!((again.payloads.len(), again.torn), (kept + 2, 0));
    assert_eq!(again.payloads[kept..], [b"after".as_slice(), b"it"]);
}

/// Reads `bytes`, which must be refused; where the damage is said to be.
fn refused(bytes: &[u8]) -> Option<(u64, u32)> {
    match parse(Path::new("log"), bytes, NAME) {
        Err(LogError::Damaged { offset, number, .. }) => Some((offset, number)),
        Err(LogError::NotALog { .. }) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_log_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let ends = written(&path, Form::Numbered, &payloads(4, 7));
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[2] as usize + 20] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let told = RecordLog::open(&path, NAME).unwrap_err().to_string();
    let words = format!(
        "log is damaged at byte {}: record 2 does not match",
        ends[2]
    );
    assert!(told.contains(&words), "{told}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_log_cut_anywhere_keeps_its_whole_records_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    for form in [Form::Plain, Form::Numbered] {
        let payloads = payloads(6, 7);
        let ends = written(&path, form, &payloads);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            goes_on(&path, &whole[..cut], &payloads, before(&ends, cut));
        }
    }
}

#[test]
fn every_flipped_bit_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let ends = written(&path, Form::Numbered, &payloads(6, 7));
    let whole = fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let hit = before(&ends, bit / 8);
        let place = (bit / 8 >= MAGIC as usize).then(|| (ends[hit], hit as u32));
        assert_eq!(refused(&bytes), place, "bit {bit}");
    }
}

/// The form that has no checksum of its lengths: what is behind the damage tells it from a torn tail.
#[test]
fn a_flipped_bit_in_an_old_log_is_told_unless_in_its_last_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let payloads = payloads(6, 7);
    let ends = written(&path, Form::Plain, &payloads);
    let whole = fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let hit = before(&ends, bit / 8);
        if hit == payloads.len() - 1 {
            let (records, _) = parse(&path, &bytes, NAME).unwrap();
            assert_eq!(records.payloads, payloads[..hit]);
        } else {
            let place = (bit / 8 >= MAGIC as usize).then(|| (ends[hit], hit as u32));
            assert_eq!(refused(&bytes), place, "bit {bit}");
        }
    }
}

#[test]
fn zeros_where_a_record_was_not_written_yet_are_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let payloads = payloads(8, 150);
    let ends = written(&path, Form::Numbered, &payloads);
    let whole = fs::read(&path).unwrap();
    let sectors = (MAGIC as usize..whole.len()).filter(|at| at % 512 == 0);
    for cut in sectors.chain(ends.iter().map(|&end| end as usize)) {
        for length in [whole.len(), whole.len().next_multiple_of(4096)] {
            let mut bytes = whole[..cut].to_vec();
            bytes.resize(length, 0);
            goes_on(&path, &bytes, &payloads, before(&ends, cut));
        }
    }
    // Zeros within a log, with records behind them, are none.
    let mut bytes = whole.clone();
    bytes[512..1024].fill(0);
    let hit = before(&ends, 512);
    assert_eq!(refused(&bytes), Some((ends[hit], hit as u32)));
}

#[test]
fn a_record_that_is_lost_twice_there_or_in_another_s_place_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let ends = written(&path, Form::Numbered, &payloads(6, 7));
    let whole = fs::read(&path).unwrap();
    let record = |at: usize| &whole[ends[at] as usize..ends[at + 1] as usize];
    for at in 0..5 {
        let (start, end) = (ends[at] as usize, ends[at + 1] as usize);
        let lost = [&whole[..start], &whole[end..]].concat();
        assert_eq!(refused(&lost), Some((start as u64, at as u32)));
        let twice = [&whole[..end], record(at), &whole[end..]].concat();
        assert_eq!(refused(&twice), Some((end as u64, at as u32 + 1)));
        let after = ends[at + 2] as usize;
        let swapped = [&whole[..start], record(at + 1), record(at), &whole[after..]].concat();
        assert_eq!(refused(&swapped), Some((start as u64, at as u32)));
    }
}

#[test]
fn what_a_failed_write_left_is_cut_before_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    written(&path, Form::Numbered, &payloads(3, 7));
    let (mut log, _) = RecordLog::open(&path, NAME).unwrap();
    let writable = std::mem::replace(&mut log.file, File::open(&path).unwrap());
    log.push(b"lost");
    assert!(log.flush().is_err());
    assert!(!log.is_dirty());
    log.file = writable;
    log.file
        .write_all(b"half a record, which could not be cut")
        .unwrap();
    log.push(b"kept");
    log.flush().unwrap();
    let records = read_records(&path, NAME).unwrap();
    assert_eq!(records.payloads[3..], [b"kept"]);
    assert_eq!(records.torn, 0);
}

#[test]
fn a_log_that_is_renewed_is_written_whole_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    written(&path, Form::NEW, &payloads(3, 20));
    let (mut log, _) = RecordLog::open(&path, NAME).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    log.file.set_modified(long_ago).unwrap();
    let before = fs::read(&path).unwrap();
    log.renew().unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_ne!(log.file.metadata().unwrap().modified().unwrap(), long_ago);
    log.push(b"more");
    log.flush().unwrap();
    assert_eq!(read_records(&path, NAME).unwrap().payloads[3..], [b"more"]);
}

#[test]
fn another_file_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    for text in ["hello, world", "SYM", "SYMTEST7", "SYMTOAST"] {
        fs::write(&path, text).unwrap();
        let is_beginning = NAME.starts_with(text.as_bytes());
        assert_eq!(read_records(&path, NAME).is_ok(), is_beginning, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is written over a log: it is refused, or gives the records before the change; and those
    /// fewer than all only when the change left what a crash leaves.
    #[test]
    fn a_changed_log_never_gives_fewer_records_in_silence(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 1..12),
        is_plain in any::<bool>(),
        at in any::<prop::sample::Index>(),
        change in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let form = if is_plain { Form::Plain } else { Form::Numbered };
        let ends = written(&path, form, &payloads);
        let whole = fs::read(&path).unwrap();
        let at = MAGIC as usize + at.index(whole.len() - MAGIC as usize);
        let mut bytes = whole.clone();
        let end = (at + change.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&change[..end - at]);
        match parse(&path, &bytes, NAME).map(|(records, _)| records) {
            Ok(records) if bytes == whole => prop_assert_eq!(records.payloads, payloads),
            Ok(records) => {
                let first = bytes.iter().zip(&whole).position(|(a, b)| a != b).unwrap();
                let kept = before(&ends, first);
                prop_assert_eq!(&records.payloads[..], &payloads[..kept]);
                let is_last = ends[..payloads.len()].iter().all(|&start| start < end as u64);
                let is_empty = bytes[ends[kept] as usize..].iter().all(|&byte| byte == 0);
                prop_assert!(is_plain && is_last || is_empty);
            }
            Err(LogError::Damaged { offset, .. }) => prop_assert!(bytes != whole && offset <= end as u64),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
