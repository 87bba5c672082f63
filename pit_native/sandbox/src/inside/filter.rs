//! The system-call filter: an allow-list, compiled when this crate is built from `policy/*.json`.
//!
//! Three programs judge every call and the strictest answer wins: what is listed nowhere does not exist
//! (ENOSYS, so that libraries fall back as on an older kernel), what is listed as refused answers EPERM,
//! and the x32 and 32-bit entry points end the process.

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

// KNOWN, REFUSE: arrays of (code, jt, jf, k); ALLOWED_COUNT.
include!(concat!(env!("OUT_DIR"), "/filters.rs"));

/// Loads the call's number; from 0x4000_0000 on it is of the x32 interface, which nothing here uses.
const X32: [(u16, u8, u8, u32); 4] = [
    ((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, 0),
    (
        (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16,
        0,
        1,
        0x4000_0000,
    ),
    (
        (libc::BPF_RET | libc::BPF_K) as u16,
        0,
        0,
        libc::SECCOMP_RET_KILL_PROCESS,
    ),
    (
        (libc::BPF_RET | libc::BPF_K) as u16,
        0,
        0,
        libc::SECCOMP_RET_ALLOW,
    ),
];

/// How many system calls a sandboxed program may make.
pub fn allowed_count() -> usize {
    ALLOWED_COUNT
}

/// Restricts this process and its descendants for good. Needs `no_new_privs`.
pub fn install() -> io::Result<()> {
    // The last one forbids installing more.
    install_one(&X32)?;
    install_one(&KNOWN)?;
    install_one(&REFUSE)
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
