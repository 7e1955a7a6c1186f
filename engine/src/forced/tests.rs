use std::sync::Arc;

use crate::cursor::Cursor;
use crate::index::{Index, Input, Options};
use crate::tokenisation::tests::{bytes_and, cut_by_text};
use crate::vocabulary::Vocabulary;

const PATTERN: &str =
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEXTS: [&str; 14] = [
    "{\"", "na", "me", "name", "\":", "\":\"", "\",\"", "ag", "age", "\"}", "true", "tr", "ue",
    "ers",
];

fn vocabulary(pattern: Option<&str>) -> Arc<Vocabulary> {
    Arc::new(cut_by_text(&bytes_and(&TEXTS), pattern))
}

fn cursor(schema: &str, pattern: Option<&str>) -> Cursor {
    let input = Input::JsonSchema(schema.as_bytes());
    let index = Index::compile(input, vocabulary(pattern), &Options::default());
    index.unwrap().cursor()
}

fn text_of(tokens: &[u32]) -> String {
    String::from_utf8(vocabulary(None).bytes_of(tokens)).unwrap()
}

fn allowed(cursor: &mut Cursor) -> Vec<u32> {
    let mut mask = vec![0; cursor.index.vocabulary().words()];
    cursor.mask(&mut mask).unwrap();
    let bit = |id: &u32| mask[*id as usize / 32] >> (*id % 32) & 1 == 1;
    (0..mask.len() as u32 * 32).filter(bit).collect()
}

const PERSON: &str = r#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"boolean"}},
    "required":["name","age"],"additionalProperties":false}"#;

fn take(cursor: &mut Cursor, text: &str) {
    let tokens = vocabulary(Some(PATTERN)).tokenisation().unwrap().cut(text);
    tokens
        .unwrap()
        .iter()
        .for_each(|token| cursor.advance(*token).unwrap());
}

#[test]
fn what_must_come_is_forced_up_to_where_tokens_depend_on_free_text() {
    let mut cursor = cursor(PERSON, Some(PATTERN));
    let forced = cursor.forced().unwrap().to_vec();
    // a colon at the beginning of the name would be merged with its quote
    assert_eq!(text_of(&forced), "{\"name");
    assert_eq!(allowed(&mut cursor), forced[..1]);
    for token in forced {
        cursor.advance(token).unwrap();
    }
    assert!(cursor.forced().unwrap().is_empty());
    assert!(allowed(&mut cursor).len() > 1);
    take(&mut cursor, "\":\"");
    assert!(cursor.forced().unwrap().is_empty());
    assert!(allowed(&mut cursor).len() > 100);
}

#[test]
fn what_the_tokenizer_cannot_merge_with_more_is_forced() {
    let schema =
        r#"{"type":"object","properties":{"name":{"enum":["age","me"]}},"required":["name"]}"#;
    let mut cursor = cursor(schema, Some(PATTERN));
    assert_eq!(text_of(cursor.forced().unwrap()), "{\"name\":\"");
}

#[test]
fn no_token_is_forced_after_one_that_the_tokenizer_would_not_have_written() {
    let mut cursor = cursor(PERSON, Some(PATTERN));
    take(&mut cursor, "{\"name\":\"x");
    let mut other = cursor.fork();
    cursor.advance(u32::from(b'"')).unwrap(); // the tokenizer has a token for `","`
    assert!(cursor.forced().unwrap().is_empty());
    assert_eq!(text_of(&allowed(&mut cursor)), ",");
    other.advance(256 + 6).unwrap();
    assert_eq!(text_of(other.forced().unwrap()), "age\":");
}

#[test]
fn a_token_that_is_not_the_forced_one_is_refused() {
    let mut cursor = cursor(PERSON, Some(PATTERN));
    assert!(cursor.clone().advance(u32::from(b'{')).is_err());
    let first = cursor.forced().unwrap()[0];
    cursor.advance(first).unwrap();
    assert_eq!(text_of(&cursor.forced().unwrap()[..1]), "name");
    cursor.rollback(1).unwrap();
    assert_eq!(cursor.forced().unwrap()[0], first);
}

#[test]
fn without_a_tokenisation_nothing_is_forced() {
    let input = Input::JsonSchema(PERSON.as_bytes());
    let vocabulary = Vocabulary::new(bytes_and(&TEXTS), &[], &[256 + TEXTS.len() as u32]).unwrap();
    let index = Index::compile(input, Arc::new(vocabulary), &Options::default()).unwrap();
    let mut cursor = index.cursor();
    assert!(cursor.forced().unwrap().is_empty());
    assert_eq!(allowed(&mut cursor), [u32::from(b'{'), 256]);
}

#[test]
fn the_last_tokens_are_forced_where_only_the_end_can_follow() {
    let schema = r#"{"const":{"name":true}}"#;
    for pattern in [Some(PATTERN), None] {
        let mut cursor = cursor(schema, pattern);
        let mut text = String::new();
        while !cursor.may_end() {
            let token = allowed(&mut cursor)[0];
            text += &text_of(&[token]);
            cursor.advance(token).unwrap();
        }
        assert_eq!(text, "{\"name\":true}");
        assert!(cursor.forced().unwrap().is_empty());
    }
}

/// Texts of the schemas above, and of more.
const CASES: [(&str, &[&str]); 4] = [
    (
        PERSON,
        &[
            r#"{"name":"","age":true}"#,
            r#"{"name":"-a","age":false}"#,
            r#"{"name":"\"true","age":true}"#,
            r#"{"name":"ers","age":true}"#,
            r#"{"name":"é中 \u0001","age":true}"#,
        ],
    ),
    (
        r#"{"type":"array","items":{"enum":["name","names","age","na me",""]}}"#,
        &[
            r#"["name","names","age"]"#,
            r#"["","na me"]"#,
            "[]",
            r#"["names"]"#,
        ],
    ),
    (
        r#"{"type":"object","properties":{"name":{"type":"number"},"names":{"const":null},"nag":{}}}"#,
        &[
            r#"{"name":-1.5,"names":null}"#,
            r#"{"names":null}"#,
            r#"{"nag":[{}]}"#,
            "{}",
        ],
    ),
    (
        r#"{"enum":["é","è","éa",true,null,[{"age":["name"]}]]}"#,
        &[
            r#""é""#,
            r#""è""#,
            r#""éa""#,
            "true",
            "null",
            r#"[{"age":["name"]}]"#,
        ],
    ),
];

#[test]
fn the_tokenizers_own_tokens_are_never_excluded_and_forced_ones_are_among_them() {
    for pattern in [Some(PATTERN), None] {
        let vocabulary = vocabulary(pattern);
        let tokenisation = vocabulary.tokenisation().unwrap();
        for (schema, texts) in CASES {
            let whole = cursor(schema, pattern);
            for text in texts {
                let (mut cursor, mut drafted) = (whole.fork(), whole.fork());
                let tokens = tokenisation.cut(text).unwrap();
                for (place, token) in tokens.iter().enumerate() {
                    let forced = cursor.forced().unwrap().to_vec();
                    assert!(
                        tokens[place..].starts_with(&forced),
                        "{text}: {}",
                        text_of(&forced)
                    );
                    assert!(allowed(&mut cursor).contains(token), "{text} at {place}");
                    cursor.advance(*token).unwrap();
                    drafted.advance(*token).unwrap();
                    // what was found out before says the same as what is found out now
                    let mut fresh = drafted.fork();
                    fresh.rollback(1).unwrap();
                    fresh.advance(*token).unwrap();
                    assert_eq!(allowed(&mut fresh), allowed(&mut drafted.fork()));
                }
                assert!(cursor.may_end(), "{text}");
            }
        }
    }
}
