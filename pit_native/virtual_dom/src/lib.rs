//! Keeps the page's tree and turns changed subtrees into JSON patches.
//!
//! The host renders views in Python and hands over either the whole tree or the subtrees that changed,
//! each by its key. [`VirtualDom`] compares them with what the page has, keeps the new state, and
//! answers with a patch (RFC 6902) against the tree `{"type", "key", "props", "children"}`, where a
//! child is such an object or a text. A change costs what it changes, not what the tree holds.

mod children;
mod dom;
mod error;
mod node;
mod patch;
mod ranks;
mod values;

pub use dom::VirtualDom;
pub use error::DomError;
pub use node::{Element, MAX_DEPTH, Node};
