//! Why a tree is refused.

/// The tree stays as it was, or as the changes before the refused one made it; nothing is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomError {
    /// A key names two nodes.
    #[error("the key {0:?} names two nodes of the tree")]
    DuplicateKey(String),
    /// A change for a node that is not in the tree.
    #[error("no node of the tree has the key {0:?}")]
    UnknownKey(String),
    /// The changed subtree does not carry the key under which it was sent.
    #[error("the subtree for the key {expected:?} has the key {found:?}")]
    WrongKey {
        /// The key it was sent for.
        expected: String,
        /// The key it carries, or empty.
        found: String,
    },
    /// Nothing was rendered yet.
    #[error("the tree is empty; render the whole tree first")]
    Empty,
    /// The root is a text.
    #[error("the root of the tree must be an element")]
    TextRoot,
    /// Nested deeper than any page is.
    #[error("the tree is deeper than {0} levels")]
    TooDeep(usize),
}
