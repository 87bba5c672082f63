//! Requests to servers that the grants name, sent by the host.

use rmpv::Value;

use crate::context::{Context, bytes_of, map};
use crate::failure::Failure;
use crate::wire::field;

/// What is asked of a server. The host resolves its name, checks the grants, follows redirects and holds the keys.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    timeout: Option<f64>,
}

/// A server's answer. Its status is not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Such as 200.
    pub status: u16,
    /// The names are lower-case.
    pub headers: Vec<(String, String)>,
    /// Empty when it was streamed.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A request of this method, such as `GET`.
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends a body.
    #[must_use]
    pub fn body(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.body = Some(content.into());
        self
    }

    /// Gives up after so many seconds.
    #[must_use]
    pub fn timeout(mut self, seconds: f64) -> Self {
        self.timeout = Some(seconds);
        self
    }

    fn asked(&self, is_streamed: bool) -> Value {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        map([
            ("method", self.method.as_str().into()),
            ("url", self.url.as_str().into()),
            ("headers", Value::Map(headers.collect())),
            ("body", self.body.clone().map_or(Value::Nil, Value::Binary)),
            ("timeout", self.timeout.map_or(Value::Nil, Value::F64)),
            ("stream", is_streamed.into()),
        ])
    }
}

impl HttpResponse {
    /// The body as text; bytes that are no UTF-8 become replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn of(answer: &Value) -> Self {
        let headers = field(answer, "headers").and_then(Value::as_map);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = field(answer, "status").and_then(Value::as_u64);
        Self {
            status: status
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or(0),
            headers: headers
                .into_iter()
                .flatten()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            body: bytes_of(answer, "body"),
        }
    }
}

impl Context {
    /// Sends a request to a granted server.
    ///
    /// # Errors
    /// What the host refuses with; `unavailable` when the server does not answer; `cancelled`.
    pub fn http(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        let answer = self.ask("http.request", request.asked(false), |_| ())?;
        Ok(HttpResponse::of(&answer))
    }

    /// As [`Context::http`]; `stream` gets the answer's body in pieces as they come, such as server-sent events.
    ///
    /// # Errors
    /// As [`Context::http`].
    pub fn http_stream(
        &self,
        request: &HttpRequest,
        mut stream: impl FnMut(&[u8]),
    ) -> Result<HttpResponse, Failure> {
        let answer = self.ask("http.request", request.asked(true), |piece| {
            // The first says status and headers, which the answer says, too.
            if let Some(data) = field(&piece, "data").and_then(Value::as_slice) {
                stream(data);
            }
        })?;
        Ok(HttpResponse::of(&answer))
    }
}
