//! Closing in time: an answer that may be closed at all is closed within any budget that fits it.

use std::sync::Arc;

use crate::cursor::Cursor;
use crate::index::{Index, Input, Options, Whitespace};
use crate::walk_tests::{Dice, SCHEMAS, allowed, vocabulary};

/// What opens much at once, what must be chosen well, and what takes long to end.
const LARGE: [&str; 10] = [
    r#"{"type":"array","items":{"type":"object","properties":{"first":{"type":"string","minLength":9},"second":{"type":"array","minItems":5,"items":{"type":"boolean"}}},"required":["first","second"],"additionalProperties":false}}"#,
    r#"{"anyOf":[{"type":"object","properties":{"k":{"const":"a"},"v":{"type":"string","minLength":60}},"required":["k","v"],"additionalProperties":false},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"],"additionalProperties":false}]}"#,
    r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1000000,"multipleOf":7},"t":{"type":"string","pattern":"^[a-z]{3}-[0-9]{4}$"},"d":{"type":"string","format":"date-time"}},"required":["n","t","d"],"additionalProperties":false}"#,
    r#"{"type":"object","properties":{"name":{"type":"string"},"names":{"type":"array","minItems":3,"items":{"type":"string","minLength":4}}}}"#,
    r#"{"type":"array","uniqueItems":true,"minItems":3,"items":{"type":"integer","minimum":5}}"#,
    r#"{"type":"array","uniqueItems":true,"items":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}"#,
    r##"{"$ref":"#/$defs/e","$defs":{"e":{"anyOf":[{"type":"object","properties":{"l":{"$ref":"#/$defs/e"},"r":{"$ref":"#/$defs/e"}},"required":["l","r"],"additionalProperties":false},{"type":"object","properties":{"leaf":{"type":"string","enum":["a longer leaf","another one of them"]}},"required":["leaf"],"additionalProperties":false}]}}}"##,
    r#"{"type":"object","minProperties":2,"additionalProperties":{"type":"object","required":["x","y"]}}"#,
    r#"{"type":"object","patternProperties":{"^x":{"type":"array","minItems":4},"y$":{"type":"string","minLength":12}},"minProperties":1}"#,
    r#"{"type":"string","maxLength":200,"minLength":30}"#,
];

fn index(schema: &str, options: &Options) -> Index {
    Index::compile(Input::JsonSchema(schema.as_bytes()), vocabulary(), options).unwrap()
}

fn closing(cursor: &mut Cursor, words: usize) -> Vec<u32> {
    let mut mask = vec![0; words];
    cursor.closing_mask(&mut mask).unwrap();
    let all = 0..words as u32 * 32;
    all.filter(|id| mask[*id as usize / 32] >> (id % 32) & 1 == 1)
        .collect()
}

/// Walks at random, and returns the tokens that were taken, the end token among them.
fn walk(cursor: &mut Cursor, budget: u32, dice: &mut Dice) -> Vec<u32> {
    walk_in_time(cursor, budget, dice, vocabulary().words())
}

/// The same with masks of so many words.
pub(crate) fn walk_in_time(
    cursor: &mut Cursor,
    budget: u32,
    dice: &mut Dice,
    words: usize,
) -> Vec<u32> {
    assert!(cursor.close_within(budget).unwrap());
    let mut taken = Vec::new();
    while !cursor.is_ended() {
        let allowed = allowed(cursor, words);
        assert!(!allowed.is_empty(), "stuck after {taken:?}");
        let mut token = allowed[dice.roll(allowed.len())];
        if !cursor.leaves_room(token).unwrap() {
            let closing = closing(cursor, words);
            assert!(closing.iter().all(|t| cursor.leaves_room(*t).unwrap()));
            token = closing[dice.roll(closing.len())];
        }
        cursor.advance(token).unwrap();
        taken.push(token);
        assert!(taken.len() <= budget as usize, "{taken:?} in {budget}");
    }
    taken
}

fn check(schema: &str, options: &Options, seeds: u64) {
    let (index, mut dice) = (index(schema, options), Dice(7));
    let shortest = index.cursor().shortest_end().unwrap();
    let shortest = shortest.unwrap_or_else(|| panic!("no ending of {schema}"));
    for seed in 0..seeds {
        let budget = shortest + [0, 1, 2, 3, 5, 9, 17, 40][seed as usize % 8];
        let taken = walk(&mut index.cursor(), budget, &mut dice);
        let mut again = index.cursor();
        for token in taken {
            again.advance(token).unwrap();
        }
    }
}

#[test]
fn random_walks_that_close_end_within_their_budget() {
    for schema in SCHEMAS.iter().chain(&LARGE) {
        check(schema, &Options::default(), 8);
        let wide = Options {
            whitespace: Whitespace::Bounded(1),
            any_order: true,
            all_spellings: true,
            ..Options::default()
        };
        check(schema, &wide, 2);
        let spaced = Options {
            item_spaces: 1,
            key_spaces: 1,
            ..Options::default()
        };
        check(schema, &spaced, 2);
    }
}

#[test]
fn the_shortest_ending_of_a_plain_value_is_exact() {
    let shortest = |schema: &str, text: &str| {
        let mut cursor = index(schema, &Options::default()).cursor();
        text.bytes().for_each(|b| cursor.advance(b.into()).unwrap());
        cursor.shortest_end().unwrap()
    };
    assert_eq!(shortest("{}", ""), Some(2));
    assert_eq!(shortest("{}", "[[\"a"), Some(3)); // the quote, both brackets, the end
    assert_eq!(shortest(r#"{"type":"boolean"}"#, "tr"), Some(3));
    assert_eq!(
        shortest(r#"{"type":"string","minLength":4}"#, "\"é"),
        Some(4)
    ); // abab too long: ab a" end
    assert_eq!(
        shortest(r#"{"type":"integer","minimum":100}"#, "1"),
        Some(3)
    );
}

#[test]
fn far_from_the_end_every_token_leaves_room() {
    let index = index(LARGE[0], &Options::default());
    let words = index.vocabulary().words();
    let (mut free, mut closing) = (index.cursor(), index.cursor());
    assert!(closing.close_within(1000).unwrap());
    for byte in br#"[{"first":"abababab"# {
        for token in allowed(&mut free, words) {
            assert!(closing.leaves_room(token).unwrap());
        }
        free.advance((*byte).into()).unwrap();
        closing.advance((*byte).into()).unwrap();
    }
}

#[test]
fn a_token_that_leaves_no_room_is_refused_and_another_is_known() {
    let mut cursor = index(r#"{"type":"string"}"#, &Options::default()).cursor();
    assert!(cursor.close_within(4).unwrap());
    cursor.advance(b'"'.into()).unwrap();
    assert!(cursor.leaves_room(b'a'.into()).unwrap());
    cursor.advance(b'a'.into()).unwrap();
    assert!(!cursor.leaves_room(b'a'.into()).unwrap());
    assert_eq!(
        closing(&mut cursor, vocabulary().words()),
        [u32::from(b'"')]
    );
    assert!(cursor.fork().advance(b'a'.into()).is_err());
    cursor.rollback(1).unwrap();
    assert!(cursor.leaves_room(b'b'.into()).unwrap());
    cursor.rollback(1).unwrap();
    assert!(!cursor.leaves_room(b'{'.into()).unwrap_or(false));
}

#[test]
fn what_a_cursor_was_asked_before_changes_no_ending() {
    let recursive = LARGE[6];
    let texts = [
        "",
        "{\"l\":",
        "{\"l\":{\"leaf\":\"a",
        "{\"l\":{\"leaf\":\"a longer leaf\"},\"r\":{",
    ];
    let of = |index: &Index, text: &str| {
        let mut cursor = index.cursor();
        text.bytes().for_each(|b| cursor.advance(b.into()).unwrap());
        cursor.shortest_end().unwrap()
    };
    let fresh = |text: &str| of(&index(recursive, &Options::default()), text);
    let (there, back) = (
        index(recursive, &Options::default()),
        index(recursive, &Options::default()),
    );
    for text in texts {
        assert_eq!(of(&there, text), fresh(text), "{text}");
    }
    for text in texts.iter().rev() {
        assert_eq!(of(&back, text), fresh(text), "{text}");
    }
}

#[test]
fn what_is_known_of_an_ending_outlives_the_reader_that_found_it() {
    let (words, mut dice) = (vocabulary().words(), Dice(5));
    for schema in &LARGE {
        let index = index(schema, &Options::default());
        let shortest = index.cursor().shortest_end().unwrap().unwrap();
        for budget in shortest..shortest + 4 {
            let (mut cursor, mut taken) = (index.cursor(), 0);
            assert!(cursor.close_within(budget).unwrap());
            while !cursor.is_ended() {
                index.renew(&mut index.working());
                let closing = closing(&mut cursor, words);
                assert!(
                    !closing.is_empty(),
                    "stuck in {schema} after {taken} of {budget}"
                );
                cursor.advance(closing[dice.roll(closing.len())]).unwrap();
                taken += 1;
            }
            assert!(taken <= budget);
        }
    }
}

#[test]
fn long_endings_are_known_by_their_length() {
    let shortest = |schema: &str| {
        index(schema, &Options::default())
            .cursor()
            .shortest_end()
            .unwrap()
    };
    for schema in [
        r#"{"type":"string","minLength":50000}"#,
        r#"{"type":"string","pattern":"^a{50000}$"}"#,
        r#"{"type":"array","minItems":3000,"items":{"type":"boolean"}}"#,
        r#"{"type":"object","minProperties":600}"#,
    ] {
        assert!(
            shortest(schema).is_some_and(|tokens| tokens > 500),
            "{schema}"
        );
    }
}

#[test]
fn a_budget_below_the_shortest_ending_is_refused_and_changes_nothing() {
    let mut cursor = index(LARGE[2], &Options::default()).cursor();
    let shortest = cursor.shortest_end().unwrap().unwrap();
    assert!(!cursor.close_within(shortest - 1).unwrap());
    assert!(cursor.close_within(shortest).unwrap());
    assert_eq!(closing(&mut cursor, vocabulary().words()).len(), 1);
}

#[test]
fn endings_of_expressions_are_searched() {
    let vocabulary = vocabulary();
    let input = Input::Regex("[a-c]{3}-(x|yy)z?");
    let index = Index::compile(input, Arc::clone(&vocabulary), &Options::default()).unwrap();
    // Of the shortest texts one is taken, and not the one of the fewest tokens.
    assert_eq!(index.cursor().shortest_end().unwrap(), Some(6));
    let taken = walk(&mut index.cursor(), 6, &mut Dice(3));
    assert!(taken.len() <= 6);
}
