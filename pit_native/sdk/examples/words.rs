//! An example Player: counts words, reads a file through the host, and waits until it is stopped.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use symphony_sdk::{Context, Failure, Player, Value};

#[derive(Deserialize)]
struct Text {
    text: String,
    #[serde(default = "ten")]
    most: usize,
}

fn ten() -> usize {
    10
}

#[derive(Serialize)]
struct Word {
    word: String,
    count: usize,
}

#[derive(Serialize)]
struct Words {
    words: Vec<Word>,
}

fn count(context: &Context, given: Text) -> Result<Words, Failure> {
    if given.most == 0 {
        return Err(Failure::bad_input("no words are wanted").with_remedy("ask for one at least"));
    }
    let mut counts = BTreeMap::<String, usize>::new();
    for word in given
        .text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    context.progress(0.5, &format!("{} words", counts.len()));
    let mut words: Vec<Word> = counts
        .into_iter()
        .map(|(word, count)| Word { word, count })
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.count));
    words.truncate(given.most);
    context.output(Value::from(words.len()));
    Ok(Words { words })
}

#[derive(Deserialize)]
struct File {
    path: String,
}

#[derive(Serialize)]
struct Size {
    size: usize,
}

fn measure(context: &Context, given: File) -> Result<Size, Failure> {
    Ok(Size {
        size: context.read(&given.path)?.len(),
    })
}

#[derive(Deserialize)]
struct Nothing {}

fn wait(context: &Context, _: Nothing) -> Result<Size, Failure> {
    context.log("info", "waiting");
    while !context.is_cancelled() {
        thread::sleep(Duration::from_millis(5));
    }
    Err(Failure::cancelled())
}

fn main() -> std::io::Result<()> {
    Player::new()
        .function("count", count)
        .function("measure", measure)
        .function("wait", wait)
        .serve()
}
