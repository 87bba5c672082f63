//! How a function says that something went wrong, and how the host's refusals arrive.

use rmpv::Value;

use crate::wire::text_of;

/// A failure that the user is told in these words. `code` decides what the host does: `bad_input`
/// and `permission_denied` are not tried again, `unavailable` is, `failed` as the node's policy says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of the words of the protocol.
    pub code: String,
    /// What and why, in one line.
    pub message: String,
    /// What the user can do; may be empty.
    pub remedy: String,
}

impl Failure {
    /// A failure of the function itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self::coded("failed", message)
    }

    /// The inputs or parameters cannot be used.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::coded("bad_input", message)
    }

    /// A failure with a code of the protocol.
    pub fn coded(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            remedy: String::new(),
        }
    }

    /// Says what the user can do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The call was stopped: return it as soon as it is seen.
    pub fn cancelled() -> Self {
        Self::coded("cancelled", "the call was cancelled")
    }

    /// Whether this is the end of a call that was stopped.
    pub fn is_cancelled(&self) -> bool {
        self.code == "cancelled"
    }

    pub(crate) fn body(&self) -> Value {
        let fields = [
            ("code", self.code.as_str()),
            ("message", &self.message),
            ("remedy", &self.remedy),
            ("traceback", ""),
        ];
        Value::Map(
            fields
                .into_iter()
                .map(|(name, text)| (name.into(), text.into()))
                .collect(),
        )
    }

    pub(crate) fn of(body: &Value) -> Self {
        let text = |name: &str| text_of(body, name).unwrap_or_default().to_owned();
        Self {
            code: text("code"),
            message: text("message"),
            remedy: text("remedy"),
        }
    }
}
