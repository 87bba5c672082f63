//! Maps the errors of all crates to the exceptions of `symphony.errors`, each in one place.
//!
//! The Python classes are looked up by name when an error is raised, so that importing `pit_native`
//! imports nothing of `symphony`. A panic in a crate arrives as pyo3's `PanicException`.

use artifact_store::StoreError;
use pool_manager::PoolError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use stale_manager::PolicyError;

/// An exception of the class `class` of `symphony.errors`; `remedy` says what the user can do.
pub(crate) fn raise(class: &str, message: &str, remedy: &str) -> PyErr {
    Python::attach(|py| build(py, class, message, remedy, None).unwrap_or_else(|error| error))
}

/// As [`raise`], with a `code` that is finer than the class's own.
pub(crate) fn raise_coded(class: &str, message: &str, remedy: &str, code: &str) -> PyErr {
    Python::attach(|py| build(py, class, message, remedy, Some(code)).unwrap_or_else(|error| error))
}

fn build(
    py: Python<'_>,
    class: &str,
    message: &str,
    remedy: &str,
    code: Option<&str>,
) -> PyResult<PyErr> {
    let named = PyDict::new(py);
    named.set_item("remedy", remedy)?;
    if let Some(code) = code {
        named.set_item("code", code)?;
    }
    let class = py.import("symphony.errors")?.getattr(class)?;
    Ok(PyErr::from_value(class.call((message,), Some(&named))?))
}

/// What the user gave cannot be used.
pub(crate) fn bad_input(message: &str, remedy: &str) -> PyErr {
    raise("BadInput", message, remedy)
}

/// Something that does not exist.
pub(crate) fn not_found(message: &str, remedy: &str) -> PyErr {
    raise("NotFound", message, remedy)
}

/// The machine lacks something that is needed.
#[allow(dead_code, reason = "raised by the faces of other crates")]
pub(crate) fn environment_lacks(message: &str, remedy: &str) -> PyErr {
    raise("EnvironmentLacks", message, remedy)
}

/// A graph with a cycle, whose ids come in order.
#[allow(dead_code, reason = "raised by the face of dag_tracker")]
pub(crate) fn cycle_error(cycle: &[String]) -> PyErr {
    Python::attach(|py| {
        let error = || -> PyResult<PyErr> {
            let class = py.import("symphony.errors")?.getattr("CycleError")?;
            Ok(PyErr::from_value(class.call1((PyList::new(py, cycle)?,))?))
        };
        error().unwrap_or_else(|error| error)
    })
}

/// Errors of the artifact store.
pub(crate) fn store_error(error: StoreError) -> PyErr {
    let message = error.to_string();
    match error {
        StoreError::InUse { .. } => raise(
            "HostBusy",
            &message,
            "end the other host, or choose another SYMPHONY_HOME",
        ),
        StoreError::Full { .. } => raise(
            "StorageFull",
            &message,
            "free some space or run `symphony artifacts gc`; everything stored so far is kept",
        ),
        StoreError::NotFound(_) => not_found(&message, "see `symphony artifacts list`"),
        StoreError::Remote { .. } => raise(
            "ArtifactRemote",
            &message,
            "read it through `symphony artifacts show`, which brings it back",
        ),
        StoreError::Held { .. } => raise(
            "ArtifactHeld",
            &message,
            "lift the hold first, if you may: `symphony artifacts release`",
        ),
        StoreError::Damaged { .. } => raise(
            "DamagedArtifact",
            &message,
            "run `symphony artifacts verify`, then play the run again to make it anew",
        ),
        StoreError::Key { .. } => raise_coded(
            "BadInput",
            &message,
            "give the key with which the store was made",
            "wrong_key",
        ),
        StoreError::Format { .. } => raise(
            "EnvironmentLacks",
            &message,
            "use the version of Symphony that wrote it, or restore the folder from a copy",
        ),
        StoreError::BadInput(_) => bad_input(&message, ""),
        StoreError::Poisoned(_) => raise_coded(
            "EnvironmentLacks",
            &message,
            "check the disk, then start the host again",
            "storage_failed",
        ),
        StoreError::Closed => {
            raise_coded("SymphonyError", &message, "open the store again", "closed")
        }
        StoreError::Search(_) => raise_coded(
            "SymphonyError",
            &message,
            "delete the store's folder `index/`; it is built anew at the next start",
            "search_failed",
        ),
        StoreError::Io { .. } => raise_coded(
            "EnvironmentLacks",
            &message,
            "check the disk and its permissions",
            "storage_failed",
        ),
    }
}

/// Errors of the pool.
pub(crate) fn pool_error(error: PoolError) -> PyErr {
    let message = error.to_string();
    match error {
        PoolError::Unknown(_) => not_found(&message, "register it first"),
        PoolError::Timeout { .. } => raise_coded(
            "SymphonyError",
            &message,
            "raise the timeout or the pool's capacity",
            "timeout",
        ),
        PoolError::Load { .. } => raise_coded("SymphonyError", &message, "", "load_failed"),
        PoolError::GivenUp { .. } => raise_coded(
            "SymphonyError",
            &message,
            "mend what it fails of; it is tried again from time to time",
            "given_up",
        ),
        PoolError::TooLarge { .. } => raise_coded(
            "EnvironmentLacks",
            &message,
            "give the pool more memory, or the entry less",
            "too_large",
        ),
        PoolError::Released => {
            raise_coded("BadInput", &message, "allocate a new handle", "released")
        }
        PoolError::Interrupted => raise("Cancelled", &message, ""),
        PoolError::Closed => raise_coded("SymphonyError", &message, "", "closed"),
    }
}

/// A retention policy that makes no sense.
pub(crate) fn policy_error(error: PolicyError) -> PyErr {
    raise(
        "InvalidConfig",
        &format!("the retention policy cannot be used: {error}"),
        "",
    )
}

/// This file adds nothing to the module: its exceptions are Python's.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
