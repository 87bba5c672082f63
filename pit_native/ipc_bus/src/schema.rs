//! The forms of what a Player may say, method by method: the table of `docs/stage-protocol.md`.

use rmpv::Value;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Any,
    Bytes,
    List,
    Map,
    Number,
    Text,
    TextOrBytes,
    Truth,
}

use Form::{Any, Bytes, List, Map, Number, Text, TextOrBytes, Truth};

/// Fields that must be there, and fields that may be nil or missing.
struct Body {
    method: &'static str,
    required: &'static [(&'static str, Form)],
    optional: &'static [(&'static str, Form)],
}

const fn body(
    method: &'static str,
    required: &'static [(&'static str, Form)],
    optional: &'static [(&'static str, Form)],
) -> Body {
    Body {
        method,
        required,
        optional,
    }
}

const BODIES: &[Body] = &[
    body("progress", &[("fraction", Number)], &[("note", Text)]),
    body(
        "log",
        &[("message", Text)],
        &[("level", Text), ("fields", Map)],
    ),
    body("output", &[("piece", Any)], &[]),
    body("ui", &[("tree", Map)], &[]),
    body(
        "extension.received",
        &[("id", Number), ("count", Number)],
        &[],
    ),
    body("fs.read", &[("path", Text)], &[]),
    body("fs.write", &[("path", Text), ("content", Bytes)], &[]),
    body("fs.list", &[], &[("pattern", Text)]),
    body(
        "exec",
        &[("argv", List)],
        &[("cwd", Text), ("timeout", Number), ("input", Bytes)],
    ),
    body(
        "http.request",
        &[("url", Text)],
        &[
            ("method", Text),
            ("headers", Map),
            ("body", TextOrBytes),
            ("timeout", Number),
            ("stream", Truth),
        ],
    ),
    body(
        "websocket.open",
        &[("url", Text)],
        &[("headers", Map), ("protocols", List)],
    ),
    body(
        "websocket.send",
        &[("id", Text)],
        &[("message", TextOrBytes), ("close", Truth)],
    ),
    body(
        "model.complete",
        &[("messages", List)],
        &[
            ("model", Text),
            ("max_tokens", Number),
            ("temperature", Number),
            ("stream", Truth),
        ],
    ),
    body("model.embed", &[("texts", List)], &[]),
    body("artifact.get", &[("id", Text)], &[]),
    body(
        "artifact.put",
        &[("content", Bytes)],
        &[("name", Text), ("type", Text)],
    ),
    body("changes.keep", &[], &[]),
    body(
        "extension.call",
        &[("player", Text)],
        &[("inputs", Map), ("params", Map)],
    ),
    body(
        "extension.subscribe",
        &[("topic", Text)],
        &[("queue", Number)],
    ),
    body("extension.unsubscribe", &[("id", Number)], &[]),
    body("extension.announce", &[("topic", Text)], &[]),
    body(
        "extension.publish",
        &[("topic", Text), ("value", Any)],
        &[("wait", Number)],
    ),
];

/// Whether the body of a request or event has the form of its method. What the table does not name is ignored,
/// methods as well as fields: those are for whoever answers.
///
/// # Errors
/// What is wrong, in one line.
pub fn check_body(method: &str, given: &Value) -> Result<(), String> {
    let Some(known) = BODIES.iter().find(|body| body.method == method) else {
        return Ok(());
    };
    let Value::Map(fields) = given else {
        return Err(format!("The body of {method} must be a map"));
    };
    let of = |name: &str| {
        let found = fields.iter().find(|(key, _)| key.as_str() == Some(name));
        found.map(|(_, value)| value)
    };
    for (name, form) in known.required {
        let value = of(name).ok_or_else(|| format!("The body of {method} lacks {name}"))?;
        form.check(method, name, value)?;
    }
    for (name, form) in known.optional {
        match of(name) {
            None | Some(Value::Nil) => {}
            Some(value) => form.check(method, name, value)?,
        }
    }
    Ok(())
}

impl Form {
    fn check(self, method: &str, name: &str, value: &Value) -> Result<(), String> {
        let fits = match self {
            Any => true,
            Bytes => matches!(value, Value::Binary(_)),
            List => value.is_array(),
            Map => value.is_map(),
            Number => value.is_number(),
            Text => value.is_str(),
            TextOrBytes => matches!(value, Value::String(_) | Value::Binary(_)),
            Truth => value.is_bool(),
        };
        if fits {
            return Ok(());
        }
        let wanted = match self {
            Any => "anything",
            Bytes => "bytes",
            List => "a list",
            Map => "a map",
            Number => "a number",
            Text => "text",
            TextOrBytes => "text or bytes",
            Truth => "true or false",
        };
        Err(format!("{name} of {method} must be {wanted}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, Value)]) -> Value {
        let fields = fields.iter().cloned();
        Value::Map(fields.map(|(name, value)| (name.into(), value)).collect())
    }

    /// A value of a form, and one that is not.
    fn samples(form: Form) -> (Value, Option<Value>) {
        match form {
            Any => (Value::Nil, None),
            Bytes => (Value::Binary(vec![0xff]), Some("text".into())),
            List => (Value::Array(vec![]), Some(map(&[]))),
            Map => (map(&[]), Some(Value::Array(vec![]))),
            Number => (0.5.into(), Some("0.5".into())),
            Text => ("text".into(), Some(Value::Binary(vec![]))),
            TextOrBytes => ("text".into(), Some(1.into())),
            Truth => (true.into(), Some(1.into())),
        }
    }

    #[test]
    fn each_field_is_held_against_its_form() {
        for body in BODIES {
            let required = body
                .required
                .iter()
                .map(|(name, form)| (*name, samples(*form).0));
            let whole: Vec<_> = required.collect();
            assert_eq!(check_body(body.method, &map(&whole)), Ok(()));
            for (name, form) in body.required {
                let others: Vec<_> = whole
                    .iter()
                    .filter(|(other, _)| other != name)
                    .cloned()
                    .collect();
                let lacks = check_body(body.method, &map(&others)).expect_err("it lacks a field");
                assert!(
                    lacks.contains(name) && lacks.contains(body.method),
                    "{lacks}"
                );
                if let Some(wrong) = samples(*form).1 {
                    let other = [others, vec![(*name, wrong)]].concat();
                    check_body(body.method, &map(&other)).expect_err("it has another form");
                }
            }
            for (name, form) in body.optional {
                let with = |value| [whole.clone(), vec![(*name, value)]].concat();
                let (right, wrong) = samples(*form);
                assert_eq!(check_body(body.method, &map(&with(right))), Ok(()));
                assert_eq!(check_body(body.method, &map(&with(Value::Nil))), Ok(()));
                if let Some(wrong) = wrong {
                    check_body(body.method, &map(&with(wrong))).expect_err("it has another form");
                }
            }
            check_body(body.method, &Value::Nil).expect_err("it is no map");
        }
    }

    #[test]
    fn what_is_not_known_is_somebody_elses_affair() {
        assert_eq!(check_body("fs.rename", &Value::Nil), Ok(()));
        let more = map(&[("path", "a".into()), ("colour", 1.into())]);
        assert_eq!(check_body("fs.read", &more), Ok(()));
    }
}
