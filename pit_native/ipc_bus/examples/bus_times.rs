//! Times parts of the bus for `benches/bus.py`: reads the name of a measure from each line of standard input and
//! answers with the seconds of one operation.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipc_bus::topics::{Bounds, Message, Pattern, Topic, Topics};
use ipc_bus::transport::{
    TransportSettings, Wire, connect_named, listen_named, offer_ring, take_ring,
};
use ipc_bus::{
    Bus, CallOptions, Closed, Credentials, Envelope, Expect, FrameBuffer, Handler, Incoming, Kind,
    Limits, MessageId, Responder, Session, Value,
};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::sync::Notify;

/// Counts events and says when as many came as are awaited.
#[derive(Default)]
struct Counter {
    seen: AtomicU64,
    awaited: AtomicU64,
    complete: Notify,
}

impl Handler for Counter {
    fn request(&self, _: Incoming, responder: Responder) {
        responder.ok(Value::Nil);
    }

    fn event(&self, _: u64, _: u64, _: &str, _: Value) {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if seen == self.awaited.load(Ordering::Relaxed) {
            self.complete.notify_one();
        }
    }

    fn closed(&self, _: u64, _: &Closed) {}
}

fn envelope(kind: Kind, re: Option<MessageId>, method: &str, body: Value) -> Envelope {
    Envelope {
        id: MessageId([7; 16]),
        kind,
        ts: 1.5,
        re,
        from: "bench/echo".into(),
        to: "host".into(),
        method: method.into(),
        body,
    }
}

fn frame(envelope: &Envelope) -> Vec<u8> {
    envelope.to_frame(1 << 24).expect("it fits")
}

fn body() -> Value {
    Value::Binary(vec![7; 64])
}

fn each(count: u32, mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..count).for_each(|_| work());
    began.elapsed().as_secs_f64() / f64::from(count)
}

fn serialise() -> f64 {
    let limits = Limits::default();
    let message = envelope(Kind::Event, None, "log", body());
    each(20_000, || {
        let bytes = frame(&message);
        std::hint::black_box(Envelope::from_bytes(&bytes[4..], &limits).expect("sound"));
    })
}

/// Publishes to `wanted` of 1,050 subscriptions, of which `pattern` says what they are.
fn publish(pattern: impl Fn(usize) -> String, wanted: usize) -> f64 {
    let topics = Topics::default();
    let heard = Arc::new(AtomicU64::new(0));
    let bounds = Bounds {
        window: usize::MAX,
        ..Bounds::default()
    };
    for number in 0..1_000 + wanted {
        let heard = heard.clone();
        let deliver = Box::new(move |_: &Message, _| _ = heard.fetch_add(1, Ordering::Relaxed));
        let text = pattern(number.saturating_sub(wanted - 1));
        topics.subscribe(Pattern::parse(&text).expect("a pattern"), bounds, deliver);
    }
    let topic = Topic::parse("bench/echo/0/news").expect("a topic");
    let count = 20_000;
    let seconds = each(count, || {
        topics.publish(Message::new(topic.clone(), body()));
    });
    assert_eq!(
        heard.load(Ordering::Relaxed),
        u64::from(count) * wanted as u64
    );
    seconds
}

async fn pair(transport: &str) -> (Wire, Wire) {
    let settings = TransportSettings::default();
    match transport {
        "socket" => {
            let (host, peer) = UnixStream::pair().expect("a pair");
            let wire = |stream| Wire::from_socket(stream, &settings).expect("a wire");
            (wire(host), wire(peer))
        }
        "named" => {
            let name = std::env::temp_dir().join(format!("bus-times-{}", std::process::id()));
            let listener = listen_named(&name, &settings).expect("it listens");
            let (host, peer) = tokio::join!(listener.accept(), connect_named(&name, &settings));
            (host.expect("accepted").0, peer.expect("connected"))
        }
        "stdio" => {
            let pipe = || std::io::pipe().expect("a pipe");
            let ((host_in, peer_out), (peer_in, host_out)) = (pipe(), pipe());
            let host = Wire::from_pipes(host_in.into(), host_out.into(), &settings);
            let peer = Wire::from_pipes(peer_in.into(), peer_out.into(), &settings);
            (host.expect("a wire"), peer.expect("a wire"))
        }
        _ => {
            let (host, peer) = UnixStream::pair().expect("a pair");
            let host = offer_ring(host, &settings).expect("rings");
            (host, take_ring(peer, &settings).await.expect("rings"))
        }
    }
}

/// Greets, then does what a call says: `flood` sends events, all else is given back.
async fn play(wire: Wire) {
    let hello = Value::Map(vec![
        ("versions".into(), Value::Array(vec![1.into()])),
        ("extension".into(), "bench/echo".into()),
        ("version".into(), "1".into()),
    ]);
    let hello = envelope(Kind::Request, None, "hello", hello);
    wire.write_all(&frame(&hello)).await.expect("written");
    let (limits, mut frames) = (Limits::default(), FrameBuffer::new(1 << 24));
    let event = frame(&envelope(Kind::Event, None, "log", body()));
    loop {
        while let Some(bytes) = frames.next_frame().expect("sound") {
            let message = Envelope::from_bytes(&bytes, &limits).expect("sound");
            if message.method == "flood" {
                for _ in 0..message.body.as_u64().expect("a count") {
                    wire.write_all(&event).await.expect("written");
                }
            }
            if message.kind == Kind::Request {
                let answer = envelope(Kind::Response, Some(message.id), "call", message.body);
                wire.write_all(&frame(&answer)).await.expect("written");
            }
        }
        if !matches!(wire.read_some(frames.space()).await, Ok(count) if count > 0) {
            return;
        }
    }
}

/// A session and its peer on a runtime of two threads, and what `work` makes of it.
fn with_session<F: Future<Output = f64>>(
    transport: &str,
    work: impl FnOnce(Session, Arc<Counter>) -> F,
) -> f64 {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (host, peer) = pair(transport).await;
        let player = tokio::spawn(play(peer));
        let counter = Arc::new(Counter::default());
        let limits = Limits {
            rate: 1e9,
            burst: 1e9,
            ..Limits::default()
        };
        let bus = Bus::new(tokio::runtime::Handle::current(), limits);
        let credentials = Credentials {
            pid: 1,
            uid: 0,
            confirmed: true,
        };
        let expect = Expect {
            pid: 0,
            name: String::new(),
            grants: Value::Map(Vec::new()),
            timeout: Duration::from_secs(20),
        };
        let session = bus.adopt(host, credentials, expect, counter.clone()).await;
        let session = session.expect("a session");
        let seconds = work(session.clone(), counter).await;
        session.close();
        player.await.expect("the peer ends with its session");
        seconds
    })
}

fn round_trip(transport: &str) -> f64 {
    with_session(transport, async |session, _| {
        let call = || session.call("call", body(), CallOptions::default());
        for _ in 0..50 {
            call().await.expect("an answer");
        }
        let began = Instant::now();
        for _ in 0..1_000 {
            call().await.expect("an answer");
        }
        began.elapsed().as_secs_f64() / 1_000.0
    })
}

fn one_way(transport: &str) -> f64 {
    with_session(transport, async |session, counter| {
        let count = 20_000u64;
        counter.awaited.store(count, Ordering::Relaxed);
        let began = Instant::now();
        let call = session.call("flood", count.into(), CallOptions::default());
        let (answer, ()) = tokio::join!(call, counter.complete.notified());
        answer.expect("an answer");
        began.elapsed().as_secs_f64() / count as f64
    })
}

/// What the host pays to hand a message over: until the bus has it, not until the peer does.
fn hand_over() -> f64 {
    with_session("socket", async |session, _| {
        let mut spent = Duration::ZERO;
        let rounds = 200;
        for _ in 0..rounds {
            let began = Instant::now();
            for _ in 0..20 {
                session.notify("ui.event", &body()).expect("sent");
            }
            spent += began.elapsed();
            // So that the socket never fills.
            let call = session.call("call", Value::Nil, CallOptions::default());
            call.await.expect("an answer");
        }
        spent.as_secs_f64() / f64::from(rounds * 20)
    })
}

/// A message of 64 bytes through the bare ring to a thread that looks for it all the time.
fn ring() -> f64 {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (host, peer) = runtime.block_on(pair("memory"));
    let (mut out, _back) = host.into_rings().expect("rings");
    let (_forth, mut input) = peer.into_rings().expect("rings");
    let count = 200_000usize;
    let reads = thread::spawn(move || {
        let (mut message, mut got) = ([0; 64], 0);
        while got < count * 64 {
            match input.read(&mut message).expect("sound") {
                0 => thread::yield_now(),
                read => got += read,
            }
        }
    });
    let began = Instant::now();
    for _ in 0..count {
        let mut left: &[u8] = &[7; 64];
        while !left.is_empty() {
            match out.write(left).expect("sound") {
                0 => thread::yield_now(),
                written => left = &left[written..],
            }
        }
    }
    reads.join().expect("read");
    began.elapsed().as_secs_f64() / count as f64
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let seconds = match line.split_once(' ').unwrap_or((&line, "")) {
            ("serialise", _) => serialise(),
            ("route_exact", _) => publish(|number| format!("bench/echo/{number}/news"), 1),
            ("route_pattern", _) => publish(|number| format!("bench/*/{number}/*"), 1),
            ("publish_50", _) => publish(|number| format!("bench/echo/{number}/**"), 50),
            ("hand_over", _) => hand_over(),
            ("ring", _) => ring(),
            ("round_trip", transport) => round_trip(transport),
            ("one_way", transport) => one_way(transport),
            (other, _) => panic!("there is no measure {other}"),
        };
        println!("{seconds:e}");
        std::io::stdout().flush().expect("said");
    }
}
