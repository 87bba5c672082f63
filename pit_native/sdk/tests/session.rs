//! A Player over a pair of sockets, with a host that this test plays.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};
use symphony_sdk::wire::{Envelope, FRAME, Reader};
use symphony_sdk::{Context, Failure, Player, Value};

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

fn map(fields: &[(&str, Value)]) -> Value {
    Value::Map(
        fields
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect(),
    )
}

struct Host {
    reader: Reader,
    socket: UnixStream,
    player: JoinHandle<std::io::Result<()>>,
    sent: u8,
}

impl Host {
    /// A Player that was greeted with these grants.
    fn greet(grants: &[&str]) -> Self {
        let (socket, other) = UnixStream::pair().expect("sockets");
        let player = thread::spawn(move || {
            Player::new()
                .function("work", work)
                .serve_on(other, "tests/sdk", "1.0.0")
        });
        let mut host = Self {
            reader: Reader::new(socket.try_clone().expect("a descriptor")),
            socket,
            player,
            sent: 0,
        };
        let hello = host.hear();
        let capabilities = Value::Array(grants.iter().map(|grant| (*grant).into()).collect());
        let welcome = map(&[
            ("version", 1.into()),
            ("grants", map(&[("capabilities", capabilities)])),
        ]);
        host.say("response", Some(hello.id), "hello", welcome);
        host
    }

    fn hear(&mut self) -> Envelope {
        self.reader.next_envelope().expect("sound").expect("one")
    }

    fn say(&mut self, kind: &str, re: Option<[u8; 16]>, method: &str, body: Value) -> [u8; 16] {
        self.sent += 1;
        let envelope = Envelope {
            id: [self.sent; 16],
            kind: kind.to_owned(),
            ts: 1.0,
            re,
            from: "host".to_owned(),
            to: "tests/sdk".to_owned(),
            method: method.to_owned(),
            body,
        };
        let frame = envelope.to_frame(FRAME).expect("it fits");
        self.socket.write_all(&frame).expect("it is read");
        envelope.id
    }

    fn call(&mut self, succeeds: bool) -> [u8; 16] {
        let params = map(&[("succeeds", succeeds.into())]);
        let body = map(&[("function", "work".into()), ("params", params)]);
        self.say("request", None, "call", body)
    }

    fn end(mut self) {
        self.say("request", None, "shutdown", map(&[]));
        assert_eq!(self.hear().kind, "response");
        self.player.join().expect("no panic").expect("a good end");
    }
}

#[test]
fn what_was_written_is_kept_before_the_answer() {
    let mut host = Host::greet(&["read:project/**", "write:project/**"]);
    let call = host.call(true);
    let asked = host.hear();
    assert_eq!(
        (asked.kind.as_str(), asked.method.as_str(), asked.re),
        ("request", "changes.keep", Some(call))
    );
    host.say("response", Some(asked.id), "changes.keep", map(&[]));
    let answer = host.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("response", Some(call)));
    host.end();
}

#[test]
fn what_cannot_be_kept_is_no_success() {
    let mut host = Host::greet(&["write:project/**"]);
    let call = host.call(true);
    let asked = host.hear();
    let refusal = map(&[("code", "failed".into()), ("message", "no room".into())]);
    host.say("error", Some(asked.id), "changes.keep", refusal);
    let answer = host.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("error", Some(call)));
    assert_eq!(answer.body["message"].as_str(), Some("no room"));
    host.end();
}

#[test]
fn who_may_not_write_or_has_failed_keeps_nothing() {
    let mut reader = Host::greet(&["read:project/**"]);
    let call = reader.call(true);
    let answer = reader.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("response", Some(call)));
    reader.end();

    let mut writer = Host::greet(&["write:project/**"]);
    let call = writer.call(false);
    let answer = writer.hear();
    assert_eq!((answer.kind.as_str(), answer.re), ("error", Some(call)));
    writer.end();
}
