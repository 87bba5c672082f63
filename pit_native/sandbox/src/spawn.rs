//! The host's side of a launch, and the handle of what runs.

use std::ffi::CString;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clone::{self, CloneFailure, Handed, Launched};
use crate::control_groups::{self, ControlGroup};
use crate::error::SandboxError;
use crate::layers::{self, NAMESPACES};
use crate::spec::{Spec, Stdio};
use crate::sys;
use crate::wire::{
    LARGEST_SPEC, LAYER, LIMITED, OUT_OF_MEMORY, PIECE, PLAYER, READY, Refusal, RefusalKind,
    SUPERVISE, TEMPLATE,
};

/// A launcher that is silent for so long is stuck, for example on a dead network file system.
const SILENCE: i64 = 30;

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

/// Starts `spec.argv` in a sandbox; returns once the program itself runs.
///
/// # Errors
/// [`SandboxError`] when the spec is invalid, a layer cannot be applied, a mount's source is missing or
/// the program cannot be executed. In all cases nothing is left running.
pub fn spawn(launcher: &Path, spec: &Spec) -> Result<Child, SandboxError> {
    let launch = Launch::prepare(spec, control_group(spec)?)?;
    let executable = open_launcher(launcher)?;
    let handed = launch.handed(executable.as_raw_fd());
    let role = launch.role();
    launch.begin(clone_launcher(spec, &handed)?, role)
}

/// Starts the interpreter of a template: `spec` as for a Player, with the library that serves.
pub(crate) fn spawn_template(launcher: &Path, spec: &Spec) -> Result<Child, SandboxError> {
    let launch = Launch::prepare(spec, None)?;
    let executable = open_launcher(launcher)?;
    let handed = launch.handed(executable.as_raw_fd());
    // Those that hold a root up; what else a Player gets is made with each.
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    let launched = clone_launcher_into(namespaces, &handed)?
        .map_err(|error| layer_error("user_namespace", error.to_string()))?;
    launch.begin(launched, TEMPLATE)
}

/// Starts a Player as a copy that `make` has a template make, of what it is handed.
pub(crate) fn spawn_copy(
    spec: &Spec,
    make: impl FnOnce(&Handed) -> Result<Launched, SandboxError>,
) -> Result<Child, SandboxError> {
    let launch = Launch::prepare(spec, control_group(spec)?)?;
    let role = launch.role();
    let launched = make(&launch.handed(-1))?;
    launch.begin(launched, role)
}

/// All that a launch needs of the host, made before there is a process.
struct Launch<'a> {
    spec: &'a Spec,
    text: Vec<u8>,
    group: Option<ControlGroup>,
    doors: Vec<File>,
    streams: Streams,
    control: OwnedFd,
    far_end: OwnedFd,
}

impl<'a> Launch<'a> {
    fn prepare(spec: &'a Spec, group: Option<ControlGroup>) -> Result<Self, SandboxError> {
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
        let doors = match &group {
            Some(group) => group.doors().map_err(|error| {
                layer_error("control_groups", format!("opening the group: {error}"))
            })?,
            None => Vec::new(),
        };
        Ok(Self {
            spec,
            text,
            group,
            doors,
            streams,
            control,
            far_end,
        })
    }

    fn handed(&self, launcher: RawFd) -> Handed {
        let door = |number: usize| self.doors.get(number).map_or(-1, AsRawFd::as_raw_fd);
        Handed {
            launcher,
            control: self.far_end.as_raw_fd(),
            stdio: self.streams.descriptors(),
            groups: [door(0), door(1), door(2)],
        }
    }

    /// Who sums memory.
    fn role(&self) -> u8 {
        if self.group.is_some() {
            LIMITED
        } else {
            SUPERVISE
        }
    }

    /// Hands the spec to the process that is to be its pid 1, or its template.
    fn begin(self, launched: Launched, role: u8) -> Result<Child, SandboxError> {
        drop(self.far_end);
        let child = Child {
            pid: launched.pid,
            player_pid: 0,
            pidfd: launched.pidfd,
            control: self.control,
            overlays: Vec::new(),
            ending: Mutex::new(Ending {
                exit: None,
                usage: None,
                group: self.group,
            }),
        };
        child.start(&self.text, role, self.spec)
    }
}

pub(crate) fn host(operation: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |source| SandboxError::Host { operation, source }
}

fn layer_error(name: &str, reason: String) -> SandboxError {
    SandboxError::Layer {
        layer: name.to_owned(),
        reason,
        remedy: layers::remedy(name).to_owned(),
    }
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

/// The three standard streams of the sandbox.
struct Streams {
    chosen: [RawFd; 3],
    /// Kept open for the streams that are null.
    _null: Option<File>,
}

impl Streams {
    fn open(wanted: &[Stdio; 3]) -> Result<Self, SandboxError> {
        let null = if wanted.contains(&Stdio::Null) {
            let file = File::options().read(true).write(true).open("/dev/null");
            Some(file.map_err(host("opening /dev/null"))?)
        } else {
            None
        };
        let mut chosen = [0; 3];
        for (number, stream) in wanted.iter().enumerate() {
            chosen[number] = match stream {
                Stdio::Inherit => number as RawFd,
                Stdio::Fd(fd) => *fd,
                Stdio::Null => null.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            };
            refuse_folder(number, chosen[number])?;
        }
        Ok(Self {
            chosen,
            _null: null,
        })
    }

    fn descriptors(&self) -> [RawFd; 3] {
        self.chosen
    }
}

/// A folder as a stream would be a door out: paths can be opened relative to it.
fn refuse_folder(number: usize, fd: RawFd) -> Result<(), SandboxError> {
    // SAFETY: `status` has room for the answer.
    let mode = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &mut status) < 0 {
            return Err(SandboxError::host("a standard stream is not open"));
        }
        status.st_mode & libc::S_IFMT
    };
    if mode == libc::S_IFDIR || mode == libc::S_IFBLK {
        let reason = format!(
            "[{number}] is a folder or a disk, which would open the host's files to the sandbox"
        );
        return Err(SandboxError::InvalidSpec {
            field: "stdio",
            reason,
        });
    }
    Ok(())
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
            Err(layer_error(failure.layer(), reason))
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

impl Child {
    /// Hands over the spec, then waits for the program to run.
    fn start(mut self, text: &[u8], role: u8, spec: &Spec) -> Result<Self, SandboxError> {
        let control = self.control.as_raw_fd();
        let lost = |error: io::Error| SandboxError::Lost(error.to_string());
        let mut head = (text.len() as u32).to_le_bytes().to_vec();
        head.push(role);
        sys::send(control, &head).map_err(lost)?;
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
