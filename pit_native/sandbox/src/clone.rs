//! Starts the launcher as the first process of new namespaces, without copying the host's memory.
//!
//! The child borrows the host's memory until it executes the launcher, as `vfork` does, so that a large
//! host starts Players as fast as a small one. Between clone and exec it makes only plain system calls:
//! no allocation, no lock, no panic. What fails is left in a field that the host reads afterwards.

use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::sys;
use crate::wire::CONTROL_FD;

/// The one user and group that exist inside.
pub const INNER_ID: u32 = 1000;

/// An overlay keeps a folder of mode 0 for its own work.
const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
const CAP_SETPCAP: libc::c_ulong = 8;
const CAP_NET_ADMIN: libc::c_ulong = 12;
const CAP_SYS_ADMIN: libc::c_ulong = 21;
/// Over the clocks of a time namespace, and no others.
const CAP_SYS_TIME: libc::c_ulong = 25;
/// Kept across the exec of the launcher, which needs them to build the sandbox and then drops them.
const LAUNCHER_CAPABILITIES: [libc::c_ulong; 5] = [
    CAP_DAC_OVERRIDE,
    CAP_SETPCAP,
    CAP_NET_ADMIN,
    CAP_SYS_ADMIN,
    CAP_SYS_TIME,
];
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const STACK: usize = 64 << 10;
/// Where the launcher's file is until it is executed.
const LAUNCHER_FD: RawFd = 4;
/// Descriptors are first moved above this number, so that placing one never overwrites another.
const ABOVE: RawFd = 16;

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
    sys::check(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) }).map(drop)
}

/// Everything the child needs, made before it exists.
struct Plan<'a> {
    handed: &'a Handed,
    maps: IdMaps,
    argv: [*const c_char; 2],
    envp: [*const c_char; 1],
    stage: &'static str,
    errno: i32,
}

/// The texts through which this user becomes [`INNER_ID`] in a new user namespace, each NUL-terminated. Made
/// outside of it: inside, nobody has a name yet.
pub struct IdMaps {
    user: [u8; 48],
    group: [u8; 48],
}

impl IdMaps {
    /// For processes that this one makes.
    pub fn of_this_process() -> Self {
        // SAFETY: these calls cannot fail and touch no memory.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        Self {
            user: id_map(user),
            group: id_map(group),
        }
    }
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
    /// The launcher's file; -1 where the child is a copy of a template and executes nothing.
    pub launcher: RawFd,
    /// Becomes [`CONTROL_FD`].
    pub control: RawFd,
    /// Become 0, 1 and 2.
    pub stdio: [RawFd; 3],
}

/// Clones a child with `namespaces` (`CLONE_NEW*`, the user namespace among them) and executes the launcher in
/// it as user [`INNER_ID`].
pub fn launch(namespaces: libc::c_int, handed: &Handed) -> Result<Launched, CloneFailure> {
    let mut plan = Plan {
        handed,
        maps: IdMaps::of_this_process(),
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
    let before = sys::set_signal_mask(u64::MAX)?;
    // SAFETY: while the child borrows our memory this thread is suspended (CLONE_VFORK); the child has a
    // stack of its own, runs no signal handler (all are blocked) and leaves by exec or _exit.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast();
        let pid = libc::clone(
            entry,
            top,
            flags,
            (&raw mut *argument).cast(),
            &raw mut pidfd,
        );
        let error = io::Error::last_os_error();
        sys::set_signal_mask(before)?;
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
        if !settle(plan.handed, &plan.maps, &mut plan.stage) {
            return;
        }
        plan.stage = "keeping capabilities";
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
        plan.stage = "executing the launcher";
        libc::syscall(
            libc::SYS_execveat,
            LAUNCHER_FD,
            c"".as_ptr(),
            plan.argv.as_ptr(),
            plan.envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
}

/// Becomes the one user of the new namespaces, keeps the capabilities that building a sandbox takes, and puts
/// the descriptors where they belong. False when a step fails, with `errno` set and the step named. Makes only
/// plain system calls.
unsafe fn settle(handed: &Handed, maps: &IdMaps, stage: &mut &'static str) -> bool {
    unsafe {
        *stage = "writing the user map";
        if !write_file(c"/proc/self/uid_map", &maps.user)
            || !write_file(c"/proc/self/setgroups", b"deny\0")
            || !write_file(c"/proc/self/gid_map", &maps.group)
        {
            return false;
        }
        *stage = "keeping capabilities";
        let kept = LAUNCHER_CAPABILITIES
            .iter()
            .fold(0, |set, capability| set | 1u64 << capability);
        if set_capabilities(kept, kept).is_err() {
            return false;
        }
        *stage = "placing descriptors";
        let lift = |fd: RawFd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, ABOVE);
        let [input, output, error] = handed.stdio;
        let lifted = [lift(input), lift(output), lift(error), lift(handed.control)];
        if lifted.contains(&-1) {
            return false;
        }
        const { assert!(CONTROL_FD == 3 && LAUNCHER_FD == 4) };
        if handed.launcher >= 0 {
            let launcher = lift(handed.launcher);
            if launcher < 0 || libc::dup3(launcher, LAUNCHER_FD, libc::O_CLOEXEC) < 0 {
                return false;
            }
        }
        for (target, fd) in lifted.into_iter().enumerate() {
            if libc::dup2(fd, target as RawFd) < 0 {
                return false;
            }
        }
        true
    }
}

/// Copies this process, which must have one thread, into new `namespaces`. The copy is no child of this
/// process but of its parent. `None` in the copy.
pub fn copy_beside(namespaces: libc::c_int) -> io::Result<Option<Launched>> {
    let mut pidfd: libc::c_int = -1;
    let flags = namespaces | libc::CLONE_PARENT | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with no stack given this is `fork`: the copy goes on with memory of its
    // own. With one thread no lock is left held in it. `pidfd` lives across the call.
    let pid = unsafe {
        let none = 0 as libc::c_ulong;
        let flags = flags as libc::c_ulong;
        libc::syscall(libc::SYS_clone, flags, none, &raw mut pidfd, none, none)
    };
    match sys::check(pid)? {
        0 => Ok(None),
        pid => Ok(Some(Launched {
            pid: pid as i32,
            // SAFETY: CLONE_PIDFD has stored a fresh descriptor.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        })),
    }
}

/// What [`launch`] does between clone and exec, for a copy of a template.
pub fn settle_copy(handed: &Handed, maps: &IdMaps) -> Result<(), StubFailure> {
    let mut stage = "";
    // SAFETY: the descriptors are this process's own, and nothing else here owns them.
    if unsafe { settle(handed, maps, &mut stage) } {
        return Ok(());
    }
    Err(StubFailure {
        stage,
        source: io::Error::last_os_error(),
    })
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
