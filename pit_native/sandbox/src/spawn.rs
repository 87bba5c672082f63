//! The host's side of a launch.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::child::{Child, layer_error};
use crate::clone::{self, CloneFailure, Handed, Launched};
use crate::control_groups::{self, ControlGroup};
use crate::error::SandboxError;
use crate::layers::NAMESPACES;
use crate::spec::Spec;
use crate::streams::Streams;
use crate::sys;
use crate::wire::{LARGEST_SPEC, LIMITED, SUPERVISE, TEMPLATE};

/// A launcher that is silent for so long is stuck, for example on a dead network file system.
const SILENCE: i64 = 30;

/// Starts `spec.argv` in a sandbox; returns once the program itself runs.
///
/// # Errors
/// [`SandboxError`] when the spec is invalid, a layer cannot be applied, a mount's source is missing or
/// the program cannot be executed. In all cases nothing is left running.
pub fn spawn(launcher: &Path, spec: &Spec) -> Result<Child, SandboxError> {
    let launch = Launch::prepare(spec)?;
    let executable = open_launcher(launcher)?;
    let handed = launch.handed(executable.as_raw_fd());
    let launched = clone_launcher(spec, &handed)?;
    // Made while the launcher comes to life.
    launch.begin(launched, false, || control_group(spec))
}

/// Starts the interpreter of a template: `spec` as for a Player, with the library that serves.
pub(crate) fn spawn_template(launcher: &Path, spec: &Spec) -> Result<Child, SandboxError> {
    let launch = Launch::prepare(spec)?;
    let executable = open_launcher(launcher)?;
    let handed = launch.handed(executable.as_raw_fd());
    // Those that hold a root up; what else a Player gets is made with each.
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    let launched = clone_launcher_into(namespaces, &handed)?
        .map_err(|error| layer_error("user_namespace", error.to_string()))?;
    launch.begin(launched, true, || Ok(None))
}

/// Starts a Player as a copy that `make` has a template make, of what it is handed. While the template is at
/// work, `make` calls its second argument.
pub(crate) fn spawn_copy(
    spec: &Spec,
    make: impl FnOnce(&Handed, &mut dyn FnMut()) -> Result<Launched, SandboxError>,
) -> Result<Child, SandboxError> {
    let launch = Launch::prepare(spec)?;
    let mut group = Ok(None);
    let launched = make(&launch.handed(-1), &mut || group = control_group(spec))?;
    launch.begin(launched, false, || group)
}

/// All that a launch needs of the host, made before there is a process.
struct Launch<'a> {
    spec: &'a Spec,
    text: Vec<u8>,
    streams: Streams,
    control: OwnedFd,
    far_end: OwnedFd,
}

impl<'a> Launch<'a> {
    fn prepare(spec: &'a Spec) -> Result<Self, SandboxError> {
        spec.validate()?;
        let text =
            serde_json::to_vec(spec).map_err(|error| SandboxError::Lost(error.to_string()))?;
        if text.len() > LARGEST_SPEC {
            let reason = format!("is too long: {} bytes, at most {LARGEST_SPEC}", text.len());
            return Err(SandboxError::InvalidSpec {
                field: "argv",
                reason,
            });
        }
        let streams = Streams::open(&spec.stdio)?;
        let (control, far_end) = sys::packet_pair().map_err(host("making a socket"))?;
        sys::want_credentials(&control, SILENCE).map_err(host("setting up the socket"))?;
        Ok(Self {
            spec,
            text,
            streams,
            control,
            far_end,
        })
    }

    fn handed(&self, launcher: RawFd) -> Handed {
        Handed {
            launcher,
            control: self.far_end.as_raw_fd(),
            stdio: self.streams.descriptors(),
        }
    }

    /// Hands the spec to the process that is to be its pid 1, or its template.
    fn begin(
        self,
        launched: Launched,
        is_template: bool,
        group: impl FnOnce() -> Result<Option<ControlGroup>, SandboxError>,
    ) -> Result<Child, SandboxError> {
        drop(self.far_end);
        // Ends with it when what follows fails.
        let child = Child::new(launched, self.control);
        let group = group()?;
        let role = match group {
            _ if is_template => TEMPLATE,
            Some(_) => LIMITED,
            None => SUPERVISE,
        };
        child.start(&self.text, role, group, self.spec)
    }
}

pub(crate) fn host(operation: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |source| SandboxError::Host { operation, source }
}

/// Control groups are required of the superuser, whom `RLIMIT_NPROC` does not bind.
fn control_group(spec: &Spec) -> Result<Option<ControlGroup>, SandboxError> {
    let group = ControlGroup::create(&spec.limits)
        .map_err(|error| layer_error("control_groups", format!("making a group: {error}")))?;
    // SAFETY: cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    if group.is_none() && is_root && !is_waived(spec, "control_groups") {
        let reason = control_groups::availability().err().unwrap_or_default();
        return Err(layer_error("control_groups", reason));
    }
    Ok(group)
}

fn is_waived(spec: &Spec, name: &str) -> bool {
    spec.allow_missing.iter().any(|waived| waived == name)
}

fn open_launcher(path: &Path) -> Result<OwnedFd, SandboxError> {
    let failure = |source| SandboxError::Launcher {
        path: path.display().to_string(),
        source,
    };
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| failure(io::Error::from_raw_os_error(libc::EINVAL)))?;
    // SAFETY: the path lives across the call; a non-negative answer is a fresh descriptor.
    unsafe {
        let fd = libc::open(name.as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if fd < 0 {
            Err(failure(io::Error::last_os_error()))
        } else {
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

fn clone_launcher(spec: &Spec, handed: &Handed) -> Result<Launched, SandboxError> {
    match clone_launcher_into(all_namespaces(), handed)? {
        Ok(launched) => Ok(launched),
        Err(error) => {
            let remaining = without_waived(spec, &error)?;
            clone_launcher_into(remaining, handed)?
                .map_err(|error| layer_error("user_namespace", error.to_string()))
        }
    }
}

/// The flags of all namespaces that a sandbox has.
pub(crate) fn all_namespaces() -> libc::c_int {
    NAMESPACES
        .iter()
        .fold(0, |flags, namespace| flags | namespace.flag)
}

/// The inner error is the kernel's, when it refuses the namespaces.
fn clone_launcher_into(
    namespaces: libc::c_int,
    handed: &Handed,
) -> Result<io::Result<Launched>, SandboxError> {
    match clone::launch(namespaces, handed) {
        Ok(launched) => Ok(Ok(launched)),
        Err(CloneFailure::Namespaces(error)) => Ok(Err(error)),
        Err(CloneFailure::Stub(failure, launched)) => {
            clone::reap(&launched);
            let reason = format!("{}: {}", failure.stage, failure.source);
            Err(layer_error("user_namespace", reason))
        }
    }
}

/// Which namespaces remain after those that the machine lacks and the user has waived.
fn without_waived(spec: &Spec, error: &io::Error) -> Result<libc::c_int, SandboxError> {
    let mut remaining = 0;
    for namespace in &NAMESPACES {
        match clone::probe(libc::CLONE_NEWUSER | namespace.flag) {
            Ok(()) => remaining |= namespace.flag,
            Err(_) if namespace.can_be_waived && is_waived(spec, namespace.name) => {}
            Err(reason) => return Err(layer_error(namespace.name, reason.to_string())),
        }
    }
    if remaining & libc::CLONE_NEWUSER == 0 {
        return Err(layer_error("user_namespace", error.to_string()));
    }
    Ok(remaining)
}
