//! Limits: what one cursor runs into is its own affair, and nothing wrong is remembered.

use std::sync::Arc;
use std::thread;

use crate::cursor::Cursor;
use crate::error::CursorError;
use crate::index::{Budget, Index, Input, Options};
use crate::late::Allowance;
use crate::vocabulary::Vocabulary;

/// Each `a` doubles what the pattern has to keep apart; `b` is cheap all along.
const HOSTILE: &str = r#"{"anyOf":[{"type":"object","properties":{"a":{"type":"string","pattern":"^(x|y)*x(x|y){60}$"}},"required":["a"],"additionalProperties":false},{"type":"array","items":{"type":"string"}}]}"#;

fn vocabulary() -> Arc<Vocabulary> {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
    tokens.extend([b"xyxyxyxyxyxyxyxyxyxyxyx".to_vec(), Vec::new()]);
    Arc::new(Vocabulary::new(tokens, &[], &[257]).unwrap())
}

fn index(mask_fuel: u64) -> Index {
    let budget = Budget {
        mask_fuel,
        ..Budget::default()
    };
    let options = Options {
        budget,
        ..Options::default()
    };
    Index::compile(
        Input::JsonSchema(HOSTILE.as_bytes()),
        vocabulary(),
        &options,
    )
    .unwrap()
}

fn read(cursor: &mut Cursor, text: &str) -> Result<(), CursorError> {
    text.bytes()
        .try_for_each(|byte| cursor.advance(byte.into()))
}

fn mask(cursor: &mut Cursor) -> Result<Vec<u32>, CursorError> {
    let mut out = vec![0; 9];
    cursor.mask(&mut out).map(|()| out)
}

/// Reads as far as the fuel goes, and returns the failure.
fn exhaust(cursor: &mut Cursor) -> CursorError {
    read(cursor, r#"{"a":""#).unwrap();
    let letters = "xyyxyxxyxyyyxxyxyxyxyyxyxxyxyyyxxyxyxyxyyxyx".repeat(40);
    let all = letters.bytes().try_for_each(|byte| {
        mask(cursor)?;
        cursor.advance(byte.into())
    });
    all.unwrap_err()
}

#[test]
fn a_cursor_that_runs_out_of_fuel_fails_alone() {
    let (poor, rich) = (index(300), index(1_000_000));
    let mut hostile = poor.cursor();
    let (limit, maximum) = ("mask_fuel", 300);
    assert_eq!(
        exhaust(&mut hostile),
        CursorError::LimitReached { limit, maximum }
    );
    assert!(hostile.mask(&mut [0; 9]).is_err());
    let (mut other, mut free) = (poor.cursor(), rich.cursor());
    for byte in br#"["xy","b"]"# {
        assert_eq!(mask(&mut other).unwrap(), mask(&mut free).unwrap());
        other.advance((*byte).into()).unwrap();
        free.advance((*byte).into()).unwrap();
    }
    assert!(other.may_end());
}

#[test]
fn what_was_found_out_without_fuel_is_not_remembered() {
    let (index, other) = (index(1_000_000), index(1_000_000));
    for fuel in 0..60 {
        let mut cursor = index.cursor();
        read(&mut cursor, r#"{"a":"xy"#).unwrap();
        let _ = cursor.prepare(fuel);
    }
    for text in ["", "{", r#"{"a":"xy"#, "[", r#"["a"#] {
        let (mut one, mut two) = (index.cursor(), other.cursor());
        read(&mut one, text).unwrap();
        read(&mut two, text).unwrap();
        assert_eq!(mask(&mut one).unwrap(), mask(&mut two).unwrap(), "{text}");
    }
}

#[test]
fn a_late_mask_is_finished_beside_the_batch_and_is_the_same() {
    let (index, other) = (index(1_000_000), index(1_000_000));
    let (mut late, mut prompt) = (index.cursor(), other.cursor());
    read(&mut late, r#"{"a":"xyxxyxyyxy"#).unwrap();
    read(&mut prompt, r#"{"a":"xyxxyxyyxy"#).unwrap();
    let mut out = vec![7; 9];
    let poor = || Allowance::new(1);
    assert!(!late.mask_within(&mut out, &poor()).unwrap());
    assert_eq!(out, [7; 9]);
    let mut looks = 0;
    while !late.mask_within(&mut out, &poor()).unwrap() {
        thread::yield_now();
        looks += 1;
        assert!(looks < 100_000_000);
    }
    assert_eq!(out, mask(&mut prompt).unwrap());
    assert!(late.advance(u32::from(b'x')).is_ok());
    assert!(mask(&mut late).is_ok());
}

#[test]
fn a_batch_that_has_cost_enough_begins_no_mask_more() {
    let index = index(1_000_000);
    let mut cursors = [index.cursor(), index.cursor()];
    for (place, cursor) in cursors.iter_mut().enumerate() {
        read(cursor, [r#"{"a":"xyxxyxyyxy"#, r#"["b"#][place]).unwrap();
    }
    let allowance = Allowance::new(20);
    (0..5).for_each(|_| allowance.note(20));
    let mut out = [7; 9];
    for cursor in &mut cursors {
        assert!(!cursor.mask_within(&mut out, &allowance).unwrap());
        assert!(!cursor.late.is_pending());
    }
    let rich = Allowance::new(100_000);
    assert!(cursors[1].mask_within(&mut out, &rich).unwrap());
    assert_eq!(out.to_vec(), mask(&mut cursors[1].fork()).unwrap());
}

#[test]
fn cursors_find_their_places_again_in_a_new_reader() {
    let index = index(1_000_000);
    let mut cursor = index.cursor();
    read(&mut cursor, r#"["xy","b"#).unwrap();
    let before = mask(&mut cursor.fork()).unwrap();
    index.renew(&mut index.working());
    cursor.rollback(1).unwrap();
    cursor.advance(u32::from(b'b')).unwrap();
    assert_eq!(mask(&mut cursor).unwrap(), before);
    cursor.rollback(3).unwrap();
    assert!(read(&mut cursor, r#"]"#).is_ok());
    assert!(cursor.may_end());
}
