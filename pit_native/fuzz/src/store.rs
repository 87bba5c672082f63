//! The readers of the artifact store, over files that anybody may have written: none may panic, hang or
//! take memory without bound.
//!
//! Of each file the checksums are put right first, unless its first bit says no: else nothing but the
//! checksum would ever be tried.

use artifact_store::{Filter, Options, Store};
use std::fs;
use std::path::Path;

/// A store whose log a checkpoint belongs to.
const LOG: &[u8] =
    include_bytes!("../../artifact_store/tests/fixtures/plain_2/segments/00000001.log");
const HEADER: usize = 32;

fn options(key: Option<[u8; 32]>) -> Options {
    Options {
        key: key.map(Into::into),
        search: false,
        ..Options::default()
    }
}

/// A segment of the log.
pub fn segment(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let mut log = data.to_vec();
    if first & 1 == 0 {
        mend_log(&mut log);
    }
    let key = (first & 2 != 0).then_some([1; 32]);
    in_store(&[("segments/00000001.log", &log)], key);
}

/// The index beside the log.
pub fn checkpoint(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let mut file = data.to_vec();
    if first & 1 == 0 {
        mend_checkpoint(&mut file);
    }
    in_store(
        &[("segments/00000001.log", LOG), ("index/checkpoint", &file)],
        None,
    );
}

/// The file of keys.
pub fn keys(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let mut file = data.to_vec();
    if first & 1 == 0 {
        mend_keys(&mut file);
    }
    in_store(&[("keys", &file)], Some([1; 32]));
}

/// Opens a store of these files and asks it for everything.
fn in_store(files: &[(&str, &[u8])], key: Option<[u8; 32]>) {
    let dir = crate::scratch::folder();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    for _ in 0..2 {
        ask(dir.path(), key);
    }
}

fn ask(path: &Path, key: Option<[u8; 32]>) {
    let Ok(store) = Store::open(path, options(key)) else {
        return;
    };
    let listed = store.list(100, 0, &Filter::default()).unwrap_or_default();
    for info in &listed {
        let _ = store.versions(&info.name);
        let Ok(id) = info.id.parse() else {
            continue;
        };
        let _ = (store.info(&id), store.get(&id), store.size(&id));
        if let Ok(mut cursor) = store.cursor(&id) {
            let mut out = [0; 4096];
            for _ in 0..64 {
                match store.read(&mut cursor, &mut out) {
                    Ok(count) if count > 0 => {}
                    _ => break,
                }
            }
        }
    }
    let _ = (store.stats(), store.held(), store.remote(), store.verify());
    let _ = store.gc(&[], Some(1.0));
    let _ = store.close();
}

/// Makes records of any bytes: each gets a magic, a kind, a length that fits, and its checksums.
fn mend_log(log: &mut [u8]) {
    let mut at = 0;
    while log.len() - at >= HEADER {
        let rest = (log.len() - at - HEADER) as u64;
        let record = &mut log[at..];
        record[..4].copy_from_slice(b"SyA\x01");
        record[4] = 1 + record[4].wrapping_sub(1) % 7;
        let length = u64::from_le_bytes(record[16..24].try_into().expect("eight bytes"));
        let length = if length > rest {
            length % (rest + 1)
        } else {
            length
        };
        record[16..24].copy_from_slice(&length.to_le_bytes());
        let end = HEADER + length as usize;
        let crc = crc32fast::hash(&record[HEADER..end]);
        record[24..28].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&record[..28]);
        record[28..32].copy_from_slice(&crc.to_le_bytes());
        at += end;
    }
}

/// Makes a checkpoint of any bytes: blocks with their checksums, a footer that begins where they end, a
/// trailer. The first number of the footer tells the file's blocks from those of another one.
fn mend_checkpoint(file: &mut [u8]) {
    const BLOCK: usize = 4096;
    let Some(behind) = file.len().checked_sub(20) else {
        return;
    };
    // The footer keeps its length if blocks can stand before it.
    let field = file[behind..behind + 8].try_into().expect("eight bytes");
    let most = (behind / BLOCK) as u64;
    let wanted = behind as u64 - u64::from_le_bytes(field).min(behind as u64);
    let blocks = (wanted / BLOCK as u64).min(most) as usize;
    let (body, trailer) = file.split_at_mut(behind);
    let (body, footer) = body.split_at_mut(blocks * BLOCK);
    let generation = footer.first_chunk::<8>().copied().unwrap_or_default();
    for (number, block) in body.chunks_exact_mut(BLOCK).enumerate() {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&block[..BLOCK - 4]);
        crc.update(b"SyBlock\x01");
        crc.update(&generation);
        crc.update(&(number as u32).to_le_bytes());
        block[BLOCK - 4..].copy_from_slice(&crc.finalize().to_le_bytes());
    }
    trailer[..8].copy_from_slice(&(footer.len() as u64).to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(footer);
    crc.update(&trailer[..8]);
    trailer[8..12].copy_from_slice(&crc.finalize().to_le_bytes());
    trailer[12..].copy_from_slice(b"SyIndex\x04");
}

/// Gives a file of keys its magic, and the checksum of all before it.
fn mend_keys(file: &mut [u8]) {
    if file.len() < 12 {
        return;
    }
    file[..8].copy_from_slice(b"SyKeys\x01\n");
    let end = file.len() - 4;
    let crc = crc32fast::hash(&file[..end]);
    file[end..].copy_from_slice(&crc.to_le_bytes());
}
