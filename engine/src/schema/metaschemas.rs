//! The schemas of JSON Schema itself, which any schema may refer to by their URIs.
//!
//! They are the drafts' own, without annotations, which assert nothing: drafts 4, 6 and 7, 2019-09 and
//! 2020-12 with their vocabularies. What a caller gives under the same URI comes before them.

use std::sync::LazyLock;

use crate::json::{JsonLimits, Value, parse};

/// The documents of one draft.
pub struct Draft {
    /// What the URIs of its documents begin with, and of no other draft's.
    prefix: &'static str,
    documents: LazyLock<Vec<Value>>,
}

/// Declares a draft by the prefix of its URIs and the file that lists its documents.
macro_rules! draft {
    ($prefix:literal, $file:literal) => {
        Draft {
            prefix: $prefix,
            documents: LazyLock::new(|| documents_of(include_bytes!($file))),
        }
    };
}

static DRAFTS: [Draft; 5] = [
    draft!("http://json-schema.org/draft-04/", "drafts/draft-04.json"),
    draft!("http://json-schema.org/draft-06/", "drafts/draft-06.json"),
    draft!("http://json-schema.org/draft-07/", "drafts/draft-07.json"),
    draft!(
        "https://json-schema.org/draft/2019-09/",
        "drafts/2019-09.json"
    ),
    draft!(
        "https://json-schema.org/draft/2020-12/",
        "drafts/2020-12.json"
    ),
];

impl Draft {
    /// The draft's documents, each under the URI that it gives itself.
    pub fn documents(&'static self) -> impl Iterator<Item = (&'static str, &'static Value)> {
        self.documents.iter().filter_map(|document| {
            let id = document.get("$id").or_else(|| document.get("id"));
            Some((id?.as_str()?.trim_end_matches('#'), document))
        })
    }
}

fn documents_of(text: &[u8]) -> Vec<Value> {
    match parse(text, &JsonLimits::default()) {
        Ok(Value::Array(documents)) => documents,
        _ => Vec::new(), // never: a test reads them all
    }
}

/// The drafts whose documents are referred to anywhere in a document, also where its schemas hold
/// what is no keyword: a reference may lead there.
pub fn drafts_named(document: &Value) -> Vec<&'static Draft> {
    let mut is_named = [false; DRAFTS.len()];
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                for (key, held) in members {
                    match (key.as_str(), held) {
                        ("$ref" | "$dynamicRef", Value::String(reference)) => {
                            let found = DRAFTS.iter().position(|d| reference.starts_with(d.prefix));
                            found.into_iter().for_each(|draft| is_named[draft] = true);
                        }
                        (_, Value::Array(_) | Value::Object(_)) => open.push(held),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let drafts = DRAFTS.iter().zip(is_named);
    drafts.filter_map(|(d, named)| named.then_some(d)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{SchemaOptions, translate};

    #[test]
    fn every_document_is_a_schema_under_its_own_uri() {
        let counts: Vec<usize> = DRAFTS.iter().map(|d| d.documents().count()).collect();
        assert_eq!(counts, [1, 1, 1, 7, 9]);
        for (uri, _) in DRAFTS.iter().flat_map(Draft::documents) {
            let document = Value::Object(vec![("$ref".into(), Value::String(uri.into()))]);
            assert!(
                translate(&document, &[], &SchemaOptions::default()).is_ok(),
                "{uri}"
            );
        }
    }

    #[test]
    fn drafts_are_named_wherever_a_reference_stands_and_by_nothing_else() {
        let text = br#"{"components":{"s":[{"$ref":"http://json-schema.org/draft-07/schema#/definitions/stringArray"}]},
            "$schema":"http://json-schema.org/draft-04/schema#","$ref":"https://json-schema.org/draft/2020-12/meta/core",
            "enum":["https://json-schema.org/draft/2019-09/schema"]}"#;
        let document = parse(text, &JsonLimits::default()).unwrap();
        let named: Vec<_> = drafts_named(&document).iter().map(|d| d.prefix).collect();
        assert_eq!(named, [DRAFTS[2].prefix, DRAFTS[4].prefix]);
    }
}
