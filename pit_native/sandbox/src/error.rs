//! Why a launch was refused or failed.

use std::io;

/// A launch that did not happen. The text names the thing, the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The spec cannot be meant.
    #[error("the sandbox's `{field}` {reason}")]
    InvalidSpec {
        /// Field of the spec.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A protection could not be applied, so nothing was started.
    #[error("the sandbox layer `{layer}` cannot be applied: {reason}; {remedy}")]
    Layer {
        /// Name as in [`crate::layers`].
        layer: String,
        /// Operation and the system's answer.
        reason: String,
        /// What the user can do.
        remedy: String,
    },
    /// Something that the sandbox should show does not exist or cannot be read.
    #[error("`{path}` cannot be shown in the sandbox: {reason}")]
    Mount {
        /// Path on the host, or inside.
        path: String,
        /// The system's answer.
        reason: String,
    },
    /// The sandbox stands, but the program could not be started in it.
    #[error("`{program}` cannot be started in the sandbox: {reason}")]
    Program {
        /// As given in `argv`.
        program: String,
        /// The system's answer.
        reason: String,
        /// What a shell would exit with: 127 not found, 126 not executable.
        exit_code: i32,
    },
    /// The launcher's file is missing or unusable.
    #[error("the sandbox launcher `{path}` cannot be used: {source}; run `make build`")]
    Launcher {
        /// Its path.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The launcher ended without a word, or answered nonsense.
    #[error("the sandbox launcher ended before the program started ({0})")]
    Lost(String),
    /// A system call of the host itself failed.
    #[error("the sandbox cannot be started: {operation}: {source}")]
    Host {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl SandboxError {
    #[cfg(any(target_os = "linux", target_os = "windows"))]
    pub(crate) fn host(operation: &'static str) -> Self {
        Self::Host {
            operation,
            source: io::Error::last_os_error(),
        }
    }
}
