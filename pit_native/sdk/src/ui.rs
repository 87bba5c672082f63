//! What a function shows in the page, and what the user does there.

use rmpv::Value;

use crate::context::{Context, map};
use crate::failure::Failure;
use crate::wire::{field, text_of};

/// An element of the page's component catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    kind: String,
    key: Option<String>,
    props: Vec<(String, Value)>,
    children: Vec<Value>,
}

/// What the user did to an element.
#[derive(Clone, Debug, PartialEq)]
pub struct UiEvent {
    /// Of which element.
    pub key: String,
    /// Such as `press`.
    pub name: String,
    /// What came of it, such as a text.
    pub value: Value,
}

impl Element {
    /// A component that a Motif may show, such as `Button`.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            key: None,
            props: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Names it. Who wants its events needs a name that no other element of the tree has.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Sets a property.
    #[must_use]
    pub fn prop(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.props.push((name.to_owned(), value.into()));
        self
    }

    /// Puts an element or a text into it.
    #[must_use]
    pub fn child(mut self, child: impl Into<Value>) -> Self {
        self.children.push(child.into());
        self
    }
}

impl From<Element> for Value {
    fn from(element: Element) -> Self {
        let props = element.props.into_iter();
        let props = props.map(|(name, value)| (name.into(), value));
        map([
            ("type", element.kind.into()),
            ("key", element.key.map_or(Value::Nil, Value::from)),
            ("props", Value::Map(props.collect())),
            ("children", Value::Array(element.children)),
        ])
    }
}

impl Context {
    /// Shows a tree in the page, in the place of the one before, for as long as the call is open.
    pub fn ui(&self, tree: Element) {
        self.tell("event", "ui", map([("tree", tree.into())]));
    }

    /// Waits for what the user does next to the tree. At most 256 of these wait; beyond them the oldest go.
    ///
    /// # Errors
    /// `cancelled` when the user closes it, which ends the function in good order.
    pub fn event(&self) -> Result<UiEvent, Failure> {
        let body = self.call_of().next_event()?;
        let text = |name: &str| text_of(&body, name).unwrap_or_default().to_owned();
        Ok(UiEvent {
            key: text("key"),
            name: text("name"),
            value: field(&body, "value").cloned().unwrap_or(Value::Nil),
        })
    }
}
