//! A Player over a pair of sockets, with a host that the test plays.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use symphony_sdk::wire::{Envelope, FRAME, Reader};
use symphony_sdk::{Player, Value};

/// A map of these fields.
pub fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter();
    Value::Map(fields.map(|(name, value)| (name.into(), value)).collect())
}

/// The host's end.
pub struct Host {
    reader: Reader,
    socket: UnixStream,
    player: JoinHandle<std::io::Result<()>>,
    sent: u8,
}

impl Host {
    /// A Player that was greeted with these grants.
    pub fn greet(player: Player, grants: &[&str]) -> Self {
        let (socket, other) = UnixStream::pair().expect("sockets");
        let player = thread::spawn(move || player.serve_on(other, "tests/sdk", "1.0.0"));
        let mut host = Self {
            reader: Reader::new(socket.try_clone().expect("a descriptor")),
            socket,
            player,
            sent: 0,
        };
        let hello = host.hear();
        let capabilities = Value::Array(grants.iter().map(|grant| (*grant).into()).collect());
        let welcome = map([
            ("version", 1.into()),
            ("grants", map([("capabilities", capabilities)])),
        ]);
        host.say("response", Some(hello.id), "hello", welcome);
        host
    }

    /// What the Player says next.
    pub fn hear(&mut self) -> Envelope {
        self.reader.next_envelope().expect("sound").expect("one")
    }

    /// Tells the Player something, and answers its id.
    pub fn say(&mut self, kind: &str, re: Option<[u8; 16]>, method: &str, body: Value) -> [u8; 16] {
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

    /// Calls a function with one parameter.
    pub fn call(&mut self, function: &str, name: &str, value: Value) -> [u8; 16] {
        let body = map([
            ("function", function.into()),
            ("params", map([(name, value)])),
        ]);
        self.say("request", None, "call", body)
    }

    /// Ends the Player, which must end well.
    pub fn end(mut self) {
        self.say("request", None, "shutdown", map([]));
        assert_eq!(self.hear().kind, "response");
        self.player.join().expect("no panic").expect("a good end");
    }
}
