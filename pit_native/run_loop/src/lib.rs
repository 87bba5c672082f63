//! Owns a playing melody: a pure state machine under a Tokio driver.
//!
//! A [`Plan`] goes into [`RunLoop::start`]; events come out of the [`Sink`]. What a run does next is
//! decided by [`Machine`], which knows neither clock nor disk. The driver carries its instructions out
//! over the traits of [`ports`], and the journal remembers what is done.

mod attempt;
mod cache;
mod decisions;
mod digest;
mod document;
#[cfg(test)]
mod doubles;
mod driver;
mod encoding;
mod event;
mod instructions;
mod journal;
mod keyed_record;
mod lineage;
mod machine;
mod plan;
mod player_log;
mod port_types;
pub mod ports;
mod resume;
mod run_loop;
mod schedule;
mod syncer;
#[cfg(test)]
mod testing;
mod trouble;
mod view;

pub use attempt::read_error;
pub use cache::{CacheKey, ResultCache, cache_key};
pub use document::{PlanReader, read_plan};
pub use encoding::{Encoding, decode, encode, suffix};
pub use event::{NodeEvent, NodeNotes, RunEvent, Values};
pub use instructions::{Event, Fault, Instruction, NodeState, RunState, Verdict};
pub use journal::{
    History, JOURNAL, Journal, JournalError, JournalFile, Past, Record, finished, read_history,
};
pub use lineage::{Lineage, Parts};
pub use machine::Machine;
pub use plan::{
    Backoff, Casting, Condition, EdgeKind, EdgePlan, Fallback, InputPlan, NodeKind, NodePlan, Plan,
    PlanError, PlanParts, Retry, Source,
};
pub use player_log::{LogSettings, PlayerLog, Speaker};
pub use port_types::{Mismatch, PortTypes, bad_output};
pub use ports::{Presence, Sink, Stage};
pub use resume::keepable;
pub use run_loop::{NoSink, Resumed, RunError, RunLoop, Stats, World};
pub use schedule::{Order, lower_bound, makespan};
