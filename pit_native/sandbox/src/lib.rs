//! Starts a program in a sandbox that fails closed.
//!
//! The host side ([`spawn`]) clones a process with all namespaces and executes `symphony-launcher` in it;
//! the launcher side ([`inside`]) builds the private root, gives up every privilege, starts the program and
//! stays as pid 1. A layer that cannot be applied refuses the launch unless its name was waived.
//!
//! That is Linux. What other systems are asked for is in [`elsewhere`].

#[cfg(any(not(target_os = "linux"), test))]
pub mod elsewhere;
mod error;
mod spec;

pub use error::SandboxError;
pub use spec::{Limits, Link, Mode, Mount, Scratch, Spec, Stdio};

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod clone;
#[cfg(target_os = "linux")]
mod control_groups;
#[cfg(target_os = "linux")]
pub mod inside;
#[cfg(target_os = "linux")]
mod keeper;
#[cfg(target_os = "linux")]
mod layers;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(target_os = "linux")]
mod streams;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
mod template;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use self::{
    child::{Cause, Child, Exit, Overlay, Used},
    inside::template::serve as serve_template,
    keeper::{Keeper, Origin, Status},
    layers::{Layer, layers},
    spawn::spawn,
    template::Template,
};
