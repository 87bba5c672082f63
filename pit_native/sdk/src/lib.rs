//! What a Player in Rust needs: functions by name, and a [`Context`] to ask the host with.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use symphony_sdk::{Context, Failure, Player};
//!
//! #[derive(Deserialize)]
//! struct Given {
//!     text: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Made {
//!     words: usize,
//! }
//!
//! fn count(_: &Context, given: Given) -> Result<Made, Failure> {
//!     Ok(Made { words: given.text.split_whitespace().count() })
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     Player::new().function("count", count).serve()
//! }
//! ```
//!
//! The manifest says `runtime = "process"` and names the program as its `entry`. The protocol is
//! `docs/stage-protocol.md`; every call has a thread of its own, and one thread reads.

mod context;
mod failure;
mod http;
mod models;
mod player;
mod session;
mod streams;
mod topics;
mod ui;
pub mod wire;

pub use context::{Artifact, Context, Executed};
pub use failure::Failure;
pub use http::{HttpRequest, HttpResponse};
pub use models::{Completion, Prompt};
pub use player::Player;
pub use rmpv::Value;
pub use topics::{Message, Published, Subscription};
pub use ui::{Element, UiEvent};
