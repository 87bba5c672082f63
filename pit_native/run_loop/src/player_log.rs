//! What Players log: JSON lines in a file of the structured log, written by a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use rmpv::Value;
use rustc_hash::FxHashMap;
use serde_json::json;

use crate::decisions::field;

/// The name of the process in the log.
const PROCESS: &str = "players";
/// What one extension may have waiting for the disk, in bytes. Beyond it, its lines are counted, not kept.
const WAITING: usize = 4 << 20;
const LEVELS: [&str; 4] = ["debug", "info", "warning", "error"];

/// Where and how much is written.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// The folder of the structured log.
    pub folder: PathBuf,
    /// The lowest level that is written; an unknown word is `info`.
    pub level: String,
    /// Size at which the file is rotated.
    pub max_bytes: u64,
    /// Rotated files that are kept.
    pub backups: u32,
}

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Speaker {
    /// The run, perhaps a nested one.
    pub run: Arc<str>,
    /// The node in it.
    pub node: Arc<str>,
    /// The extension.
    pub extension: Arc<str>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    sizes: FxHashMap<Arc<str>, usize>,
    dropped: FxHashMap<Speaker, u64>,
    accepted: u64,
    written: u64,
    lost: u64,
    is_ending: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    settled: Condvar,
}

/// The log of all Players. A line costs its sender no system call.
#[derive(Debug)]
pub struct PlayerLog {
    shared: Arc<Shared>,
    lowest: usize,
    thread: Option<JoinHandle<()>>,
}

impl PlayerLog {
    /// Starts the thread.
    pub fn start(settings: LogSettings) -> io::Result<Self> {
        std::fs::create_dir_all(&settings.folder)?;
        let shared = Arc::new(Shared::default());
        let lowest = rank(&settings.level);
        let ours = shared.clone();
        let thread = std::thread::Builder::new()
            .name("player-log".into())
            .spawn(move || serve(&ours, &mut LogFile::new(settings)))?;
        Ok(Self {
            shared,
            lowest,
            thread: Some(thread),
        })
    }

    /// Takes a line: `body` has `level`, `message` and perhaps `fields`.
    pub fn write(&self, speaker: &Speaker, body: &Value) {
        let text = |key: &str| field(body, key).and_then(Value::as_str).unwrap_or_default();
        let level = rank(text("level"));
        if level < self.lowest {
            return;
        }
        let fields = field(body, "fields").filter(|fields| !fields.is_nil());
        let line = format_line(speaker, LEVELS[level], text("message"), fields);
        let mut waiting = self.shared.waiting.lock();
        let size = waiting.sizes.entry(speaker.extension.clone()).or_default();
        if *size >= WAITING {
            *waiting.dropped.entry(speaker.clone()).or_default() += 1;
            waiting.lost += 1;
            return;
        }
        *size += line.len();
        let was_empty = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(&line);
        waiting.accepted += 1;
        if was_empty {
            self.shared.arrived.notify_one();
        }
    }

    /// Waits until all that was taken is in the file; false when that takes longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut waiting = self.shared.waiting.lock();
        let goal = waiting.accepted;
        while waiting.written < goal {
            let wait = self.shared.settled.wait_until(&mut waiting, until);
            if wait.timed_out() {
                return waiting.written >= goal;
            }
        }
        true
    }

    /// Lines that were not written, because the disk was slower than who wrote them, or refused.
    pub fn lost(&self) -> u64 {
        self.shared.waiting.lock().lost
    }
}

impl Drop for PlayerLog {
    fn drop(&mut self) {
        self.shared.waiting.lock().is_ending = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread costs lines of the log, nothing else.
            let _ = thread.join();
        }
    }
}

fn rank(level: &str) -> usize {
    match level {
        "critical" => 3,
        "warn" => 2,
        level => LEVELS.iter().position(|known| *known == level).unwrap_or(1),
    }
}

fn format_line(speaker: &Speaker, level: &str, message: &str, fields: Option<&Value>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = now.map_or(0.0, |elapsed| elapsed.as_micros() as f64 / 1e6);
    let mut entry = json!({
        "time": time,
        "level": level,
        "component": format!("player.{}", speaker.extension),
        "process": PROCESS,
        "message": message,
    });
    // What happens in a nested run is shown at its place in the root run.
    let (root, inner) = speaker.run.split_once('/').unwrap_or((&speaker.run, ""));
    if !root.is_empty() {
        entry["run"] = root.into();
        entry["node"] = match inner {
            "" => (&*speaker.node).into(),
            inner => format!("{inner}/{}", speaker.node).into(),
        };
    }
    if let Some(fields) = fields {
        entry["fields"] = serde_json::to_value(fields).unwrap_or_default();
    }
    let mut line = entry.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn serve(shared: &Shared, file: &mut LogFile) {
    loop {
        let mut waiting = shared.waiting.lock();
        while waiting.lines.is_empty() {
            if waiting.is_ending {
                return;
            }
            shared.arrived.wait(&mut waiting);
        }
        let mut lines = std::mem::take(&mut waiting.lines);
        let (goal, dropped) = (waiting.accepted, std::mem::take(&mut waiting.dropped));
        waiting.sizes.clear();
        drop(waiting);
        for (speaker, count) in &dropped {
            let message =
                format!("{count} lines were dropped: they came faster than the disk took them");
            lines.extend(format_line(speaker, "warning", &message, None));
        }
        let lost = file.write(&lines);
        let mut waiting = shared.waiting.lock();
        waiting.written = goal;
        waiting.lost += lost;
        drop(waiting);
        shared.settled.notify_all();
    }
}

/// The file, rotated as Python's `RotatingFileHandler` does it.
#[derive(Debug)]
struct LogFile {
    settings: LogSettings,
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl LogFile {
    fn new(settings: LogSettings) -> Self {
        let path = settings.folder.join(format!("{PROCESS}.jsonl"));
        Self {
            settings,
            path,
            open: None,
        }
    }

    /// Writes whole lines; how many could not be written.
    fn write(&mut self, mut lines: &[u8]) -> u64 {
        while !lines.is_empty() {
            let Ok(room) = self.room() else {
                return count(lines);
            };
            // As many lines as there is room for, and one at least.
            let until = (room as usize).min(lines.len());
            let end = lines[..until].iter().rposition(|&byte| byte == b'\n');
            let end = end.or_else(|| lines.iter().position(|&byte| byte == b'\n'));
            let (now, later) = lines.split_at(end.map_or(lines.len(), |end| end + 1));
            let Some((file, size)) = &mut self.open else {
                return count(lines);
            };
            if file.write_all(now).is_err() {
                self.open = None;
                return count(lines);
            }
            *size += now.len() as u64;
            lines = later;
        }
        0
    }

    /// Opens the file, or begins a new one when it is full: the bytes that go into it.
    fn room(&mut self) -> io::Result<u64> {
        if self
            .open
            .as_ref()
            .is_some_and(|(_, size)| *size >= self.settings.max_bytes)
        {
            self.open = None;
            self.rotate()?;
        }
        if self.open.is_none() {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            let size = file.metadata()?.len();
            self.open = Some((file, size));
        }
        let size = self.open.as_ref().map_or(0, |(_, size)| *size);
        Ok(self.settings.max_bytes.saturating_sub(size).max(1))
    }

    fn rotate(&self) -> io::Result<()> {
        let numbered = |number: u32| numbered(&self.path, number);
        for number in (1..self.settings.backups).rev() {
            // Not every number need be there.
            let _ = std::fs::rename(numbered(number), numbered(number + 1));
        }
        match self.settings.backups {
            0 => std::fs::remove_file(&self.path),
            _ => std::fs::rename(&self.path, numbered(1)),
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> LogSettings {
        LogSettings {
            folder: folder.to_owned(),
            level: "info".into(),
            max_bytes: 1 << 30,
            backups: 2,
        }
    }

    fn speaker(run: &str) -> Speaker {
        Speaker {
            run: run.into(),
            node: "n".into(),
            extension: "test/talker".into(),
        }
    }

    fn said(level: &str, message: &str) -> Value {
        Value::Map(vec![
            ("level".into(), level.into()),
            ("message".into(), message.into()),
        ])
    }

    fn entries(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_in_the_file_at_their_place_in_the_root_run() {
        let folder = tempfile::tempdir().unwrap();
        let log = PlayerLog::start(settings(folder.path())).unwrap();
        log.write(&speaker("run"), &said("warning", "one\ntwo"));
        log.write(&speaker("run"), &said("debug", "too quiet"));
        log.write(&speaker("run/map/3"), &said("shouting", "nested"));
        assert!(log.flush(Duration::from_secs(20)));
        let found = entries(&folder.path().join("players.jsonl"));
        let shown: Vec<_> = found
            .iter()
            .map(|e| {
                (
                    e["level"].as_str().unwrap(),
                    e["message"].as_str().unwrap(),
                    e["run"].as_str().unwrap(),
                    e["node"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("warning", "one\ntwo", "run", "n"),
                ("info", "nested", "run", "map/3/n")
            ]
        );
        assert_eq!(found[0]["component"], "player.test/talker");
    }

    #[test]
    fn a_flood_is_written_whole_or_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = PlayerLog::start(settings(folder.path())).unwrap();
        for turn in 0..40_000 {
            log.write(&speaker("run"), &said("info", &format!("turn {turn}")));
        }
        assert!(log.flush(Duration::from_secs(20)));
        let found = entries(&folder.path().join("players.jsonl"));
        let turns = found
            .iter()
            .filter(|e| e["message"].as_str().unwrap().starts_with("turn"));
        assert_eq!(turns.count() as u64 + log.lost(), 40_000);
    }

    #[test]
    fn files_are_rotated_at_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let small = LogSettings {
            max_bytes: 2000,
            ..settings(folder.path())
        };
        let log = PlayerLog::start(small).unwrap();
        for turn in 0..100 {
            log.write(&speaker("run"), &said("info", &format!("turn {turn}")));
        }
        assert!(log.flush(Duration::from_secs(20)));
        let path = folder.path().join("players.jsonl");
        let mut last = entries(&numbered(&path, 1));
        last.extend(entries(&path));
        assert_eq!(last.last().unwrap()["message"], "turn 99");
        assert!(!entries(&numbered(&path, 2)).is_empty() && !numbered(&path, 3).exists());
        assert!(path.metadata().unwrap().len() < 2400);
    }
}
