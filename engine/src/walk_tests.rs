//! Random walks that follow the mask: what a mask allows can be read, nothing else can, and no walk
//! gets stuck.

use std::sync::Arc;

use crate::cursor::Cursor;
use crate::index::{Index, Input, Options, Whitespace};
use crate::reader::Reader;
use crate::vocabulary::Vocabulary;

pub(crate) const SCHEMAS: [&str; 22] = [
    r#"{"type":"object","patternProperties":{"^a":{"type":"boolean"}},"additionalProperties":{"type":"null"}}"#,
    r#"{"type":"object","patternProperties":{"^[ab]{1,2}$":true},"additionalProperties":false}"#,
    r#"{"type":"object","propertyNames":{"maxLength":2},"additionalProperties":{"type":"null"}}"#,
    r#"{"type":"array","items":{"anyOf":[{"type":"string","pattern":"^[a-z]+(\\.[a-z]+)*$"},{"type":"string","pattern":"^x[ay ]{0,3}é?$"}]}}"#,
    r#"{"type":"array","items":{"type":"string","pattern":"^[^a\"]*b$"},"uniqueItems":true}"#,
    r#"{"type":"array","uniqueItems":true,"items":{"type":"object","additionalProperties":{"type":"null"}}}"#,
    r#"{"type":"array","items":{"type":"string","pattern":"^[^x]([a-f0-9]{2,30}|\\S+ ?é*)$"}}"#,
    "{}",
    r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"enum":["x","yy","x y"]},"c":{"type":"boolean"}},"required":["b"]}"#,
    r#"{"type":"array","items":{"type":"string","maxLength":3},"minItems":1,"maxItems":3,"uniqueItems":true}"#,
    r##"{"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"v":{"type":"null"},"kids":{"type":"array","items":{"$ref":"#/$defs/t"},"maxItems":2}},"required":["v"],"additionalProperties":false}}}"##,
    r#"{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"v":{"type":"boolean"}},"required":["k","v"]},{"type":"object","properties":{"k":{"const":"b"},"v":{"type":"string"}},"required":["k"]}]}"#,
    r#"{"type":"object","minProperties":2,"maxProperties":3,"additionalProperties":{"type":"boolean"}}"#,
    r#"{"type":"object","properties":{"a":true,"b":true},"dependentRequired":{"a":["b"]},"additionalProperties":false}"#,
    r#"{"not":{"anyOf":[{"type":"string"},{"type":"object","required":["a"]},{"type":"array","minItems":1}]}}"#,
    r#"{"type":"array","contains":{"const":"x"},"maxContains":2,"items":{"enum":["x","y",null]}}"#,
    r#"{"if":{"type":"object","required":["a"]},"then":{"required":["b"]},"else":{"type":"array","prefixItems":[{"const":"q"}],"items":false}}"#,
    r#"{"enum":[null,true,"a",["b",false],{"k":"v"}]}"#,
    r#"{"type":"object","propertyNames":{"enum":["p","q"]},"minProperties":1}"#,
    r#"{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"unevaluatedProperties":false},{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"unevaluatedProperties":false}]}"#,
    r#"{"type":["string","null"],"minLength":2,"maxLength":4}"#,
    r#"{"type":"array","uniqueItems":true,"items":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array","items":{"type":"string"}}},"additionalProperties":false}}"#,
];

pub(crate) fn vocabulary() -> Arc<Vocabulary> {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
    for text in [
        "{\"",
        "\":",
        "\",\"",
        "\"}",
        "},{",
        "true",
        "false",
        "null",
        "ab",
        "a\"",
        "é",
        "\\u00",
        "\\n",
        "[[",
        "]]",
        "]}",
        "\"a\":",
        ",\"b\":\"",
        "\"},{\"a\":\"\"}",
        "a\"},{\"a\":\"a\"}",
        "x y",
        " ",
        "\": \"",
        "\\nab",
        "\\n\",\"a",
        "a\\\"",
        "\\\"}",
        "abab",
        "aé",
        "b\":",
    ] {
        tokens.push(text.as_bytes().to_vec());
    }
    tokens.push(Vec::new());
    let end = tokens.len() as u32 - 1;
    Arc::new(Vocabulary::new(tokens, &[], &[end]).unwrap())
}

pub(crate) struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

pub(crate) fn allowed(cursor: &mut Cursor, words: usize) -> Vec<u32> {
    let mut mask = vec![0u32; words];
    cursor.mask(&mut mask).unwrap();
    (0..words as u32 * 32)
        .filter(|t| mask[*t as usize / 32] >> (t % 32) & 1 == 1)
        .collect()
}

/// Whether a reader takes a whole text.
pub(crate) fn reads(reader: &mut dyn Reader, text: &[u8]) -> bool {
    let start = reader.start();
    let end = text
        .iter()
        .try_fold(start, |at, byte| reader.step(at, *byte));
    end.is_some_and(|at| reader.may_end(at))
}

/// Asserts which texts a reader of some grammar takes, and which not.
pub(crate) fn check_texts(
    grammar: &str,
    mut reader: Box<dyn Reader>,
    inside: &[&str],
    outside: &[&str],
) {
    for text in inside {
        let is_read = reads(&mut *reader, text.as_bytes());
        assert!(is_read, "{grammar} refuses {text:?}");
    }
    for text in outside {
        let is_read = reads(&mut *reader, text.as_bytes());
        assert!(!is_read, "{grammar} accepts {text:?}");
    }
}

/// Prefer what closes, so that walks end.
fn choose(dice: &mut Dice, vocabulary: &Vocabulary, allowed: &[u32], hurry: bool) -> u32 {
    let closing = |t: &u32| {
        vocabulary
            .token_bytes(*t)
            .iter()
            .all(|b| b"]}\"".contains(b))
    };
    let closers: Vec<u32> = allowed.iter().copied().filter(closing).collect();
    if hurry && !closers.is_empty() {
        closers[dice.roll(closers.len())]
    } else {
        allowed[dice.roll(allowed.len())]
    }
}

/// The text of a finished walk, in which every mask was compared with what can be read.
pub(crate) fn walk(input: Input, options: &Options, seed: u64) -> Option<Vec<u8>> {
    let vocabulary = vocabulary();
    let index = Index::compile(input, Arc::clone(&vocabulary), options).unwrap();
    follow_masks(&index, &vocabulary, &format!("{input:?}"), seed)
}

/// The same for an index and its vocabulary.
pub(crate) fn follow_masks(
    index: &Index,
    vocabulary: &Vocabulary,
    what: &str,
    seed: u64,
) -> Option<Vec<u8>> {
    let (mut cursor, mut dice, mut text) = (index.cursor(), Dice(seed), Vec::new());
    for step in 0..400 {
        let allowed = allowed(&mut cursor, vocabulary.words());
        assert!(
            !allowed.is_empty(),
            "{what} is stuck after {:?}",
            String::from_utf8_lossy(&text)
        );
        for token in 0..vocabulary.size() as u32 {
            let taken = cursor.fork().advance(token).is_ok();
            let shown = String::from_utf8_lossy(vocabulary.token_bytes(token));
            assert_eq!(
                taken,
                allowed.contains(&token),
                "{what}: {shown:?} after {:?}",
                String::from_utf8_lossy(&text)
            );
        }
        let token = choose(&mut dice, vocabulary, &allowed, step > 30);
        text.extend_from_slice(vocabulary.token_bytes(token));
        cursor.advance(token).unwrap();
        if cursor.is_ended() {
            return Some(text);
        }
    }
    None
}

/// Compares every mask along a text, and the one after it, with what can be read.
fn check_along(schema: &str, options: &Options, text: &str) {
    let vocabulary = vocabulary();
    let input = Input::JsonSchema(schema.as_bytes());
    let index = Index::compile(input, Arc::clone(&vocabulary), options).unwrap();
    let mut cursor = index.cursor();
    for (at, byte) in text.bytes().map(Some).chain([None]).enumerate() {
        let allowed = allowed(&mut cursor, vocabulary.words());
        for token in 0..vocabulary.size() as u32 {
            let taken = cursor.fork().advance(token).is_ok();
            let shown = String::from_utf8_lossy(vocabulary.token_bytes(token));
            let place = String::from_utf8_lossy(&text.as_bytes()[..at]);
            assert_eq!(taken, allowed.contains(&token), "{shown:?} after {place}");
        }
        if let Some(byte) = byte {
            cursor.advance(byte.into()).unwrap();
        }
    }
}

#[test]
fn an_array_that_runs_out_of_new_items_is_none() {
    let none = [
        r#"{"type":"array","uniqueItems":true,"minItems":4,"items":{"type":"integer","minimum":0,"maximum":2}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":3,"items":{"enum":["a",null]}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":4,"items":{"type":["boolean","null"]}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":3,"prefixItems":[{"type":"string"}],"items":{"const":1}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":3,"prefixItems":[{"const":1}],"items":{"enum":[1,2]}}"#,
        r#"{"type":"array","uniqueItems":true,"items":{"enum":["a","b",1,null]},"contains":{"type":"string"},"minContains":3}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":5,"items":{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":2}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":7,"items":{"type":"object","properties":{"a":{"type":"boolean"},"b":{"const":1}},"additionalProperties":false}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":2,"items":{"type":"object","maxProperties":0}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":4,"items":{"anyOf":[{"type":"null"},{"type":"array","items":{"const":1},"maxItems":1}]}}"#,
    ];
    for schema in none {
        let input = Input::JsonSchema(schema.as_bytes());
        assert!(
            Index::compile(input, vocabulary(), &Options::default()).is_err(),
            "{schema}"
        );
    }
    let full = [
        r#"{"type":"array","uniqueItems":true,"minItems":3,"items":{"type":"integer","minimum":0,"maximum":2}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":4,"items":{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":2}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":4,"items":{"type":"object","properties":{"a":{"type":"boolean"},"b":{"enum":["x","y"]}},"required":["a","b"],"additionalProperties":false}}"#,
        r#"{"type":"array","uniqueItems":true,"minItems":2,"items":{"type":"object","properties":{"a":{"const":1}},"additionalProperties":false}}"#,
    ];
    for (schema, seed) in full
        .iter()
        .flat_map(|schema| (0..6).map(move |seed| (schema, seed)))
    {
        let input = Input::JsonSchema(schema.as_bytes());
        let walked = walk(input, &Options::default(), seed);
        assert!(walked.is_some(), "{schema}");
    }
}

#[test]
fn alternatives_that_contain_themselves_are_read() {
    let schema = r##"{"$ref":"#/$defs/r","$defs":{"r":{"oneOf":[{"type":"object","properties":{"p":{"$ref":"#/$defs/r"}},"required":["p"],"additionalProperties":false},{"type":"object","required":["n"],"properties":{"n":{"type":"null"}},"additionalProperties":false}]}}}"##;
    let input = Input::JsonSchema(schema.as_bytes());
    let index = Index::compile(input, vocabulary(), &Options::default()).unwrap();
    let mut cursor = index.cursor();
    let mut text = r#"{"p":{"p":{"n":null}}}"#.bytes();
    assert!(text.all(|byte| cursor.advance(byte.into()).is_ok()));
    assert!(cursor.may_end());
}

#[test]
fn no_key_is_written_twice() {
    let wide = Options {
        whitespace: Whitespace::Bounded(1),
        any_order: true,
        all_spellings: true,
        ..Options::default()
    };
    let texts = [
        r#"{"a":{"a":{},"b":[]},"ab":"x","a"#,
        r#"{"b":1,"a":[{"b":"#,
        r#"{"ab":{"a":1,"a"#,
        r#"{"é":1,"a\n":2,"a"#,
        r#"{"a":"x"#,
    ];
    for text in texts {
        check_along("{}", &wide, text);
        check_along("{}", &Options::default(), text);
    }
    let vocabulary = vocabulary();
    let index = Index::compile(Input::AnyJson, vocabulary, &wide).unwrap();
    for text in [r#"{"a":1,"a""#, r#"{"a":1,"\u0061""#, r#"{"a":{"b":1},"a""#] {
        let mut cursor = index.cursor();
        let read = text.bytes().try_for_each(|b| cursor.advance(b.into()));
        assert!(read.is_err(), "{text}");
    }
    let mut cursor = index.cursor();
    let read = r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#.bytes();
    assert!(read.into_iter().all(|b| cursor.advance(b.into()).is_ok()));
}

#[test]
fn masks_allow_what_can_be_read_and_walks_end() {
    for schema in SCHEMAS {
        for seed in 0..6 {
            let input = Input::JsonSchema(schema.as_bytes());
            walk(input, &Options::default(), seed);
            let wide = Options {
                whitespace: Whitespace::Bounded(1),
                any_order: true,
                all_spellings: true,
                ..Options::default()
            };
            walk(input, &wide, seed);
        }
    }
}
