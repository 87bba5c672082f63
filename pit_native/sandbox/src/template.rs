//! The host's handle of a warm template, from which Players are copied straight into their sandbox.
//!
//! A copy is a child of this process, not of the template: killing the one does not touch the others.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::child::Child;
use crate::clone::{Handed, Launched};
use crate::error::SandboxError;
use crate::spawn::{self, host};
use crate::spec::Spec;
use crate::sys;
use crate::wire::{Answer, Order};

/// A running template.
#[derive(Debug)]
pub struct Template {
    process: Child,
    /// Held from an order to its answer; true once an answer was missed, since then none can be told apart.
    is_out_of_step: Mutex<bool>,
}

impl Template {
    /// Starts an interpreter that serves as the template of all Players with this program and these libraries;
    /// returns once it serves. Its `argv` executes a script that calls [`crate::serve_template`].
    ///
    /// # Errors
    /// As [`crate::spawn`].
    pub fn start(launcher: &Path, spec: &Spec) -> Result<Self, SandboxError> {
        let process = spawn::spawn_template(launcher, spec)?;
        Ok(Self {
            process,
            is_out_of_step: Mutex::new(false),
        })
    }

    /// Starts a Player as a copy of the template, in the sandbox that `spec` describes. Its `argv` is not
    /// executed: the copy goes on where the template waits.
    ///
    /// # Errors
    /// As [`crate::spawn`]; also when the template has ended. Nothing is left running.
    pub fn spawn(&self, spec: &Spec) -> Result<Child, SandboxError> {
        spawn::spawn_copy(spec, |handed, meanwhile| self.copy(handed, meanwhile))
    }

    /// Calls `meanwhile` once the template has its order.
    fn copy(&self, handed: &Handed, meanwhile: &mut dyn FnMut()) -> Result<Launched, SandboxError> {
        let [input, output, error] = handed.stdio;
        let passed = [handed.control, input, output, error];
        let order = Order {
            namespaces: spawn::all_namespaces(),
        };
        let control = self.process.control();
        let failure = host("asking the template for a copy");
        let mut buffer = [0; 16];
        let received = {
            let mut is_out_of_step = self
                .is_out_of_step
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if *is_out_of_step {
                return Err(failure(io::ErrorKind::BrokenPipe.into()));
            }
            *is_out_of_step = true;
            sys::send_with(control, &order.to_bytes(), &passed).map_err(&failure)?;
            meanwhile();
            let received = sys::receive(control, &mut buffer, 0).map_err(&failure)?;
            *is_out_of_step = received.length == 0;
            received
        };
        let answer = Answer::from_bytes(&buffer[..received.length])
            .ok_or_else(|| failure(io::ErrorKind::UnexpectedEof.into()))?;
        match received.passed.into_iter().next() {
            Some(pidfd) if answer.pid > 0 => Ok(Launched {
                pid: answer.pid,
                pidfd,
            }),
            _ => Err(failure(io::Error::from_raw_os_error(answer.errno))),
        }
    }

    /// The template's own process.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        matches!(self.process.wait(Some(Duration::ZERO)), Ok(None))
    }

    /// A descriptor that becomes readable when it has ended.
    pub fn pidfd(&self) -> RawFd {
        self.process.pidfd().as_raw_fd()
    }
}
