//! Whether an output is of the type that its port declares, as far as a value shows it.

use rmpv::Value;

/// What is wrong with `value` on a port of type `port_type`, as (what it should be, what it is). Types that
/// extensions declare say nothing about their form and take anything.
pub(crate) fn mismatch(port_type: &str, value: &Value) -> Option<(String, String)> {
    if let Some(element) = port_type
        .strip_prefix("list<")
        .and_then(|rest| rest.strip_suffix('>'))
    {
        let Value::Array(items) = value else {
            return Some(("a list".to_owned(), form(value).to_owned()));
        };
        return items.iter().enumerate().find_map(|(at, item)| {
            let (wanted, found) = mismatch(element, item)?;
            Some((format!("a list in which item {at} is {wanted}"), found))
        });
    }
    let family = port_type
        .split_once('/')
        .map_or(port_type, |(family, _)| family);
    let (wanted, fits) = match (port_type, family) {
        ("path", _) => ("text", value.is_str()),
        (_, "text") => ("text", value.is_str() || value.is_bin()),
        (_, "image") => ("text or bytes", value.is_str() || value.is_bin()),
        ("integer", _) => ("an integer", value.is_i64() || value.is_u64()),
        ("number", _) => ("a number", value.is_number()),
        ("boolean", _) => ("true or false", value.is_bool()),
        ("record", _) => ("a map", value.is_map()),
        _ => return None,
    };
    (!fits).then(|| (wanted.to_owned(), form(value).to_owned()))
}

fn form(value: &Value) -> &'static str {
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

    #[test]
    fn the_form_of_a_value_must_be_that_of_its_type() {
        let list = |items: &[Value]| Value::Array(items.to_vec());
        let right: [(&str, Value); 9] = [
            ("any", Value::Nil),
            ("list<text>", list(&["a".into(), Value::Binary(vec![1])])),
            ("list<list<integer>>", list(&[list(&[1.into()])])),
            ("text/markdown", "# Hi".into()),
            ("number", 1.into()),
            ("number", 1.5.into()),
            ("record", Value::Map(Vec::new())),
            ("git/commit", 1.into()),
            ("image/png", Value::Binary(vec![1])),
        ];
        for (kind, value) in right {
            assert_eq!(mismatch(kind, &value), None, "{kind} {value}");
        }
        let wrong: [(&str, Value, &str, &str); 6] = [
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
        ];
        for (kind, value, wanted, found) in wrong {
            assert_eq!(
                mismatch(kind, &value),
                Some((wanted.to_owned(), found.to_owned())),
                "{kind}"
            );
        }
    }
}
