//! The handle of what runs in a sandbox.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clone::Launched;
use crate::control_groups::ControlGroup;
use crate::error::SandboxError;
use crate::layers;
use crate::spec::Spec;
use crate::sys;
use crate::wire::{LAYER, OUT_OF_MEMORY, PIECE, PLAYER, READY, Refusal, RefusalKind};

/// How a sandbox ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The program's exit status; 128 + the signal's number if one ended it.
    pub code: i32,
    /// Why, where the sandbox itself ended it.
    pub cause: Option<Cause>,
}

/// A limit that ended a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It used more memory than granted.
    Memory,
}

/// A running sandbox. Dropping it kills everything inside.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    player_pid: i32,
    pidfd: OwnedFd,
    /// While this is open the sandbox may live; its pid 1 ends when the host's end closes.
    control: OwnedFd,
    overlays: Vec<Overlay>,
    ending: Mutex<Ending>,
}

/// What was written over one folder: the upper folder of its overlay, as overlayfs keeps it.
#[derive(Debug)]
pub struct Overlay {
    /// The folder as seen inside.
    pub target: PathBuf,
    /// The upper folder. It outlives the sandbox as long as this is open.
    pub upper: OwnedFd,
}

/// What a sandbox has used, all its processes together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// User and system time.
    pub cpu_seconds: f64,
    /// The most memory that one of its processes held, in bytes.
    pub peak_memory: u64,
}

#[derive(Debug)]
struct Ending {
    exit: Option<Exit>,
    usage: Option<Used>,
    group: Option<ControlGroup>,
}

impl Child {
    /// The handle of a process that waits for its spec at the other end of `control`.
    pub(crate) fn new(launched: Launched, control: OwnedFd) -> Self {
        Self {
            pid: launched.pid,
            player_pid: 0,
            pidfd: launched.pidfd,
            control,
            overlays: Vec::new(),
            ending: Mutex::new(Ending {
                exit: None,
                usage: None,
                group: None,
            }),
        }
    }

    /// Hands over the spec and the way into `group`, then waits for the program to run.
    pub(crate) fn start(
        mut self,
        text: &[u8],
        role: u8,
        group: Option<ControlGroup>,
        spec: &Spec,
    ) -> Result<Self, SandboxError> {
        let control = self.control.as_raw_fd();
        let lost = |error: io::Error| SandboxError::Lost(error.to_string());
        let mut head = (text.len() as u32).to_le_bytes().to_vec();
        head.push(role);
        let doors = match &group {
            Some(group) => group.doors().map_err(|error| {
                layer_error("control_groups", format!("opening the group: {error}"))
            })?,
            None => Vec::new(),
        };
        let passed: Vec<RawFd> = doors.iter().map(AsRawFd::as_raw_fd).collect();
        if passed.is_empty() {
            sys::send(control, &head)
        } else {
            sys::send_with(control, &head, &passed)
        }
        .map_err(lost)?;
        self.lock().group = group;
        for piece in text.chunks(PIECE) {
            // Fails only when the launcher has refused already; its reason is read below.
            let _ = sys::send(control, piece);
        }
        let mut buffer = vec![0; 8192];
        let mut is_ready = false;
        // A copy and its pid 1 say these at the same time.
        while !is_ready || self.player_pid == 0 {
            let received = sys::receive(control, &mut buffer, 0).map_err(lost)?;
            match &buffer[..received.length] {
                [] => return Err(SandboxError::Lost(self.describe_end())),
                [LAYER, target @ ..] => {
                    self.overlays
                        .extend(received.passed.into_iter().map(|upper| Overlay {
                            target: PathBuf::from(OsStr::from_bytes(target)),
                            upper,
                        }))
                }
                [PLAYER] => self.player_pid = received.pid,
                [READY] => is_ready = true,
                refusal => return Err(refused(refusal, spec)),
            }
        }
        Ok(self)
    }

    /// The socket to a template's process.
    pub(crate) fn control(&self) -> RawFd {
        self.control.as_raw_fd()
    }

    fn describe_end(&self) -> String {
        match self.wait(Some(Duration::from_secs(1))) {
            Ok(Some(exit)) => format!("exit status {}", exit.code),
            _ => "no exit status".to_owned(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ending> {
        self.ending
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The sandbox's pid 1, in the host's pid namespace. Its end is the end of everything inside.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The program itself, in the host's pid namespace: what a Unix socket's peer credentials show.
    pub fn player_pid(&self) -> i32 {
        self.player_pid
    }

    /// What is written over the folders that are overlays, in the order of the mounts. It is there until this
    /// handle goes, also after the end.
    pub fn overlays(&self) -> &[Overlay] {
        &self.overlays
    }

    /// A descriptor that becomes readable when the sandbox has ended.
    pub fn pidfd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Bytes of memory in use, where control groups count them.
    pub fn memory_in_use(&self) -> Option<u64> {
        self.lock()
            .group
            .as_ref()
            .and_then(ControlGroup::memory_in_use)
    }

    /// What all that ran inside has used; `None` before its end was waited for.
    pub fn usage(&self) -> Option<Used> {
        self.lock().usage
    }

    /// Waits for the end, at most `timeout`; `None` when it still runs then.
    ///
    /// # Errors
    /// The system's answer when the process cannot be waited for.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Option<Exit>> {
        if let Some(exit) = self.lock().exit {
            return Ok(Some(exit));
        }
        if !self.poll_end(timeout)? {
            return Ok(None);
        }
        let mut ending = self.lock();
        if ending.exit.is_none() {
            let (code, usage) = self.collect()?;
            ending.usage = Some(usage);
            let limited = ending
                .group
                .as_ref()
                .is_some_and(ControlGroup::has_run_out_of_memory)
                || self.was_ended_by_supervisor();
            ending.exit = Some(Exit {
                code,
                cause: (limited && code != 0).then_some(Cause::Memory),
            });
            ending.group = None;
        }
        Ok(ending.exit)
    }

    fn poll_end(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let milliseconds = deadline.map_or(-1, |deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
            });
            let mut wanted = libc::pollfd {
                fd: self.pidfd.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one entry, which lives across the call.
            match sys::check(unsafe { libc::poll(&mut wanted, 1, milliseconds) }.into()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn collect(&self) -> io::Result<(i32, Used)> {
        // SAFETY: `info` and `usage` have room for the answers; the descriptor is ours. The system call takes
        // the usage as a fifth argument, which the C library's function does not pass on.
        let (info, usage) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let mut usage: libc::rusage = std::mem::zeroed();
            sys::check(libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                self.pidfd.as_raw_fd(),
                &raw mut info,
                libc::WEXITED | libc::__WALL,
                &raw mut usage,
            ))?;
            (info, usage)
        };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        let used = Used {
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_memory: usage.ru_maxrss.unsigned_abs() * 1024,
        };
        // SAFETY: `waitid` has filled the fields of a child's end.
        let status = unsafe { info.si_status() };
        let code = if info.si_code == libc::CLD_EXITED {
            status
        } else {
            128 + status
        };
        Ok((code, used))
    }

    fn was_ended_by_supervisor(&self) -> bool {
        let mut buffer = [0; 16];
        matches!(
            sys::receive(self.control.as_raw_fd(), &mut buffer, libc::MSG_DONTWAIT),
            Ok(received) if received.length == 1 && buffer[0] == OUT_OF_MEMORY
        )
    }

    /// Sends a signal to the program, through pid 1; `SIGKILL` ends everything at once.
    ///
    /// # Errors
    /// The system's answer; a sandbox that has already ended is no error.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: the descriptor is ours, no other memory is passed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match sys::check(result) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends everything inside at once.
    ///
    /// # Errors
    /// As [`Child::signal`].
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.lock().exit.is_none() {
            // Neither can fail on our own unreaped child, and a destructor has nobody to tell.
            let _ = self.kill();
            let _ = self.wait(None);
        }
    }
}

/// A protection that could not be applied.
pub(crate) fn layer_error(name: &str, reason: String) -> SandboxError {
    SandboxError::Layer {
        layer: name.to_owned(),
        reason,
        remedy: layers::remedy(name).to_owned(),
    }
}

fn refused(packet: &[u8], spec: &Spec) -> SandboxError {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(packet) else {
        return SandboxError::Lost("it answered nonsense".into());
    };
    let cause = match refusal.errno {
        0 => refusal.operation.clone(),
        errno => format!(
            "{}: {}",
            refusal.operation,
            io::Error::from_raw_os_error(errno)
        ),
    };
    match refusal.kind {
        RefusalKind::Layer => layer_error(&refusal.subject, cause),
        RefusalKind::Mount => SandboxError::Mount {
            path: refusal.subject,
            reason: cause,
        },
        RefusalKind::Program => SandboxError::Program {
            program: spec.argv[0].clone(),
            reason: cause,
            exit_code: if refusal.errno == libc::ENOENT {
                127
            } else {
                126
            },
        },
    }
}
