//! Compiles the system-call policy (`policy/`) into BPF for the target architecture.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::{env, fs};

use seccompiler::{BpfMap, TargetArch, compile_from_json};

const FILES: [&str; 3] = [
    "policy/allowed.txt",
    "policy/refused.txt",
    "policy/conditions.json",
];

fn main() {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let target = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => TargetArch::x86_64,
        Ok("aarch64") => TargetArch::aarch64,
        other => panic!("the sandbox has no system-call policy for {other:?}"),
    };
    let allowed = names(FILES[0], target);
    let refused = names(FILES[1], target);
    if let Some(name) = allowed.iter().find(|name| refused.contains(*name)) {
        panic!("{name} is both allowed and refused");
    }
    let conditions = fs::read_to_string(FILES[2]).expect("policy/conditions.json");
    let conditions = conditions
        .trim()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let mut text = format!("const ALLOWED_COUNT: usize = {};\n", allowed.len());
    // Refused calls pass the first filter, so that the second one's answer is the one given.
    let known = format!("{}, {}", rules(&allowed), rules(&refused));
    text += &array("KNOWN", &filter("allow", "{\"errno\": 38}", &known, target));
    let refusals = format!("{}, {conditions}", rules(&refused));
    text += &array(
        "REFUSE",
        &filter("{\"errno\": 1}", "allow", &refusals, target),
    );
    fs::write(
        format!("{}/filters.rs", env::var("OUT_DIR").expect("OUT_DIR")),
        text,
    )
    .expect("filters.rs");
}

/// The names of a policy file that the target has; each must exist on one architecture at least.
fn names(file: &str, target: TargetArch) -> Vec<String> {
    let text = fs::read_to_string(file).expect(file);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
    {
        assert!(seen.insert(name), "{file} names {name} twice");
        let exists = |arch| compile(&document("allow", "trap", &rule(name)), arch).is_some();
        assert!(
            exists(TargetArch::x86_64) || exists(TargetArch::aarch64),
            "{file}: no system call {name}"
        );
        if exists(target) {
            found.push(name.to_owned());
        }
    }
    found
}

fn rule(name: &str) -> String {
    format!("{{\"syscall\": \"{name}\"}}")
}

fn rules(names: &[String]) -> String {
    names
        .iter()
        .map(|name| rule(name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A document of seccompiler's format with one filter.
fn document(matched: &str, otherwise: &str, rules: &str) -> String {
    let action = |text: &str| {
        if text.starts_with('{') {
            text.to_owned()
        } else {
            format!("\"{text}\"")
        }
    };
    format!(
        "{{\"filter\": {{\"match_action\": {}, \"mismatch_action\": {}, \"filter\": [{rules}]}}}}",
        action(matched),
        action(otherwise)
    )
}

fn compile(document: &str, target: TargetArch) -> Option<BpfMap> {
    compile_from_json(document.as_bytes(), target).ok()
}

fn filter(matched: &str, otherwise: &str, rules: &str, target: TargetArch) -> BpfMap {
    let document = document(matched, otherwise, rules);
    compile_from_json(document.as_bytes(), target)
        .unwrap_or_else(|error| panic!("the policy: {error}"))
}

fn array(name: &str, filters: &BpfMap) -> String {
    let program = &filters["filter"];
    let mut text = format!(
        "const {name}: [(u16, u8, u8, u32); {}] = [\n",
        program.len()
    );
    for step in program {
        writeln!(
            text,
            "    ({}, {}, {}, {}),",
            step.code, step.jt, step.jf, step.k
        )
        .expect("a string");
    }
    text + "];\n"
}
