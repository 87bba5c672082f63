//! Starts the launcher as the first process of new namespaces, without copying the host's memory.
//!
//! The child borrows the host's memory until it executes the launcher, as `vfork` does, so that a large
//! host starts Players as fast as a small one. Between clone and exec it makes only plain system calls:
//! no allocation, no lock, no panic. What fails is left in a field that the host reads afterwards.

use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::wire::CONTROL_FD;

/// The one user and group that exist inside.
pub const INNER_ID: u32 = 1000;

/// An overlay keeps a folder of mode 0 for its own work.
const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
const CAP_SETPCAP: libc::c_ulong = 8;
const CAP_NET_ADMIN: libc::c_ulong = 12;
const CAP_SYS_ADMIN: libc::c_ulong = 21;
/// Kept across the exec of the launcher, which needs them to build the sandbox and then drops them.
const LAUNCHER_CAPABILITIES: [libc::c_ulong; 4] =
    [CAP_DAC_OVERRIDE, CAP_SETPCAP, CAP_NET_ADMIN, CAP_SYS_ADMIN];
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const STACK: usize = 64 << 10;
/// Descriptors are first moved above this number, so that placing one never overwrites another.
const ABOVE: RawFd = 16;

/// The stage of a [`StubFailure`] that concerns control groups.
pub const JOINING: &str = "joining the control group";

/// The `capget` and `capset` header.
#[repr(C)]
pub struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

/// One half (32 capabilities) of the sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets the calling thread's effective, permitted and inheritable capabilities.
pub fn set_capabilities(kept: u64, inheritable: u64) -> io::Result<()> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let half = |shift: u32| CapabilityData {
        effective: (kept >> shift) as u32,
        permitted: (kept >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: both structures have the layout of version 3 and live across the call.
    crate::sys::check(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) }).map(drop)
}

/// Everything the child needs, made before it exists.
struct Plan {
    launcher: RawFd,
    control: RawFd,
    stdio: [RawFd; 3],
    groups: [RawFd; 3],
    uid_map: [u8; 48],
    gid_map: [u8; 48],
    argv: [*const c_char; 2],
    envp: [*const c_char; 1],
    stage: &'static str,
    errno: i32,
}

/// What the child tried last, and why it failed.
pub struct StubFailure {
    /// The operation.
    pub stage: &'static str,
    /// The system's answer.
    pub source: io::Error,
}

/// The launcher's process: its pid as the host sees it, and a descriptor that cannot name another.
pub struct Launched {
    /// In the host's pid namespace.
    pub pid: i32,
    /// Readable when the process has ended.
    pub pidfd: OwnedFd,
}

/// Why there is no launcher process.
pub enum CloneFailure {
    /// The kernel refused the namespaces.
    Namespaces(io::Error),
    /// The child existed but could not become the launcher.
    Stub(StubFailure, Launched),
}

/// The host's descriptors that a launch hands to the child.
pub struct Handed {
    /// The launcher's file.
    pub launcher: RawFd,
    /// Becomes [`CONTROL_FD`].
    pub control: RawFd,
    /// Become 0, 1 and 2.
    pub stdio: [RawFd; 3],
    /// Files of control groups through which a process joins; -1 for none.
    pub groups: [RawFd; 3],
}

/// Clones a child with `namespaces` (`CLONE_NEW*`, the user namespace among them), lets it join its control
/// groups and executes the launcher in it as user [`INNER_ID`].
pub fn launch(namespaces: libc::c_int, handed: &Handed) -> Result<Launched, CloneFailure> {
    // SAFETY: these calls cannot fail and touch no memory.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let mut plan = Plan {
        launcher: handed.launcher,
        control: handed.control,
        stdio: handed.stdio,
        groups: handed.groups,
        uid_map: id_map(uid),
        gid_map: id_map(gid),
        argv: [c"symphony-launcher".as_ptr(), ptr::null()],
        envp: [ptr::null()],
        stage: "",
        errno: 0,
    };
    let launched = clone_and_wait(namespaces, stub, &mut plan).map_err(CloneFailure::Namespaces)?;
    if plan.errno == 0 {
        return Ok(launched);
    }
    let failure = StubFailure {
        stage: plan.stage,
        source: io::Error::from_raw_os_error(plan.errno),
    };
    Err(CloneFailure::Stub(failure, launched))
}

/// Whether the kernel gives this process the given namespaces; makes and ends one process to find out.
pub fn probe(namespaces: libc::c_int) -> io::Result<()> {
    extern "C" fn leave(_: *mut c_void) -> libc::c_int {
        0
    }
    let launched = clone_and_wait(namespaces, leave, &mut ())?;
    reap(&launched);
    Ok(())
}

/// Waits for a process that is ending.
pub fn reap(launched: &Launched) {
    let mut status = 0;
    // SAFETY: the pid is that of our own unreaped child.
    while unsafe { libc::waitpid(launched.pid, &mut status, libc::__WALL) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Runs `entry` in a new process that borrows this one's memory; returns once it executed or ended.
pub fn clone_and_wait<T>(
    namespaces: libc::c_int,
    entry: extern "C" fn(*mut c_void) -> libc::c_int,
    argument: &mut T,
) -> io::Result<Launched> {
    let mut stack = vec![MaybeUninit::<u128>::uninit(); STACK / 16];
    let mut pidfd: libc::c_int = -1;
    let flags = namespaces | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: while the child borrows our memory this thread is suspended (CLONE_VFORK); the child has a
    // stack of its own, runs no signal handler (all are blocked) and leaves by exec or _exit.
    let pid = unsafe {
        let mut all: libc::sigset_t = zeroed();
        let mut before: libc::sigset_t = zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let top = stack.as_mut_ptr().add(stack.len()).cast();
        let pid = libc::clone(
            entry,
            top,
            flags,
            (&raw mut *argument).cast(),
            &raw mut pidfd,
        );
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        pid
    };
    // SAFETY: CLONE_PIDFD has stored a fresh descriptor.
    Ok(Launched {
        pid,
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

/// `INNER_ID outer 1`, NUL-terminated.
fn id_map(outer: u32) -> [u8; 48] {
    let mut map = [0; 48];
    let text = format!("{INNER_ID} {outer} 1");
    map[..text.len()].copy_from_slice(text.as_bytes());
    map
}

extern "C" fn stub(argument: *mut c_void) -> libc::c_int {
    // SAFETY: `launch` passes its plan, and is suspended until this child executes or ends.
    let plan = unsafe { &mut *argument.cast::<Plan>() };
    // SAFETY: plain system calls on values that the plan owns.
    unsafe { become_launcher(plan) };
    plan.errno = io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO);
    // SAFETY: ends this child without running the host's exit handlers.
    unsafe { libc::_exit(127) }
}

/// Returns only when a step fails, with `errno` set and the step named.
unsafe fn become_launcher(plan: &mut Plan) {
    unsafe {
        plan.stage = JOINING;
        for group in plan.groups {
            // A process that moves itself spares the kernel a wait of milliseconds for all processors.
            if group >= 0 && libc::write(group, c"0".as_ptr().cast(), 1) != 1 {
                return;
            }
        }
        plan.stage = "writing the user map";
        if !write_file(c"/proc/self/uid_map", &plan.uid_map)
            || !write_file(c"/proc/self/setgroups", b"deny\0")
            || !write_file(c"/proc/self/gid_map", &plan.gid_map)
        {
            return;
        }
        plan.stage = "keeping capabilities";
        let kept = LAUNCHER_CAPABILITIES
            .iter()
            .fold(0, |set, capability| set | 1u64 << capability);
        if set_capabilities(kept, kept).is_err() {
            return;
        }
        for capability in LAUNCHER_CAPABILITIES {
            if libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                capability,
                0,
                0,
            ) < 0
            {
                return;
            }
        }
        plan.stage = "placing descriptors";
        let lift = |fd: RawFd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, ABOVE);
        let launcher = lift(plan.launcher);
        let control = lift(plan.control);
        let stdio = [
            lift(plan.stdio[0]),
            lift(plan.stdio[1]),
            lift(plan.stdio[2]),
        ];
        if launcher < 0 || control < 0 || stdio.contains(&-1) {
            return;
        }
        for (target, fd) in stdio.into_iter().chain([control]).enumerate() {
            if libc::dup2(fd, target as RawFd) < 0 {
                return;
            }
        }
        const { assert!(CONTROL_FD == 3) };
        plan.stage = "executing the launcher";
        libc::syscall(
            libc::SYS_execveat,
            launcher,
            c"".as_ptr(),
            plan.argv.as_ptr(),
            plan.envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
}

/// Writes a NUL-terminated text into an existing file, in one write, without the NUL.
unsafe fn write_file(path: &CStr, text: &[u8]) -> bool {
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let length = libc::strlen(text.as_ptr().cast());
        let written = libc::write(fd, text.as_ptr().cast(), length);
        // A failing write's errno must survive the close.
        let errno = *libc::__errno_location();
        libc::close(fd);
        *libc::__errno_location() = errno;
        written == length as isize
    }
}
