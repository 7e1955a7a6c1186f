//! Schemas against instances, read byte by byte.

use crate::grammar::{Grammar, Limits, Whitespace, Writing};
use crate::json::{self, JsonLimits};
use crate::schema::{SchemaOptions, translate};

fn grammar(schema: &str, writing: Writing) -> Grammar {
    let document = json::parse(schema.as_bytes(), &JsonLimits::default()).unwrap();
    let (formulas, root) = translate(&document, &[], &SchemaOptions::default()).unwrap();
    Grammar::new(formulas, root, writing, Limits::default())
}

fn compact() -> Writing {
    Writing {
        whitespace: Whitespace::Compact,
        item_spaces: 0,
        key_spaces: 0,
        any_order: false,
        all_spellings: false,
    }
}

fn reads(schema: &str, text: &str) -> bool {
    reads_as(schema, text, compact())
}

fn reads_as(schema: &str, text: &str, writing: Writing) -> bool {
    let mut grammar = grammar(schema, writing);
    let start = grammar.first_configuration();
    let end = text
        .bytes()
        .try_fold(start, |at, byte| grammar.step(at, byte));
    end.is_some_and(|at| grammar.may_end(at))
}

fn check(schema: &str, valid: &[&str], invalid: &[&str]) {
    for text in valid {
        assert!(reads(schema, text), "{schema} refuses {text}");
    }
    for text in invalid {
        assert!(!reads(schema, text), "{schema} accepts {text}");
    }
}

#[test]
fn any_json_is_read_once_per_value() {
    check(
        "{}",
        &[
            "1",
            "\"a\"",
            "[1,[2]]",
            "{\"a\":{\"b\":[]}}",
            "true",
            "null",
            "\"\\n\"",
        ],
        &[
            "",
            "[1,]",
            "{\"a\":1,\"a\":2}",
            "tru",
            "\"\\u0041\"",
            "[ 1]",
        ],
    );
}

#[test]
fn properties_come_in_the_schemas_order() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
    check(
        schema,
        &[r#"{"a":1}"#, r#"{"a":1,"b":"x"}"#],
        &[
            r#"{"b":"x","a":1}"#,
            r#"{"b":"x"}"#,
            r#"{"a":"x"}"#,
            r#"{"a":1,"c":1}"#,
            "{}",
        ],
    );
    let any = Writing {
        any_order: true,
        ..compact()
    };
    assert!(reads_as(schema, r#"{"b":"x","a":1}"#, any));
}

#[test]
fn boolean_keywords_are_exact() {
    check(
        r#"{"oneOf":[{"type":"object","properties":{"a":{"type":"integer"}}},{"type":"object","required":["b"]}]}"#,
        &[r#"{"a":1}"#, r#"{"a":"x","b":1}"#],
        &[r#"{"a":1,"b":1}"#, r#"{"a":"x"}"#, "1"],
    );
    check(r#"{"not":{"type":"string"}}"#, &["1", "{}"], &["\"a\""]);
    check(
        r#"{"type":"object","properties":{"k":{"enum":["x","y"]},"v":{}},"required":["k","v"],"additionalProperties":false,"if":{"properties":{"k":{"const":"x"}}},"then":{"properties":{"v":{"type":"boolean"}}},"else":{"properties":{"v":{"type":"string"}}}}"#,
        &[r#"{"k":"x","v":true}"#, r#"{"k":"y","v":"s"}"#],
        &[r#"{"k":"x","v":"s"}"#, r#"{"k":"y","v":true}"#],
    );
    check(
        r#"{"type":"array","contains":{"const":"a"}}"#,
        &[r#"["b","a"]"#],
        &[r#"["b"]"#, "[]"],
    );
    check(
        r#"{"type":"array","uniqueItems":true}"#,
        &[r#"["b","a"]"#, r#"[{"a":"x","b":"y"},{"a":"x"}]"#],
        &[r#"["b","b"]"#, r#"[{"a":"x","b":"y"},{"b":"y","a":"x"}]"#],
    );
}

#[test]
fn references_are_followed() {
    let list = r##"{"type":"object","properties":{"v":{"type":"boolean"},"next":{"$ref":"#"}},"required":["v"],"additionalProperties":false}"##;
    check(
        list,
        &[r#"{"v":true,"next":{"v":false}}"#],
        &[r#"{"v":true,"next":{}}"#],
    );
    check(
        r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"array","items":{"$ref":"#/$defs/b"}},"b":{"type":"object","properties":{"k":{"$ref":"#/$defs/a"}},"required":["k"],"additionalProperties":false}}}"##,
        &["[]", r#"[{"k":[{"k":[]}]}]"#],
        &[r#"[{"k":{}}]"#],
    );
}

#[test]
fn unevaluated_properties_know_what_others_have_seen() {
    let schema = r#"{"allOf":[{"type":"object","properties":{"a":{"type":"boolean"}}}],"properties":{"b":{"type":"boolean"}},"unevaluatedProperties":false}"#;
    check(
        schema,
        &[r#"{"a":true}"#, r#"{"b":true}"#],
        &[r#"{"c":true}"#],
    );
}

#[test]
fn nothing_is_begun_that_cannot_end() {
    let schema = r##"{"type":"object","properties":{"a":{"$ref":"#"},"b":{"type":"null"}},"anyOf":[{"required":["a"]},{"required":["b"]}],"additionalProperties":false}"##;
    check(schema, &[r#"{"b":null}"#, r#"{"a":{"b":null}}"#], &["{}"]);
    check(
        r##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"##,
        &[],
        &["{", "{\"a\":"],
    );
}

#[test]
fn a_limit_that_is_reached_is_told_and_never_taken_for_a_refusal() {
    let schema = r#"{"type":"string","pattern":"^(a|b)*c(a|b){40}$"}"#;
    let document = json::parse(schema.as_bytes(), &JsonLimits::default()).unwrap();
    let (formulas, root) = translate(&document, &[], &SchemaOptions::default()).unwrap();
    let limits = Limits {
        max_regex_nodes: 10,
        ..Limits::default()
    };
    let mut grammar = Grammar::new(formulas, root, compact(), limits);
    let start = grammar.first_configuration();
    let text = format!("\"abc{}\"", "ab".repeat(20));
    let read = |grammar: &mut Grammar| {
        let end = text
            .bytes()
            .try_fold(start, |at, byte| grammar.step(at, byte));
        end.is_some()
    };
    assert!(!read(&mut grammar));
    assert_eq!(grammar.limit_reached().unwrap().limit, "max_regex_nodes");
}

#[test]
fn counts_of_values_beyond_any_number_refuse_nothing() {
    let keys: Vec<String> = (0..70).map(|key| format!("\"k{key}\"")).collect();
    let joined = |end: &str| {
        let members = keys.iter().map(|key| format!("{key}{end}"));
        members.collect::<Vec<_>>().join(",")
    };
    let huge = format!(
        r#"{{"type":"object","properties":{{{}}},"required":[{}],"additionalProperties":false}}"#,
        joined(r#":{"type":"boolean"}"#),
        keys.join(","),
    );
    let one = r#"{"const":{"x":1}}"#;
    let items = format!(r#"{{"anyOf":[{huge},{one}]}}"#);
    let schema = format!(r#"{{"type":"array","uniqueItems":true,"minItems":2,"items":{items}}}"#);
    let value = format!("{{{}}}", joined(":true"));
    check(
        &schema,
        &[&format!("[{value},{{\"x\":1}}]")],
        &["[{\"x\":1},{\"x\":1}]", "[{\"x\":1}]"],
    );
}
