//! Filled indexes say what compiled ones say, however much of them was filled; other bytes are
//! refused or say something, and nothing worse.

use std::sync::Arc;

use crate::cursor::Cursor;
use crate::error::EngineError;
use crate::frozen_keys::{KeyBlock, KeyTrie};
use crate::frozen_random_tests::rounds;
use crate::frozen_tables::{Draft, Tables, Way, sealed};
use crate::index::{Index, Input, Options, Whitespace};
use crate::machine::{Action, NodeId};
use crate::vocabulary::Vocabulary;
use crate::walk_tests::{Dice, SCHEMAS, allowed, vocabulary};

fn wide() -> Options {
    Options {
        whitespace: Whitespace::Bounded(1),
        any_order: true,
        all_spellings: true,
        ..Options::default()
    }
}

fn compiled(schema: &str, options: &Options, vocabulary: &Arc<Vocabulary>) -> Index {
    let input = Input::JsonSchema(schema.as_bytes());
    Index::compile(input, Arc::clone(vocabulary), options).unwrap()
}

/// The index that is loaded from the bytes of one that was filled.
fn filled(index: &Index, vocabulary: &Arc<Vocabulary>, milliseconds: u64) -> Index {
    index.fill(milliseconds);
    Index::load(&index.dump(), Arc::clone(vocabulary)).unwrap()
}

/// Walks both at random and compares all that they say.
fn walk_both(one: &Index, other: &Index, vocabulary: &Vocabulary, dice: &mut Dice) {
    let (mut one, mut other) = (one.cursor(), other.cursor());
    for _ in 0..60 {
        let tokens = allowed(&mut one, vocabulary.words());
        assert_eq!(allowed(&mut other, vocabulary.words()), tokens);
        assert_eq!(other.may_end(), one.may_end());
        let forbidden = dice.roll(vocabulary.size()) as u32;
        let taken = |cursor: &Cursor| cursor.fork().advance(forbidden).is_ok();
        assert_eq!(taken(&other), taken(&one));
        let token = tokens[dice.roll(tokens.len())];
        one.advance(token).unwrap();
        other.advance(token).unwrap();
        if one.is_ended() {
            return;
        }
    }
}

/// Compares the lengths of endings along one text.
fn compare_ends(one: &Index, other: &Index, vocabulary: &Vocabulary, dice: &mut Dice) {
    let (mut one, mut other) = (one.cursor(), other.cursor());
    for _ in 0..20 {
        assert_eq!(other.shortest_end(), one.shortest_end());
        let tokens = allowed(&mut one, vocabulary.words());
        let token = tokens[dice.roll(tokens.len())];
        one.advance(token).unwrap();
        other.advance(token).unwrap();
        if one.is_ended() {
            return;
        }
    }
}

fn compare(options: &Options, milliseconds: u64) {
    let vocabulary = vocabulary();
    for schema in SCHEMAS {
        let index = compiled(schema, options, &vocabulary);
        let frozen = filled(
            &compiled(schema, options, &vocabulary),
            &vocabulary,
            milliseconds,
        );
        let mut dice = Dice(milliseconds);
        for _ in 0..4 {
            walk_both(&index, &frozen, &vocabulary, &mut dice);
        }
        compare_ends(&index, &frozen, &vocabulary, &mut dice);
    }
}

#[test]
fn a_filled_index_says_what_a_compiled_one_says() {
    compare(&Options::default(), 400);
    compare(&wide(), 400);
}

#[test]
fn so_does_one_that_was_hardly_filled() {
    compare(&Options::default(), 0);
    compare(&wide(), 3);
}

/// Keys that begin others, that may not come any more, that need an escape.
const KEYS: [&str; 5] = [
    r#"{"type": "object", "properties": {"a": {"type": "null"}, "ab": {"maxLength": 3}, "": {}},
        "required": ["ab"]}"#,
    r#"{"type": "object", "properties": {"a": {"type": "null"}, "ab": {"enum": [1, "x"]}},
        "additionalProperties": false}"#,
    r#"{"type": "object", "properties": {"n\"": {"type": "null"}, "n": {"const": 1}}}"#,
    r#"{"type": "object", "properties": {"ä": {"type": "null"}, "a b": {"type": "integer"}}}"#,
    r#"{"type": "object", "properties": {"a": {"type": "null"}},
        "patternProperties": {"^b": {"type": "integer"}}, "additionalProperties": {"maxLength": 2}}"#,
];

#[test]
fn keys_are_read_as_the_grammar_reads_them() {
    let vocabulary = vocabulary();
    for (schema, options) in KEYS
        .iter()
        .flat_map(|s| [(s, Options::default()), (s, wide())])
    {
        let index = compiled(schema, &options, &vocabulary);
        let frozen = filled(&compiled(schema, &options, &vocabulary), &vocabulary, 2_000);
        let mut dice = Dice(11);
        (0..12).for_each(|_| walk_both(&index, &frozen, &vocabulary, &mut dice));
    }
}

#[test]
fn what_was_filled_is_read_without_a_grammar() {
    let vocabulary = vocabulary();
    for schema in KEYS {
        let index = compiled(schema, &Options::default(), &vocabulary);
        let again = compiled(schema, &Options::default(), &vocabulary);
        again.fill(5_000);
        let frozen = again.without_grammar().unwrap();
        let mut dice = Dice(5);
        (0..12).for_each(|_| walk_both(&index, &frozen, &vocabulary, &mut dice));
    }
}

/// A text that one character leaves the rule for, and one of few characters.
const TEXTS: [&str; 2] = [
    r#"{"type": "string", "minLength": 1, "maxLength": 300, "pattern": "^[^x]"}"#,
    r#"{"type": "string", "pattern": "^[ab]{2,5}$"}"#,
];

#[test]
fn texts_with_a_rule_of_their_own_are_read_without_a_grammar() {
    let vocabulary = vocabulary();
    for schema in TEXTS {
        let index = compiled(schema, &Options::default(), &vocabulary);
        let again = compiled(schema, &Options::default(), &vocabulary);
        again.fill(5_000);
        let frozen = again.without_grammar().unwrap();
        let mut dice = Dice(7);
        (0..12).for_each(|_| walk_both(&index, &frozen, &vocabulary, &mut dice));
    }
}

#[test]
fn cursors_go_on_when_their_index_is_filled() {
    let vocabulary = vocabulary();
    let index = compiled(SCHEMAS[8], &Options::default(), &vocabulary);
    let mut cursor = index.cursor();
    b"{\"a\":\"x"
        .iter()
        .for_each(|b| cursor.advance((*b).into()).unwrap());
    let before = allowed(&mut cursor.fork(), vocabulary.words());
    index.fill(200);
    cursor.advance(u32::from(b'y')).unwrap();
    assert_eq!(allowed(&mut cursor, vocabulary.words()), before);
}

#[test]
fn a_filled_index_that_has_learnt_too_much_goes_on_with_its_tables() {
    let vocabulary = vocabulary();
    let index = filled(
        &compiled(SCHEMAS[8], &Options::default(), &vocabulary),
        &vocabulary,
        200,
    );
    let fresh = index.working().learnt_bytes();
    let mut cursor = index.cursor();
    let first = allowed(&mut cursor, vocabulary.words());
    assert!(index.working().learnt_bytes() > fresh);
    index.renew(&mut index.working());
    assert_eq!(index.working().learnt_bytes(), fresh);
    assert_eq!(allowed(&mut index.cursor(), vocabulary.words()), first);
}

#[test]
fn an_index_that_was_not_filled_is_written_as_before() {
    let vocabulary = vocabulary();
    let bytes = compiled("{}", &Options::default(), &vocabulary).dump();
    assert_eq!(bytes[8..10], [2, 0]);
    assert!(Index::load(&bytes, vocabulary).is_ok());
}

fn bytes_of_filled(vocabulary: &Arc<Vocabulary>) -> Vec<u8> {
    let index = compiled(SCHEMAS[8], &Options::default(), vocabulary);
    index.fill(500);
    index.dump()
}

#[test]
fn truncated_and_flipped_bytes_are_refused() {
    let vocabulary = vocabulary();
    let bytes = bytes_of_filled(&vocabulary);
    let refused = |bytes: &[u8]| {
        let loaded = Index::load(bytes, Arc::clone(&vocabulary));
        matches!(loaded, Err(EngineError::IndexFormat(_)))
    };
    for length in (0..bytes.len()).step_by(7) {
        assert!(refused(&bytes[..length]));
    }
    for place in (0..bytes.len() * 8).step_by(13) {
        let mut bytes = bytes.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        assert!(refused(&bytes), "{place}");
    }
}

#[test]
fn hostile_tables_with_a_right_checksum_are_refused_or_say_something() {
    let vocabulary = vocabulary();
    for schema in [0, 5, 8, 10, 16, 21].map(|at| SCHEMAS[at]) {
        check_hostile_tables(schema, rounds(80), &vocabulary);
    }
}

fn check_hostile_tables(schema: &str, rounds: usize, vocabulary: &Arc<Vocabulary>) {
    let index = compiled(schema, &Options::default(), vocabulary);
    index.fill(300);
    let bytes = index.dump();
    let (head, tables) = bytes.split_at(bytes.len() - index.filled_bytes());
    let mut dice = Dice(3);
    for _ in 0..rounds {
        let mut tables = tables[8..].to_vec();
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(tables.len());
            tables[at] = [0, 1, 0x7F, 0x80, 0xFF, dice.roll(256) as u8][dice.roll(6)];
        }
        tables.truncate(tables.len() - dice.roll(2) * dice.roll(40));
        let bytes = [head, &sealed(&tables)].concat();
        if let Ok(index) = Index::load(&bytes, Arc::clone(vocabulary)) {
            wander(&index, vocabulary, &mut dice);
        }
    }
}

/// Takes whatever is allowed.
fn wander(index: &Index, vocabulary: &Vocabulary, dice: &mut Dice) {
    let (mut cursor, mut mask) = (index.cursor(), vec![0; vocabulary.words()]);
    for _ in 0..12 {
        if cursor.mask(&mut mask).is_err() {
            return;
        }
        let is_in = |id: &u32| mask[*id as usize / 32] >> (id % 32) & 1 == 1;
        let tokens: Vec<u32> = (0..vocabulary.size() as u32).filter(is_in).collect();
        let _ = cursor.shortest_end();
        if tokens.is_empty() || cursor.advance(tokens[dice.roll(tokens.len())]).is_err() {
            return;
        }
    }
}

#[test]
fn the_layout_is_what_it_was() {
    let draft = Draft {
        nodes: vec![(0, Way::Walk), (0, Way::Alike(0))],
        resumed: vec![(1, 0, 2), (0, 3, 0)],
        tries: vec![KeyTrie::new(vec![(*b"a").into(), (*b"b").into()])],
        blocks: vec![KeyBlock {
            begin: 0,
            trie: 0,
            other: None,
            after: vec![2, 0],
        }],
        start: (0, 1),
        end: 2,
        parts: vec![vec![0, 0, 1, 5, 1]],
        ..Draft::default()
    };
    let bytes = draft.write();
    let body = [
        2, 0, 0, 1, 2, 0, 2, 0, 3, 0, 1, 0, 2, 1, 2, 1, b'a', 1, b'b', 1, 0, 0, 0, 5, 0, 0, 1, 2,
        0, 1, 5, 0, 0, 1, 5, 1,
    ];
    assert_eq!(bytes[8..], body);
    let tables = Tables::open(&bytes).unwrap();
    assert_eq!(tables.part_bytes(0), [0, 0, 1, 5, 1]);
    let inside = NodeId(2);
    assert_eq!(tables.action(NodeId(0), b'a'), Some(Action::To(inside)));
    assert_eq!(tables.action(NodeId(0), b'b'), Some(Action::Dead));
    let after = Action::To(NodeId(1));
    assert_eq!(tables.action(inside, b'"'), Some(after));
}
