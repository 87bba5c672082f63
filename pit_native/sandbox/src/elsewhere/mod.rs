//! What stands in for the sandbox on other systems than Linux: how much of a spec each can hold to.
//!
//! Neither was ever run. The text and the numbers that they hand to their system are made by pure functions and tested
//! everywhere; the calls are only compiled (`cargo check --target …`). A spec that asks for what the system cannot
//! enforce is refused, unless the layer that is missing was waived by name, as on Linux.

#[cfg(any(target_os = "macos", test))]
pub mod macos;
#[cfg(any(target_os = "windows", test))]
pub mod windows;

use crate::error::SandboxError;
use crate::spec::Spec;

/// One promise of the sandbox, on a system that is not Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    /// As on Linux.
    pub layer: &'static str,
    /// Whether the system is told to hold to it. That it does was never tried.
    pub is_asked_for: bool,
    /// By what, or why not.
    pub detail: &'static str,
}

/// Refuses a spec that needs a layer which is not asked for here and was not waived.
///
/// # Errors
/// [`SandboxError::Layer`] with the first one.
pub fn check(spec: &Spec, enforced: &[Enforced]) -> Result<(), SandboxError> {
    let missing = enforced.iter().find(|layer| {
        !layer.is_asked_for && !spec.allow_missing.iter().any(|name| name == layer.layer)
    });
    missing.map_or(Ok(()), |layer| {
        Err(SandboxError::Layer {
            layer: layer.layer.to_owned(),
            reason: layer.detail.to_owned(),
            remedy: format!(
                "run Symphony on Linux, or give it up by name in stage.sandbox.allow_missing: {}",
                layer.layer
            ),
        })
    })
}
