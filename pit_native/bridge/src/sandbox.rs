//! The Python face of `sandbox`.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use sandbox::{Cause, Child, Keeper, Origin, SandboxError, Spec};

use crate::errors::{bad_input, raise_coded};

/// The program of a running sandbox. Killed with all that it started when the last reference goes.
#[pyclass(frozen, module = "pit_native")]
struct SandboxChild {
    child: Arc<Child>,
}

#[pymethods]
impl SandboxChild {
    /// The sandbox's pid 1 as this host sees it.
    #[getter]
    fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// The program itself as this host sees it: what a Unix socket's peer credentials show.
    #[getter]
    fn player_pid(&self) -> i32 {
        self.child.player_pid()
    }

    /// A descriptor that is readable once the sandbox has ended, for select and event loops.
    fn fileno(&self) -> i32 {
        self.child.pidfd().as_raw_fd()
    }

    /// `(folder inside, descriptor)` of each overlay's private layer; the descriptors are this object's.
    #[getter]
    fn overlays(&self) -> Vec<(PathBuf, i32)> {
        let overlays = self.child.overlays().iter();
        overlays
            .map(|overlay| (overlay.target.clone(), overlay.upper.as_raw_fd()))
            .collect()
    }

    /// Bytes of memory in use, or None where no control group counts them.
    #[getter]
    fn memory(&self) -> Option<u64> {
        self.child.memory_in_use()
    }

    /// `(CPU seconds, peak memory of its largest process in bytes)` of all that ran inside, once it has ended.
    #[getter]
    fn usage(&self) -> Option<(f64, u64)> {
        self.child
            .usage()
            .map(|used| (used.cpu_seconds, used.peak_memory))
    }

    /// The exit status (128 + signal), or None when it still runs after `timeout` seconds.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<i32>> {
        Ok(self.wait_for_exit(py, timeout)?.map(|exit| exit.code))
    }

    /// Why the sandbox itself ended the program: "memory", or None.
    #[getter]
    fn cause(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        let exit = self.wait_for_exit(py, Some(0.0))?;
        Ok(exit
            .and_then(|exit| exit.cause)
            .map(|Cause::Memory| "memory"))
    }

    /// Sends a signal to the program and its process group.
    fn signal(&self, signal: i32) -> PyResult<()> {
        Ok(self.child.signal(signal)?)
    }

    /// Ends everything inside at once.
    fn kill(&self) -> PyResult<()> {
        Ok(self.child.kill()?)
    }
}

impl SandboxChild {
    fn wait_for_exit(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
    ) -> PyResult<Option<sandbox::Exit>> {
        let timeout = timeout
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(|error| bad_input(&format!("the timeout: {error}"), ""))?;
        let child = Arc::clone(&self.child);
        Ok(py.detach(move || child.wait(timeout))?)
    }
}

/// Starts `spec["argv"]` in a sandbox and returns once it runs.
#[pyfunction]
fn sandbox_spawn(
    py: Python<'_>,
    launcher: PathBuf,
    spec: &Bound<'_, PyDict>,
) -> PyResult<SandboxChild> {
    let spec = spec_from_python(spec)?;
    let child = py
        .detach(move || sandbox::spawn(&launcher, &spec))
        .map_err(sandbox_error)?;
    Ok(SandboxChild {
        child: Arc::new(child),
    })
}

/// Keeps a warm template, and starts Players from it or with the launcher.
#[pyclass(frozen, module = "pit_native")]
pub(crate) struct PlayerTemplate {
    keeper: Arc<Keeper>,
}

impl PlayerTemplate {
    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        self.keeper.clone()
    }
}

#[pymethods]
impl PlayerTemplate {
    #[new]
    fn new(launcher: PathBuf, spec: &Bound<'_, PyDict>, watched: Vec<PathBuf>) -> PyResult<Self> {
        let keeper = Keeper::new(launcher, spec_from_python(spec)?, watched)?;
        Ok(Self {
            keeper: Arc::new(keeper),
        })
    }

    /// Starts the template in the background, unless one was asked for before.
    fn warm(&self, py: Python<'_>) {
        py.detach(|| self.keeper.warm());
    }

    /// Starts a Player; `(child, None)`, or why the launcher started it and not the template.
    fn spawn(
        &self,
        py: Python<'_>,
        spec: &Bound<'_, PyDict>,
    ) -> PyResult<(SandboxChild, Option<String>)> {
        let spec = spec_from_python(spec)?;
        let (child, origin) = py
            .detach(|| self.keeper.spawn(&spec))
            .map_err(sandbox_error)?;
        let child = SandboxChild {
            child: Arc::new(child),
        };
        match origin {
            Origin::Template => Ok((child, None)),
            Origin::Launcher(why) => Ok((child, Some(why))),
        }
    }

    /// How it stands.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let status = py.detach(|| self.keeper.status());
        let dict = PyDict::new(py);
        dict.set_item("state", status.state)?;
        dict.set_item("pid", status.pid)?;
        dict.set_item("reason", status.reason)?;
        dict.set_item("copied", status.copied)?;
        dict.set_item("launched", status.launched)?;
        Ok(dict)
    }

    /// An eventfd that counts the changes of the status.
    fn fileno(&self) -> i32 {
        self.keeper.fileno()
    }

    /// Ends the template; its Players go on, and from here on the launcher starts all.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.keeper.close());
    }
}

/// Every protection, and whether this machine has it.
#[pyfunction]
fn sandbox_layers(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for layer in py.detach(sandbox::layers) {
        let entry = PyDict::new(py);
        entry.set_item("name", layer.name)?;
        entry.set_item("available", layer.available)?;
        entry.set_item("required", layer.required)?;
        entry.set_item("can_be_waived", layer.can_be_waived)?;
        entry.set_item("detail", layer.detail)?;
        entry.set_item("remedy", layer.remedy)?;
        list.append(entry)?;
    }
    Ok(list)
}

/// A launch spec from the dictionary that `symphony.stage.sandbox.spec_for` makes.
pub(crate) fn spec_from_python(spec: &Bound<'_, PyAny>) -> PyResult<Spec> {
    let json = spec.py().import("json")?.call_method1("dumps", (spec,))?;
    let text: &str = &json.extract::<String>()?;
    serde_json::from_str(text)
        .map_err(|error| bad_input(&format!("the sandbox's spec: {error}"), ""))
}

/// Maps a launch that did not happen. A program that cannot be started carries the exit status that a shell
/// would give as its code: `program_not_found` (127) or `program_not_executable` (126).
pub(crate) fn sandbox_error(error: SandboxError) -> PyErr {
    let message = error.to_string();
    match error {
        SandboxError::InvalidSpec { .. } => bad_input(&message, ""),
        SandboxError::Layer { .. } => {
            raise_coded("EnvironmentLacks", &message, "", "sandbox_layer")
        }
        SandboxError::Launcher { .. } => {
            raise_coded("EnvironmentLacks", &message, "", "sandbox_launcher")
        }
        SandboxError::Mount { .. } => raise_coded(
            "BadInput",
            &message,
            "grant what exists and can be read",
            "sandbox_mount",
        ),
        SandboxError::Program { exit_code: 127, .. } => {
            let remedy = "check its name; only the system's programs and what is granted are there";
            raise_coded("BadInput", &message, remedy, "program_not_found")
        }
        SandboxError::Program { .. } => raise_coded(
            "BadInput",
            &message,
            "check that it is a program",
            "program_not_executable",
        ),
        SandboxError::Lost(_) | SandboxError::Host { .. } => raise_coded(
            "SymphonyError",
            &message,
            "see `symphony doctor`",
            "sandbox_failed",
        ),
    }
}

/// Adds this file's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SandboxChild>()?;
    module.add_class::<PlayerTemplate>()?;
    module.add_function(wrap_pyfunction!(sandbox_spawn, module)?)?;
    module.add_function(wrap_pyfunction!(sandbox_layers, module)?)
}
