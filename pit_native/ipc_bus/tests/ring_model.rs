//! Every interleaving of the ring's two sides, explored by loom: each byte arrives once and in order, none is
//! touched by both sides at a time, and nobody sleeps through a ring.

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use ipc_bus::ring::{Consumer, Memory, Producer, Side};

const CAPACITY: usize = 2;

/// Memory whose bytes loom watches: who reads one while the other writes it fails the model.
struct Watched {
    index: [AtomicU64; 2],
    waits: [AtomicBool; 2],
    bytes: [UnsafeCell<u8>; CAPACITY],
    bells: [Bell; 2],
}

/// Keeps a ring that came before anybody slept, as the socket does.
struct Bell {
    rings: Mutex<usize>,
    heard: Condvar,
}

impl Bell {
    fn new() -> Self {
        Bell {
            rings: Mutex::new(0),
            heard: Condvar::new(),
        }
    }

    fn ring(&self) {
        *self.rings.lock().unwrap() += 1;
        self.heard.notify_one();
    }

    fn sleep(&self) {
        let mut rings = self.rings.lock().unwrap();
        while *rings == 0 {
            rings = self.heard.wait(rings).unwrap();
        }
        *rings = 0;
    }
}

#[derive(Clone)]
struct Shared(Arc<Watched>);

fn number(side: Side) -> usize {
    usize::from(side == Side::Reader)
}

impl Memory for Shared {
    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn load(&self, side: Side) -> u64 {
        self.0.index[number(side)].load(Ordering::Acquire)
    }

    fn store(&self, side: Side, index: u64) {
        self.0.index[number(side)].store(index, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn set_waiting(&self, side: Side, waits: bool) {
        self.0.waits[number(side)].store(waits, Ordering::Relaxed);
    }

    fn take_waiting(&self, side: Side) -> bool {
        let flag = &self.0.waits[number(side)];
        flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Relaxed)
    }

    fn copy_in(&self, at: usize, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            // SAFETY: loom checks that nobody else has it.
            self.0.bytes[at + offset].with_mut(|place| unsafe { *place = *byte });
        }
    }

    fn copy_out(&self, at: usize, bytes: &mut [u8]) {
        for (offset, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: loom checks that nobody writes it.
            *byte = self.0.bytes[at + offset].with(|place| unsafe { *place });
        }
    }
}

fn ring() -> Shared {
    Shared(Arc::new(Watched {
        index: [AtomicU64::new(0), AtomicU64::new(0)],
        waits: [AtomicBool::new(false), AtomicBool::new(false)],
        bytes: [UnsafeCell::new(0), UnsafeCell::new(0)],
        bells: [Bell::new(), Bell::new()],
    }))
}

fn write_all(shared: &Shared, mut bytes: &[u8]) {
    let mut producer = Producer::new(shared.clone());
    while !bytes.is_empty() {
        let count = producer.write(bytes).expect("sound");
        bytes = &bytes[count..];
        if count > 0 && producer.must_ring() {
            shared.0.bells[number(Side::Reader)].ring();
        }
        if count == 0 && producer.may_sleep().expect("sound") {
            shared.0.bells[number(Side::Writer)].sleep();
        }
    }
}

fn read_exactly(shared: &Shared, length: usize) -> Vec<u8> {
    let mut consumer = Consumer::new(shared.clone());
    let mut got = Vec::new();
    while got.len() < length {
        let mut out = [0; CAPACITY];
        let count = consumer.read(&mut out).expect("sound");
        got.extend_from_slice(&out[..count]);
        if count > 0 && consumer.must_ring() {
            shared.0.bells[number(Side::Writer)].ring();
        }
        if count == 0 && consumer.may_sleep().expect("sound") {
            shared.0.bells[number(Side::Reader)].sleep();
        }
    }
    got
}

#[test]
fn bytes_arrive_once_in_order_and_nobody_sleeps_through_a_ring() {
    let mut builder = loom::model::Builder::new();
    // Two threads; defects of such code show with two interruptions (loom's own advice).
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let shared = ring();
        let writer = thread::spawn({
            let shared = shared.clone();
            move || write_all(&shared, &[1, 2, 3])
        });
        assert_eq!(read_exactly(&shared, 3), [1, 2, 3]);
        writer.join().unwrap();
    });
}
