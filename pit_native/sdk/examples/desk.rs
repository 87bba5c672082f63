//! An example Motif in Rust: it reads a page, asks a model, and shows buttons.

use serde::{Deserialize, Serialize};
use symphony_sdk::{Context, Element, Failure, HttpRequest, Player, Prompt};

#[derive(Deserialize)]
struct Page {
    url: String,
}

#[derive(Serialize)]
struct Fetched {
    status: u16,
    text: String,
    pieces: usize,
}

/// A page, and the same again in pieces.
fn fetch(context: &Context, given: Page) -> Result<Fetched, Failure> {
    let request = HttpRequest::new("GET", &given.url).timeout(30.0);
    let whole = context.http(&request)?;
    let (mut streamed, mut pieces) = (Vec::new(), 0);
    context.http_stream(&request, |data| {
        streamed.extend_from_slice(data);
        pieces += 1;
    })?;
    if streamed != whole.body {
        return Err(Failure::new("the page has changed"));
    }
    Ok(Fetched {
        status: whole.status,
        text: whole.text(),
        pieces,
    })
}

#[derive(Deserialize)]
struct Question {
    text: String,
}

#[derive(Serialize)]
struct Answered {
    answer: String,
    streamed: String,
    likeness: f64,
}

/// What a model says, and how like the question that is.
fn answer(context: &Context, given: Question) -> Result<Answered, Failure> {
    let mut streamed = String::new();
    let prompt = Prompt::default().message("system", "Answer in one sentence");
    let prompt = prompt.message("user", &given.text).temperature(0.0);
    let said = context.complete_stream(&prompt, |piece| streamed.push_str(piece))?;
    let vectors = context.embed(&[&given.text, &said.text])?;
    let likeness = vectors[0]
        .iter()
        .zip(&vectors[1])
        .map(|(one, two)| one * two);
    Ok(Answered {
        answer: said.text,
        streamed,
        likeness: likeness.sum(),
    })
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
struct Chosen {}

/// Says what was pressed, for as long as it is shown.
fn choose(context: &Context, _: Nothing) -> Result<Chosen, Failure> {
    let mut told = "Which one?".to_owned();
    loop {
        let buttons =
            ["one", "two"].map(|name| Element::new("Button").key(name).prop("label", name));
        let stack = Element::new("Stack").child(Element::new("Text").child(told.as_str()));
        context.ui(buttons.into_iter().fold(stack, Element::child));
        let event = context.event()?;
        told = format!("{} was pressed", event.key);
    }
}

fn main() -> std::io::Result<()> {
    Player::new()
        .function("fetch", fetch)
        .function("answer", answer)
        .function("choose", choose)
        .serve()
}
