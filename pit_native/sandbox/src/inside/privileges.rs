//! Gives up what the launcher inherited: descriptors, the terminal, capabilities, unbounded resources.

use std::fs::File;
use std::io::{self, Write};
use std::mem::zeroed;
use std::os::fd::AsRawFd;

use crate::clone::set_capabilities;
use crate::spec::Limits;
use crate::sys::{check, prctl};
use crate::wire::CONTROL_FD;

/// Not among the flags of `clone`, whose bit it has for the signal at a child's end.
const CLONE_NEWTIME: libc::c_int = 0x80;

/// Closes everything but the standard streams and the control socket, which exec will close.
pub fn close_inherited_descriptors() -> io::Result<()> {
    // SAFETY: nothing in this process owns a descriptor above the control socket yet.
    unsafe {
        check(libc::syscall(
            libc::SYS_close_range,
            CONTROL_FD + 1,
            libc::c_uint::MAX,
            0,
        ))?;
        check(libc::fcntl(CONTROL_FD, libc::F_SETFD, libc::FD_CLOEXEC).into())?;
        // The host's mask would leave files of the sandbox with its modes.
        libc::umask(0o022);
    }
    Ok(())
}

/// What the clocks that count from the machine's start show when a sandbox begins, in seconds: no machine's own time.
const CLOCKS_BEGIN: i64 = 1000 * 86_400;

/// Enters a time namespace of its own, in which nothing tells for how long the machine has been running. Takes the
/// host's `/proc`.
pub fn leave_clocks() -> io::Result<()> {
    unshare_clocks()?;
    // Offsets are fixed once there is a process in it, which this one becomes.
    let offset = |clock| -> io::Result<i64> {
        // SAFETY: the structure lives across the call.
        unsafe {
            let mut now: libc::timespec = zeroed();
            check(libc::clock_gettime(clock, &mut now).into())?;
            Ok(CLOCKS_BEGIN - now.tv_sec)
        }
    };
    let (monotonic, boot) = (
        offset(libc::CLOCK_MONOTONIC)?,
        offset(libc::CLOCK_BOOTTIME)?,
    );
    let offsets = format!("monotonic {monotonic} 0\nboottime {boot} 0\n");
    File::options()
        .write(true)
        .open("/proc/self/timens_offsets")?
        .write_all(offsets.as_bytes())?;
    let namespace = File::open("/proc/self/ns/time_for_children")?;
    // SAFETY: no memory is involved; this process has one thread.
    check(unsafe { libc::setns(namespace.as_raw_fd(), CLONE_NEWTIME) }.into()).map(drop)
}

/// Gives the processes that this one will make a time namespace of their own.
pub fn unshare_clocks() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::unshare(CLONE_NEWTIME) }.into()).map(drop)
}

/// The host name of the private uts namespace.
pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// Brings up `lo` of the private network namespace, so that programs can talk to themselves.
pub fn raise_loopback() -> io::Result<()> {
    // SAFETY: the request is zeroed and filled as SIOCSIFFLAGS wants it; the socket is closed again.
    unsafe {
        let socket =
            check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0).into())?
                as libc::c_int;
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
        let result = check(libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &request).into());
        libc::close(socket);
        result.map(drop)
    }
}

/// A session of its own has no controlling terminal to type into.
pub fn leave_session() -> io::Result<()> {
    // SAFETY: no memory is involved. Fails only for a process group's leader, which a clone is not.
    check(unsafe { libc::setsid() }.into()).map(drop)
}

/// Limits of each process. Those of the whole sandbox are the control group's or the supervisor's.
pub fn limit_resources(limits: &Limits) -> io::Result<()> {
    // Pid 1 counts as a process of the inner user.
    let processes = limits.processes + 1;
    // One process alone must not outrun the supervisor; reservations of address space stay free.
    let data = limits.memory.saturating_mul(2).saturating_add(1 << 30);
    let mut wanted = vec![
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_NOFILE, limits.files),
        (libc::RLIMIT_FSIZE, limits.file_size),
        (libc::RLIMIT_NPROC, processes),
        (libc::RLIMIT_DATA, data),
        (libc::RLIMIT_MEMLOCK, 8 << 20),
        (libc::RLIMIT_SIGPENDING, 4096),
        (libc::RLIMIT_NICE, 0),
        (libc::RLIMIT_RTPRIO, 0),
    ];
    if let Some(seconds) = limits.cpu_seconds {
        wanted.push((libc::RLIMIT_CPU, seconds));
    }
    for (resource, value) in wanted {
        // SAFETY: both structures live across their calls.
        unsafe {
            let mut present: libc::rlimit = zeroed();
            check(libc::getrlimit(resource, &mut present).into())?;
            // A limit that the host itself has is never raised.
            let value = value.min(present.rlim_max);
            let limit = libc::rlimit {
                rlim_cur: value,
                rlim_max: value,
            };
            check(libc::setrlimit(resource, &limit).into())?;
        }
    }
    Ok(())
}

/// Empties every capability set for good, and makes set-user-id programs mean nothing.
pub fn drop_all<E>(failure: impl Fn(&'static str, io::Error) -> E) -> Result<(), E> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map_err(|error| failure("no_new_privs", error))?;
    prctl(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
        0,
    )
    .map_err(|error| failure("clearing the ambient set", error))?;
    for capability in 0..64 {
        match prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Ok(()) => {}
            // The first number that this kernel does not know.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(failure("dropping the bounding set", error)),
        }
    }
    // SECBIT_NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each locked.
    const SECURE_BITS: libc::c_ulong = 0b1110_1111;
    prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0)
        .map_err(|error| failure("locking the secure bits", error))?;
    set_capabilities(0, 0).map_err(|error| failure("emptying the sets", error))?;
    // Pid 1 holds the control socket: nobody inside may look into it through /proc/1.
    prctl(libc::PR_SET_DUMPABLE, 0, 0).map_err(|error| failure("hiding pid 1", error))
}
