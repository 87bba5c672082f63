//! A rendered tree as it comes in, before it is compared.

use serde_json::{Map, Value};

/// Deeper trees are refused: they are a mistake, and comparing recurses.
pub const MAX_DEPTH: usize = 256;

/// A child: an element or a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A component of the catalogue.
    Element(Element),
    /// A text between components.
    Text(String),
}

/// A component with its properties and children.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// The component's name in the catalogue.
    pub kind: String,
    /// Names the node among all of the tree; a keyed node keeps its identity when it moves.
    pub key: Option<String>,
    /// What the component is told.
    pub props: Map<String, Value>,
    /// What is inside, in order.
    pub children: Vec<Node>,
}

impl Node {
    /// The node as the page sees it.
    pub fn to_json(&self) -> Value {
        match self {
            Node::Text(text) => Value::String(text.clone()),
            Node::Element(element) => {
                let mut object = Map::new();
                object.insert("type".into(), element.kind.clone().into());
                object.insert("key".into(), element.key.clone().into());
                object.insert("props".into(), Value::Object(element.props.clone()));
                object.insert(
                    "children".into(),
                    element.children.iter().map(Node::to_json).collect(),
                );
                Value::Object(object)
            }
        }
    }

    /// The key, when it is a keyed element.
    pub fn key(&self) -> Option<&str> {
        match self {
            Node::Element(element) => element.key.as_deref(),
            Node::Text(_) => None,
        }
    }
}
