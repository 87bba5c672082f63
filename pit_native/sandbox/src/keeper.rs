//! Keeps one warm template, and starts Players from it or, where that cannot be, with the launcher.
//!
//! Isolation does not depend on which of the two it is: the same code applies the same layers. What the
//! template cannot do is tried by the launcher, whose refusal is the one that counts.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::error::SandboxError;
use crate::spawn::spawn;
use crate::spec::{Mode, Spec};
use crate::sys;
use crate::template::Template;

/// Between two attempts to start a template that fails or dies; doubled each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A template that lived for so long failed for a reason of its own.
const LASTING: Duration = Duration::from_secs(60);
/// The variable that names the library inside; with others of this beginning it differs between Players.
const LIBRARY: &str = "SYMPHONY_TEMPLATE";
const OF_A_PLAYER: &str = "SYMPHONY_";

/// How a Player was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Copied from the template.
    Template,
    /// By the launcher, and why; empty when no template was asked for yet.
    Launcher(String),
}

/// How it stands with the template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// `cold`: none was asked for yet; `starting`; `warm`; `failed`: the next attempt comes after a pause.
    pub state: &'static str,
    /// Its process, while warm.
    pub pid: Option<i32>,
    /// Why there is none, or why the last one ended.
    pub reason: String,
    /// Players copied from templates.
    pub copied: u64,
    /// Players that the launcher started instead.
    pub launched: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    launcher: PathBuf,
    spec: Spec,
    watched: Vec<PathBuf>,
    state: Mutex<State>,
    /// Wakes the thread that keeps the template.
    wake: OwnedFd,
    /// Tells the host that the status has changed.
    changed: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    status: Status,
    warm: Option<Arc<Warm>>,
    /// A reason why the warm one must go.
    replace: Option<String>,
    is_closed: bool,
}

/// A template, and what it was made from.
#[derive(Debug)]
struct Warm {
    template: Template,
    sources: Vec<Source>,
    /// The host's mounts; the template sees those of its start.
    mounts: File,
}

/// What tells whether a file is the same as before.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    path: PathBuf,
    identity: (u64, u64, u64, i64, i64),
}

impl Keeper {
    /// For Players with the program, environment and libraries of `spec`, which is that of the template. When a
    /// file that is, or is in a folder of, `watched` changes, the template is replaced.
    ///
    /// # Errors
    /// The system's answer when it gives no descriptors.
    pub fn new(launcher: PathBuf, spec: Spec, watched: Vec<PathBuf>) -> io::Result<Self> {
        let state = State {
            status: Status {
                state: "cold",
                ..Status::default()
            },
            ..State::default()
        };
        Ok(Self {
            shared: Arc::new(Shared {
                launcher,
                spec,
                watched,
                state: Mutex::new(state),
                wake: event()?,
                changed: event()?,
            }),
        })
    }

    /// Starts the template in the background, unless one was asked for before.
    pub fn warm(&self) {
        let mut state = self.shared.lock();
        if state.status.state != "cold" || state.is_closed {
            return;
        }
        state.status.state = "starting";
        drop(state);
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("symphony-template".into());
        if let Err(error) = thread.spawn(move || shared.keep()) {
            let mut state = self.shared.lock();
            state.status.state = "failed";
            state.status.reason = error.to_string();
        }
    }

    /// Starts a Player: a copy of the template where there is one that fits, else by the launcher.
    ///
    /// # Errors
    /// As [`spawn`].
    pub fn spawn(&self, spec: &Spec) -> Result<(Child, Origin), SandboxError> {
        let why = match self.shared.fitting(spec) {
            Ok(warm) => match warm.template.spawn(spec) {
                Ok(child) => {
                    self.shared.lock().status.copied += 1;
                    return Ok((child, Origin::Template));
                }
                Err(error @ SandboxError::InvalidSpec { .. }) => return Err(error),
                Err(error) => {
                    if matches!(error, SandboxError::Host { .. } | SandboxError::Lost(_)) {
                        self.shared.replace(&warm, error.to_string());
                    }
                    error.to_string()
                }
            },
            Err(why) => why,
        };
        let child = spawn(&self.shared.launcher, spec)?;
        self.shared.lock().status.launched += 1;
        Ok((child, Origin::Launcher(why)))
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shared.lock().status.clone()
    }

    /// An eventfd that counts the changes of the status.
    pub fn fileno(&self) -> RawFd {
        self.shared.changed.as_raw_fd()
    }

    /// Ends the template; from here on the launcher starts all.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        let warm = state.warm.take();
        state.status.state = "cold";
        state.status.pid = None;
        drop(state);
        signal(&self.shared.wake);
        drop(warm);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The template, if it can be that of this Player; else why not.
    fn fitting(&self, spec: &Spec) -> Result<Arc<Warm>, String> {
        let warm = {
            let state = self.lock();
            match &state.warm {
                Some(warm) => warm.clone(),
                None => return Err(state.status.reason.clone()),
            }
        };
        differs(&self.spec, spec).map_or(Ok(()), |what| {
            Err(format!("its {what} is not the template's"))
        })?;
        if let Some(reason) = warm.outdated(&self.watched) {
            self.replace(&warm, reason.clone());
            return Err(reason);
        }
        Ok(warm)
    }

    /// Has the thread put another in the place of `warm`.
    fn replace(&self, warm: &Arc<Warm>, reason: String) {
        let mut state = self.lock();
        if state
            .warm
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, warm))
        {
            state.warm = None;
            state.replace = Some(reason);
            drop(state);
            signal(&self.wake);
        }
    }

    /// The thread's life: starts a template, waits for its end or for a reason to replace it, and again.
    fn keep(&self) {
        let mut pause = SHORTEST_PAUSE;
        while !self.lock().is_closed {
            let began = Instant::now();
            let reason = match Warm::start(self) {
                Ok(warm) => self.tend(&Arc::new(warm)),
                Err(error) => Reason::Failed(error.to_string()),
            };
            if began.elapsed() > LASTING {
                pause = SHORTEST_PAUSE;
            }
            match reason {
                Reason::Closed => return,
                Reason::Outdated(reason) => self.tell("starting", None, reason),
                Reason::Failed(reason) => {
                    self.tell("failed", None, reason);
                    wait(&[self.wake.as_raw_fd()], libc::POLLIN, Some(pause));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Offers a template until it ends or must go.
    fn tend(&self, warm: &Arc<Warm>) -> Reason {
        {
            let mut state = self.lock();
            if state.is_closed {
                return Reason::Closed;
            }
            state.warm = Some(warm.clone());
            state.replace = None;
        }
        self.tell("warm", Some(warm.template.pid()), String::new());
        wait(
            &[self.wake.as_raw_fd(), warm.template.pidfd()],
            libc::POLLIN,
            None,
        );
        drain(&self.wake);
        let mut state = self.lock();
        state.warm = None;
        match state.replace.take() {
            _ if state.is_closed => Reason::Closed,
            _ if !warm.template.is_alive() => Reason::Failed("the template has ended".to_owned()),
            Some(reason) if warm.outdated(&self.watched).is_some() => Reason::Outdated(reason),
            Some(reason) => Reason::Failed(reason),
            None => Reason::Outdated("the template is started anew".to_owned()),
        }
    }

    fn tell(&self, state: &'static str, pid: Option<i32>, reason: String) {
        let mut now = self.lock();
        if !now.is_closed {
            now.status.state = state;
            now.status.pid = pid;
            now.status.reason = reason;
        }
        drop(now);
        signal(&self.changed);
    }
}

/// Why a template is not offered any more.
enum Reason {
    Closed,
    Outdated(String),
    Failed(String),
}

impl Warm {
    fn start(shared: &Shared) -> Result<Self, SandboxError> {
        let host = crate::spawn::host;
        // Both before the template, so that a change during its start is not missed.
        let mounts = File::open("/proc/self/mountinfo").map_err(host("watching the mounts"))?;
        let sources =
            sources(&shared.watched).map_err(host("looking at the Players' libraries"))?;
        Ok(Self {
            template: Template::start(&shared.launcher, &shared.spec)?,
            sources,
            mounts,
        })
    }

    /// What has changed since its start.
    fn outdated(&self, watched: &[PathBuf]) -> Option<String> {
        if wait(
            &[self.mounts.as_raw_fd()],
            libc::POLLPRI,
            Some(Duration::ZERO),
        ) {
            return Some("this computer's mounts have changed".to_owned());
        }
        if sources(watched).ok().as_ref() != Some(&self.sources) {
            return Some("the interpreter or the Players' libraries have changed".to_owned());
        }
        None
    }
}

/// What keeps a Player from being a copy of the template: the name of the part that differs.
fn differs(template: &Spec, player: &Spec) -> Option<&'static str> {
    let common = |spec: &Spec| -> Vec<(String, String)> {
        spec.env
            .iter()
            .filter(|(name, _)| !name.starts_with(OF_A_PLAYER))
            .filter(|(name, _)| name != "PATH")
            .cloned()
            .collect()
    };
    let library = template.env.iter().find(|(name, _)| name == LIBRARY);
    let has_all = template
        .mounts
        .iter()
        .filter(|mount| library.is_none_or(|(_, place)| mount.target != Path::new(place)))
        .all(|mount| player.mounts.contains(mount));
    // All that the template can see of the host is read-only.
    let writes = player.mounts.iter().any(|mount| {
        mount.mode == Mode::ReadWrite
            && !fs::metadata(&mount.source).is_ok_and(|found| found.file_type().is_socket())
    });
    if template.argv != player.argv {
        Some("program")
    } else if common(template) != common(player) {
        Some("environment")
    } else if !has_all {
        Some("set of libraries")
    } else if template.devices != player.devices {
        Some("set of devices")
    } else if writes {
        Some("kind of mounts")
    } else {
        None
    }
}

/// Every file that is, or is below, one of `paths`; compiled ones beside them follow from these.
fn sources(paths: &[PathBuf]) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut open = paths.to_vec();
    while let Some(path) = open.pop() {
        let status = fs::metadata(&path)?;
        if status.is_dir() {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if entry.file_name() != "__pycache__" {
                    open.push(entry.path());
                }
            }
        } else {
            let identity = (
                status.dev(),
                status.ino(),
                status.size(),
                status.mtime(),
                status.mtime_nsec(),
            );
            found.push(Source { path, identity });
        }
    }
    found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn event() -> io::Result<OwnedFd> {
    // SAFETY: a fresh descriptor, which is ours.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        sys::check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn signal(event: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the buffer lives across the call. A full counter is as good as one more.
    unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

fn drain(event: &OwnedFd) {
    let mut count = [0u8; 8];
    // SAFETY: the buffer lives across the call. An empty counter is what is wanted.
    unsafe { libc::read(event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}

/// Waits until one of the descriptors is ready, at most `timeout`; whether one is.
fn wait(descriptors: &[RawFd], events: libc::c_short, timeout: Option<Duration>) -> bool {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|&fd| libc::pollfd {
            fd,
            events,
            revents: 0,
        })
        .collect();
    let milliseconds = timeout.map_or(-1, |timeout| {
        i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
    });
    // SAFETY: the entries live across the call. Interrupted is as good as ready: the caller looks again.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, milliseconds) };
    ready != 0
}
