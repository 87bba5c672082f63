//! From what a user types to a query of the full-text index.
//!
//! The grammar is small on purpose: any text is a valid query, and no character makes it fail.

/// A query, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Texts of which at least one should match; a text of several words is a phrase.
    pub(crate) wanted: Vec<String>,
    /// Texts that must not match.
    pub(crate) unwanted: Vec<String>,
    /// Fields that must match exactly.
    pub(crate) fields: Vec<(FieldName, String)>,
}

/// A field that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldName {
    Type,
    Name,
    Run,
    Node,
}

impl FieldName {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "type" => Some(Self::Type),
            "name" => Some(Self::Name),
            "run" => Some(Self::Run),
            "node" => Some(Self::Node),
            _ => None,
        }
    }
}

/// Splits at white space outside quotes.
fn pieces(query: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut is_quoted = false;
    for character in query.chars() {
        if character == '"' {
            is_quoted = !is_quoted;
        } else if character.is_whitespace() && !is_quoted {
            pieces.push(String::new());
            continue;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(character);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Reads a query.
pub(crate) fn parse(query: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for piece in pieces(query) {
        let (is_unwanted, piece) = match piece.strip_prefix('-') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, piece.as_str()),
        };
        let text = |piece: &str| piece.replace('"', " ").trim().to_owned();
        if is_unwanted {
            parsed.unwanted.push(text(piece));
            continue;
        }
        let field = piece.split_once(':').and_then(|(field, value)| {
            let value = text(value);
            FieldName::from_word(field)
                .filter(|_| !value.is_empty())
                .map(|field| (field, value))
        });
        match field {
            Some(field) => parsed.fields.push(field),
            None => parsed.wanted.push(text(piece)),
        }
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_phrases_exclusions_and_fields_are_told_apart() {
        let parsed =
            parse(r#"churn "hot spots" -draft type:text/markdown name:"my report.md" std::fs"#);
        assert_eq!(parsed.wanted, ["churn", "hot spots", "std::fs"]);
        assert_eq!(parsed.unwanted, ["draft"]);
        assert_eq!(
            parsed.fields,
            [
                (FieldName::Type, "text/markdown".into()),
                (FieldName::Name, "my report.md".into()),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(text in ".{0,200}") {
            parse(&text);
        }
    }
}
