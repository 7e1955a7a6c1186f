//! Where in the schema's text a translation is, so that what is refused can be named.

use crate::json::Value;

/// One step on the way from the document to where a translation is.
#[derive(Clone, Debug)]
pub(super) enum Step<'a> {
    /// Under a keyword of the schema.
    Keyword(String),
    /// To one of the schemas under a keyword, by its place or name.
    Part(String),
    /// To what a reference names, wherever that stands.
    Target(&'a Value),
    /// To the same schema once more, for another purpose.
    Again,
}

/// The way from the document to where a translation is.
#[derive(Default)]
pub(super) struct Path<'a> {
    steps: Vec<Step<'a>>,
    targets: usize,
}

impl<'a> Path<'a> {
    /// Steps that were not jumps.
    pub fn depth(&self) -> usize {
        self.steps.len() - self.targets
    }

    pub fn push(&mut self, step: Step<'a>) {
        self.targets += usize::from(matches!(step, Step::Target(_)));
        self.steps.push(step);
    }

    pub fn pop(&mut self) -> Option<Step<'a>> {
        let step = self.steps.pop();
        self.targets -= usize::from(matches!(step, Some(Step::Target(_))));
        step
    }

    /// The JSON pointer to the schema that holds the innermost keyword, and that keyword.
    pub fn holder(&self, document: &Value) -> (String, String) {
        let is_keyword = |step: &Step| matches!(step, Step::Keyword(_));
        let at = self.steps.iter().rposition(is_keyword);
        let keyword = match at.map(|at| &self.steps[at]) {
            Some(Step::Keyword(keyword)) => keyword.clone(),
            _ => String::new(),
        };
        (self.pointer(at.unwrap_or(0), document), keyword)
    }

    /// The same where the way ends under a keyword; else the pointer to its end, and no keyword.
    pub fn place(&self, document: &Value) -> (String, String) {
        match self.steps.last() {
            Some(Step::Part(_)) => (self.pointer(self.steps.len(), document), String::new()),
            _ => self.holder(document),
        }
    }

    /// The JSON pointer to where the first so many steps lead.
    fn pointer(&self, count: usize, document: &Value) -> String {
        let steps = &self.steps[..count];
        // One in another document stays the way there.
        let mut jumps = steps.iter().enumerate().rev().filter_map(|(at, step)| {
            let Step::Target(value) = step else {
                return None;
            };
            Some((at, pointer_to(document, value)?))
        });
        let (from, mut pointer) = jumps.next().unwrap_or_default();
        for step in &steps[from..] {
            if let Step::Keyword(name) | Step::Part(name) = step {
                push_token(&mut pointer, name);
            }
        }
        pointer
    }
}

pub(super) fn push_token(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

/// The pointer to a part of a document; None if it is none.
pub(super) fn pointer_to(document: &Value, part: &Value) -> Option<String> {
    if std::ptr::eq(document, part) {
        return Some(String::new());
    }
    let (name, rest) = match document {
        Value::Object(entries) => entries
            .iter()
            .find_map(|(key, value)| pointer_to(value, part).map(|rest| (key.clone(), rest))),
        Value::Array(items) => {
            let mut each = items.iter().enumerate();
            each.find_map(|(place, value)| {
                pointer_to(value, part).map(|rest| (place.to_string(), rest))
            })
        }
        _ => None,
    }?;
    let mut pointer = String::new();
    push_token(&mut pointer, &name);
    Some(pointer + &rest)
}

#[cfg(test)]
mod tests {
    use crate::error::EngineError;
    use crate::json::{self, JsonLimits};
    use crate::schema::{SchemaOptions, translate};

    /// The pointer and the keyword that a schema is refused with.
    fn place(schema: &str) -> (String, String) {
        let document = json::parse(schema.as_bytes(), &JsonLimits::default()).unwrap();
        match translate(&document, &[], &SchemaOptions::default()) {
            Err(
                EngineError::Malformed {
                    pointer, keyword, ..
                }
                | EngineError::Unsupported {
                    pointer, keyword, ..
                },
            ) => (pointer, keyword),
            _ => panic!("{schema} is not refused so"),
        }
    }

    #[test]
    fn a_refusal_points_to_the_schema_that_holds_the_keyword() {
        let cases = [
            (r#"{"type": "strin"}"#, "", "type"),
            (
                r#"{"properties": {"a/b": {"type": 1}}}"#,
                "/properties/a~1b",
                "type",
            ),
            (
                r#"{"allOf": [true, {"minLength": -1}]}"#,
                "/allOf/1",
                "minLength",
            ),
            (r#"{"if": {}, "then": {"enum": 1}}"#, "/then", "enum"),
            (
                r#"{"patternProperties": {"(": {}}}"#,
                "/patternProperties/(",
                "",
            ),
            (r#"{"items": {"$ref": "other"}}"#, "/items", "$ref"),
            (r#"{"properties": {"a": 1}}"#, "/properties/a", ""),
        ];
        for (schema, pointer, keyword) in cases {
            assert_eq!(place(schema), (pointer.into(), keyword.into()), "{schema}");
        }
    }

    #[test]
    fn what_is_wrong_behind_a_reference_is_named_where_it_stands() {
        let schema = r##"{"items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"not": {"type": 0}}}}"##;
        assert_eq!(place(schema), ("/$defs/x/not".into(), "type".into()));
    }
}
