//! Orders the nodes of a graph and tracks which are ready, running and done.
//!
//! Nodes are integers from zero; whoever has names keeps the table. Nothing here recurses, so a chain
//! of a hundred thousand nodes is as safe as a wide graph.

mod findings;
mod graph;
mod record_form;
mod record_log;
mod snapshot;
mod tracker;

pub use findings::{End, Finding, check, validate};
pub use graph::{Cycle, Graph, GraphError};
pub use record_log::{LogError, LogName, RecordLog, Records, is_full, read_records};
pub use snapshot::{Recovered, SnapshotError, TrackerJournal, recover};
pub use tracker::{State, Tracker, TransitionError};
