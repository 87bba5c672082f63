//! The inner side, of launcher and template alike: builds the sandbox from within, starts the program, stays
//! as pid 1.
//!
//! Every step either succeeds or ends the launch with a [`Refusal`] to the host. The order matters: mounts
//! need the capabilities that are then dropped; Landlock and seccomp come last, since they forbid the rest.

pub mod filter;
mod init;
mod masks;
mod privileges;

mod root;
pub mod template;
mod walls;

pub(crate) use privileges::unshare_clocks;
pub(crate) use root::PROC_OPTIONS;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::spec::Spec;
use crate::sys;
use crate::wire::{CONTROL_FD, LARGEST_SPEC, PIECE, Refusal, RefusalKind, SUPERVISE, TEMPLATE};

/// A step that failed, and thereby the launch.
pub(crate) struct Failure(Refusal);

impl Failure {
    /// Tells the host.
    fn tell(&self) {
        let text = serde_json::to_vec(&self.0).unwrap_or_else(|_| b"{}".to_vec());
        // A host that is gone needs no answer.
        let _ = sys::send(CONTROL_FD, &text);
    }

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
    let code = match run(Origin::Launcher) {
        Ok(Lived::AsFirst(code)) => code,
        Ok(Lived::AsPlayer(_)) => REFUSED,
        Err(failure) => {
            failure.tell();
            REFUSED
        }
    };
    // SAFETY: ends this process; nothing of it needs to run afterwards.
    unsafe { libc::_exit(code) }
}

/// Exit status of a launch that was refused.
const REFUSED: i32 = 125;

/// How this process came to be, and so what its program is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It is the launcher: the program is executed.
    Launcher,
    /// It is the copy of a template: the program is another copy, which goes on where this one was made.
    Template,
}

/// As what this process has come out of the sandbox's construction.
enum Lived {
    /// As pid 1, whose life is over: what to exit with.
    AsFirst(i32),
    /// As the copy that is the Player, with its environment; its life begins.
    AsPlayer(Vec<(String, String)>),
}

/// Builds the sandbox and lives in it.
fn run(origin: Origin) -> Result<Lived, Failure> {
    privileges::close_inherited_descriptors()
        .map_err(Failure::layer("descriptors", "closing inherited ones"))?;
    let (spec, role) = read_spec()?;
    if role == TEMPLATE && origin == Origin::Launcher {
        return Err(template::become_one(&spec));
    }
    set_up_machine(&spec)?;
    let outside = match origin {
        Origin::Launcher => root::OF_LAUNCHER,
        Origin::Template => root::OF_TEMPLATE,
    };
    root::build(&spec, &outside)?;
    let program = init::Program::prepare(&spec)?;
    privileges::leave_session().map_err(Failure::layer("session", "starting a new session"))?;
    privileges::limit_resources(&spec.limits)
        .map_err(Failure::layer("resource_limits", "setting a limit"))?;
    privileges::drop_all(|step, error| {
        Failure::new(RefusalKind::Layer, "capabilities", step, &error)
    })?;
    raise_walls(&spec)?;
    let memory = (role == SUPERVISE).then_some(spec.limits.memory);
    if origin == Origin::Launcher {
        let code = init::live(|| program.start().map(Some), memory)?;
        return Ok(Lived::AsFirst(code.unwrap_or(REFUSED)));
    }
    let environment = spec.env;
    // What is given back is overwritten. Here it is this process's own; in the Player each page of it would have
    // to be copied first.
    drop(program);
    drop((spec.argv, spec.mounts, spec.links, spec.executables));
    let code = init::live(init::copy_as_player, memory)?;
    Ok(code.map_or(Lived::AsPlayer(environment), Lived::AsFirst))
}

fn is_waived(spec: &Spec, name: &str) -> bool {
    spec.allow_missing.iter().any(|waived| waived == name)
}

/// The name, the clocks and the network of the sandbox's own machine.
fn set_up_machine(spec: &Spec) -> Result<(), Failure> {
    privileges::set_hostname(&spec.hostname)
        .or_else(|error| {
            if is_waived(spec, "uts_namespace") {
                Ok(())
            } else {
                Err(error)
            }
        })
        .map_err(Failure::layer("uts_namespace", "setting the host name"))?;
    match privileges::leave_clocks() {
        Err(error) if !is_waived(spec, "time_namespace") => {
            let failure = Failure::layer("time_namespace", "entering it");
            return Err(failure(error));
        }
        _ => {}
    }
    if spec.loopback {
        privileges::raise_loopback().map_err(Failure::layer(
            "network_namespace",
            "raising the loopback device",
        ))?;
    }
    Ok(())
}

/// The last two layers, which forbid what building the others takes.
fn raise_walls(spec: &Spec) -> Result<(), Failure> {
    match walls::raise(spec) {
        Err(error) if !is_waived(spec, "landlock") => {
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
        Err(error) if !is_waived(spec, "seccomp") => Err(Failure::new(
            RefusalKind::Layer,
            "seccomp",
            "installing the filter",
            &error,
        )),
        _ => Ok(()),
    }
}

/// The spec, and what the host wants of it: [`SUPERVISE`], [`TEMPLATE`] or nothing more.
fn read_spec() -> Result<(Spec, u8), Failure> {
    let mut head = [0; 5];
    let failure = Failure::layer("launcher", "reading the spec");
    let received = sys::receive(CONTROL_FD, &mut head, 0).map_err(&failure)?;
    if received.length != head.len() {
        return Err(failure(io::Error::from_raw_os_error(libc::EPROTO)));
    }
    join(received.passed).map_err(Failure::layer(
        "control_groups",
        "joining the control group",
    ))?;
    let [a, b, c, d, role] = head;
    let spec = read_text(u32::from_le_bytes([a, b, c, d]) as usize).map_err(&failure)?;
    Ok((spec, role))
}

/// Enters control groups through their files. A process that moves itself spares the kernel a wait of
/// milliseconds for all processors.
fn join(groups: Vec<OwnedFd>) -> io::Result<()> {
    groups
        .into_iter()
        .try_for_each(|group| File::from(group).write_all(b"0"))
}

fn read_text(length: usize) -> io::Result<Spec> {
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
    serde_json::from_slice(&text[..length]).map_err(|_| io::Error::from_raw_os_error(libc::EPROTO))
}
