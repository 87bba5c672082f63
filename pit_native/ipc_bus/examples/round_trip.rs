//! Round trips from Rust to a Player that another program starts, for `benches/stage.py`.
//!
//! Usage: `round_trip SOCKET`. It listens there and says `listening`, then `ready` when the Player is. For
//! each line `COUNT` on its input it makes so many calls, one after another, and prints the seconds that
//! they took.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_bus::{
    Bus, CallOptions, Closed, Expect, Handler, Incoming, Limits, Responder, Session, Value,
};

struct Deaf;

impl Handler for Deaf {
    fn request(&self, _: Incoming, _: Responder) {}
    fn event(&self, _: u64, _: u64, _: &str, _: Value) {}
    fn closed(&self, _: u64, _: &Closed) {}
}

fn text(key: &str, value: &str) -> (Value, Value) {
    (key.into(), value.into())
}

/// What the host sends with each call of a function that takes 64 bytes.
fn body() -> Value {
    Value::Map(vec![
        text("function", "echo"),
        ("params".into(), Value::Map(Vec::new())),
        (
            "inputs".into(),
            Value::Map(vec![text("text", &"x".repeat(64))]),
        ),
        (
            "context".into(),
            Value::Map(vec![
                text("run", ""),
                text("node", ""),
                ("project".into(), Value::Nil),
                ("attempt".into(), 1.into()),
            ]),
        ),
    ])
}

async fn calls(session: Session, count: usize) -> Duration {
    let options = CallOptions {
        deadline: Duration::from_secs(30),
        tag: 1,
    };
    let began = Instant::now();
    for _ in 0..count {
        session
            .call("call", body(), options)
            .await
            .expect("an answer");
    }
    began.elapsed()
}

fn main() {
    let path = std::env::args().nth(1).expect("a socket");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let bus = Bus::new(runtime.handle().clone(), Limits::default());
    let expect = Expect {
        pid: 0,
        name: String::new(),
        grants: Value::Map(Vec::new()),
        timeout: Duration::from_secs(60),
    };
    let session = {
        let listener = bus.listen(Path::new(&path)).expect("it listens");
        println!("listening");
        runtime.block_on(async {
            let session = bus
                .accept(listener, expect, Arc::new(Deaf))
                .await
                .expect("a session");
            let nothing = Value::Map(vec![
                ("configuration".into(), Value::Map(Vec::new())),
                ("project".into(), Value::Nil),
                text("extension", "bench/echo"),
                text("version", "1.0.0"),
            ]);
            session
                .call("activate", nothing, CallOptions::default())
                .await
                .expect("it is ready");
            session
        })
    };
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let count = line.expect("a line").trim().parse().expect("a count");
        let task = runtime.handle().spawn(calls(session.clone(), count));
        let took = runtime.block_on(task).expect("it ends");
        println!("{}", took.as_secs_f64());
        std::io::stdout().flush().expect("it is read");
    }
}
