//! Models, which only the host reaches: a Player never sees a key.

use rmpv::Value;

use crate::context::{Context, map};
use crate::failure::Failure;
use crate::wire::{field, text_of};

/// What a language model is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    messages: Vec<(String, String)>,
    model: Option<String>,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
}

/// What it answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The whole text, also when it was streamed.
    pub text: String,
    /// Which model it was.
    pub model: String,
    /// What it took, as the endpoint counts: `prompt_tokens` and such.
    pub usage: Value,
}

impl Prompt {
    /// One message of the user.
    pub fn new(text: &str) -> Self {
        Self::default().message("user", text)
    }

    /// Adds a message of `system`, `user` or `assistant`.
    #[must_use]
    pub fn message(mut self, role: &str, content: &str) -> Self {
        self.messages.push((role.to_owned(), content.to_owned()));
        self
    }

    /// Asks this model; else the one that the user has set.
    #[must_use]
    pub fn model(mut self, name: &str) -> Self {
        self.model = Some(name.to_owned());
        self
    }

    /// Bounds the answer.
    #[must_use]
    pub fn max_tokens(mut self, count: u64) -> Self {
        self.max_tokens = Some(count);
        self
    }

    /// 0 for the likeliest words, more for others.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    fn asked(&self, is_streamed: bool) -> Value {
        let messages = self.messages.iter().map(|(role, content)| {
            map([
                ("role", role.as_str().into()),
                ("content", content.as_str().into()),
            ])
        });
        let model = self.model.as_deref();
        map([
            ("messages", Value::Array(messages.collect())),
            ("model", model.map_or(Value::Nil, Value::from)),
            (
                "max_tokens",
                self.max_tokens.map_or(Value::Nil, Value::from),
            ),
            (
                "temperature",
                self.temperature.map_or(Value::Nil, Value::F64),
            ),
            ("stream", is_streamed.into()),
        ])
    }
}

impl Completion {
    fn of(answer: &Value) -> Self {
        let text = |name: &str| text_of(answer, name).unwrap_or_default().to_owned();
        let usage = field(answer, "usage").filter(|usage| usage.is_map());
        Self {
            text: text("text"),
            model: text("model"),
            usage: usage.cloned().unwrap_or_else(|| map([])),
        }
    }
}

impl Context {
    /// Asks a language model.
    ///
    /// # Errors
    /// What the host refuses with, such as a model that is not granted or a budget that is spent; `cancelled`.
    pub fn complete(&self, prompt: &Prompt) -> Result<Completion, Failure> {
        let answer = self.ask("model.complete", prompt.asked(false), |_| ())?;
        Ok(Completion::of(&answer))
    }

    /// As [`Context::complete`]; `stream` gets the answer in pieces as they come.
    ///
    /// # Errors
    /// As [`Context::complete`].
    pub fn complete_stream(
        &self,
        prompt: &Prompt,
        mut stream: impl FnMut(&str),
    ) -> Result<Completion, Failure> {
        let answer = self.ask("model.complete", prompt.asked(true), |piece| {
            stream(text_of(&piece, "text").unwrap_or_default());
        })?;
        Ok(Completion::of(&answer))
    }

    /// Sentence embeddings of unit length, one for each text.
    ///
    /// # Errors
    /// What the host refuses with; `internal` when it answers with anything but vectors; `cancelled`.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f64>>, Failure> {
        let texts = texts.iter().map(|text| Value::from(*text)).collect();
        let body = map([("texts", Value::Array(texts))]);
        let answer = self.ask("model.embed", body, |_| ())?;
        let vectors = field(&answer, "vectors").and_then(Value::as_array);
        let vector = |value: &Value| value.as_array()?.iter().map(Value::as_f64).collect();
        let vectors = vectors.and_then(|vectors| vectors.iter().map(vector).collect());
        vectors.ok_or_else(|| Failure::coded("internal", "the host answered with no vectors"))
    }
}
