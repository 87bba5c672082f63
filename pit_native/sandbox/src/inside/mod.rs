//! The launcher's side: builds the sandbox from within, starts the program, stays as pid 1.
//!
//! Every step either succeeds or ends the launch with a [`Refusal`] to the host. The order matters: mounts
//! need the capabilities that are then dropped; Landlock and seccomp come last, since they forbid the rest.

pub mod filter;
mod init;
mod privileges;
mod root;
mod walls;

pub(crate) use root::PROC_OPTIONS;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::spec::Spec;
use crate::sys;
use crate::wire::{CONTROL_FD, LARGEST_SPEC, PIECE, Refusal, RefusalKind, SUPERVISE};

/// A step that failed, and thereby the launch.
pub(crate) struct Failure(Refusal);

impl Failure {
    fn new(kind: RefusalKind, subject: &str, operation: &str, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        let operation = if errno == 0 {
            format!("{operation}: {error}")
        } else {
            operation.to_owned()
        };
        Self(Refusal {
            kind,
            subject: subject.to_owned(),
            operation,
            errno,
        })
    }

    fn layer<'a>(layer: &'a str, operation: &'a str) -> impl Fn(io::Error) -> Self + 'a {
        move |error| Self::new(RefusalKind::Layer, layer, operation, &error)
    }

    fn mount<'a>(path: &'a Path, operation: &'a str) -> impl Fn(io::Error) -> Self + 'a {
        move |error| {
            Self::new(
                RefusalKind::Mount,
                &path.to_string_lossy(),
                operation,
                &error,
            )
        }
    }
}

/// A path as the kernel wants it.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// The launcher's whole life.
pub fn main() -> ! {
    let code = match run() {
        Ok(code) => code,
        Err(Failure(refusal)) => {
            let text = serde_json::to_vec(&refusal).unwrap_or_else(|_| b"{}".to_vec());
            // A host that is gone needs no answer.
            let _ = sys::send(CONTROL_FD, &text);
            125
        }
    };
    // SAFETY: ends this process; nothing of it needs to run afterwards.
    unsafe { libc::_exit(code) }
}

fn run() -> Result<i32, Failure> {
    privileges::close_inherited_descriptors()
        .map_err(Failure::layer("descriptors", "closing inherited ones"))?;
    let (spec, supervise) = read_spec().map_err(Failure::layer("launcher", "reading the spec"))?;
    let is_waived = |name: &str| spec.allow_missing.iter().any(|waived| waived == name);

    privileges::set_hostname(&spec.hostname)
        .or_else(|error| {
            if is_waived("uts_namespace") {
                Ok(())
            } else {
                Err(error)
            }
        })
        .map_err(Failure::layer("uts_namespace", "setting the host name"))?;
    if spec.loopback {
        privileges::raise_loopback().map_err(Failure::layer(
            "network_namespace",
            "raising the loopback device",
        ))?;
    }
    root::build(&spec)?;
    let program = init::Program::prepare(&spec)?;
    privileges::leave_session().map_err(Failure::layer("session", "starting a new session"))?;
    privileges::limit_resources(&spec.limits)
        .map_err(Failure::layer("resource_limits", "setting a limit"))?;
    privileges::drop_all(|step, error| {
        Failure::new(RefusalKind::Layer, "capabilities", step, &error)
    })?;
    match walls::raise(&spec) {
        Err(error) if !is_waived("landlock") => {
            return Err(Failure::new(
                RefusalKind::Layer,
                "landlock",
                "restricting files",
                &error,
            ));
        }
        _ => {}
    }
    match filter::install() {
        Err(error) if !is_waived("seccomp") => {
            return Err(Failure::new(
                RefusalKind::Layer,
                "seccomp",
                "installing the filter",
                &error,
            ));
        }
        _ => {}
    }
    init::live(&program, supervise.then_some(spec.limits.memory))
}

/// The spec, and whether memory has to be summed here.
fn read_spec() -> io::Result<(Spec, bool)> {
    let mut head = [0; 5];
    if sys::receive(CONTROL_FD, &mut head, 0)?.length != head.len() {
        return Err(io::Error::from_raw_os_error(libc::EPROTO));
    }
    let [a, b, c, d, limits] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > LARGEST_SPEC {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    // One byte more than fits, so that no packet is ever cut short unnoticed.
    let mut text = vec![0; length + PIECE];
    let mut read = 0;
    while read < length {
        match sys::receive(CONTROL_FD, &mut text[read..read + PIECE], 0)?.length {
            0 => return Err(io::Error::from_raw_os_error(libc::EPIPE)),
            piece => read += piece,
        }
    }
    let spec = serde_json::from_slice(&text[..length])
        .map_err(|_| io::Error::from_raw_os_error(libc::EPROTO))?;
    Ok((spec, limits == SUPERVISE))
}
