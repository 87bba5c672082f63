//! The protections a sandbox consists of, and whether this machine has each.

use std::ffi::c_void;
use std::io;

use serde::Serialize;

use crate::clone::{clone_and_wait, probe, reap};
use crate::control_groups;
use crate::inside::{PROC_OPTIONS, unshare_clocks};
use crate::sys;

/// One protection, as `symphony doctor` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Stable name; what `allow_missing` refers to.
    pub name: &'static str,
    /// Whether the machine has it.
    pub available: bool,
    /// Whether its absence refuses a launch. A waiver by name lifts that where `can_be_waived`.
    pub required: bool,
    /// Whether `allow_missing` may name it.
    pub can_be_waived: bool,
    /// What it does here, or why it is missing.
    pub detail: String,
    /// What the user can do about a missing one.
    pub remedy: String,
}

/// A namespace that every launch asks for.
pub(crate) struct Namespace {
    pub(crate) name: &'static str,
    pub(crate) flag: libc::c_int,
    pub(crate) can_be_waived: bool,
    purpose: &'static str,
}

/// All of them; the first three hold the others up and cannot be waived.
pub(crate) const NAMESPACES: [Namespace; 7] = [
    Namespace {
        name: "user_namespace",
        flag: libc::CLONE_NEWUSER,
        can_be_waived: false,
        purpose: "one unprivileged user exists inside; no set-user-id helper is needed",
    },
    Namespace {
        name: "mount_namespace",
        flag: libc::CLONE_NEWNS,
        can_be_waived: false,
        purpose: "a private, read-only root holds only what is granted",
    },
    Namespace {
        name: "pid_namespace",
        flag: libc::CLONE_NEWPID,
        can_be_waived: false,
        purpose: "other processes cannot be seen or signalled; nothing outlives the sandbox",
    },
    Namespace {
        name: "network_namespace",
        flag: libc::CLONE_NEWNET,
        can_be_waived: true,
        purpose: "no network device and no abstract socket of the host",
    },
    Namespace {
        name: "ipc_namespace",
        flag: libc::CLONE_NEWIPC,
        can_be_waived: true,
        purpose: "no shared memory, semaphore or queue of the host",
    },
    Namespace {
        name: "uts_namespace",
        flag: libc::CLONE_NEWUTS,
        can_be_waived: true,
        purpose: "a host name of its own",
    },
    Namespace {
        name: "cgroup_namespace",
        flag: libc::CLONE_NEWCGROUP,
        can_be_waived: true,
        purpose: "the host's control groups have no names inside",
    },
];

/// What to do when a layer of this name is missing.
pub(crate) fn remedy(name: &str) -> &'static str {
    match name {
        "user_namespace" => {
            "allow unprivileged user namespaces (sysctl user.max_user_namespaces above 0, and where they exist \
             kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0)"
        }
        "mount_namespace" | "private_root" => {
            "use Linux 5.12 or later, outside a container that forbids mounts"
        }
        "private_proc" => {
            "use Linux 5.8 or later; in a container, start it with an unmasked /proc (systempaths=unconfined)"
        }
        "pid_namespace" => "raise sysctl user.max_pid_namespaces",
        "seccomp" => "use a kernel built with CONFIG_SECCOMP_FILTER",
        "landlock" => "add `landlock` to the kernel's lsm= list (Linux 5.13 or later)",
        "control_groups" => {
            "mount the memory and pids controllers, or add `control_groups` to stage.sandbox.allow_missing"
        }
        "overlay" => {
            "load the kernel's overlay module (Linux 5.11 or later), or grant reading only"
        }
        _ => "add its name to stage.sandbox.allow_missing to run Players without it",
    }
}

/// Probes every layer by asking the kernel for it.
pub fn layers() -> Vec<Layer> {
    let mut found = Vec::new();
    for namespace in &NAMESPACES {
        let result = probe(libc::CLONE_NEWUSER | namespace.flag);
        found.push(layer(
            namespace.name,
            true,
            namespace.can_be_waived,
            result.map(|()| namespace.purpose.into()),
        ));
    }
    found.push(layer("time_namespace", true, true, time_namespace()));
    found.push(layer("private_root", true, false, private_root()));
    found.push(layer("private_proc", true, false, private_proc()));
    found.push(layer("overlay", false, false, overlay()));
    found.push(layer(
        "no_new_privileges",
        true,
        false,
        flag_exists(libc::PR_GET_NO_NEW_PRIVS)
            .map(|_| "set-user-id programs and file capabilities mean nothing inside".into()),
    ));
    found.push(layer(
        "capabilities",
        true,
        false,
        Ok("all sets, the bounding set included, are empty".into()),
    ));
    found.push(layer("seccomp", true, true, seccomp()));
    found.push(layer("landlock", false, true, landlock()));
    found.push(control_group_layer());
    found
}

fn layer(
    name: &'static str,
    required: bool,
    can_be_waived: bool,
    result: io::Result<String>,
) -> Layer {
    let available = result.is_ok();
    Layer {
        name,
        available,
        required,
        can_be_waived,
        detail: result.unwrap_or_else(|error| error.to_string()),
        remedy: if available {
            String::new()
        } else {
            remedy(name).to_owned()
        },
    }
}

fn time_namespace() -> io::Result<String> {
    extern "C" fn unshare(errno: *mut c_void) -> libc::c_int {
        answer(errno, unshare_clocks())
    }
    attempt(libc::CLONE_NEWUSER, unshare)?;
    Ok("no clock tells for how long the machine has been running".into())
}

fn private_root() -> io::Result<String> {
    // An invalid descriptor: a kernel that has the call says so, one that lacks it says ENOSYS.
    match sys::restrict_mount(-1, c"", 0, false) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Err(error),
        _ => Ok("mounts are made read-only with everything below them".into()),
    }
}

fn private_proc() -> io::Result<String> {
    extern "C" fn mount(errno: *mut c_void) -> libc::c_int {
        answer(
            errno,
            sys::mount(c"proc", c"/proc", c"proc", 0, PROC_OPTIONS),
        )
    }
    attempt(
        libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID,
        mount,
    )?;
    Ok("only the sandbox's own processes are seen, no setting of the kernel".into())
}

fn overlay() -> io::Result<String> {
    extern "C" fn open(errno: *mut c_void) -> libc::c_int {
        // Where it is a module, this loads it.
        // SAFETY: the name is a constant.
        let opened = unsafe { libc::syscall(libc::SYS_fsopen, c"overlay".as_ptr(), 0) };
        answer(errno, sys::check(opened).map(drop))
    }
    attempt(libc::CLONE_NEWUSER | libc::CLONE_NEWNS, open)?;
    Ok("writes to a granted project go to a private layer".into())
}

/// Runs one system call in a process with `namespaces` of its own; its error, or that of the namespaces.
fn attempt(
    namespaces: libc::c_int,
    entry: extern "C" fn(*mut c_void) -> libc::c_int,
) -> io::Result<()> {
    let mut errno: i32 = 0;
    reap(&clone_and_wait(namespaces, entry, &mut errno)?);
    if errno == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(errno))
    }
}

/// Leaves an error's number where [`attempt`] reads it.
fn answer(errno: *mut c_void, result: io::Result<()>) -> libc::c_int {
    let number = result
        .err()
        .and_then(|error| error.raw_os_error())
        .unwrap_or(0);
    // SAFETY: `attempt` passes its own variable and is suspended until this process ends.
    unsafe { *errno.cast::<i32>() = number };
    0
}

fn flag_exists(operation: libc::c_int) -> io::Result<()> {
    sys::prctl(operation, 0, 0)
}

fn seccomp() -> io::Result<String> {
    const GET_ACTION_AVAIL: libc::c_ulong = 2;
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: `action` lives across the call.
    sys::check(unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &action) })?;
    Ok(format!(
        "{} system calls are allowed, all others refused",
        crate::inside::filter::allowed_count()
    ))
}

/// The Landlock version of this kernel.
pub(crate) fn landlock_version() -> io::Result<i32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: asking for the version passes no memory.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0usize,
            VERSION,
        )
    };
    sys::check(version).map(|version| version as i32)
}

fn landlock() -> io::Result<String> {
    let version = landlock_version()?;
    Ok(format!(
        "a second wall around files, version {version} of the kernel's interface"
    ))
}

fn control_group_layer() -> Layer {
    // SAFETY: cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    let availability = control_groups::availability();
    let available = availability.is_ok();
    let detail = match availability {
        Ok(kind) => format!("memory and processes of a sandbox are limited by {kind}"),
        Err(reason) if is_root => reason,
        Err(reason) => format!(
            "{reason}; a supervisor inside each sandbox sums memory, RLIMIT_NPROC limits processes"
        ),
    };
    Layer {
        name: "control_groups",
        available,
        // RLIMIT_NPROC does not bind the superuser, so only there nothing can stand in for the groups.
        required: is_root,
        can_be_waived: true,
        detail,
        remedy: if available {
            String::new()
        } else {
            remedy("control_groups").to_owned()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_says_what_it_does_or_what_to_do() {
        for layer in layers() {
            assert!(!layer.detail.is_empty(), "{}", layer.name);
            assert_eq!(layer.available, layer.remedy.is_empty(), "{}", layer.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = layers().iter().map(|layer| layer.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
