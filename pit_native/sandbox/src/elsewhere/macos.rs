//! macOS: a Seatbelt profile for `sandbox-exec`, made from a spec. Compiled, never run.

use std::fmt::Write as _;
use std::path::Path;

use super::Enforced;
use crate::error::SandboxError;
use crate::spec::{Mode, Spec};

/// What Seatbelt is asked for.
pub const ENFORCED: [Enforced; 6] = [
    Enforced {
        layer: "private_root",
        is_asked_for: true,
        detail: "Seatbelt refuses every path that the profile does not name; names stay those of the machine",
    },
    Enforced {
        layer: "network_namespace",
        is_asked_for: true,
        detail: "Seatbelt refuses all sockets of the network",
    },
    Enforced {
        layer: "no_new_privileges",
        is_asked_for: true,
        detail: "set-user-id programs are not executed under a profile that does not allow it",
    },
    Enforced {
        layer: "pid_namespace",
        is_asked_for: false,
        detail: "macOS has no namespaces: signals are limited to the sandbox, a daemon is not ended with it",
    },
    Enforced {
        layer: "seccomp",
        is_asked_for: false,
        detail: "macOS has no filter of system calls for programs",
    },
    Enforced {
        layer: "control_groups",
        is_asked_for: false,
        detail: "macOS limits no memory of several processes together",
    },
];

/// Programs and libraries of the system, without which nothing starts.
const SYSTEM: [&str; 6] = [
    "/usr/lib",
    "/usr/bin",
    "/bin",
    "/usr/share",
    "/System/Library",
    "/private/var/db/dyld",
];
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/// The profile, in Seatbelt's language: everything is refused but what the spec names.
///
/// # Errors
/// [`SandboxError::InvalidSpec`] for what Seatbelt cannot express: another name inside than outside, a layer over a
/// folder, devices, a path with control characters.
pub fn profile(spec: &Spec) -> Result<String, SandboxError> {
    let mut text = String::from("(version 1)\n(deny default)\n");
    text.push_str(
        "(allow process-fork)\n(allow sysctl-read)\n(allow signal (target same-sandbox))\n",
    );
    for folder in SYSTEM {
        let _ = writeln!(text, "(allow file-read* (subpath \"{folder}\"))");
    }
    for device in DEVICES {
        let _ = writeln!(
            text,
            "(allow file-read* file-write-data (literal \"{device}\"))"
        );
    }
    if !spec.devices.is_empty() {
        return refuse("devices", "cannot be given on macOS");
    }
    for mount in &spec.mounts {
        if mount.target != mount.source {
            return refuse("mounts.target", "cannot differ from the source on macOS");
        }
        let place = quoted(&mount.source)?;
        match mount.mode {
            Mode::Overlay => return refuse("mounts.mode", "cannot be a private layer on macOS"),
            _ if !mount.layers.is_empty() => {
                return refuse("mounts.layers", "cannot be shown on macOS");
            }
            Mode::ReadOnly => {
                let _ = writeln!(text, "(allow file-read* (subpath {place}))");
            }
            Mode::ReadWrite => {
                let _ = writeln!(text, "(allow file-read* file-write* (subpath {place}))");
            }
        }
        if mount.plain {
            let kinds = "(require-any (vnode-type FIFO) (vnode-type SOCKET))";
            let _ = writeln!(
                text,
                "(deny file-read* file-write* (require-all (subpath {place}) {kinds}))"
            );
        }
    }
    match &spec.executables {
        Some(programs) => {
            for program in programs {
                let _ = writeln!(text, "(allow process-exec (literal {}))", quoted(program)?);
            }
        }
        None => text.push_str("(allow process-exec)\n"),
    }
    text.push_str("(deny network*)\n");
    Ok(text)
}

/// A path as a string of the profile: nothing in it can end the string.
fn quoted(path: &Path) -> Result<String, SandboxError> {
    let Some(text) = path.to_str() else {
        return refuse("mounts.source", "must be UTF-8 on macOS");
    };
    if text.chars().any(char::is_control) {
        return refuse("mounts.source", "cannot have control characters on macOS");
    }
    Ok(format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"")
    ))
}

fn refuse<T>(field: &'static str, reason: &str) -> Result<T, SandboxError> {
    Err(SandboxError::InvalidSpec {
        field,
        reason: reason.to_owned(),
    })
}

/// Starts the program under the profile, with the standard streams of `/dev/null` or the host.
///
/// # Errors
/// What [`super::check`] and [`profile`] refuse, and the system's answer.
#[cfg(target_os = "macos")]
pub fn spawn(spec: &Spec) -> Result<std::process::Child, SandboxError> {
    use std::process::{Command, Stdio};

    use crate::spec::Stdio as Stream;

    spec.validate()?;
    super::check(spec, &ENFORCED)?;
    let stream = |stream: &Stream| match stream {
        Stream::Null => Ok(Stdio::null()),
        Stream::Inherit => Ok(Stdio::inherit()),
        Stream::Fd(_) => refuse("stdio", "cannot be a descriptor on macOS"),
    };
    Command::new("/usr/bin/sandbox-exec")
        .arg("-p")
        .arg(profile(spec)?)
        .args(&spec.argv)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.cwd)
        .stdin(stream(&spec.stdio[0])?)
        .stdout(stream(&spec.stdio[1])?)
        .stderr(stream(&spec.stdio[2])?)
        .spawn()
        .map_err(|source| SandboxError::Host {
            operation: "starting sandbox-exec",
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Mount;

    fn spec(mount: impl FnOnce(&mut Mount)) -> Spec {
        let mut spec: Spec = serde_json::from_str(r#"{"argv": ["true"]}"#).expect("a spec");
        let mut shown = Mount {
            source: "/Users/ann/project".into(),
            target: "/Users/ann/project".into(),
            mode: Mode::ReadOnly,
            plain: true,
            layers: Vec::new(),
        };
        mount(&mut shown);
        spec.mounts.push(shown);
        spec
    }

    #[test]
    fn everything_is_refused_but_what_is_named() {
        let mut given = spec(|_| ());
        given.executables = Some(vec!["/usr/bin/true".into()]);
        let text = profile(&given).expect("a profile");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["(version 1)", "(deny default)"]);
        assert!(lines.contains(&r#"(allow file-read* (subpath "/Users/ann/project"))"#));
        assert!(lines.contains(&r#"(allow process-exec (literal "/usr/bin/true"))"#));
        assert_eq!(lines.last(), Some(&"(deny network*)"));
        assert!(!text.contains("file-write* (subpath"), "{text}");
        assert!(text.contains("(vnode-type SOCKET)"), "{text}");
        let writable = spec(|mount| mount.mode = Mode::ReadWrite);
        let text = profile(&writable).expect("a profile");
        assert!(text.contains(r#"(allow file-read* file-write* (subpath "/Users/ann/project"))"#));
    }

    #[test]
    fn no_path_ends_its_string() {
        let evil = r#"/a\") (allow default) (literal "b"#;
        let text = profile(&spec(|mount| {
            mount.source = evil.into();
            mount.target = evil.into();
        }))
        .expect("a profile");
        assert!(
            text.contains(r#"(subpath "/a\\\") (allow default) (literal \"b"))"#),
            "{text}"
        );
        assert!(!text.lines().any(|line| line.starts_with("(allow default)")));
        profile(&spec(|mount| {
            mount.source = "/a\n(allow default)".into();
            mount.target = mount.source.clone();
        }))
        .expect_err("a line break");
    }

    #[test]
    fn what_cannot_be_expressed_is_refused() {
        profile(&spec(|mount| mount.mode = Mode::Overlay)).expect_err("a layer");
        profile(&spec(|mount| mount.target = "/elsewhere".into())).expect_err("another name");
        profile(&spec(|mount| mount.layers.push("/b".into()))).expect_err("layers");
        let mut devices = spec(|_| ());
        devices.devices.push("/dev/nvidia0".into());
        profile(&devices).expect_err("devices");
    }

    #[test]
    fn what_is_missing_refuses_unless_it_was_waived() {
        let mut given = spec(|_| ());
        let refused = super::super::check(&given, &ENFORCED).expect_err("no namespaces");
        assert!(refused.to_string().contains("pid_namespace"), "{refused}");
        given.allow_missing = ["pid_namespace", "seccomp", "control_groups"]
            .map(str::to_owned)
            .into();
        super::super::check(&given, &ENFORCED).expect("all were waived");
    }
}
