//! Compiles the system-call policy (`policy/`) into BPF for the target architecture.
//!
//! What depends on the call's number alone becomes a binary search over ranges of numbers: a list that is
//! walked from its start costs a launch almost a millisecond, since the kernel tries a filter on every
//! number when it is installed. What depends on arguments is compiled by seccompiler and follows in the same
//! program, since each program costs a launch its translation to machine code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::{env, fs};

use seccompiler::{BpfMap, TargetArch, compile_from_json};

const ALLOWED: &str = "policy/allowed.txt";
const REFUSED: &str = "policy/refused.txt";
const CONDITIONS: &str = "policy/conditions.json";

// <linux/bpf_common.h>, <linux/seccomp.h>, <linux/audit.h>.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP: u16 = 0x05;
const ANSWER: u16 = 0x06;
const KILL_PROCESS: u32 = 0x8000_0000;
const ERROR: u32 = 0x0005_0000;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// The first number of the x32 interface.
const X32: u32 = 0x4000_0000;

/// Stands for "the arguments decide" among the answers by number; no action of the kernel has this value.
const ARGUMENTS: u32 = 0x1234_5678;

type Instruction = (u16, u8, u8, u32);

fn main() {
    for file in [ALLOWED, REFUSED, CONDITIONS] {
        println!("cargo::rerun-if-changed={file}");
    }
    let (target, architecture) = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => (TargetArch::x86_64, 0xc000_003e),
        Ok("aarch64") => (TargetArch::aarch64, 0xc000_00b7),
        other => panic!("the sandbox has no system-call policy for {other:?}"),
    };
    let mut answers = BTreeMap::new();
    let allowed = numbers(ALLOWED, target);
    for number in &allowed {
        answers.insert(*number, ALLOW);
    }
    for number in numbers(REFUSED, target) {
        let before = answers.insert(number, ERROR | EPERM);
        assert!(
            before.is_none(),
            "system call {number} is both allowed and refused"
        );
    }
    let conditions = fs::read_to_string(CONDITIONS).expect(CONDITIONS);
    for name in conditions
        .split("\"syscall\": \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        let Some(number) = number(name, target) else {
            continue;
        };
        let before = answers.insert(number, ARGUMENTS);
        assert!(
            matches!(before, Some(ALLOW | ARGUMENTS)),
            "{CONDITIONS}: {name} is not among the allowed calls"
        );
    }
    let conditions = document(
        "{\"errno\": 1}",
        "\"allow\"",
        conditions.trim().trim_matches(['[', ']']),
    );
    let conditions = compile_from_json(conditions.as_bytes(), target)
        .unwrap_or_else(|error| panic!("{CONDITIONS}: {error}"));

    let mut program = by_number(&answers, architecture);
    let end = program.len() as u32;
    for (place, step) in (1..).zip(&mut program) {
        if *step == (ANSWER, 0, 0, ARGUMENTS) {
            *step = (JUMP, 0, 0, end - place);
        }
    }
    program.extend(
        conditions["filter"]
            .iter()
            .map(|step| (step.code, step.jt, step.jf, step.k)),
    );
    let text =
        format!("const ALLOWED_COUNT: usize = {};\n", allowed.len()) + &array("FILTER", &program);
    fs::write(
        format!("{}/filters.rs", env::var("OUT_DIR").expect("OUT_DIR")),
        text,
    )
    .expect("filters.rs");
}

/// The numbers on the target of the calls that a policy file names; each name must exist somewhere.
fn numbers(file: &str, target: TargetArch) -> Vec<u32> {
    let text = fs::read_to_string(file).expect(file);
    let names = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace);
    let mut found = Vec::new();
    for name in names {
        let here = number(name, target);
        let elsewhere = [TargetArch::x86_64, TargetArch::aarch64].map(|arch| number(name, arch));
        assert!(
            elsewhere.iter().any(Option::is_some),
            "{file}: there is no system call {name}"
        );
        found.extend(here);
    }
    found
}

/// The number of a call: the one that its compiled filter compares with, after the architecture's.
fn number(name: &str, target: TargetArch) -> Option<u32> {
    let document = document(
        "\"allow\"",
        "\"trap\"",
        &format!("{{\"syscall\": \"{name}\"}}"),
    );
    let filter: BpfMap = compile_from_json(document.as_bytes(), target).ok()?;
    let mut compared = filter["filter"]
        .iter()
        .filter(|step| step.code == JUMP_IF_EQUAL);
    compared.nth(1).map(|step| step.k)
}

/// A document of seccompiler's format with one filter.
fn document(matched: &str, otherwise: &str, rules: &str) -> String {
    format!(
        "{{\"filter\": {{\"match_action\": {matched}, \"mismatch_action\": {otherwise}, \"filter\": [{rules}]}}}}"
    )
}

/// A program that answers by number; what has no answer does not exist.
fn by_number(answers: &BTreeMap<u32, u32>, architecture: u32) -> Vec<Instruction> {
    // Where a range of equal answers begins, and that answer.
    let mut ranges = vec![(0, ERROR | ENOSYS)];
    let last = *answers.keys().last().expect("a policy");
    for number in 0..=last + 1 {
        let answer = answers.get(&number).copied().unwrap_or(ERROR | ENOSYS);
        if ranges.last().is_some_and(|(_, before)| *before != answer) {
            ranges.push((number, answer));
        }
    }
    ranges.push((X32, KILL_PROCESS));
    let mut program = vec![
        (LOAD, 0, 0, 4),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (ANSWER, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, 0),
    ];
    program.extend(search(&ranges));
    program
}

/// Binary search for the range that holds the loaded number.
fn search(ranges: &[(u32, u32)]) -> Vec<Instruction> {
    let [_, _, ..] = ranges else {
        return vec![(ANSWER, 0, 0, ranges[0].1)];
    };
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (low, boundary, high) = (search(low), high[0].0, search(high));
    let over = u8::try_from(low.len())
        .expect("a jump reaches 255 instructions: nest jumps when this fails");
    let mut program = vec![(JUMP_IF_GREATER_OR_EQUAL, over, 0, boundary)];
    program.extend(low);
    program.extend(high);
    program
}

fn array(name: &str, program: &[Instruction]) -> String {
    let mut text = format!(
        "const {name}: [(u16, u8, u8, u32); {}] = [\n",
        program.len()
    );
    for (code, jump_true, jump_false, value) in program {
        writeln!(text, "    ({code}, {jump_true}, {jump_false}, {value}),").expect("a string");
    }
    text + "];\n"
}
