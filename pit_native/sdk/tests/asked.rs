//! What the helpers ask the host, and what they make of its answers: the Python SDK passes the same vectors.

#[path = "../../../tests/stage/vectors.rs"]
#[allow(dead_code, reason = "these vectors have a file of their own")]
mod shared;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use ipc_bus::check_body;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use symphony_sdk::wire::{Envelope, FRAME, Reader};
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

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter();
    Value::Map(fields.map(|(name, value)| (name.into(), value)).collect())
}

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

struct Host {
    reader: Reader,
    socket: UnixStream,
    sent: u8,
}

impl Host {
    fn hear(&mut self) -> Envelope {
        self.reader.next_envelope().expect("sound").expect("one")
    }

    fn say(&mut self, kind: &str, re: Option<[u8; 16]>, method: &str, body: Value) -> [u8; 16] {
        self.sent += 1;
        let envelope = Envelope {
            id: [self.sent; 16],
            kind: kind.to_owned(),
            ts: 1.0,
            re,
            from: "host".to_owned(),
            to: "tests/sdk".to_owned(),
            method: method.to_owned(),
            body,
        };
        let frame = envelope.to_frame(FRAME).expect("it fits");
        self.socket.write_all(&frame).expect("it is read");
        envelope.id
    }

    /// Plays the host of one vector.
    fn answer(&mut self, vector: &Json) {
        let text = |name: &str| vector[name].as_str().expect("a text").to_owned();
        let (name, method) = (text("name"), text("method"));
        let params = map([("name", name.as_str().into())]);
        let body = map([("function", "give".into()), ("params", params)]);
        let call = self.say("request", None, "call", body);
        let asked = self.hear();
        assert_eq!((&asked.method, asked.re), (&method, Some(call)), "{name}");
        let expected = shared::body(&vector["asked"]);
        assert_eq!(sorted(&asked.body), sorted(&expected), "{name}");
        check_body(&method, &asked.body).expect("the host takes it");
        let answer = shared::body(&vector["answer"]);
        if asked.kind == "event" {
            self.say("event", Some(call), "ui.event", answer);
        } else {
            for piece in vector["pieces"].as_array().expect("pieces") {
                self.say("stream", Some(asked.id), &method, shared::body(piece));
            }
            self.say("response", Some(asked.id), &method, answer);
        }
        let done = self.hear();
        assert_eq!(
            (done.kind.as_str(), done.re),
            ("response", Some(call)),
            "{name}: {:?}",
            done.body
        );
    }
}

#[test]
fn a_helper_asks_and_answers_as_the_vector_says() {
    let vectors: Json =
        serde_json::from_str(include_str!("../../../tests/stage/asked.json")).expect("JSON");
    let (socket, other) = UnixStream::pair().expect("sockets");
    let seen = Seen::default();
    let noted = seen.clone();
    let player = Player::new().function("give", move |context: &Context, given: Given| {
        let mut streamed = Vec::new();
        let value = give(context, &given.name, &mut streamed)?;
        *noted.lock().expect("no panic") = Some((value, streamed));
        Ok(Made {})
    });
    let player = thread::spawn(move || player.serve_on(other, "tests/sdk", "1.0.0"));
    let reader = Reader::new(socket.try_clone().expect("a descriptor"));
    let mut host = Host {
        reader,
        socket,
        sent: 0,
    };
    let hello = host.hear();
    host.say(
        "response",
        Some(hello.id),
        "hello",
        map([("version", 1.into())]),
    );
    for vector in vectors.as_array().expect("vectors") {
        host.answer(vector);
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
    host.say("request", None, "shutdown", map([]));
    assert_eq!(host.hear().kind, "response");
    player.join().expect("no panic").expect("a good end");
}

#[test]
fn who_waits_for_the_user_hears_of_the_end_of_its_call() {
    let (socket, other) = UnixStream::pair().expect("sockets");
    let player = Player::new().function("give", |context: &Context, _: Given| {
        context.ui(Element::new("Stack"));
        context.event()?;
        Ok(Made {})
    });
    let player = thread::spawn(move || player.serve_on(other, "tests/sdk", "1.0.0"));
    let reader = Reader::new(socket.try_clone().expect("a descriptor"));
    let mut host = Host {
        reader,
        socket,
        sent: 0,
    };
    let hello = host.hear();
    host.say(
        "response",
        Some(hello.id),
        "hello",
        map([("version", 1.into())]),
    );
    let body = map([
        ("function", "give".into()),
        ("params", map([("name", "".into())])),
    ]);
    let call = host.say("request", None, "call", body);
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
    host.say("request", None, "shutdown", map([]));
    assert_eq!(host.hear().kind, "response");
    player.join().expect("no panic").expect("a good end");
}
