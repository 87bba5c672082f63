//! Players that write as fast as their socket takes it: the host spends little on them while others are at work.

#[path = "../../../tests/stage/vectors.rs"]
#[allow(dead_code, reason = "the peers of other tests need it")]
mod shared;
mod support;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipc_bus::{CallOptions, Kind, Limits, Session, Value};
use support::{Host, envelope, frame, map};
use tokio::runtime::{Builder, Runtime};

/// How long a flood is watched.
const WATCHED: Duration = Duration::from_millis(400);
/// The neighbour is at work, and hardly uses the bus itself.
const BETWEEN_CALLS: Duration = Duration::from_millis(10);
/// Of a thread's time, for all floods together. They are given a tenth; waking for it and the neighbour cost, too.
const MOST: f64 = 0.35;

/// One flood at a time, or each would leave less for the others to take.
static ALONE: Mutex<()> = Mutex::new(());

/// The bus on a single thread, whose time is told.
struct Watched {
    _alone: MutexGuard<'static, ()>,
    runtime: Runtime,
    host: Host,
}

impl Watched {
    fn start() -> Watched {
        // What is counted here is time, not messages.
        let limits = Limits {
            rate: 1e9,
            burst: 1e9,
            ..Limits::default()
        };
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bus = Builder::new_multi_thread();
        let runtime = bus.worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.enter();
        let host = Host::new(limits);
        drop(inside);
        Watched {
            _alone: alone,
            runtime,
            host,
        }
    }

    /// A session, and the Player's end of it with nobody behind.
    fn session(&self, name: &str) -> (Session, support::Peer) {
        self.runtime.block_on(self.host.session(name))
    }

    /// A session whose Player writes this over and over, and sleeps when nobody reads.
    fn flood(&self, name: &str, bytes: Vec<u8>) -> Session {
        let (session, peer) = self.session(name);
        let end = peer.stream.into_std().expect("a socket");
        end.set_nonblocking(false).expect("it may sleep");
        std::thread::spawn(move || write_for_ever(&end, &bytes));
        session
    }

    /// Of the bus's time while a neighbour is called now and then, the part that it worked, and how often it answered.
    fn watch(&self) -> (f64, u32) {
        let (neighbour, peer) = self.session("neighbour");
        self.runtime.spawn(peer.echo());
        let call = || {
            let answer = neighbour.call("call", 1.into(), CallOptions::default());
            assert_eq!(self.runtime.block_on(answer), Ok(1.into()));
        };
        call();
        let (began, before, mut calls) = (Instant::now(), self.worked(), 0);
        while began.elapsed() < WATCHED {
            call();
            calls += 1;
            std::thread::sleep(BETWEEN_CALLS);
        }
        let worked = self.worked() - before;
        (worked.as_secs_f64() / began.elapsed().as_secs_f64(), calls)
    }

    /// What the thread of the bus has worked so far.
    fn worked(&self) -> Duration {
        let told = self.runtime.spawn(async {
            let mut time = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            // SAFETY: room for one time.
            let told = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
            assert_eq!(told, 0);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        });
        self.runtime.block_on(told).expect("the bus lives")
    }
}

fn write_for_ever(mut end: &UnixStream, bytes: &[u8]) {
    while end.write_all(bytes).is_ok() {}
}

fn event(body: Value) -> Vec<u8> {
    frame(&envelope(2, Kind::Event, None, "progress", body))
}

fn small() -> Vec<u8> {
    event(map([("fraction", 0.5.into())])).repeat(1_000)
}

fn assert_little(floods: impl IntoIterator<Item = Vec<u8>>) {
    let watched = Watched::start();
    let floods = floods.into_iter().enumerate();
    let floods: Vec<_> = floods
        .map(|(number, bytes)| watched.flood(&format!("flood {number}"), bytes))
        .collect();
    let (share, calls) = watched.watch();
    assert!(
        share < MOST,
        "the floods took {share:.2} of the bus beside {calls} calls"
    );
    assert!(floods.iter().all(|session| !session.is_closed()));
    let stats = floods.iter().map(Session::stats);
    assert_eq!(stats.map(|stats| stats.refused).sum::<u64>(), 0);
}

#[test]
fn small_messages_wait_in_their_own_send() {
    assert_little([small()]);
}

#[test]
fn many_floods_share_what_one_would_get() {
    assert_little((0..6).map(|_| small()));
}

#[test]
fn messages_of_many_small_values_count_as_what_they_cost() {
    let values = Value::Array(vec![1.into(); 60_000]);
    assert_little([event(map([("data", values)]))]);
}

#[test]
fn a_flood_that_has_the_bus_to_itself_is_read_at_once() {
    let watched = Watched::start();
    let flood = watched.flood("flood", small());
    let began = Instant::now();
    // A tenth of the time of one thread would take seconds for these.
    while flood.stats().received < 300_000 {
        assert!(began.elapsed() < support::PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
}
