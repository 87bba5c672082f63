//! Launches real sandboxes with the real launcher.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use sandbox::{Child, SandboxError, Spec, Stdio, spawn};

fn launcher() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_symphony-launcher"))
}

fn spec(argv: &[&str]) -> Spec {
    let value = serde_json::json!({
        "argv": argv,
        "env": [["PATH", "/usr/bin:/bin"], ["LANG", "C.UTF-8"]],
    });
    serde_json::from_value(value).expect("a spec")
}

fn code(child: &Child) -> i32 {
    child
        .wait(Some(Duration::from_secs(20)))
        .expect("wait")
        .expect("an end")
        .code
}

#[test]
fn the_exit_status_passes_through() {
    assert_eq!(code(&spawn(launcher(), &spec(&["true"])).expect("true")), 0);
    assert_eq!(
        code(&spawn(launcher(), &spec(&["sh", "-c", "exit 42"])).expect("sh")),
        42
    );
    assert_eq!(
        code(&spawn(launcher(), &spec(&["sh", "-c", "kill -9 $$"])).expect("sh")),
        137
    );
}

#[test]
fn output_arrives_and_closes() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut spec = spec(&["sh", "-c", "id -u; pwd; ls /; exec 1>&-; sleep 0.2"]);
    spec.stdio[1] = Stdio::Fd(writer.as_raw_fd());
    let child = spawn(launcher(), &spec).expect("sh");
    drop(writer);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).expect("its output");
    assert!(text.starts_with("1000\n/tmp\n"), "{text}");
    assert!(
        !text.contains(".host") && !text.contains("home") && !text.contains("root"),
        "{text}"
    );
    assert_eq!(code(&child), 0);
}

#[test]
fn a_program_that_does_not_exist_is_told_apart() {
    match spawn(launcher(), &spec(&["no-such-program"])) {
        Err(SandboxError::Program { exit_code: 127, .. }) => {}
        other => panic!("{other:?}"),
    }
    match spawn(launcher(), &spec(&["/etc/hosts"])) {
        Err(SandboxError::Program { exit_code: 126, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_mount_is_named() {
    let mut spec = spec(&["true"]);
    let source = "/no/such/folder";
    spec.mounts.push(sandbox::Mount {
        source: source.into(),
        target: source.into(),
        mode: sandbox::Mode::ReadOnly,
        plain: false,
        layers: Vec::new(),
    });
    let error = spawn(launcher(), &spec).expect_err("missing").to_string();
    assert!(error.contains(source), "{error}");
}

#[test]
fn kill_drop_and_signal_end_it() {
    let child = spawn(launcher(), &spec(&["sleep", "100"])).expect("sleep");
    let player = format!("/proc/{}", child.player_pid());
    assert!(Path::new(&player).exists());
    assert_ne!(child.pid(), child.player_pid());
    child.signal(libc::SIGTERM).expect("signal");
    assert_eq!(code(&child), 128 + libc::SIGTERM);
    assert!(!Path::new(&player).exists());

    let child = spawn(launcher(), &spec(&["sh", "-c", "sleep 100 & sleep 100"])).expect("sh");
    child.kill().expect("kill");
    assert_eq!(code(&child), 137);

    let child = spawn(launcher(), &spec(&["sleep", "100"])).expect("sleep");
    let player = format!("/proc/{}", child.player_pid());
    drop(child);
    assert!(!Path::new(&player).exists());
}

#[test]
fn a_folder_as_stream_is_refused() {
    let folder = std::fs::File::open("/").expect("a folder");
    let mut spec = spec(&["true"]);
    spec.stdio[0] = Stdio::Fd(folder.as_raw_fd());
    assert!(matches!(
        spawn(launcher(), &spec),
        Err(SandboxError::InvalidSpec { field: "stdio", .. })
    ));
}

#[test]
fn many_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(code(&spawn(launcher(), &spec(&["true"])).expect("true")), 0);
                }
            });
        }
    });
}
