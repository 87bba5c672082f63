//! What the helpers ask the host, and what they make of its answers: the Python SDK passes the same vectors.

mod host;
#[path = "../../../tests/stage/vectors.rs"]
#[allow(dead_code, reason = "these vectors have a file of their own")]
mod shared;

use std::sync::{Arc, Mutex};

use host::{Host, map};
use ipc_bus::check_body;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use symphony_sdk::{
    Completion, Context, Element, Failure, HttpRequest, HttpResponse, Player, Prompt, Value,
};

#[derive(Deserialize)]
struct Given {
    name: String,
}

#[derive(Serialize)]
struct Made {}

/// What a helper gave, and the pieces that it streamed.
type Seen = Arc<Mutex<Option<(Value, Vec<Value>)>>>;

fn of_http(answer: &HttpResponse) -> Value {
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    map([
        ("status", answer.status.into()),
        ("headers", Value::Map(headers.collect())),
        ("body", Value::Binary(answer.body.clone())),
        ("text", answer.text().into()),
    ])
}

fn of_model(answer: Completion) -> Value {
    map([
        ("text", answer.text.into()),
        ("model", answer.model.into()),
        ("usage", answer.usage),
    ])
}

/// Uses the helper that the vector names, as its request says.
fn give(context: &Context, name: &str, streamed: &mut Vec<Value>) -> Result<Value, Failure> {
    Ok(match name {
        "http" => {
            let asked = HttpRequest::new("POST", "https://api.example.com/v1");
            let asked = asked.header("accept", "text/plain").body("{}").timeout(2.5);
            of_http(&context.http(&asked)?)
        }
        "http streamed" => {
            let asked = HttpRequest::new("GET", "https://api.example.com/events");
            let stream = |data: &[u8]| streamed.push(Value::Binary(data.to_vec()));
            of_http(&context.http_stream(&asked, stream)?)
        }
        "complete" => {
            let prompt = Prompt::default().message("system", "Be brief");
            let prompt = prompt.message("user", "Grüße?").model("gpt-4o");
            of_model(context.complete(&prompt.max_tokens(64).temperature(0.5))?)
        }
        "complete streamed" => {
            let stream = |text: &str| streamed.push(text.into());
            of_model(context.complete_stream(&Prompt::new("Count"), stream)?)
        }
        "embed" => {
            let vectors = context.embed(&["one", "two"])?.into_iter();
            let vectors = vectors.map(|vector| vector.into_iter().map(Value::F64).collect());
            Value::Array(vectors.map(Value::Array).collect())
        }
        "artifact" => {
            let artifact = context.artifact("sha256:00")?;
            map([
                ("name", artifact.name.into()),
                ("type", artifact.kind.into()),
                ("content", Value::Binary(artifact.content)),
            ])
        }
        "ui" => {
            let button = Element::new("Button").key("go").prop("label", "Go on");
            let tree = Element::new("Stack").prop("gap", 2).child("Which one?");
            context.ui(tree.child(button));
            let event = context.event()?;
            map([
                ("key", event.key.into()),
                ("name", event.name.into()),
                ("value", event.value),
            ])
        }
        other => return Err(Failure::bad_input(format!("no helper is called {other}"))),
    })
}

/// The same whatever the order of the keys.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Map(fields) => {
            let fields = fields.iter();
            let mut fields: Vec<_> = fields
                .map(|(key, item)| (key.clone(), sorted(item)))
                .collect();
            fields.sort_by_key(|(key, _)| key.as_str().map(str::to_owned));
            Value::Map(fields)
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Plays the host of one vector.
fn answer(host: &mut Host, vector: &Json) {
    let text = |name: &str| vector[name].as_str().expect("a text").to_owned();
    let (name, method) = (text("name"), text("method"));
    let call = host.call("give", "name", name.as_str().into());
    let asked = host.hear();
    assert_eq!((&asked.method, asked.re), (&method, Some(call)), "{name}");
    let expected = shared::body(&vector["asked"]);
    assert_eq!(sorted(&asked.body), sorted(&expected), "{name}");
    check_body(&method, &asked.body).expect("the host takes it");
    let answer = shared::body(&vector["answer"]);
    if asked.kind == "event" {
        host.say("event", Some(call), "ui.event", answer);
    } else {
        for piece in vector["pieces"].as_array().expect("pieces") {
            host.say("stream", Some(asked.id), &method, shared::body(piece));
        }
        host.say("response", Some(asked.id), &method, answer);
    }
    let done = host.hear();
    assert_eq!(
        (done.kind.as_str(), done.re),
        ("response", Some(call)),
        "{name}: {:?}",
        done.body
    );
}

#[test]
fn a_helper_asks_and_answers_as_the_vector_says() {
    let vectors: Json =
        serde_json::from_str(include_str!("../../../tests/stage/asked.json")).expect("JSON");
    let seen = Seen::default();
    let noted = seen.clone();
    let player = Player::new().function("give", move |context: &Context, given: Given| {
        let mut streamed = Vec::new();
        let value = give(context, &given.name, &mut streamed)?;
        *noted.lock().expect("no panic") = Some((value, streamed));
        Ok(Made {})
    });
    let mut host = Host::greet(player, &[]);
    for vector in vectors.as_array().expect("vectors") {
        answer(&mut host, vector);
        let (value, streamed) = seen
            .lock()
            .expect("no panic")
            .take()
            .expect("it gave something");
        assert_eq!(
            sorted(&value),
            sorted(&shared::body(&vector["gives"])),
            "{}",
            vector["name"]
        );
        let expected = shared::body(&vector["streamed"]);
        assert_eq!(Value::Array(streamed), expected, "{}", vector["name"]);
    }
    host.end();
}

#[test]
fn who_waits_for_the_user_hears_of_the_end_of_its_call() {
    let player = Player::new().function("give", |context: &Context, _: Given| {
        context.ui(Element::new("Stack"));
        context.event()?;
        Ok(Made {})
    });
    let mut host = Host::greet(player, &[]);
    let call = host.call("give", "name", "".into());
    assert_eq!(host.hear().method, "ui");
    // An event of a call that has ended, or never was, finds nobody.
    host.say(
        "event",
        Some([9; 16]),
        "ui.event",
        map([("key", "go".into())]),
    );
    host.say("event", Some(call), "cancel", map([]));
    let done = host.hear();
    assert_eq!(
        (done.kind.as_str(), done.re, done.body["code"].as_str()),
        ("error", Some(call), Some("cancelled"))
    );
    host.end();
}
