//! Pid 1 of a sandbox: starts the program, reaps orphans, passes signals on, ends when program or host does.

use std::ffi::{CString, c_char, c_void};
use std::fs;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::{Failure, root::find_program};
use crate::clone::clone_and_wait;
use crate::spec::Spec;
use crate::sys;
use crate::wire::{CONTROL_FD, OUT_OF_MEMORY, PLAYER, READY, RefusalKind};

/// How often memory is summed where no control group does it.
const SUPERVISION_MILLISECONDS: i32 = 100;
/// Exit status when nobody is left to read it.
const HOST_IS_GONE: i32 = 125;
/// Signals that reach the program when the host sends them to the sandbox.
const PASSED_ON: [libc::c_int; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

/// The program in the form that exec wants, found and ready.
pub struct Program {
    name: String,
    path: CString,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// Owns what the pointers above point to.
    _texts: Vec<CString>,
}

impl Program {
    /// Finds the program inside the finished root.
    pub fn prepare(spec: &Spec) -> Result<Self, Failure> {
        let name = spec.argv[0].clone();
        let refused =
            |error: io::Error| Failure::new(RefusalKind::Program, &name, "looking for it", &error);
        let search = spec
            .env
            .iter()
            .find(|(name, _)| name == "PATH")
            .map_or("", |(_, value)| value);
        let found = find_program(&name, search).map_err(refused)?;
        let c_text =
            |text: &str| CString::new(text).map_err(|error| refused(io::Error::other(error)));
        let path = CString::new(found.as_os_str().as_bytes())
            .map_err(|error| refused(io::Error::other(error)))?;
        let arguments = spec
            .argv
            .iter()
            .map(|text| c_text(text))
            .collect::<Result<Vec<_>, _>>()?;
        let variables = spec
            .env
            .iter()
            .map(|(name, value)| c_text(&format!("{name}={value}")))
            .collect::<Result<Vec<_>, _>>()?;
        let pointers = |texts: &[CString]| {
            texts
                .iter()
                .map(|text| text.as_ptr())
                .chain([ptr::null()])
                .collect::<Vec<_>>()
        };
        let (argv, envp) = (pointers(&arguments), pointers(&variables));
        let texts = arguments.into_iter().chain(variables).collect();
        Ok(Self {
            name,
            path,
            argv,
            envp,
            _texts: texts,
        })
    }

    /// Starts the program, in memory borrowed from this process until it executes.
    pub fn start(&self) -> Result<libc::pid_t, Failure> {
        let refused = |operation: &str, error: &io::Error| {
            Failure::new(RefusalKind::Program, &self.name, operation, error)
        };
        let mut attempt = Attempt {
            program: self,
            errno: 0,
        };
        let launched = clone_and_wait(0, become_program, &mut attempt)
            .map_err(|error| refused("starting a process", &error))?;
        match attempt.errno {
            0 => Ok(launched.pid),
            errno => Err(refused(
                "executing it",
                &io::Error::from_raw_os_error(errno),
            )),
        }
    }

    /// Becomes the program; returns the system's error number when that fails. Makes only plain system calls.
    pub unsafe fn execute(&self) -> i32 {
        // SAFETY: the pointers are to texts that `self` owns.
        unsafe {
            sys::reset_signals();
            // Cannot fail for a set of this size.
            let _ = sys::set_signal_mask(0);
            libc::execve(self.path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
        }
        io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO)
    }
}

struct Attempt<'a> {
    program: &'a Program,
    errno: i32,
}

extern "C" fn become_program(argument: *mut c_void) -> libc::c_int {
    // SAFETY: `start` passes its attempt and is suspended until this process executes or ends. Only plain
    // system calls follow.
    unsafe {
        let attempt = &mut *argument.cast::<Attempt>();
        // Written by this process, so that the kernel attests its pid to the host.
        let _ = sys::send(CONTROL_FD, &[PLAYER]);
        libc::setpgid(0, 0);
        attempt.errno = attempt.program.execute();
        libc::_exit(126)
    }
}

/// Copies this process, whose one thread is also that of its interpreter, as the Player. `None` in the Player,
/// which from here on has no descriptor but its streams and no blocked signal.
pub fn copy_as_player() -> Result<Option<libc::pid_t>, Failure> {
    // SAFETY: with one thread no lock is left held in the copy.
    match unsafe { libc::fork() } {
        0 => become_player().map(|()| None).map_err(|error| {
            Failure::new(
                RefusalKind::Layer,
                "template",
                "becoming the Player",
                &error,
            )
        }),
        pid if pid > 0 => Ok(Some(pid)),
        _ => {
            let error = io::Error::last_os_error();
            Err(Failure::new(
                RefusalKind::Layer,
                "template",
                "starting a process",
                &error,
            ))
        }
    }
}

/// What an exec does for a program that is one: descriptors closed, signals no longer blocked, and open to
/// its own debuggers and readers again, unlike pid 1.
fn become_player() -> io::Result<()> {
    sys::prctl(libc::PR_SET_DUMPABLE, 1, 0)?;
    // SAFETY: plain system calls; pid 1's descriptors above the control socket are not used in this process.
    unsafe {
        sys::check(libc::setpgid(0, 0).into())?;
        let last = libc::c_uint::MAX;
        sys::check(libc::syscall(
            libc::SYS_close_range,
            CONTROL_FD + 1,
            last,
            0,
        ))?;
        sys::set_signal_mask(0)?;
        // Written by this process, so that the kernel attests its pid to the host. The last thing that it has
        // to say: until now nothing of an extension has run.
        sys::send(CONTROL_FD, &[PLAYER])?;
        sys::check(libc::close(CONTROL_FD).into()).map(drop)
    }
}

/// Starts the program and stays until it or the host ends. Answers what to exit with; the kernel then ends
/// every other process of the sandbox. `memory` is the sum in bytes to enforce, where nothing else does.
/// `None` in the program itself, where `start` made it by copying this process.
pub fn live(
    start: impl FnOnce() -> Result<Option<libc::pid_t>, Failure>,
    memory: Option<u64>,
) -> Result<Option<i32>, Failure> {
    let signals = open_signals().map_err(Failure::layer("launcher", "watching signals"))?;
    let Some(player) = start()? else {
        return Ok(None);
    };
    // The program's streams must close when it closes them.
    release_streams().map_err(Failure::layer("launcher", "releasing the standard streams"))?;
    if sys::send(CONTROL_FD, &[READY]).is_err() {
        return Ok(Some(HOST_IS_GONE));
    }
    let page = page_size();
    let timeout = if memory.is_some() {
        SUPERVISION_MILLISECONDS
    } else {
        -1
    };
    loop {
        let mut watched = [
            libc::pollfd {
                fd: signals,
                events: libc::POLLIN,
                revents: 0,
            },
            libc::pollfd {
                fd: CONTROL_FD,
                events: 0,
                revents: 0,
            },
        ];
        // SAFETY: two entries, which live across the call.
        unsafe { libc::poll(watched.as_mut_ptr(), 2, timeout) };
        if watched[1].revents != 0 {
            return Ok(Some(HOST_IS_GONE));
        }
        if watched[0].revents != 0
            && let Some(code) = handle_signal(signals, player)
        {
            return Ok(Some(code));
        }
        if memory.is_some_and(|limit| {
            memory_in_use(page, false) > limit && memory_in_use(page, true) > limit
        }) {
            // A host that is gone learns nothing, and everything ends anyway.
            let _ = sys::send(CONTROL_FD, &[OUT_OF_MEMORY]);
            return Ok(Some(128 + libc::SIGKILL));
        }
    }
}

/// All signals are blocked, so that none is lost before the poll. The number belongs to nobody: in a Player it is
/// closed with all others.
fn open_signals() -> io::Result<RawFd> {
    sys::set_signal_mask(u64::MAX)?;
    sys::signal_descriptor(u64::MAX).map(IntoRawFd::into_raw_fd)
}

fn release_streams() -> io::Result<()> {
    let null = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for stream in 0..3 {
        // SAFETY: both descriptors are open.
        sys::check(unsafe { libc::dup2(null.as_raw_fd(), stream) }.into())?;
    }
    Ok(())
}

/// Passes on what has arrived and reaps who has ended; the program's status once that is the program.
fn handle_signal(signals: RawFd, player: libc::pid_t) -> Option<i32> {
    let mut has_child_ended = false;
    loop {
        // SAFETY: `info` has room for one record.
        let number = unsafe {
            let mut info: libc::signalfd_siginfo = zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            if libc::read(signals, (&raw mut info).cast(), size) != size as isize {
                break;
            }
            info.ssi_signo as libc::c_int
        };
        has_child_ended |= number == libc::SIGCHLD;
        if PASSED_ON.contains(&number) {
            // SAFETY: no memory is involved; the group's leader is our unreaped child.
            unsafe { libc::kill(-player, number) };
        }
    }
    if !has_child_ended {
        return None;
    }
    loop {
        let mut status = 0;
        // SAFETY: `status` lives across the call.
        match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) } {
            pid if pid == player && libc::WIFEXITED(status) => {
                return Some(libc::WEXITSTATUS(status));
            }
            pid if pid == player && libc::WIFSIGNALED(status) => {
                return Some(128 + libc::WTERMSIG(status));
            }
            pid if pid <= 0 => return None,
            _ => {}
        }
    }
}

fn page_size() -> u64 {
    // SAFETY: cannot fail for this name.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

/// Bytes that all processes but this one hold. The quick sum counts pages shared after a fork once for each
/// holder; the exact one, asked only when the quick one is over the limit, divides them.
fn memory_in_use(page: u64, is_exact: bool) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != 1)
        .map(|pid| {
            if is_exact {
                proportional_size(pid)
            } else {
                resident_size(pid, page)
            }
        })
        .sum()
}

fn resident_size(pid: i32, page: u64) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    text.split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * page
}

fn proportional_size(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            // File pages that are not mapped privately can be dropped by the kernel at any time.
            matches!(name, "Pss_Anon" | "Pss_Shmem")
                .then(|| value.trim().trim_end_matches(" kB").parse::<u64>().ok())?
        })
        .map(|kibibytes| kibibytes << 10)
        .sum()
}
