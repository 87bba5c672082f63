//! What a Player keeps of its changes before it answers.

mod host;

use host::{Host, map};
use serde::{Deserialize, Serialize};
use symphony_sdk::{Context, Failure, Player};

#[derive(Deserialize)]
struct Given {
    succeeds: bool,
}

#[derive(Serialize)]
struct Made {
    done: bool,
}

fn work(_: &Context, given: Given) -> Result<Made, Failure> {
    match given.succeeds {
        true => Ok(Made { done: true }),
        false => Err(Failure::new("it was asked to")),
    }
}

fn greet(grants: &[&str]) -> Host {
    Host::greet(Player::new().function("work", work), grants)
}

fn begin(host: &mut Host, succeeds: bool) -> [u8; 16] {
    host.call("work", "succeeds", succeeds.into())
}

#[test]
fn what_was_written_is_kept_before_the_answer() {
    let mut host = greet(&["read:project/**", "write:project/**"]);
    let call = begin(&mut host, true);
    let asked = host.hear();
    assert_eq!(
        (asked.kind.as_str(), asked.method.as_str(), asked.re),
        ("request", "changes.keep", Some(call))
    );
    host.say("response", Some(asked.id), "changes.keep", map([]));
    let answer = host.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("response", Some(call)));
    host.end();
}

#[test]
fn what_cannot_be_kept_is_no_success() {
    let mut host = greet(&["write:project/**"]);
    let call = begin(&mut host, true);
    let asked = host.hear();
    let refusal = map([("code", "failed".into()), ("message", "no room".into())]);
    host.say("error", Some(asked.id), "changes.keep", refusal);
    let answer = host.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("error", Some(call)));
    assert_eq!(answer.body["message"].as_str(), Some("no room"));
    host.end();
}

#[test]
fn who_may_not_write_or_has_failed_keeps_nothing() {
    let mut reader = greet(&["read:project/**"]);
    let call = begin(&mut reader, true);
    let answer = reader.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("response", Some(call)));
    reader.end();

    let mut writer = greet(&["write:project/**"]);
    let call = begin(&mut writer, false);
    let answer = writer.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("error", Some(call)));
    writer.end();
}
