//! The system-call filter: an allow-list, compiled when this crate is built from `policy/*.json`.
//!
//! Two programs judge every call and the stricter answer wins: one by the call's number (what is listed
//! nowhere does not exist, so that libraries fall back as on an older kernel; what is listed as refused
//! answers EPERM; the x32 and 32-bit entry points end the process), one by its arguments.

use std::io;

use crate::sys::check;

/// One instruction of a classic BPF program, as the kernel reads it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    value: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

const fn instruction((code, jump_true, jump_false, value): (u16, u8, u8, u32)) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        value,
    }
}

// BY_NUMBER, BY_ARGUMENTS: arrays of (code, jt, jf, k); ALLOWED_COUNT.
include!(concat!(env!("OUT_DIR"), "/filters.rs"));

/// How many system calls a sandboxed program may make.
pub fn allowed_count() -> usize {
    ALLOWED_COUNT
}

/// Restricts this process and its descendants for good. Needs `no_new_privs`.
pub fn install() -> io::Result<()> {
    // The program by number refuses to install more, hence last.
    install_one(&BY_ARGUMENTS)?;
    install_one(&BY_NUMBER)
}

fn install_one<const N: usize>(program: &'static [(u16, u8, u8, u32); N]) -> io::Result<()> {
    let instructions = program.map(instruction);
    let program = Program {
        length: N as u16,
        instructions: instructions.as_ptr(),
    };
    const SET_MODE_FILTER: libc::c_ulong = 1;
    // SAFETY: the kernel copies the program during the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &program) }).map(drop)
}
