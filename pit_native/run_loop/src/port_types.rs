//! Whether an output is of the type that its port declares: built-in types by their form, types of extensions by
//! the forms of the types above them.

use std::sync::OnceLock;

use rmpv::Value;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::instructions::Fault;
use crate::ports::NodeError;

/// What a value of a type is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Text.
    Text,
    /// Text or bytes.
    Content(&'static str),
    Integer,
    Number,
    Boolean,
    Map,
    /// A list of values of this type.
    List(Box<str>),
}

/// The types that extensions declare, each with what a value of it is made of.
#[derive(Clone, Debug, Default)]
pub struct PortTypes {
    declared: FxHashMap<Box<str>, Option<Form>>,
}

/// What is wrong with a value: what it should be, and what it is.
pub type Mismatch = (String, String);

impl PortTypes {
    /// Compiles declarations, each a type with the types directly above it. Where several of these have a form,
    /// the nearest counts, then the first.
    pub fn new(supertypes: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let above: FxHashMap<String, Vec<String>> = supertypes.into_iter().collect();
        let declared = above.keys().map(|name| {
            let form = nearest_form(name, &above);
            (name.as_str().into(), form)
        });
        Self {
            declared: declared.collect(),
        }
    }

    /// The built-in types alone.
    pub fn built_in() -> &'static Self {
        static NONE: OnceLock<PortTypes> = OnceLock::new();
        NONE.get_or_init(Self::default)
    }

    /// What is wrong with `value` on a port of type `port_type`. A type that nobody has declared, and one that is
    /// below none that has a form, takes anything.
    pub fn mismatch(&self, port_type: &str, value: &Value) -> Option<Mismatch> {
        let form = self.form(port_type)?;
        if let Form::List(element) = &form {
            let Value::Array(items) = value else {
                return Some(("a list".to_owned(), name(value).to_owned()));
            };
            // Looked up once, for a list may be long.
            let of_items = self.form(element)?;
            return items.iter().enumerate().find_map(|(at, item)| {
                let (wanted, found) = match of_items {
                    Form::List(_) => self.mismatch(element, item)?,
                    _ => misfit(&of_items, item)?,
                };
                Some((format!("a list in which item {at} is {wanted}"), found))
            });
        }
        misfit(&form, value)
    }

    fn form(&self, port_type: &str) -> Option<Form> {
        match self.declared.get(port_type) {
            Some(form) => form.clone(),
            None => form_of(port_type, false),
        }
    }
}

/// That of the type or of the nearest one above it, breadth first.
fn nearest_form(name: &str, above: &FxHashMap<String, Vec<String>>) -> Option<Form> {
    let mut seen: FxHashSet<&str> = FxHashSet::default();
    let mut level = vec![name];
    while !level.is_empty() {
        let forms = level.iter();
        let mut forms = forms.filter_map(|name| form_of(name, above.contains_key(*name)));
        if let Some(form) = forms.next() {
            return Some(form);
        }
        seen.extend(&level);
        level = level
            .iter()
            .filter_map(|name| above.get(*name))
            .flatten()
            .map(String::as_str)
            .filter(|name| !seen.contains(name))
            .collect();
    }
    None
}

/// The form of a built-in type. A media type that nobody has declared has its family's.
fn form_of(port_type: &str, is_declared: bool) -> Option<Form> {
    if let Some(element) = port_type
        .strip_prefix("list<")
        .and_then(|rest| rest.strip_suffix('>'))
    {
        return Some(Form::List(element.into()));
    }
    let family = port_type.split_once('/');
    let family = match family {
        Some((family, _)) if !is_declared => family,
        Some(_) => "",
        None => port_type,
    };
    match (port_type, family) {
        ("path", _) => Some(Form::Text),
        (_, "text") => Some(Form::Content("text")),
        (_, "image") => Some(Form::Content("text or bytes")),
        ("integer", _) => Some(Form::Integer),
        ("number", _) => Some(Form::Number),
        ("boolean", _) => Some(Form::Boolean),
        ("record", _) => Some(Form::Map),
        _ => None,
    }
}

/// The error of a Player whose output is not of its port's type.
pub fn bad_output(player: &str, port: &str, port_type: &str, mismatch: &Mismatch) -> NodeError {
    let (wanted, found) = mismatch;
    let message = format!(
        "The output {port} of {player} is declared {port_type}, so it must be {wanted}, but {found} came"
    );
    NodeError {
        fault: Fault::Permanent,
        ..NodeError::new("bad_output", message, "report it to the extension's author")
    }
}

fn misfit(form: &Form, value: &Value) -> Option<Mismatch> {
    let (wanted, fits) = match form {
        Form::Text => ("text", value.is_str()),
        Form::Content(wanted) => (*wanted, value.is_str() || value.is_bin()),
        Form::Integer => ("an integer", value.is_i64() || value.is_u64()),
        Form::Number => ("a number", value.is_number()),
        Form::Boolean => ("true or false", value.is_bool()),
        Form::Map => ("a map", value.is_map()),
        Form::List(_) => ("a list", value.is_array()),
    };
    (!fits).then(|| (wanted.to_owned(), name(value).to_owned()))
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nothing",
        Value::Boolean(_) => "a truth value",
        Value::Integer(_) => "an integer",
        Value::F32(_) | Value::F64(_) => "a number",
        Value::String(_) => "text",
        Value::Binary(_) | Value::Ext(..) => "bytes",
        Value::Array(_) => "a list",
        Value::Map(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[Value]) -> Value {
        Value::Array(items.to_vec())
    }

    fn types() -> PortTypes {
        let declared = [
            ("git/commit", vec!["record"]),
            ("git/merge", vec!["git/commit"]),
            ("my/table", vec!["list<git/commit>"]),
            ("my/opaque", vec!["any"]),
            ("my/loop", vec!["my/pool"]),
            ("my/pool", vec!["my/loop"]),
            // A declared media type is what its declaration says.
            ("image/histogram", vec!["record"]),
            // Of two declarations of one type the first counts; the form of a built-in type cannot be changed.
            ("my/both", vec!["integer", "text"]),
            ("text", vec!["record"]),
        ];
        PortTypes::new(declared.map(|(name, above)| {
            let above = above.into_iter().map(str::to_owned).collect();
            (name.to_owned(), above)
        }))
    }

    #[test]
    fn the_form_of_a_value_must_be_that_of_its_type() {
        let map = || Value::Map(Vec::new());
        let right: [(&str, Value); 17] = [
            ("any", Value::Nil),
            ("list<text>", list(&["a".into(), Value::Binary(vec![1])])),
            ("list<list<integer>>", list(&[list(&[1.into()])])),
            ("text/markdown", "# Hi".into()),
            ("number", 1.into()),
            ("number", 1.5.into()),
            ("record", map()),
            ("image/png", Value::Binary(vec![1])),
            ("git/commit", map()),
            ("list<git/merge>", list(&[map()])),
            ("my/table", list(&[map()])),
            ("my/opaque", 1.into()),
            ("my/loop", 1.into()),
            ("nobody/knows", 1.into()),
            ("image/histogram", map()),
            ("my/both", 1.into()),
            ("text", "x".into()),
        ];
        for (kind, value) in right {
            assert_eq!(types().mismatch(kind, &value), None, "{kind} {value}");
        }
    }

    #[test]
    fn what_is_of_another_form_is_named() {
        let wrong: [(&str, Value, &str, &str); 14] = [
            ("list<git/commit>", "x".into(), "a list", "text"),
            (
                "list<integer>",
                list(&[1.into(), "x".into()]),
                "a list in which item 1 is an integer",
                "text",
            ),
            ("text", 3.into(), "text", "an integer"),
            ("integer", 1.5.into(), "an integer", "a number"),
            ("boolean", Value::Nil, "true or false", "nothing"),
            ("record", list(&[]), "a map", "a list"),
            ("git/commit", 7.into(), "a map", "an integer"),
            (
                "list<git/commit>",
                list(&[1.into(), 2.into()]),
                "a list in which item 0 is a map",
                "an integer",
            ),
            ("git/merge", "x".into(), "a map", "text"),
            ("my/table", 1.into(), "a list", "an integer"),
            (
                "list<my/table>",
                list(&[list(&["x".into()])]),
                "a list in which item 0 is a list in which item 0 is a map",
                "text",
            ),
            ("image/histogram", Value::Binary(vec![1]), "a map", "bytes"),
            ("my/both", "x".into(), "an integer", "text"),
            ("text", Value::Map(Vec::new()), "text", "a map"),
        ];
        for (kind, value, wanted, found) in wrong {
            assert_eq!(
                types().mismatch(kind, &value),
                Some((wanted.to_owned(), found.to_owned())),
                "{kind}"
            );
        }
    }
}
