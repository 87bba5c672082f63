//! `kill -9` of a host that writes a journal: what it was told is written is read again.
//!
//! The test starts itself again as the writer and kills it, `SYMPHONY_KILLS` times, 30 without it.

use rmpv::Value;
use run_loop::{JOURNAL, Journal, Plan, Record, read_history, read_plan};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The folder that a writer works in, and the number of its first node.
const FOLDER: &str = "SYMPHONY_JOURNAL_FOLDER";
const FIRST: &str = "SYMPHONY_JOURNAL_FIRST";
/// Hosts that follow each other on one run.
const LIVES: u32 = 6;
const NODES: u32 = 4000;

/// Independent nodes `n0`, `n1`, ….
fn plan() -> Plan {
    let text = |words: &str| Value::from(words.to_owned());
    let node = |number: u32| {
        Value::Map(vec![
            (text("id"), text(&format!("n{number}"))),
            (text("kind"), text("player")),
            (text("key"), text("key")),
            (text("player"), text("publisher/extension#function")),
        ])
    };
    let document = Value::Map(vec![
        (text("run"), text("run")),
        (text("nodes"), Value::Array((0..NODES).map(node).collect())),
        (text("edges"), Value::Array(Vec::new())),
    ]);
    read_plan(&document).expect("a plan")
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes())
        .expect("told");
    out.flush().expect("told");
}

/// What a killed writer was doing; only run by [`killed_hosts_lose_no_record`].
#[test]
#[ignore = "the writer that the other test starts and kills"]
fn writer() {
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else {
        return;
    };
    let (mut journal, _) = Journal::resume(&plan(), Path::new(&folder)).expect("resumed");
    for node in first.parse().expect("a number")..NODES {
        let attempt = 1;
        journal.push(&Record::Started { node, attempt });
        journal.flush().expect("written");
        tell(&format!("started {node}"));
        journal.push(&Record::Finished {
            node,
            attempt,
            is_cached: false,
            stored: std::sync::Arc::default(),
        });
        journal.flush().expect("written");
        tell(&format!("finished {node}"));
    }
}

/// Starts a writer and kills it after so many lines and a moment; the nodes that it told of.
fn kill_one(folder: &Path, first: u32, lines: u32, moment: Duration) -> (Vec<u32>, Vec<u32>) {
    let mut writer = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "writer",
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut out = BufReader::new(writer.stdout.take().expect("a pipe"));
    let (mut started, mut finished, mut seen) = (Vec::new(), Vec::new(), 0);
    let mut line = String::new();
    while out.read_line(&mut line).expect("a line") > 0 {
        let told = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once(' '));
        let nodes = match told {
            Some(("started", _)) => Some(&mut started),
            Some(("finished", _)) => Some(&mut finished),
            _ => None,
        };
        if let (Some(nodes), Some((_, node))) = (nodes, told) {
            nodes.push(node.parse().expect("a node"));
            seen += 1;
            if seen == lines {
                let start = Instant::now();
                while start.elapsed() < moment {
                    std::hint::spin_loop();
                }
                writer.kill().expect("killed");
            }
        }
        line.clear();
    }
    let ended = writer.wait_with_output().expect("ended");
    assert!(
        seen >= lines,
        "the writer failed: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    (started, finished)
}

#[test]
fn killed_hosts_lose_no_record() {
    let kills: u32 =
        std::env::var("SYMPHONY_KILLS").map_or(30, |kills| kills.parse().expect("a number"));
    let plan = plan();
    let mut killed = 0;
    while killed < kills {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut all_started, mut all_finished) = (Vec::new(), Vec::new());
        for life in 1..=LIVES.min(kills - killed) {
            let first = all_started.iter().max().map_or(0, |last: &u32| last + 1);
            if first > NODES / 2 {
                // A writer that was let run has done most of this run; the next begins another.
                break;
            }
            killed += 1;
            let lines = 1 + killed * 7 % 60;
            let moment = Duration::from_micros(u64::from(killed * 37 % 500));
            let (started, finished) = kill_one(dir.path(), first, lines, moment);
            all_started.extend(started);
            all_finished.extend(finished);
            let history = read_history(&dir.path().join(JOURNAL), "run").expect("read");
            assert_eq!(history.lives, life, "kill {killed}");
            let past = |node: &u32| &history.nodes[&format!("n{node}")];
            assert!(
                all_started.iter().all(|node| past(node).attempts == 1),
                "kill {killed}"
            );
            for node in &all_finished {
                let found = past(node).finished.as_ref().map(|(print, _)| *print);
                assert_eq!(
                    found,
                    Some(plan.fingerprint(*node)),
                    "kill {killed}: n{node}"
                );
            }
        }
    }
}
