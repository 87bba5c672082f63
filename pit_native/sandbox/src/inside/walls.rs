//! Landlock: a second wall around files, in case a mount shows more than was meant.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::c_path;
use crate::layers::landlock_version;
use crate::spec::{Mode, Spec};
use crate::sys;

/// Restricts this process and its descendants for good; does nothing where the kernel has no Landlock,
/// which `layers` reports.
pub fn raise(spec: &Spec) -> io::Result<()> {
    let Ok(version) = landlock_version() else {
        return Ok(());
    };
    let interface = ABI::from(version);
    let denied = |error: landlock::RulesetError| io::Error::other(error.to_string());
    let read = AccessFs::from_read(interface);
    let write = AccessFs::from_all(interface)
        & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::Execute);
    let execute = AccessFs::Execute;

    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(interface))
        .map_err(denied)?;
    ruleset = ruleset.scope(Scope::from_all(interface)).map_err(denied)?;
    if !spec.loopback {
        ruleset = ruleset
            .handle_access(AccessNet::from_all(interface))
            .map_err(denied)?;
    }
    let mut rules = Rules {
        created: ruleset.create().map_err(denied)?,
    };
    match &spec.executables {
        None => rules.allow(Path::new("/"), read | execute)?,
        Some(paths) => {
            rules.allow(Path::new("/"), read & !execute)?;
            for path in paths {
                rules.allow(path, execute.into())?;
            }
        }
    }
    rules.allow(Path::new("/tmp"), write)?;
    rules.allow(Path::new("/dev"), AccessFs::WriteFile | AccessFs::ReadFile)?;
    for device in &spec.devices {
        let command = AccessFs::from_all(interface) & AccessFs::IoctlDev;
        rules.allow(device, command | AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    for mount in spec
        .mounts
        .iter()
        .filter(|mount| mount.mode != Mode::ReadOnly)
    {
        rules.allow(&mount.target, write)?;
    }
    let status = rules.created.restrict_self().map_err(denied)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::Error::other("the kernel did not enforce the rules")),
        _ => Ok(()),
    }
}

struct Rules {
    created: RulesetCreated,
}

impl Rules {
    fn allow(&mut self, path: &Path, access: landlock::BitFlags<AccessFs>) -> io::Result<()> {
        let denied = |error: landlock::RulesetError| io::Error::other(error.to_string());
        // Not by the library, nor by the standard library's options: with musl these take O_PATH for an access
        // mode and leave it out, and a socket can be opened for nothing else.
        let fd = sys::open_path(&c_path(path)?)?;
        // Rights on folders mean nothing for a file; the library removes them.
        (&mut self.created)
            .add_rule(PathBeneath::new(fd, access))
            .map(drop)
            .map_err(denied)
    }
}
