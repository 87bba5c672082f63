//! Locks on names that form trees, such as paths: who holds one holds all that is below it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::request::GrantId;

/// Whether others may hold the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Others may read beside it.
    Shared,
    /// Nobody else may hold it.
    Exclusive,
}

/// A lock on a name and all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    path: Arc<str>,
    mode: Mode,
}

/// The locks of a request; mostly none.
pub type Locks = SmallVec<[Lock; 1]>;

impl Lock {
    /// A lock on `path`, whose parts are divided by slashes. Slashes at the ends, `.` and what `..` takes
    /// back do not count; the empty path, and one that leads above it, is everything.
    pub fn new(path: &str, mode: Mode) -> Self {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        // Above the top lies more than this engine knows.
                        return Self {
                            path: "".into(),
                            mode,
                        };
                    }
                }
                part => parts.push(part),
            }
        }
        Self {
            path: parts.join("/").into(),
            mode,
        }
    }

    /// The path in its normal form.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether others may hold it too.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether both cannot be held at a time.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        (self.mode == Mode::Exclusive || other.mode == Mode::Exclusive)
            && (covers(&self.path, &other.path) || covers(&other.path, &self.path))
    }
}

/// Whether `path` is `top` or below it.
fn covers(top: &str, path: &str) -> bool {
    match path.strip_prefix(top) {
        Some(rest) => top.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// Who holds which locks.
#[derive(Debug, Default)]
pub(crate) struct LockTable {
    held: BTreeMap<Arc<str>, SmallVec<[(GrantId, Mode); 2]>>,
}

impl LockTable {
    /// Takes `locks` for `grant`; nothing in the way is looked for.
    pub(crate) fn hold(&mut self, grant: GrantId, locks: &Locks) {
        for lock in locks {
            let holders = self.held.entry(lock.path.clone()).or_default();
            holders.push((grant, lock.mode));
        }
    }

    /// Gives back what `grant` took with `locks`.
    pub(crate) fn release(&mut self, grant: GrantId, locks: &Locks) {
        for lock in locks {
            if let Some(holders) = self.held.get_mut(&lock.path) {
                if let Some(at) = holders.iter().position(|held| *held == (grant, lock.mode)) {
                    holders.swap_remove(at);
                }
                if holders.is_empty() {
                    self.held.remove(&lock.path);
                }
            }
        }
    }

    /// Who holds something that `lock` cannot be held beside, and where.
    pub(crate) fn in_the_way(&self, lock: &Lock) -> Option<(GrantId, &str)> {
        let bars = |path: &str| {
            let (path, holders) = self.held.get_key_value(path)?;
            let bar =
                |held: &&(GrantId, Mode)| lock.mode == Mode::Exclusive || held.1 == Mode::Exclusive;
            holders.iter().find(bar).map(|held| (held.0, &**path))
        };
        if self.held.is_empty() {
            return None;
        }
        let path = &*lock.path;
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let top = (!path.is_empty()).then_some("");
        if let Some(found) = top.into_iter().chain(above).chain([path]).find_map(bars) {
            return Some(found);
        }
        if path.is_empty() {
            return self.held.keys().find_map(|path| bars(path));
        }
        // All below `a` lies between `a/` and `a0`, for `0` comes after the slash.
        let (first, last) = (format!("{path}/"), format!("{path}0"));
        let below = (Bound::Included(&*first), Bound::Excluded(&*last));
        let mut below = self.held.range::<str, _>(below);
        below.find_map(|(path, _)| bars(path))
    }

    pub(crate) fn is_free(&self, locks: &Locks) -> bool {
        locks.iter().all(|lock| self.in_the_way(lock).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_covers_what_is_below_it() {
        let write = |path| Lock::new(path, Mode::Exclusive);
        let read = |path| Lock::new(path, Mode::Shared);
        assert!(write("a/").conflicts_with(&write("a/b")));
        assert!(write("a/b").conflicts_with(&read("./a")));
        assert!(write("").conflicts_with(&read("x/y")));
        assert!(!write("a").conflicts_with(&write("ab/c")));
        assert!(!read("a").conflicts_with(&read("a/b")));
        assert_eq!(write("/a//./b/../c/").path(), "a/c");
        assert_eq!(write("a/../../b").path(), "");
    }

    fn lock() -> impl Strategy<Value = Lock> {
        let mode = prop_oneof![Just(Mode::Shared), Just(Mode::Exclusive)];
        ("([ab0](/[ab0!]){0,3})?", mode).prop_map(|(path, mode)| Lock::new(&path, mode))
    }

    proptest! {
        #[test]
        fn the_table_finds_what_comparing_all_would(
            steps in proptest::collection::vec((lock(), any::<bool>()), 0..60), asked in lock()
        ) {
            let mut table = LockTable::default();
            let mut model: Vec<(GrantId, Lock)> = Vec::new();
            for (id, (lock, releases)) in steps.into_iter().enumerate() {
                if releases && !model.is_empty() {
                    let (id, lock) = model.swap_remove(id % model.len());
                    table.release(id, &Locks::from_elem(lock, 1));
                } else {
                    table.hold(id as GrantId, &Locks::from_elem(lock.clone(), 1));
                    model.push((id as GrantId, lock));
                }
                let found = table.in_the_way(&asked);
                prop_assert_eq!(found.is_some(), model.iter().any(|(_, held)| held.conflicts_with(&asked)));
                if let Some((id, path)) = found {
                    let is_it = model.iter().any(|(other, held)| {
                        *other == id && held.path() == path && held.conflicts_with(&asked)
                    });
                    prop_assert!(is_it);
                }
            }
            for (id, lock) in model { table.release(id, &Locks::from_elem(lock, 1)); }
            prop_assert!(table.held.is_empty());
        }
    }
}
