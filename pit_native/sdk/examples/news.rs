//! An example Player: publishes under a topic, hears others, and writes into the project.

use serde::{Deserialize, Serialize};
use symphony_sdk::{Context, Failure, Player, Value};

#[derive(Deserialize)]
struct Topic {
    topic: String,
    #[serde(default)]
    count: u64,
}

#[derive(Serialize)]
struct Counted {
    value: u64,
}

/// Publishes 0, 1, …, and "end"; how many heard the last.
fn speak(context: &Context, given: Topic) -> Result<Counted, Failure> {
    for number in 0..given.count {
        context.publish(&given.topic, number.into(), 30.0)?;
    }
    let published = context.publish(&given.topic, "end".into(), 30.0)?;
    Ok(Counted {
        value: published.subscribers,
    })
}

/// How many numbers were heard until the end, in order and none missed. An end before them is another's.
fn hear(context: &Context, given: Topic) -> Result<Counted, Failure> {
    let mut heard = 0;
    for message in context.subscribe(&given.topic, 256)? {
        let message = message?;
        match message.value.as_u64() {
            Some(number) if number == heard && message.missed == 0 => heard += 1,
            Some(number) => return Err(Failure::new(format!("{number} came after {heard}"))),
            None if heard == 0 => {}
            None => break,
        }
    }
    Ok(Counted { value: heard })
}

#[derive(Deserialize)]
struct File {
    name: String,
}

/// Writes into the project, which the host shows as a change, and says how many files lie there now.
fn note(context: &Context, given: File) -> Result<Counted, Failure> {
    let project = context
        .project()
        .ok_or_else(|| Failure::bad_input("there is no project"))?;
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    std::fs::write(project.join(&given.name), Value::from(1).to_string()).map_err(failed)?;
    let files = std::fs::read_dir(project).map_err(failed)?;
    Ok(Counted {
        value: files.count() as u64,
    })
}

fn main() -> std::io::Result<()> {
    Player::new()
        .function("speak", speak)
        .function("hear", hear)
        .function("note", note)
        .serve()
}
