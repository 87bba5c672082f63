//! Whose a process is that uses a GPU.

use super::Owner;
use rustc_hash::FxHashSet;

/// A process has no more ancestors below the one that is watched than this.
const GENERATIONS: usize = 32;

/// The first of `roots` among a process and its ancestors.
pub fn owner_of(pid: u32, roots: &FxHashSet<u32>) -> Owner {
    let mut at = pid;
    for generation in 0..GENERATIONS {
        if roots.contains(&at) {
            return Owner::Watched(at);
        }
        match parent_of(at) {
            Some(parent) if parent > 1 => at = parent,
            None if generation == 0 => return Owner::Unknown,
            _ => break,
        }
    }
    Owner::Other
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, brackets too; state and parent come after its last.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_ancestors_and_one_that_is_gone_is_nobodys() {
        let own = std::process::id();
        let above = parent_of(own).expect("this process has a parent");
        let roots = |pid| FxHashSet::from_iter([pid]);
        assert_eq!(owner_of(own, &roots(own)), Owner::Watched(own));
        assert_eq!(owner_of(own, &roots(above)), Owner::Watched(above));
        assert_eq!(owner_of(own, &FxHashSet::default()), Owner::Other);
        assert_eq!(owner_of(u32::MAX, &FxHashSet::default()), Owner::Unknown);
    }
}
