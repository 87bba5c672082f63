//! What a sandbox contains and may use: plain data that the host writes and the launcher obeys.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::SandboxError;

/// One launch. Everything that is not named here is absent inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Program and arguments. A program without a slash is looked up on the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Working folder, as seen inside.
    #[serde(default = "default_folder")]
    pub cwd: PathBuf,
    /// Host name inside.
    #[serde(default = "default_hostname")]
    pub hostname: String,
    /// What of the host is visible inside, beyond the system's programs and libraries.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Symbolic links made in the private root.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Device nodes of graphics processors that are there besides the five harmless ones.
    #[serde(default)]
    pub devices: Vec<PathBuf>,
    /// The private `/tmp`.
    #[serde(default)]
    pub scratch: Scratch,
    /// Resource limits.
    #[serde(default)]
    pub limits: Limits,
    /// Standard input, output and error.
    #[serde(default)]
    pub stdio: [Stdio; 3],
    /// Where Landlock lets programs be executed; `None` leaves every visible path executable.
    #[serde(default)]
    pub executables: Option<Vec<PathBuf>>,
    /// Brings up the loopback device of the private, otherwise empty network.
    #[serde(default)]
    pub loopback: bool,
    /// Names of layers that the user has agreed to do without where the machine lacks them.
    #[serde(default)]
    pub allow_missing: Vec<String>,
}

/// A file or folder of the host, seen inside at `target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: PathBuf,
    /// What may be done with it.
    #[serde(default)]
    pub mode: Mode,
    /// Hides the named pipes and sockets that are there when the sandbox begins: behind them are processes of the
    /// host. For what is shown read-only; a layer has none of the host's.
    #[serde(default)]
    pub plain: bool,
    /// Folders of the host that are seen over `source`, the uppermost first, as overlayfs keeps its layers: what
    /// others have changed and nobody has taken over yet. They are never written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<PathBuf>,
}

/// As many folders over one are shown; their names have to fit into one page of memory.
const MOST_LAYERS: usize = 64;

/// What a sandbox may do with a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Read and execute.
    #[default]
    ReadOnly,
    /// Writes reach the host.
    ReadWrite,
    /// Writes go to a private layer that ends with the sandbox; the host's files never change.
    Overlay,
}

/// A symbolic link of the private root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Absolute path of the link, inside.
    pub path: PathBuf,
    /// What it points to.
    pub target: PathBuf,
}

/// Quota of the private `/tmp`, and of each overlay's private layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scratch {
    /// Bytes.
    pub size: u64,
    /// Files and folders.
    pub inodes: u64,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            size: 512 << 20,
            inodes: 65_536,
        }
    }
}

/// Resource limits of the whole sandbox (memory, processes, cores) or of each process in it (the others).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of memory of all processes together.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Open descriptors of a process.
    pub files: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// CPU seconds of a process; `None` for no limit.
    pub cpu_seconds: Option<u64>,
    /// Cores that all processes together may keep busy, where control groups can limit that.
    pub cpu: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 4 << 30,
            processes: 512,
            files: 4096,
            file_size: 4 << 30,
            cpu_seconds: None,
            cpu: None,
        }
    }
}

/// Where a standard stream leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdio {
    /// `/dev/null`.
    #[default]
    Null,
    /// The host's own stream.
    Inherit,
    /// A descriptor of the host, which stays open there.
    Fd(i32),
}

fn default_folder() -> PathBuf {
    PathBuf::from("/tmp")
}

fn default_hostname() -> String {
    "symphony".to_owned()
}

/// Folders that the launcher itself provides; a mount over or below them would replace a protection.
const RESERVED: [&str; 3] = ["/proc", "/dev", "/sys"];

impl Spec {
    /// Refuses what cannot be meant: relative paths, mounts over the root, NUL bytes, zero limits.
    ///
    /// # Errors
    /// [`SandboxError::InvalidSpec`] with the field and the reason.
    pub fn validate(&self) -> Result<(), SandboxError> {
        if self.argv.first().is_none_or(String::is_empty) {
            return invalid("argv", "names no program");
        }
        if self.argv.iter().any(|argument| argument.contains('\0')) {
            return invalid("argv", "holds a NUL byte");
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return invalid("env", &format!("`{}` cannot be set", name.escape_debug()));
            }
        }
        if self.hostname.is_empty() || self.hostname.len() > 64 {
            return invalid("hostname", "must have 1 to 64 bytes");
        }
        check_absolute("cwd", &self.cwd)?;
        for mount in &self.mounts {
            check_absolute("mounts.source", &mount.source)?;
            check_target("mounts.target", &mount.target)?;
            for layer in &mount.layers {
                check_absolute("mounts.layers", layer)?;
            }
            if mount.layers.len() > MOST_LAYERS {
                return invalid("mounts.layers", &format!("has more than {MOST_LAYERS}"));
            }
            if !mount.layers.is_empty() && mount.mode == Mode::ReadWrite {
                return invalid("mounts.layers", "cannot lie over what is written for real");
            }
        }
        for link in &self.links {
            check_target("links.path", &link.path)?;
        }
        for path in &self.devices {
            check_absolute("devices", path)?;
            if !is_graphics_device(path) {
                let reason = format!("`{}` is no graphics processor's node", path.display());
                return invalid("devices", &reason);
            }
        }
        for path in self.executables.iter().flatten() {
            check_absolute("executables", path)?;
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Result<(), SandboxError> {
        let limits = &self.limits;
        let sizes = [
            ("limits.memory", limits.memory, 16 << 20),
            ("limits.processes", limits.processes, 1),
            ("limits.files", limits.files, 8),
            ("limits.file_size", limits.file_size, 1),
            ("scratch.size", self.scratch.size, 4096),
            ("scratch.inodes", self.scratch.inodes, 16),
        ];
        for (name, value, least) in sizes {
            if value < least || value > i64::MAX as u64 {
                return invalid(name, &format!("must be between {least} and 2^63-1"));
            }
        }
        match limits.cpu {
            Some(cores) if !(0.01..=1e6).contains(&cores) => {
                invalid("limits.cpu", "must be between 0.01 and a million cores")
            }
            _ => Ok(()),
        }
    }
}

fn check_absolute(field: &'static str, path: &Path) -> Result<(), SandboxError> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain {
        return invalid(
            field,
            &format!("`{}` is no absolute path without `..`", path.display()),
        );
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return invalid(field, "holds a NUL byte");
    }
    Ok(())
}

/// Whether the name is one that the drivers of graphics processors give to what programs compute with. Those
/// that switch displays or change the driver's settings (`card0`, `nvidia-modeset`, `nvidia-caps`) are not.
fn is_graphics_device(path: &Path) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match path.to_str().and_then(|path| path.strip_prefix("/dev/")) {
        Some("kfd" | "nvidiactl" | "nvidia-uvm") => true,
        Some(name) => ["nvidia", "dri/renderD"]
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(is_number)),
        None => false,
    }
}

fn check_target(field: &'static str, path: &Path) -> Result<(), SandboxError> {
    check_absolute(field, path)?;
    if path == Path::new("/") {
        return invalid(
            field,
            "cannot be `/`: grant the folders that are needed instead",
        );
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| path.starts_with(reserved)) {
        return invalid(
            field,
            &format!(
                "`{}` is in `{reserved}`, which is private to a sandbox",
                path.display()
            ),
        );
    }
    Ok(())
}

fn invalid<T>(field: &'static str, reason: &str) -> Result<T, SandboxError> {
    Err(SandboxError::InvalidSpec {
        field,
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec() -> Spec {
        serde_json::from_str(r#"{"argv": ["true"]}"#).expect("a minimal spec")
    }

    #[test]
    fn a_minimal_spec_is_valid_and_survives_its_json() {
        let spec = spec();
        spec.validate().expect("valid");
        let text = serde_json::to_string(&spec).expect("json");
        assert_eq!(serde_json::from_str::<Spec>(&text).expect("back"), spec);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        type Change = fn(&mut Spec);
        let mount = |target: &str| Mount {
            source: "/usr".into(),
            target: target.into(),
            mode: Mode::ReadOnly,
            plain: false,
            layers: Vec::new(),
        };
        let changes: [(&str, Change); 6] = [
            ("argv", |s| s.argv.clear()),
            ("argv", |s| s.argv.push("a\0b".into())),
            ("env", |s| s.env.push(("A=B".into(), "c".into()))),
            ("cwd", |s| s.cwd = "tmp".into()),
            ("limits.memory", |s| s.limits.memory = 0),
            ("hostname", |s| s.hostname = "x".repeat(65)),
        ];
        for (field, change) in changes {
            let mut bad = spec();
            change(&mut bad);
            assert!(bad.validate().expect_err(field).to_string().contains(field));
        }
        for target in ["/", "/proc", "/dev/shm", "/sys/fs", "relative", "/a/../b"] {
            let mut bad = spec();
            bad.mounts.push(mount(target));
            bad.validate().expect_err(target);
        }
    }

    #[test]
    fn only_graphics_devices_can_be_given() {
        let check = |device: &str| {
            let mut spec = spec();
            spec.devices.push(device.into());
            spec.validate()
        };
        for device in [
            "/dev/nvidia0",
            "/dev/nvidiactl",
            "/dev/nvidia-uvm",
            "/dev/dri/renderD128",
            "/dev/kfd",
        ] {
            check(device).expect(device);
        }
        for device in [
            "/dev/sda",
            "/dev/mem",
            "/dev/kvm",
            "/dev/dri/card0",
            "/dev/nvidia-modeset",
            "/dev/nvidia",
            "/dev/nvidia0/a",
            "/dev/../dev/nvidia0",
            "/tmp/nvidia0",
            "dev/nvidia0",
        ] {
            check(device).expect_err(device);
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        serde_json::from_str::<Spec>(r#"{"argv": ["true"], "privileged": true}"#)
            .expect_err("unknown");
    }

    proptest! {
        #[test]
        fn no_target_with_a_parent_component_passes(head in "(/[a-z]{1,5}){0,3}", tail in "(/[a-z]{1,5}){0,3}") {
            let mut bad = spec();
            bad.cwd = format!("{head}/..{tail}").into();
            prop_assert!(bad.validate().is_err());
        }
    }
}
