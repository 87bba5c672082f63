//! Times a Player from its launch to its end: copied from a template, and started by the launcher.
//!
//! Arguments: the launcher, the specs of template and Player as JSON, how often.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::{Child, Spec, Template, spawn};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [launcher, template, player, rounds] = arguments.as_slice() else {
        panic!("launcher template.json player.json rounds");
    };
    let read = |path: &String| -> Spec {
        serde_json::from_reader(File::open(path).expect("a file")).expect("a spec")
    };
    let launcher = PathBuf::from(launcher);
    let spec = read(player);
    let began = Instant::now();
    let template = Template::start(&launcher, &read(template)).expect("a template");
    println!("template: {:.2} ms", began.elapsed().as_secs_f64() * 1e3);
    let mut times: [Vec<Duration>; 6] = Default::default();
    for _ in 0..rounds.parse().expect("a number") {
        for (arm, of_template) in [(0, true), (3, false)] {
            let began = Instant::now();
            let child: Child = if of_template {
                template.spawn(&spec)
            } else {
                spawn(&launcher, &spec)
            }
            .expect("a sandbox");
            times[arm].push(began.elapsed());
            let exit = child.wait(None).expect("wait").expect("an end");
            times[arm + 1].push(began.elapsed());
            assert_eq!(exit.code, 0);
            let used = child.usage().expect("what it used").cpu_seconds;
            times[arm + 2].push(Duration::from_secs_f64(used));
        }
    }
    let names = [
        "copied, until started",
        "copied, until ended",
        "copied, CPU time of the copies",
        "launched, until started",
        "launched, until ended",
        "launched, CPU time",
    ];
    for (name, mut times) in names.into_iter().zip(times) {
        times.sort_unstable();
        let half = times[times.len() / 2];
        println!("{name}: p50 {:.2} ms", half.as_secs_f64() * 1e3);
    }
}
