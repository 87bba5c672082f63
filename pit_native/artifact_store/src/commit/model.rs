//! The protocol in every order that a scheduler can make: callers that put, one that syncs with the
//! log's end held, one that reads, and a disk that fails once in the way that Linux does.

use super::{Failed, GroupCommit, Mark, Monitor, ROOMS, State, Wake};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::{Config, Runner, thread};

struct Model {
    state: Mutex<State>,
    rooms: [Condvar; ROOMS],
}

impl Monitor for Model {
    fn until<R>(&self, mut step: impl FnMut(&mut State) -> Result<R, usize>) -> R {
        let mut state = self.state.lock().expect("locked");
        loop {
            match step(&mut state) {
                Ok(result) => return result,
                Err(room) => state = self.rooms[room].wait(state).expect("woken"),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State) -> [Wake; ROOMS]) {
        let wakes = change(&mut self.state.lock().expect("locked"));
        for (room, wake) in self.rooms.iter().zip(wakes) {
            match wake {
                Wake::One => room.notify_one(),
                Wake::All => room.notify_all(),
            }
        }
    }
}

/// Pages in memory and on the disk. A write-back that fails drops its pages; the error goes to the
/// first sync that ends afterwards, whoever called it, and later ones succeed.
#[derive(Default)]
struct Disk {
    cached: Vec<u64>,
    durable: Vec<u64>,
    write_backs: usize,
    error: bool,
}

struct Log {
    group: GroupCommit<Model>,
    /// The number of batches written, and whether more may be.
    end: Mutex<(u64, bool)>,
    disk: Mutex<Disk>,
    /// Batches that readers see, in the order in which they came.
    visible: Mutex<Vec<u64>>,
    fails_at: usize,
}

impl Log {
    fn new(fails_at: usize) -> Arc<Self> {
        Arc::new(Self {
            group: GroupCommit(Model {
                state: Mutex::new(State::at(Mark::default())),
                rooms: std::array::from_fn(|_| Condvar::new()),
            }),
            end: Mutex::new((0, false)),
            disk: Mutex::new(Disk::default()),
            visible: Mutex::new(Vec::new()),
            fails_at,
        })
    }

    fn sync(&self) -> Result<(), String> {
        let pages = std::mem::take(&mut self.disk.lock().expect("disk").cached);
        thread::yield_now();
        let mut disk = self.disk.lock().expect("disk");
        if !pages.is_empty() {
            disk.write_backs += 1;
            if disk.write_backs == self.fails_at {
                disk.error = true;
            } else {
                disk.durable.extend(pages);
            }
        }
        drop(disk);
        thread::yield_now();
        match std::mem::take(&mut self.disk.lock().expect("disk").error) {
            true => Err("EIO".to_owned()),
            false => Ok(()),
        }
    }

    /// As the store's ledger does: one step for each batch, in their order.
    fn publish(&self, mark: Mark) -> Result<(), String> {
        let next = self.visible.lock().expect("visible").len() as u64 + 1;
        for batch in next..=mark.batch {
            thread::yield_now();
            let mut visible = self.visible.lock().expect("visible");
            assert_eq!(visible.last().copied().unwrap_or(0) + 1, batch);
            visible.push(batch);
        }
        Ok(())
    }

    /// What is seen is on the disk, and stays.
    fn look(&self) {
        let seen = self.visible.lock().expect("visible").clone();
        let disk = self.disk.lock().expect("disk");
        for batch in seen {
            assert!(
                disk.durable.contains(&batch),
                "batch {batch} was seen and may be lost"
            );
        }
    }

    fn put(&self) -> Result<(), Failed<String>> {
        let mut end = self.end.lock().expect("end");
        if end.1 {
            return Err(Failed::Before("refused".into()));
        }
        end.0 += 1;
        let batch = end.0;
        self.disk.lock().expect("disk").cached.push(batch);
        drop(end);
        let written = || (mark(self.end.lock().expect("end").0), ());
        let publish = |mark| self.publish(mark);
        let sync = |(): &()| self.sync();
        let outcome = self.group.commit(batch, written, sync, publish);
        match &outcome {
            Ok(()) => {
                assert!(
                    self.disk.lock().expect("disk").durable.contains(&batch),
                    "batch {batch} was acknowledged and is lost"
                );
                assert!(
                    self.visible.lock().expect("visible").contains(&batch),
                    "batch {batch} was acknowledged and is not seen"
                );
            }
            Err(_) => self.end.lock().expect("end").1 = true,
        }
        outcome
    }

    /// As a new segment or a checkpoint does.
    fn sync_all(&self) -> Result<(), Failed<String>> {
        let mut end = self.end.lock().expect("end");
        if end.1 {
            return Err(Failed::Before("refused".into()));
        }
        let publish = |mark| self.publish(mark);
        let outcome = self.group.sync(mark(end.0), || self.sync(), publish);
        match &outcome {
            Ok(()) => {
                let disk = self.disk.lock().expect("disk");
                assert!((1..=end.0).all(|batch| disk.durable.contains(&batch)));
                let visible = self.visible.lock().expect("visible");
                assert_eq!(visible.len() as u64, end.0, "all that was written is seen");
            }
            Err(_) => end.1 = true,
        }
        outcome
    }
}

fn mark(batch: u64) -> Mark {
    Mark {
        batch,
        ..Mark::default()
    }
}

/// `putters` put `puts` times each while somebody else syncs; the write-back numbered `fails_at` fails. A lost
/// wake-up would be a deadlock, which the scheduler reports.
fn play(putters: usize, puts: usize, fails_at: usize) {
    let log = Log::new(fails_at);
    let mut threads: Vec<_> = (0..putters)
        .map(|_| {
            let log = Arc::clone(&log);
            thread::spawn(move || (0..puts).filter(|_| log.put().is_err()).count())
        })
        .collect();
    let other = Arc::clone(&log);
    threads.push(thread::spawn(move || {
        usize::from(other.sync_all().is_err())
    }));
    let reader = Arc::clone(&log);
    threads.push(thread::spawn(move || {
        reader.look();
        0
    }));
    let failed: usize = threads
        .into_iter()
        .map(|one| one.join().expect("joined"))
        .sum();
    let has_failed = log.disk.lock().expect("disk").write_backs >= fails_at;
    assert_eq!(failed > 0, has_failed, "{failed} failures were told");
    // After a failure nobody is told of success again.
    assert!(!has_failed || log.put().is_err());
}

#[test]
fn a_commit_returns_only_after_a_sync_that_covers_it() {
    for fails_at in [usize::MAX, 1, 2, 3] {
        let random = RandomScheduler::new_from_seed(7, 300);
        Runner::new(random, Config::default()).run(move || play(3, 2, fails_at));
        let rare = PctScheduler::new_from_seed(11, 3, 200);
        Runner::new(rare, Config::default()).run(move || play(4, 1, fails_at));
        // Many who wait for the same leader: whoever is not woken must not be forgotten.
        let crowd = RandomScheduler::new_from_seed(13, 200);
        Runner::new(crowd, Config::default()).run(move || play(6, 2, fails_at));
    }
}

#[test]
fn every_order_of_one_put_and_one_sync_holds() {
    for fails_at in [usize::MAX, 1] {
        let all = DfsScheduler::new(Some(10_000), false);
        Runner::new(all, Config::default()).run(move || play(1, 1, fails_at));
    }
}
