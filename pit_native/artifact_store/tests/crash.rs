//! `kill -9` at any moment: what was acknowledged is there, and everything checks out.
//!
//! The test starts itself again as a writer that tells over a pipe what was acknowledged. How often it
//! is killed is in `SYMPHONY_KILLS`, 30 without it.

use artifact_store::{ArtifactId, Filter, Options, Store, StoreError};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

mod support;
use support::*;

/// The folder that a writer works in.
const FOLDER: &str = "SYMPHONY_CRASH_FOLDER";
/// The seed of a writer, the number of the first content and the key, or nothing.
const WORK: &str = "SYMPHONY_CRASH_WORK";
/// Writers that follow each other on one store.
const GENERATIONS: u32 = 6;

/// A small generator: the same seed, the same crash as far as the machine allows it.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Small ones, packed ones, and large ones that share most of their bytes.
fn content(number: u32) -> Vec<u8> {
    let mut dice = Dice(u64::from(number));
    match number % 8 {
        7 => {
            let mut large: Vec<u8> = (0..6000u32)
                .flat_map(|line| (line * 77).to_le_bytes())
                .collect();
            let at = dice.roll(20_000) as usize;
            large.splice(at..at + 40, number.to_le_bytes());
            large
        }
        3 => format!("line {number}\n").repeat(700).into_bytes(),
        _ => (0..dice.roll(900))
            .flat_map(|_| number.to_le_bytes())
            .chain(*b"end")
            .collect(),
    }
}

fn settings(key: u8) -> Options {
    Options {
        key: (key > 0).then(|| [key; 32].into()),
        segment_bytes: 60_000,
        settle_after: 40,
        ..options()
    }
}

/// One line in one write, so that it comes whole or not at all.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes())
        .expect("told");
    out.flush().expect("told");
}

/// What a killed writer was doing; only run by [`killed_writers_lose_nothing`].
#[test]
#[ignore = "the writer that the other test starts and kills"]
fn writer() {
    let (Ok(path), Ok(work)) = (std::env::var(FOLDER), std::env::var(WORK)) else {
        return;
    };
    let work: Vec<u64> = work
        .split(' ')
        .map(|word| word.parse().expect("a number"))
        .collect();
    let (seed, first, mut key) = (work[0], work[1] as u32, work[2] as u8);
    let store = Store::open(Path::new(&path), settings(key)).expect("opened");
    let next = AtomicU32::new(first);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (store, next) = (&store, &next);
            scope.spawn(move || {
                let mut dice = Dice(seed ^ thread);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let name = match dice.roll(3) {
                        0 => format!("passing {}", dice.roll(5)),
                        _ => format!("kept {number}"),
                    };
                    store
                        .put(&content(number), &named(&name, "r"))
                        .expect("put");
                    if name.starts_with("kept") {
                        tell(&format!("put {number}"));
                    }
                }
            });
        }
        let mut dice = Dice(seed ^ 99);
        loop {
            match dice.roll(4) {
                0 if key > 0 => {
                    let new = 1 + (key % 200);
                    tell(&format!("rotating {new}"));
                    store
                        .rotate_key(&[new; 32].into(), dice.roll(2) == 0)
                        .expect("rotated");
                    tell(&format!("rotated {new}"));
                    key = new;
                }
                1 if key > 0 => _ = store.reencrypt().expect("encrypted anew"),
                _ => collect(&store),
            }
        }
    });
}

/// As [`writer`], of one that closes and opens its store all the time, so that it is mostly killed while a
/// checkpoint is written or read.
#[test]
#[ignore = "the writer that the other test starts and kills"]
fn reopener() {
    let (Ok(path), Ok(work)) = (std::env::var(FOLDER), std::env::var(WORK)) else {
        return;
    };
    let mut words = work
        .split(' ')
        .map(|word| word.parse::<u64>().expect("a number"));
    let (_, first, key) = (words.next(), words.next(), words.next());
    let mut number = first.expect("a number") as u32;
    loop {
        let store =
            Store::open(Path::new(&path), settings(key.expect("a key") as u8)).expect("opened");
        for _ in 0..60 {
            let name = format!("kept {number}");
            store
                .put(&content(number), &named(&name, "r"))
                .expect("put");
            tell(&format!("put {number}"));
            number += 1;
        }
        store.close().expect("closed");
        tell("collected");
    }
}

/// As [`writer`], of one whose index goes to the disk all the time.
#[test]
#[ignore = "the writer that the other test starts and kills"]
fn settler() {
    let (Ok(path), Ok(work)) = (std::env::var(FOLDER), std::env::var(WORK)) else {
        return;
    };
    let mut words = work
        .split(' ')
        .map(|word| word.parse::<u64>().expect("a number"));
    let (_, first, key) = (words.next(), words.next(), words.next());
    let settling = Options {
        settle_after: 6,
        ..settings(key.expect("a key") as u8)
    };
    let store = Store::open(Path::new(&path), settling).expect("opened");
    let next = AtomicU32::new(first.expect("a number") as u32);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let name = format!("kept {number}");
                    store
                        .put(&content(number), &named(&name, "r"))
                        .expect("put");
                    tell(&format!("put {number}"));
                }
            });
        }
    });
}

/// Removes what is only passing, of all that is listed.
fn collect(store: &Store) {
    let listed = store
        .list(usize::MAX, 0, &Filter::default())
        .expect("listed");
    let kept = listed.iter().filter(|info| info.name.starts_with("kept"));
    let keep: Vec<ArtifactId> = kept.map(|info| info.id.parse().expect("an id")).collect();
    let newest = listed.iter().map(|info| info.created).fold(0.0, f64::max);
    store.gc(&keep, Some(newest)).expect("collected");
    tell("collected");
}

/// What was learned of a writer until it was killed.
#[derive(Default)]
struct Told {
    put: Vec<u32>,
    /// The key that a rotation was to bring, and the one that it has brought.
    rotating: Option<u8>,
    rotated: Option<u8>,
}

/// Starts a writer, kills it after some lines and a moment more.
fn kill_one(path: &Path, kind: &str, seed: u64, first: u32, key: u8) -> Told {
    let mut writer = Command::new(std::env::current_exe().expect("this test"))
        .args([
            kind,
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, path)
        .env(WORK, format!("{seed} {first} {key}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut dice = Dice(seed);
    // A reopener tells 61 lines a round, and is killed around the last.
    let lines = match kind {
        "reopener" => 61 * (1 + dice.roll(3)) - dice.roll(2),
        "settler" => 10 + dice.roll(120),
        _ => 1 + dice.roll(40),
    };
    let moment = Duration::from_micros(dice.roll(3000));
    let mut told = Told::default();
    let mut seen = 0;
    let mut out = BufReader::new(writer.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while out.read_line(&mut line).expect("a line") > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = || words.get(1).and_then(|word| word.parse::<u32>().ok());
        let is_known = line.ends_with('\n')
            && matches!(
                words.first(),
                Some(&("put" | "rotating" | "rotated" | "collected"))
            );
        match (words.first(), number()) {
            (Some(&"put"), Some(number)) if is_known => told.put.push(number),
            (Some(&"rotating"), Some(key)) if is_known => told.rotating = Some(key as u8),
            (Some(&"rotated"), Some(key)) if is_known => {
                told.rotated = Some(key as u8);
                told.rotating = None;
            }
            _ => {}
        }
        seen += u64::from(is_known);
        if is_known && seen == lines {
            let start = Instant::now();
            while start.elapsed() < moment {
                std::hint::spin_loop();
            }
            writer.kill().expect("killed");
        }
        line.clear();
    }
    let ended = writer.wait_with_output().expect("ended");
    assert!(
        seen >= lines,
        "the writer failed: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    told
}

/// Opens what a killed writer has left, with the key that it had or was about to have.
fn reopen(path: &Path, key: &mut u8, told: &Told) -> Store {
    *key = told.rotated.unwrap_or(*key);
    match (open(path, *key), told.rotating) {
        (Ok(store), _) => store,
        (Err(StoreError::Key { .. }), Some(new)) => {
            *key = new;
            open(path, new).expect("opened with the new key")
        }
        (Err(error), _) => panic!("{error}"),
    }
}

/// Opens a store. A child that another test starts holds a copy of the lock's descriptor between its fork and
/// its exec, so that a lock just given back may be held for a moment longer.
fn open(path: &Path, key: u8) -> Result<Store, StoreError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open(path, settings(key)) {
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

#[test]
fn killed_writers_lose_nothing() {
    let kills: u32 =
        std::env::var("SYMPHONY_KILLS").map_or(30, |kills| kills.parse().expect("a number"));
    kill_all("writer", kills);
}

#[test]
fn who_is_killed_over_a_checkpoint_loses_nothing() {
    let kills: u32 =
        std::env::var("SYMPHONY_KILLS").map_or(12, |kills| kills.parse().expect("a number"));
    kill_all("reopener", kills);
}

#[test]
fn who_is_killed_while_the_index_settles_loses_nothing() {
    let kills: u32 =
        std::env::var("SYMPHONY_KILLS").map_or(12, |kills| kills.parse().expect("a number"));
    kill_all("settler", kills);
}

fn kill_all(kind: &str, kills: u32) {
    let mut killed = 0;
    for round in 0.. {
        let dir = folder();
        let mut key = u8::from(round % 2 == 1);
        let mut acknowledged = BTreeMap::new();
        let mut first = 0;
        for _ in 0..GENERATIONS {
            if killed == kills {
                return;
            }
            killed += 1;
            let told = kill_one(dir.path(), kind, u64::from(killed), first, key);
            let store = reopen(dir.path(), &mut key, &told);
            for number in &told.put {
                acknowledged.insert(*number, ArtifactId::of(&content(*number)));
            }
            first = acknowledged.keys().max().map_or(first, |last| last + 10);
            assert_eq!(store.verify().expect("verify"), [], "kill {killed}");
            for (number, id) in &acknowledged {
                let found = store.get(id);
                assert_eq!(
                    found.ok().as_ref(),
                    Some(&content(*number)),
                    "kill {killed}: {number}"
                );
                let versions = store.versions(&format!("kept {number}")).expect("versions");
                assert_eq!(versions.len(), 1, "kill {killed}: {number}");
            }
        }
    }
}
