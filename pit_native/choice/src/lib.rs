//! What the Conductor reckons at each choice of a composition: the cheapest steps before each Player, which of them
//! a part of the prompt clearly asks for, the facts about them that its network sees, what that makes of them, and what
//! requests that were asked before say of a new one.
//!
//! Plain numbers in, plain numbers out. What they mean is told where they come from, in `conductor/facts.py` and
//! `conductor/search.py`.

mod facts;
#[cfg(target_arch = "x86_64")]
mod halves;
mod network;
mod recall;
mod search;

pub use facts::{FACTS, Field, Graph, Standing};
pub use network::Network;
pub use recall::{Fitted, Recall};
pub use search::{Index, Open, Plans, Usable};
