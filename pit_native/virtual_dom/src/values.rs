//! Compares properties: what changed inside a value travels, not the whole value.

use serde_json::{Map, Value};

use crate::patch::{Patch, write_value};

/// Compares two objects member by member.
pub(crate) fn compare_members(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    patch: &mut Patch,
) {
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        let mark = patch.enter(name);
        patch.remove();
        patch.leave(mark);
    }
    for (name, value) in new {
        let mark = patch.enter(name);
        match old.get(name) {
            Some(before) => compare(before, value, patch),
            None => patch.add(|bytes| write_value(bytes, value)),
        }
        patch.leave(mark);
    }
}

/// Compares two values at the pointer; what is cheaper to replace as a whole is replaced.
fn compare(old: &Value, new: &Value, patch: &mut Patch) {
    if old == new {
        return;
    }
    let start = patch.length();
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => compare_members(old, new, patch),
        (Value::Array(old), Value::Array(new)) => compare_items(old, new, patch),
        _ => return patch.replace(|bytes| write_value(bytes, new)),
    }
    let in_parts = patch.length() - start;
    // Small changes in parts are the usual case; only large ones are worth the comparison.
    if in_parts > 64 {
        let mut whole = Vec::new();
        write_value(&mut whole, new);
        if whole.len() + 32 < in_parts {
            patch.rewind(start);
            patch.replace(|bytes| bytes.extend_from_slice(&whole));
        }
    }
}

/// Compares two lists: equal ends stay, the middle is compared in pairs, the rest added or removed.
fn compare_items(old: &[Value], new: &[Value], patch: &mut Patch) {
    let prefix = old
        .iter()
        .zip(new)
        .take_while(|(before, after)| before == after)
        .count();
    let (old, new) = (&old[prefix..], &new[prefix..]);
    let suffix = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(before, after)| before == after)
        .count();
    let (old, new) = (&old[..old.len() - suffix], &new[..new.len() - suffix]);
    let pairs = old.len().min(new.len());
    for index in (pairs..old.len()).rev() {
        let mark = patch.enter_index(prefix + index);
        patch.remove();
        patch.leave(mark);
    }
    for (index, (before, after)) in old.iter().zip(new).enumerate() {
        let mark = patch.enter_index(prefix + index);
        compare(before, after, patch);
        patch.leave(mark);
    }
    for (index, value) in new.iter().enumerate().skip(pairs) {
        let mark = patch.enter_index(prefix + index);
        patch.add(|bytes| write_value(bytes, value));
        patch.leave(mark);
    }
}
