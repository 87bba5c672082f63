//! The private root: a read-only tmpfs that shows the system's programs, and what the spec names.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use super::masks::hide_channels;
use super::{Failure, c_path};
use crate::clone::INNER_ID;
use crate::spec::{Mode, Mount, Scratch, Spec};
use crate::sys::{self, attribute};
use crate::wire::{CONTROL_FD, LAYER};

/// Where the new root is first mounted. It exists wherever a user map could be written.
const BASE: &CStr = c"/proc";
/// Where the host's tree stands while the root is filled.
const OLD: &CStr = c"/.host";
const LAYERS: &str = "/.layers";

/// What a process sees of the outside while it fills its new root.
pub struct Outside {
    /// Where the host's tree stands.
    host: &'static str,
    /// A root whose part of the system is the one that is wanted.
    ready_made: Option<&'static str>,
}

/// As the launcher sees it.
pub const OF_LAUNCHER: Outside = Outside {
    host: "/.host",
    ready_made: None,
};
/// As a copy of a template does: the root that it leaves is that of a Player, with the host's tree inside.
pub const OF_TEMPLATE: Outside = Outside {
    host: "/.host/.host",
    ready_made: Some("/.host"),
};

/// How the private `/proc` is mounted.
pub const PROC_OPTIONS: &CStr = c"subset=pid,hidepid=ptraceable";

const SHOWN: u64 = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEVICES;
/// Read-only keeps the host's device files from being changed (chmod); reading and writing the devices
/// themselves is not affected.
const DEVICE: u64 = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_EXECUTE;
const HARMLESS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV;

/// Program and library folders beside `/usr`; links into it on most systems.
const SYSTEM: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// What programs need of `/etc` and what tells nothing about this machine's users, services or secrets.
const CONFIGURATION: [&str; 11] = [
    "alternatives",
    "fonts",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "os-release",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Makes the private root the only one that this process can reach.
pub fn build(spec: &Spec, outside: &Outside) -> Result<(), Failure> {
    let stage = |operation| Failure::layer("private_root", operation);
    let builder = begin(spec, outside)?;
    mount_proc().map_err(Failure::layer("private_proc", "mounting /proc"))?;
    builder.make_scratch().map_err(stage("mounting /tmp"))?;
    builder.show_granted(spec)?;
    for link in &spec.links {
        make_parent(&link.path)
            .and_then(|()| symlink(&link.target, &link.path))
            .map_err(Failure::mount(&link.path, "linking"))?;
    }
    drop(builder);
    leave_host().map_err(stage("letting go of the host's tree"))?;
    std::env::set_current_dir(&spec.cwd)
        .map_err(Failure::mount(&spec.cwd, "entering the working folder"))
}

/// Makes the root of a template: that of a Player with the same spec, so that whatever the interpreter
/// remembers of files has the same names, with the host's tree beside, from which its copies are given theirs.
/// Nothing of it can be written, not even through what a process keeps open of its own program.
pub fn build_template(spec: &Spec) -> Result<(), Failure> {
    let stage = |operation| Failure::layer("private_root", operation);
    let builder = begin(spec, &OF_LAUNCHER)?;
    // Its copies write their user maps there, before they have a root of their own.
    builder
        .bind(Path::new("/proc"), Path::new("/proc"), attribute::NO_SUID)
        .map_err(stage("showing /proc"))?;
    folder(Path::new("/tmp")).map_err(stage("making /tmp"))?;
    builder.show_granted(spec)?;
    drop(builder);
    // Device files keep working: on a read-only mount they cannot be changed, but read and written.
    sys::restrict_mount(
        libc::AT_FDCWD,
        OLD,
        attribute::READ_ONLY | attribute::NO_SUID,
        true,
    )
    .and_then(|()| sys::restrict_mount(libc::AT_FDCWD, c"/", attribute::READ_ONLY, false))
    .and_then(|()| std::env::set_current_dir("/"))
    .map_err(stage("making the host's tree read-only"))
}

/// Enters a new root with what every sandbox has of the system.
fn begin(spec: &Spec, outside: &Outside) -> Result<Builder, Failure> {
    let stage = |operation| Failure::layer("private_root", operation);
    enter_new_root().map_err(stage("making a new root"))?;
    let builder = Builder {
        host: open_folder(outside.host).map_err(stage("opening the host's tree"))?,
        host_path: Path::new(outside.host),
        scratch: spec.scratch,
    };
    builder
        .link_system()
        .map_err(stage("showing the system's programs"))?;
    if let Some(root) = outside.ready_made {
        builder
            .show_ready_made(root)
            .map_err(stage("showing what the template has of the system"))?;
        return Ok(builder);
    }
    builder
        .show_system()
        .map_err(stage("showing the system's programs"))?;
    builder
        .write_configuration()
        .map_err(stage("writing /etc"))?;
    builder.make_devices().map_err(stage("making /dev"))?;
    for device in &spec.devices {
        builder
            .show_device(device)
            .map_err(Failure::mount(device, "showing the device"))?;
    }
    Ok(builder)
}

fn enter_new_root() -> io::Result<()> {
    sys::mount(c"none", c"/", c"", libc::MS_REC | libc::MS_PRIVATE, c"")?;
    sys::mount(
        c"root",
        BASE,
        c"tmpfs",
        HARMLESS,
        c"size=8m,nr_inodes=32768,mode=0755",
    )?;
    std::env::set_current_dir(Path::new("/proc"))?;
    fs::create_dir(".host")?;
    sys::pivot_root(c".", c".host")?;
    std::env::set_current_dir("/")
}

fn open_folder(path: &str) -> io::Result<OwnedFd> {
    let path = c_path(Path::new(path))?;
    // SAFETY: the path lives across the call.
    let fd = unsafe {
        libc::open(
            path.as_ptr(),
            libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
    };
    sys::check(fd.into())?;
    // SAFETY: a fresh descriptor.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}

/// Only the processes of the private pid namespace, and of them only those one may look into; none of the
/// files through which a superuser of the host could change the kernel.
fn mount_proc() -> io::Result<()> {
    folder(Path::new("/proc"))?;
    let flags = HARMLESS | libc::MS_NOEXEC | libc::MS_RDONLY;
    sys::mount(
        c"proc",
        c"/proc",
        c"proc",
        flags,
        c"subset=pid,hidepid=ptraceable",
    )
}

fn leave_host() -> io::Result<()> {
    sys::detach_mount(OLD)?;
    fs::remove_dir("/.host")?;
    if Path::new(LAYERS).exists() {
        // Overlays keep their own hold on it.
        sys::detach_mount(c"/.layers")?;
        fs::remove_dir(LAYERS)?;
    }
    sys::restrict_mount(libc::AT_FDCWD, c"/", attribute::READ_ONLY, false)
}

struct Builder {
    host: OwnedFd,
    host_path: &'static Path,
    scratch: Scratch,
}

impl Builder {
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        sys::open_beneath(self.host.as_raw_fd(), &c_path(path)?)
    }

    /// Shows `source` of the host at `target`, with `attributes` on it and all that is mounted below it.
    fn bind(&self, source: &Path, target: &Path, attributes: u64) -> io::Result<()> {
        let source = self.open(source)?;
        self.bind_opened(source.as_raw_fd(), target, attributes)
    }

    fn bind_opened(&self, source: RawFd, target: &Path, attributes: u64) -> io::Result<()> {
        if is_folder(source)? {
            folder(target)?
        } else {
            empty_file(target)?
        }
        let tree = sys::clone_tree(source)?;
        sys::restrict_mount(tree.as_raw_fd(), c"", attributes, true)?;
        sys::attach_mount(tree.as_raw_fd(), &c_path(target)?)
    }

    /// As [`Builder::bind`] at the same path; a link is shown as the link it is, and what is absent is left out.
    fn mirror(&self, path: &Path) -> io::Result<()> {
        let on_host = self.host_path.join(path.strip_prefix("/").unwrap_or(path));
        match fs::read_link(&on_host) {
            Ok(target) => {
                make_parent(path)?;
                symlink(target, path)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            Err(_) => match self.bind(path, path, SHOWN) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
                other => other,
            },
        }
    }

    fn link_system(&self) -> io::Result<()> {
        SYSTEM
            .iter()
            .try_for_each(|name| self.mirror(&Path::new("/").join(name)))
    }

    /// What [`Builder::show_system`] and the two after it make, as it stands in another root: three mounts with
    /// those below them instead of thirty.
    fn show_ready_made(&self, root: &str) -> io::Result<()> {
        let root = open_folder(root)?;
        for (path, attributes) in [("/usr", SHOWN), ("/etc", SHOWN), ("/dev", DEVICE)] {
            let source = sys::open_beneath(root.as_raw_fd(), &c_path(Path::new(path))?)?;
            self.bind_opened(source.as_raw_fd(), Path::new(path), attributes)?;
        }
        Ok(())
    }

    fn show_system(&self) -> io::Result<()> {
        self.bind(Path::new("/usr"), Path::new("/usr"), SHOWN)?;
        for name in CONFIGURATION {
            self.mirror(&Path::new("/etc").join(name))?;
        }
        Ok(())
    }

    fn write_configuration(&self) -> io::Result<()> {
        folder(Path::new("/etc"))?;
        let id = INNER_ID;
        fs::write(
            "/etc/passwd",
            format!("player:x:{id}:{id}::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"),
        )?;
        fs::write("/etc/group", format!("player:x:{id}:\nnogroup:x:65534:\n"))?;
        fs::write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")?;
        fs::write(
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n",
        )
    }

    fn make_devices(&self) -> io::Result<()> {
        folder(Path::new("/dev"))?;
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            self.bind(&path, &path, DEVICE)?;
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "fd/0"),
            ("stdout", "fd/1"),
            ("stderr", "fd/2"),
            ("shm", "/tmp"),
        ] {
            symlink(target, Path::new("/dev").join(name))?;
        }
        Ok(())
    }

    fn show_device(&self, path: &Path) -> io::Result<()> {
        let source = self.open(path)?;
        if kind_of(source.as_raw_fd())? != libc::S_IFCHR {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        self.bind_opened(source.as_raw_fd(), path, DEVICE)
    }

    fn quota(&self, mode: &str) -> io::Result<CString> {
        let Scratch { size, inodes } = self.scratch;
        CString::new(format!("size={size},nr_inodes={inodes},mode={mode}"))
            .map_err(io::Error::other)
    }

    fn make_scratch(&self) -> io::Result<()> {
        for name in ["/tmp", "/var", "/run"] {
            folder(Path::new(name))?;
        }
        symlink("/tmp", "/var/tmp")?;
        sys::mount(
            c"scratch",
            c"/tmp",
            c"tmpfs",
            HARMLESS,
            &self.quota("1777")?,
        )
    }

    /// Outer folders first, so that an inner mount is not hidden by an outer one.
    fn show_granted(&self, spec: &Spec) -> Result<(), Failure> {
        let mut mounts: Vec<_> = spec.mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.target.components().count());
        for (number, mount) in mounts.into_iter().enumerate() {
            let source = self
                .open(&mount.source)
                .map_err(Failure::mount(&mount.source, "opening it"))?;
            let place = format!("over `{}`", mount.target.display());
            let denied = Failure::layer("overlay", &place);
            let result = match mount.mode {
                Mode::Overlay => {
                    self.overlay(source.as_raw_fd(), mount, number)
                        .map_err(denied)?;
                    Ok(())
                }
                Mode::ReadOnly if !mount.layers.is_empty() => {
                    self.layered(source.as_raw_fd(), mount).map_err(denied)?;
                    Ok(())
                }
                Mode::ReadOnly => self
                    .bind_opened(source.as_raw_fd(), &mount.target, SHOWN)
                    .and_then(|()| keep_plain(source.as_raw_fd(), mount)),
                Mode::ReadWrite => self.bind_opened(
                    source.as_raw_fd(),
                    &mount.target,
                    attribute::NO_SUID | attribute::NO_DEVICES,
                ),
            };
            result.map_err(Failure::mount(&mount.target, "mounting it"))?;
        }
        Ok(())
    }

    /// The folder with a private writable layer on top. The host gets a descriptor of the layer, through which
    /// it can look at what was written after everything inside has ended; nobody else has one.
    fn overlay(&self, source: RawFd, mount: &Mount, number: usize) -> io::Result<()> {
        let target = mount.target.as_path();
        if !is_folder(source)? {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        if !Path::new(LAYERS).exists() {
            folder(Path::new(LAYERS))?;
            sys::mount(
                c"layers",
                c"/.layers",
                c"tmpfs",
                HARMLESS,
                &self.quota("0700")?,
            )?;
        }
        let upper = format!("{LAYERS}/{number}/upper");
        let work = format!("{LAYERS}/{number}/work");
        folder(Path::new(&upper))?;
        folder(Path::new(&work))?;
        folder(target)?;
        let (lower, _held) = self.lower(source, &mount.layers)?;
        let data = format!("lowerdir={lower},upperdir={upper},workdir={work},userxattr");
        let data = CString::new(data).map_err(io::Error::other)?;
        sys::mount(c"overlay", &c_path(target)?, c"overlay", HARMLESS, &data)?;
        let layer = fs::File::open(&upper)?;
        let packet = [&[LAYER], target.as_os_str().as_bytes()].concat();
        sys::send_with(CONTROL_FD, &packet, &[layer.as_raw_fd()])
    }

    /// The folder as it looks under the mount's layers, read-only.
    fn layered(&self, source: RawFd, mount: &Mount) -> io::Result<()> {
        if !is_folder(source)? {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        folder(&mount.target)?;
        let (lower, _held) = self.lower(source, &mount.layers)?;
        let data = CString::new(format!("lowerdir={lower},userxattr")).map_err(io::Error::other)?;
        let flags = HARMLESS | libc::MS_RDONLY;
        sys::mount(
            c"overlay",
            &c_path(&mount.target)?,
            c"overlay",
            flags,
            &data,
        )
    }

    /// The `lowerdir` of an overlay, and what must stay open until it is mounted. Through descriptors no character
    /// of a path needs escaping.
    fn lower(&self, source: RawFd, layers: &[PathBuf]) -> io::Result<(String, Vec<OwnedFd>)> {
        let held: Vec<OwnedFd> = layers
            .iter()
            .map(|layer| self.open(layer))
            .collect::<io::Result<_>>()?;
        let named: Vec<String> = held
            .iter()
            .map(AsRawFd::as_raw_fd)
            .chain([source])
            .map(|fd| format!("/proc/self/fd/{fd}"))
            .collect();
        Ok((named.join(":"), held))
    }
}

/// Hides what is neither file, folder nor link where the mount wants that.
fn keep_plain(source: RawFd, mount: &Mount) -> io::Result<()> {
    if !mount.plain {
        return Ok(());
    }
    match kind_of(source)? {
        libc::S_IFDIR => {
            let shown = sys::open_path(&c_path(&mount.target)?)?;
            hide_channels(shown.as_raw_fd())
        }
        libc::S_IFREG => Ok(()),
        _ => Err(io::Error::other("it is neither a file nor a folder")),
    }
}

fn is_folder(fd: RawFd) -> io::Result<bool> {
    Ok(kind_of(fd)? == libc::S_IFDIR)
}

/// The bits of the mode that tell a folder from a device and so on.
pub(super) fn kind_of(fd: RawFd) -> io::Result<libc::mode_t> {
    // SAFETY: `status` has room for the answer.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        sys::check(libc::fstat(fd, &mut status).into())?;
        Ok(status.st_mode & libc::S_IFMT)
    }
}

fn folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path),
        other => other,
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent != Path::new("/") => folder(parent),
        _ => Ok(()),
    }
}

fn empty_file(path: &Path) -> io::Result<()> {
    match fs::File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_parent(path)?;
            fs::File::create_new(path).map(drop)
        }
        other => other.map(drop),
    }
}

/// Where a program is found on `path`, as a shell would look for it.
pub fn find_program(name: &str, path: &str) -> Result<PathBuf, io::Error> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let mut denied = false;
    for folder in path.split(':').filter(|folder| folder.starts_with('/')) {
        let candidate = Path::new(folder).join(name);
        let Ok(text) = c_path(&candidate) else {
            continue;
        };
        // SAFETY: the path lives across the call.
        if unsafe { libc::access(text.as_ptr(), libc::X_OK) } == 0 && candidate.is_file() {
            return Ok(candidate);
        }
        denied |= candidate.exists();
    }
    Err(io::Error::from_raw_os_error(if denied {
        libc::EACCES
    } else {
        libc::ENOENT
    }))
}
