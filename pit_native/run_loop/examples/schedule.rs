//! Prints makespan ÷ lower bound of workflow traces in WfFormat (JSON), for 4, 16 and 64 processors:
//! `cargo run --release -p run_loop --example schedule -- TRACE.json…`; without traces, of random layered graphs.

use std::error::Error;
use std::sync::Arc;

use rmpv::Value;
use run_loop::{Order, Plan, lower_bound, makespan, read_plan};
use serde_json::Value as Json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut plans = Vec::new();
    for path in std::env::args().skip(1) {
        let trace = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        plans.push((path, trace_plan(&trace)?));
    }
    if plans.is_empty() {
        for seed in 1..=10 {
            plans.push((format!("layered graph {seed}"), layered(seed)?));
        }
    }
    println!("trace\tprocessors\tmost critical first\tfirst come");
    for (name, plan) in &plans {
        for processors in [4, 16, 64] {
            let bound = lower_bound(plan, processors);
            let ratio = |order| makespan(plan, processors, order) / bound;
            let (ours, theirs) = (ratio(Order::MostCritical), ratio(Order::FirstCome));
            println!("{name}\t{processors}\t{ours:.3}\t{theirs:.3}");
        }
    }
    Ok(())
}

/// A plan of tasks (id, seconds) and of edges between them.
fn plan(tasks: &[(String, f64)], edges: &[(String, String)]) -> Result<Arc<Plan>, Box<dyn Error>> {
    let entry = |key: &str, value: Value| (Value::from(key), value);
    let nodes = tasks.iter().map(|(id, seconds)| {
        Value::Map(vec![
            entry("id", id.as_str().into()),
            entry("key", "task".into()),
            entry("seconds", (*seconds).into()),
        ])
    });
    let edges = edges.iter().map(|(source, target)| {
        Value::Map(vec![
            entry("kind", "control".into()),
            entry("from", source.as_str().into()),
            entry("to", target.as_str().into()),
        ])
    });
    let document = Value::Map(vec![
        entry("run", "schedule".into()),
        entry("nodes", Value::Array(nodes.collect())),
        entry("edges", Value::Array(edges.collect())),
    ]);
    Ok(Arc::new(read_plan(&document)?))
}

/// WfFormat 1.4 keeps tasks with `runtime` under `workflow.tasks`; 1.5 splits them into `specification` and
/// `execution`.
fn trace_plan(trace: &Json) -> Result<Arc<Plan>, Box<dyn Error>> {
    let workflow = &trace["workflow"];
    let specified = workflow["specification"]["tasks"]
        .as_array()
        .or(workflow["tasks"].as_array());
    let specified = specified.ok_or("the trace has no tasks")?;
    let run = workflow["execution"]["tasks"]
        .as_array()
        .unwrap_or(specified);
    let name = |task: &Json| {
        task["id"]
            .as_str()
            .or(task["name"].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let seconds = |task: &Json| {
        task["runtimeInSeconds"]
            .as_f64()
            .or(task["runtime"].as_f64())
            .unwrap_or(0.0)
    };
    let tasks: Vec<_> = run.iter().map(|task| (name(task), seconds(task))).collect();
    let mut edges = Vec::new();
    for task in specified {
        for parent in task["parents"].as_array().into_iter().flatten() {
            edges.push((parent.as_str().unwrap_or_default().to_owned(), name(task)));
        }
    }
    plan(&tasks, &edges)
}

/// Twenty layers of fifty tasks, each after three of the layer before, with times spread over two decades.
fn layered(seed: u64) -> Result<Arc<Plan>, Box<dyn Error>> {
    let mut state = seed;
    let mut random = move || {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let (mut tasks, mut edges) = (Vec::new(), Vec::new());
    for at in 0..1000u64 {
        tasks.push((
            format!("t{at}"),
            10f64.powf(2.0 * (random() % 1000) as f64 / 1000.0),
        ));
        for _ in 0..if at < 50 { 0 } else { 3 } {
            let source = (at / 50 - 1) * 50 + random() % 50;
            edges.push((format!("t{source}"), format!("t{at}")));
        }
    }
    plan(&tasks, &edges)
}
