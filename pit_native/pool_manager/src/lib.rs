//! Hands out Players and local models that are loaded and warm.
//!
//! An entry goes Unloaded → Loading → Warming → Ready ⇄ Active, and Ready → Cooling → Ready or
//! Unloaded. Allocating an entry that is loaded is one compare-and-swap and takes no lock; all else
//! (loading, eviction, waiting) happens under one mutex, which is never held while a loader or an
//! unload hook runs.
//!
//! With the feature `model-check` only the fast path is compiled, with loom's types, for its own tests:
//! `cargo test -p pool_manager --lib --features model-check`.
#![cfg_attr(feature = "model-check", allow(dead_code))]

#[cfg(any(not(feature = "model-check"), test))]
mod doorbell;
#[cfg(any(not(feature = "model-check"), test))]
mod slot;
#[cfg(any(not(feature = "model-check"), test))]
mod state;
#[cfg(any(not(feature = "model-check"), test))]
mod sync;

#[cfg(all(feature = "model-check", test))]
mod interleavings;

// loom's types work inside of its models only, so with them there is no pool.
#[cfg(not(feature = "model-check"))]
mod parts {
    pub use crate::config::{Config, Description, PoolError, Stats, UnloadHook};
    pub use crate::entry::{Entry, EntryOptions, Kind, LoadError, Loader};
    pub use crate::gpu::{
        GpuMemory, GpuTime, Owner, gpu_memory, gpu_memory_by_process, look_at_gpus, owner_of,
    };
    pub use crate::lease::Lease;
    pub use crate::ledger::Size;
    pub use crate::pool::PoolManager;
    pub use crate::restarts::Restarts;
    pub use crate::state::State;
}
#[cfg(not(feature = "model-check"))]
pub use parts::*;

#[cfg(not(feature = "model-check"))]
mod config;
#[cfg(not(feature = "model-check"))]
mod entry;
#[cfg(not(feature = "model-check"))]
mod eviction;
#[cfg(not(feature = "model-check"))]
mod gpu;
#[cfg(not(feature = "model-check"))]
mod health;
#[cfg(not(feature = "model-check"))]
mod lease;
#[cfg(not(feature = "model-check"))]
mod ledger;
#[cfg(not(feature = "model-check"))]
mod loading;
#[cfg(not(feature = "model-check"))]
mod pool;
#[cfg(not(feature = "model-check"))]
pub mod predictor;
#[cfg(not(feature = "model-check"))]
mod prewarming;
#[cfg(not(feature = "model-check"))]
mod reaper;
#[cfg(not(feature = "model-check"))]
mod restarts;
#[cfg(not(feature = "model-check"))]
mod waiting;

#[cfg(all(test, not(feature = "model-check")))]
mod model;
