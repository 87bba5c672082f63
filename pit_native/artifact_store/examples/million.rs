//! Fills a store with small artifacts, or opens one and says what that costs: `million FOLDER fill COUNT`,
//! `million FOLDER open`. The row of `benches/` does the same from Python.

use artifact_store::{Filter, Options, Put, Store};
use std::path::Path;
use std::time::Instant;

/// The proportional set of this process, in KiB.
fn memory() -> i64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = rollup.lines().find(|line| line.starts_with("Pss:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    size.and_then(|size| size.parse().ok()).expect("a size")
}

/// Seconds of processor time of this process: on a busy machine the clock says little.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let behind_name = stat.rsplit(')').next().expect("fields");
    let fields = behind_name.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.map(|one| one.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

fn options() -> Options {
    Options {
        search: false,
        ..Options::default()
    }
}

fn fill(path: &Path, count: usize) {
    let store = Store::open(path, options()).expect("a store");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let store = &store;
            scope.spawn(move || {
                for number in (thread..count).step_by(64) {
                    let put = Put {
                        name: format!("name-{number}"),
                        kind: "text/plain".into(),
                        ..Put::default()
                    };
                    let content = format!("artifact {number}");
                    store.put(content.as_bytes(), &put).expect("put");
                }
            });
        }
    });
    println!(
        "{count} puts in {:.1} s, {:.1} s of the processor; then {} KiB",
        begun.elapsed().as_secs_f64(),
        processor(),
        memory()
    );
    let (begun, before) = (Instant::now(), processor());
    store.close().expect("closed");
    println!(
        "closed in {:.2} s, {:.2} s of the processor",
        begun.elapsed().as_secs_f64(),
        processor() - before
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let path = Path::new(&arguments[1]);
    if arguments[2] == "fill" {
        return fill(path, arguments[3].parse().expect("a number"));
    }
    let before = memory();
    let begun = Instant::now();
    let store = Store::open(path, options()).expect("a store");
    let opened = begun.elapsed().as_secs_f64();
    println!("opened in {opened:.2} s, {} KiB", memory() - before);
    let begun = Instant::now();
    let page = store.list(50, 0, &Filter::default()).expect("a page");
    println!("a page of {} in {:?}", page.len(), begun.elapsed());
    let begun = Instant::now();
    for number in 0..1000 {
        let id = artifact_store::ArtifactId::of(format!("artifact {}", number * 997).as_bytes());
        store.get(&id).expect("there");
    }
    println!(
        "a get in {:?}, anywhere in the store",
        begun.elapsed() / 1000
    );
    let stats = store.stats().expect("stats");
    println!(
        "{} artifacts, then {} KiB",
        stats.artifacts,
        memory() - before
    );
}
