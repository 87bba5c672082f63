//! Times `true` in a sandbox: p50 and p95 in milliseconds, beside bubblewrap when it is installed.

use std::path::PathBuf;
use std::process::{Command, Stdio as ProcessStdio};
use std::time::{Duration, Instant};

use sandbox::{Spec, spawn};

fn main() {
    let launcher = PathBuf::from(std::env::args().nth(1).expect("the launcher's path"));
    let rounds: usize = std::env::args()
        .nth(2)
        .map_or(200, |text| text.parse().expect("a number"));
    let spec: Spec = serde_json::from_value(serde_json::json!({
        "argv": ["/usr/bin/true"], "env": [["PATH", "/usr/bin"]],
    }))
    .expect("a spec");
    let (mut ours, mut started, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        let child = spawn(&launcher, &spec).expect("a sandbox");
        started.push(begin.elapsed());
        assert_eq!(child.wait(None).expect("wait").expect("an end").code, 0);
        ours.push(begin.elapsed());
        used.push(Duration::from_secs_f64(
            child.usage().expect("what it used").cpu_seconds,
        ));
        drop(child);
        let begin = Instant::now();
        let peer = Command::new("bwrap")
            .args([
                "--unshare-all",
                "--ro-bind",
                "/usr",
                "/usr",
                "--symlink",
                "usr/lib64",
                "/lib64",
            ])
            .args([
                "--symlink",
                "usr/lib",
                "/lib",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "--tmpfs",
                "/tmp",
            ])
            .args(["--die-with-parent", "--new-session", "/usr/bin/true"])
            .stdin(ProcessStdio::null())
            .status();
        if peer.is_ok_and(|status| status.success()) {
            theirs.push(begin.elapsed());
        }
    }
    for (name, mut times) in [
        ("symphony", ours),
        ("symphony, until started", started),
        ("symphony, CPU time inside", used),
        ("bwrap", theirs),
    ] {
        times.sort_unstable();
        if let (Some(half), Some(most)) = (
            times.get(times.len() / 2),
            times.get(times.len() * 95 / 100),
        ) {
            println!(
                "{name}: p50 {:.2} ms, p95 {:.2} ms",
                half.as_secs_f64() * 1e3,
                most.as_secs_f64() * 1e3
            );
        }
    }
}
