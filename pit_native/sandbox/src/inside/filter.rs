//! The system-call filter: an allow-list, compiled when this crate is built from `policy/*.json`.
//!
//! What is listed nowhere does not exist (ENOSYS, so that libraries fall back as on an older kernel), what is
//! listed as refused answers EPERM, as do some calls with the wrong arguments; the x32 and 32-bit entry
//! points end the process.

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

// FILTER: an array of (code, jt, jf, k); ALLOWED_COUNT.
include!(concat!(env!("OUT_DIR"), "/filters.rs"));

/// How many system calls a sandboxed program may make.
pub fn allowed_count() -> usize {
    ALLOWED_COUNT
}

/// Restricts this process and its descendants for good. Needs `no_new_privs`.
pub fn install() -> io::Result<()> {
    const SET_MODE_FILTER: libc::c_ulong = 1;
    let instructions = FILTER.map(instruction);
    let program = Program {
        length: instructions.len() as u16,
        instructions: instructions.as_ptr(),
    };
    // SAFETY: the kernel copies the program during the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &program) }).map(drop)
}
