//! Limits of memory and processes for a whole sandbox, through the kernel's control groups.
//!
//! Used where this process may make groups: as root always, as a user where a part of the unified
//! hierarchy is delegated. Elsewhere pid 1 of the sandbox sums memory itself and `RLIMIT_NPROC` binds.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::spec::Limits;

/// Where this host makes its groups.
#[derive(Debug, Clone)]
enum Place {
    /// Version 1: one folder for each controller.
    Separate {
        memory: PathBuf,
        pids: PathBuf,
        cpu: Option<PathBuf>,
    },
    /// Version 2.
    Unified { parent: PathBuf },
}

static PLACE: OnceLock<Result<Place, String>> = OnceLock::new();
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Which kind of groups is used, or why none can be.
pub fn availability() -> Result<&'static str, String> {
    match place() {
        Ok(Place::Separate { .. }) => Ok("control groups, version 1"),
        Ok(Place::Unified { .. }) => Ok("control groups, version 2"),
        Err(reason) => Err(reason.clone()),
    }
}

fn place() -> &'static Result<Place, String> {
    PLACE.get_or_init(|| {
        let place = find_place()?;
        for folder in place.folders() {
            sweep(&folder);
        }
        Ok(place)
    })
}

impl Place {
    fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Separate { memory, pids, cpu } => [Some(memory), Some(pids), cpu.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            Self::Unified { parent } => vec![parent.clone()],
        }
    }
}

/// The group of one sandbox. Dropping it removes it once it is empty.
#[derive(Debug)]
pub struct ControlGroup {
    folders: Vec<PathBuf>,
    unified: bool,
}

impl ControlGroup {
    /// Makes a group with these limits; `None` where the machine gives none.
    ///
    /// # Errors
    /// The system's answer when groups exist but this one cannot be made.
    pub fn create(limits: &Limits) -> io::Result<Option<Self>> {
        place()
            .as_ref()
            .ok()
            .map(|place| Self::create_in(place, limits))
            .transpose()
    }

    fn create_in(place: &Place, limits: &Limits) -> io::Result<Self> {
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let name = format!("symphony-{}-{sequence}", std::process::id());
        let folders: Vec<PathBuf> = place
            .folders()
            .iter()
            .map(|folder| folder.join(&name))
            .collect();
        let group = Self {
            folders,
            unified: matches!(place, Place::Unified { .. }),
        };
        for folder in &group.folders {
            fs::create_dir(folder)?;
        }
        group.limit(limits)?;
        Ok(group)
    }

    fn limit(&self, limits: &Limits) -> io::Result<()> {
        // The launcher's own process, pid 1, is not the user's.
        let processes = (limits.processes + 1).to_string();
        let memory = limits.memory.to_string();
        if self.unified {
            fs::write(self.folders[0].join("pids.max"), processes)?;
            fs::write(self.folders[0].join("memory.max"), memory)?;
            if let Some(quota) = quota(limits) {
                optional(fs::write(
                    self.folders[0].join("cpu.max"),
                    format!("{quota} {PERIOD}"),
                ))?;
            }
            return optional(fs::write(self.folders[0].join("memory.swap.max"), "0"));
        }
        if let (Some(folder), Some(quota)) = (self.folders.get(2), quota(limits)) {
            fs::write(folder.join("cpu.cfs_quota_us"), quota.to_string())?;
        }
        fs::write(self.folders[1].join("pids.max"), processes)?;
        fs::write(self.folders[0].join("memory.limit_in_bytes"), &memory)?;
        optional(fs::write(
            self.folders[0].join("memory.memsw.limit_in_bytes"),
            &memory,
        ))
    }

    /// Files through which a process that writes `0` into them joins the group.
    ///
    /// # Errors
    /// The system's answer.
    pub fn doors(&self) -> io::Result<Vec<File>> {
        // Version 1 moves single threads, of which a new process has one; moving whole processes costs more.
        let name = if self.unified {
            "cgroup.procs"
        } else {
            "tasks"
        };
        self.folders
            .iter()
            .map(|folder| File::options().write(true).open(folder.join(name)))
            .collect()
    }

    /// Whether the kernel has ended a process of the group for want of memory.
    pub fn has_run_out_of_memory(&self) -> bool {
        let file = if self.unified {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let text = fs::read_to_string(self.folders[0].join(file)).unwrap_or_default();
        text.lines().any(|line| {
            line.strip_prefix("oom_kill ")
                .is_some_and(|count| count.trim() != "0")
        })
    }

    /// Bytes of memory in use now, page cache included.
    pub fn memory_in_use(&self) -> Option<u64> {
        let file = if self.unified {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        };
        fs::read_to_string(self.folders[0].join(file))
            .ok()?
            .trim()
            .parse()
            .ok()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // A group that is still being emptied is removed by the sweep of the next host.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Microseconds over which the kernel counts CPU time; its default.
const PERIOD: u64 = 100_000;

/// Microseconds of CPU time in each period; `None` when the machine has no more cores than are granted.
fn quota(limits: &Limits) -> Option<u64> {
    let all =
        std::thread::available_parallelism().map_or(f64::INFINITY, |cores| cores.get() as f64);
    limits
        .cpu
        .filter(|cores| *cores < all)
        .map(|cores| (cores * PERIOD as f64) as u64)
}

/// Swap accounting is a boot option; without it the memory limit alone holds.
fn optional(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Version 1 answers EOPNOTSUPP, some kernels EINVAL, when the file is there but swap is not counted.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) => {
            Ok(())
        }
        other => other,
    }
}

/// Removes the empty groups of hosts that no longer run.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let host = name
            .to_str()
            .and_then(|name| name.strip_prefix("symphony-")?.split('-').next());
        if let Some(host) = host.filter(|host| host.bytes().all(|byte| byte.is_ascii_digit()))
            && !Path::new("/proc").join(host).exists()
        {
            // Not empty means that its sandbox is just ending; the next host tries again.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn find_place() -> Result<Place, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    let place = choose(&mounts, &own, enable_controllers)?;
    for folder in place.folders() {
        let probe = folder.join(format!("symphony-{}-probe", std::process::id()));
        fs::create_dir(&probe)
            .and_then(|()| fs::remove_dir(&probe))
            .map_err(|error| format!("`{}` cannot be extended: {error}", folder.display()))?;
    }
    Ok(place)
}

/// Picks the place from the text of `mountinfo` and `cgroup`; `usable` tells whether groups below a folder
/// of the unified hierarchy get the memory and pids controllers.
fn choose(mounts: &str, own: &str, usable: impl Fn(&Path) -> bool) -> Result<Place, String> {
    let separate = |controller: &str| -> Option<PathBuf> {
        let mounted = mount_point(mounts, "cgroup", Some(controller))?;
        let path = own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers
                .split(',')
                .any(|name| name == controller)
                .then_some(path)
        })?;
        Some(below(&mounted, path))
    };
    if let (Some(memory), Some(pids)) = (separate("memory"), separate("pids")) {
        return Ok(Place::Separate {
            memory,
            pids,
            cpu: separate("cpu"),
        });
    }
    let root = mount_point(mounts, "cgroup2", None).ok_or("no control groups are mounted")?;
    let path = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    let parent = below(&root, path);
    // A folder that holds processes cannot hand controllers on, unless it is the root.
    [parent.parent().map(Path::to_path_buf), Some(root)]
        .into_iter()
        .flatten()
        .find(|folder| usable(folder))
        .map(|parent| Place::Unified { parent })
        .ok_or_else(|| "no part of the control groups is delegated to this user".to_owned())
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn mount_point(mounts: &str, kind: &str, controller: Option<&str>) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let matches_kind = right.next()? == kind;
        let options = right.nth(1)?;
        let matches_controller =
            controller.is_none_or(|name| options.split(',').any(|option| option == name));
        (matches_kind && matches_controller).then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

fn enable_controllers(folder: &Path) -> bool {
    let control = folder.join("cgroup.subtree_control");
    let has_both = |text: &str| {
        ["memory", "pids"]
            .iter()
            .all(|name| text.split_whitespace().any(|word| word == *name))
    };
    let Ok(text) = fs::read_to_string(&control) else {
        return false;
    };
    // Without the cpu controller cores are not limited, which is no reason to refuse.
    let _ = fs::write(&control, "+cpu");
    has_both(&text)
        || (fs::write(&control, "+memory +pids").is_ok()
            && fs::read_to_string(&control).is_ok_and(|text| has_both(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_1: &str = "\
30 20 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
    const VERSION_2: &str =
        "31 30 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_1_is_used_where_its_controllers_are() {
        let place =
            choose(VERSION_1, "8:pids:/\n4:memory:/a/b\n0::/\n", |_| false).expect("a place");
        assert_eq!(
            place.folders(),
            [
                PathBuf::from("/sys/fs/cgroup/memory/a/b"),
                PathBuf::from("/sys/fs/cgroup/pids/")
            ]
        );
    }

    #[test]
    fn version_2_is_used_where_it_hands_controllers_on() {
        let own = "0::/user.slice/app.scope\n";
        let delegated =
            choose(VERSION_2, own, |folder| folder.ends_with("user.slice")).expect("a place");
        assert_eq!(
            delegated.folders(),
            [PathBuf::from("/sys/fs/cgroup/user.slice")]
        );
        let root = choose(VERSION_2, own, |folder| {
            folder == Path::new("/sys/fs/cgroup")
        })
        .expect("a place");
        assert_eq!(root.folders(), [PathBuf::from("/sys/fs/cgroup")]);
        assert!(
            choose(VERSION_2, own, |_| false)
                .expect_err("none")
                .contains("delegated")
        );
    }

    /// What the kernel would find in a group of version 2: which files are written, and with what.
    #[test]
    fn version_2_gets_its_limits_in_its_own_files() {
        let parent = tempfile::tempdir().expect("a folder");
        let place = Place::Unified {
            parent: parent.path().into(),
        };
        let limits = Limits {
            memory: 64 << 20,
            processes: 7,
            cpu: Some(0.5),
            ..Limits::default()
        };
        let group = ControlGroup::create_in(&place, &limits).expect("a group");
        let folder = group.folders[0].clone();
        assert_eq!(folder.parent(), Some(parent.path()));
        let written: std::collections::BTreeMap<String, String> = fs::read_dir(&folder)
            .expect("its files")
            .flatten()
            .map(|file| {
                let name = file.file_name().to_string_lossy().into_owned();
                (name, fs::read_to_string(file.path()).expect("text"))
            })
            .collect();
        let wanted = [
            ("cpu.max", "50000 100000"),
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
            ("pids.max", "8"),
        ];
        assert!(
            written
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()))
                .eq(wanted)
        );
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 0\n").expect("written");
        assert!(!group.has_run_out_of_memory());
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 2\n").expect("written");
        assert!(group.has_run_out_of_memory());
        fs::write(folder.join("memory.current"), "4096\n").expect("written");
        assert_eq!(group.memory_in_use(), Some(4096));
        group
            .doors()
            .expect_err("without the kernel's file nobody joins");
        fs::write(folder.join("cgroup.procs"), "").expect("written");
        assert_eq!(group.doors().expect("one door").len(), 1);
    }

    #[test]
    fn controllers_are_handed_on_where_that_can_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!enable_controllers(folder.path()));
        let control = folder.path().join("cgroup.subtree_control");
        fs::write(&control, "cpu memory pids\n").expect("written");
        assert!(enable_controllers(folder.path()));
    }

    const IN_NAMESPACE: &str = "SYMPHONY_TEST_UNIFIED";

    /// The kernel's own version 2, mounted where no other process sees it. A controller that version 1 holds has no
    /// files there, so that only what needs none is tried: a process joins, is found in the group, and leaves it.
    #[test]
    fn a_process_joins_a_group_of_the_real_version_2() {
        if let Ok(mounted) = std::env::var(IN_NAMESPACE) {
            let folder = Path::new(&mounted).join("symphony-1-0");
            fs::create_dir(&folder).expect("a group");
            let group = ControlGroup {
                folders: vec![folder.clone()],
                unified: true,
            };
            let mut doors = group.doors().expect("its door");
            io::Write::write_all(&mut doors[0], b"0").expect("joined");
            let own = fs::read_to_string("/proc/self/cgroup").expect("text");
            assert!(
                own.lines().any(|line| line.ends_with("/symphony-1-0")),
                "{own}"
            );
            fs::write(Path::new(&mounted).join("cgroup.procs"), "0").expect("left");
            drop(group);
            assert!(!folder.exists());
            return;
        }
        let mounted = tempfile::tempdir().expect("a folder");
        let script = "mount -t cgroup2 none \"$1\" && shift && exec \"$@\"";
        let done = std::process::Command::new("unshare")
            .args(["--mount", "--cgroup", "sh", "-c", script, "sh"])
            .arg(mounted.path())
            .arg(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "control_groups::tests::a_process_joins_a_group_of_the_real_version_2",
            ])
            .env(IN_NAMESPACE, mounted.path())
            .output();
        match done {
            Ok(done) if done.status.success() => {}
            // Only the superuser may mount it, and not in every container.
            Ok(done)
                if String::from_utf8_lossy(&done.stderr).contains("unshare:")
                    || String::from_utf8_lossy(&done.stderr).contains("mount:") => {}
            Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stdout)),
            Err(_) => {} // no `unshare` on this machine
        }
    }

    #[test]
    fn no_mount_is_said_so() {
        assert!(
            choose("", "", |_| true)
                .expect_err("none")
                .contains("mounted")
        );
    }
}
