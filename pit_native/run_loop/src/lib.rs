//! Owns a playing melody: a pure state machine under a Tokio driver.

mod document;
mod machine;
mod plan;
mod resume;
#[cfg(test)]
mod testing;

pub use document::read_plan;
pub use machine::{Event, Fault, Instruction, Machine, NodeState, RunState, Verdict};
pub use plan::{
    Backoff, EdgeKind, EdgePlan, InputPlan, NodeKind, NodePlan, Plan, PlanError, PlanParts, Retry,
    Source,
};
pub use resume::keepable;
