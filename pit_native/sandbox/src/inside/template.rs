//! The warm template: a process with one thread and the interpreter loaded, copied for each Player.
//!
//! The launcher makes it ([`become_one`]) in a user and a mount namespace of its own, without privileges. Its
//! interpreter imports what every Player imports and calls [`serve`], which returns only in the copies, each
//! inside its finished sandbox. The template is given descriptors and flags, never a spec: what a Player may
//! do is read by its copy.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use super::{Failure, Lived, Origin, REFUSED, init, privileges, root, run};
use crate::clone::{Handed, IdMaps, Launched, copy_beside, settle_copy};
use crate::spec::Spec;
use crate::sys;
use crate::wire::{Answer, CONTROL_FD, ORDERED, Order, PLAYER, READY, RefusalKind};

/// Executes the interpreter that is to be the template. Returns only when that fails.
pub(super) fn become_one(spec: &Spec) -> Failure {
    match prepare(spec) {
        Ok(program) => {
            // SAFETY: this process has nothing else to do.
            let error = io::Error::from_raw_os_error(unsafe { program.execute() });
            Failure::new(RefusalKind::Program, &spec.argv[0], "executing it", &error)
        }
        Err(failure) => failure,
    }
}

fn prepare(spec: &Spec) -> Result<init::Program, Failure> {
    root::build_template(spec)?;
    let program = init::Program::prepare(spec)?;
    privileges::leave_session().map_err(Failure::layer("session", "starting a new session"))?;
    privileges::drop_all(|step, error| {
        Failure::new(RefusalKind::Layer, "capabilities", step, &error)
    })?;
    // The interpreter keeps it: orders come over it.
    // SAFETY: no memory is involved.
    sys::check(unsafe { libc::fcntl(CONTROL_FD, libc::F_SETFD, 0) }.into())
        .map_err(Failure::layer("launcher", "keeping the control socket"))?;
    Ok(program)
}

/// Makes copies as the host orders. Returns only in a Player, with its environment.
pub fn serve() -> Vec<(String, String)> {
    let told = sys::send(CONTROL_FD, &[PLAYER]).and_then(|()| sys::send(CONTROL_FD, &[READY]));
    if told.is_err() {
        leave(REFUSED);
    }
    let maps = IdMaps::of_this_process();
    loop {
        // Without the host there is nobody to serve.
        let Ok(Some((order, descriptors))) = receive_order() else {
            leave(0);
        };
        match copy_beside(order.namespaces) {
            Ok(None) => return become_player(descriptors, &maps),
            Ok(Some(launched)) => answer(Ok(launched)),
            Err(error) => answer(Err(error)),
        }
    }
}

fn leave(code: i32) -> ! {
    // SAFETY: ends this process without running what the interpreter does at its end.
    unsafe { libc::_exit(code) }
}

fn receive_order() -> io::Result<Option<(Order, Vec<OwnedFd>)>> {
    let mut buffer = [0; 16];
    let received = sys::receive(CONTROL_FD, &mut buffer, 0)?;
    let is_whole = received.passed.len() == ORDERED;
    let order = Order::from_bytes(&buffer[..received.length]).filter(|_| is_whole);
    Ok(order.map(|order| (order, received.passed)))
}

fn answer(copied: io::Result<Launched>) {
    // A host that is gone is noticed by the next order.
    let _ = match copied {
        Ok(Launched { pid, pidfd }) => {
            let answer = Answer { pid, errno: 0 };
            sys::send_with(CONTROL_FD, &answer.to_bytes(), &[pidfd.as_raw_fd()])
        }
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            sys::send(CONTROL_FD, &Answer { pid: 0, errno }.to_bytes())
        }
    };
}

/// The copy's part: builds its sandbox as pid 1; returns in the Player that it copies itself into.
fn become_player(descriptors: Vec<OwnedFd>, maps: &IdMaps) -> Vec<(String, String)> {
    // All are closed by number, with whatever else is open.
    let descriptors: Vec<RawFd> = descriptors
        .into_iter()
        .map(IntoRawFd::into_raw_fd)
        .collect();
    let handed = Handed {
        launcher: -1,
        control: descriptors[0],
        stdio: [descriptors[1], descriptors[2], descriptors[3]],
    };
    let settled = settle_copy(&handed, maps).map_err(|failure| {
        Failure::new(
            RefusalKind::Layer,
            "user_namespace",
            failure.stage,
            &failure.source,
        )
    });
    let failure = match settled {
        Ok(()) => match run(Origin::Template) {
            Ok(Lived::AsPlayer(environment)) => return environment,
            Ok(Lived::AsFirst(code)) => leave(code),
            Err(failure) => failure,
        },
        Err(failure) => {
            // SAFETY: both are open; the template's own socket is not for its copies.
            unsafe { libc::dup2(handed.control, CONTROL_FD) };
            failure
        }
    };
    failure.tell();
    leave(REFUSED)
}
