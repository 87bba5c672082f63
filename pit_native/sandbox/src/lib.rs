//! Starts a program in a sandbox that fails closed.
//!
//! The host side ([`spawn`]) clones a process with all namespaces and executes `symphony-launcher` in it;
//! the launcher side ([`inside`]) builds the private root, gives up every privilege, starts the program and
//! stays as pid 1. A layer that cannot be applied refuses the launch unless its name was waived.

mod child;
mod clone;
mod control_groups;
mod error;
pub mod inside;
mod keeper;
mod layers;
mod spawn;
mod spec;
mod streams;
mod sys;
mod template;
mod wire;

pub use child::{Cause, Child, Exit, Overlay, Used};
pub use error::SandboxError;
pub use inside::template::serve as serve_template;

pub use keeper::{Keeper, Origin, Status};
pub use layers::{Layer, layers};
pub use spawn::spawn;
pub use spec::{Limits, Link, Mode, Mount, Scratch, Spec, Stdio};
pub use template::Template;
