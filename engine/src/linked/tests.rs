//! Envelopes of every chat family, walked at random and compared with what is compiled whole.

use std::sync::Arc;

use crate::closing_tests::walk_in_time;
use crate::cursor::Cursor;
use crate::envelope::{Envelope, PieceId};
use crate::error::{CursorError, EngineError};
use crate::index::{Index, Input, Options};
use crate::late::Allowance;
use crate::vocabulary::Vocabulary;
use crate::walk_tests::{Dice, allowed, follow_masks};

const CALL: u32 = 256;
const ARGS: u32 = 257;
const THINK: u32 = 258;
const DONE: u32 = 259;
const END_OF_MESSAGE: u32 = 260;
const END: u32 = 261;

/// The bytes, special tokens, and tokens that run over borders.
fn vocabulary() -> Arc<Vocabulary> {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    tokens.extend((CALL..=END).map(|_| Vec::new()));
    for text in [
        "\"}}",
        "}}",
        "}}}",
        "}\n",
        "}</tool",
        "}\n</tool_call>\n",
        "<tool",
        "_call>",
        "_call>\n{\"",
        "ol_c",
        "{\"name",
        "{\"name\":\"",
        "get",
        "_weather\"",
        "weather\",\"arguments\":{",
        "\"arguments\":",
        "e\":",
        "\":{}",
        "{}}",
        "1}",
        "12",
        "2}}",
        "]}",
        "}]",
        "}, {\"",
        "}, ",
        "true}",
        "é",
        "\u{20AC}<",
        "a<",
        "<<",
        "l>x",
        "null}\n",
        ",\"",
        "\":\"",
        "\"},{\"name\":\"",
        "abc",
        "x}",
        "\\\"}}",
        "</",
        "done",
        "done.",
    ] {
        tokens.push(text.as_bytes().to_vec());
    }
    tokens.extend([&b"\xE2\x82"[..], b"\xAC", b"\xAC<tool_call>", b"\x80\xFF"].map(<[u8]>::to_vec));
    Arc::new(Vocabulary::new(tokens, &[CALL, ARGS, THINK, DONE], &[END, END_OF_MESSAGE]).unwrap())
}

fn schema(text: &str, vocabulary: &Arc<Vocabulary>) -> Index {
    let input = Input::JsonSchema(text.as_bytes());
    Index::compile(input, Arc::clone(vocabulary), &Options::default()).unwrap()
}

const TOOLS: [(&str, &str); 4] = [
    (
        "get_weather",
        r#"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"],"additionalProperties":false}"#,
    ),
    ("get", r#"{"type":"object","additionalProperties":false}"#),
    (
        "get_time",
        r#"{"type":"object","properties":{"zone":{"enum":["a","abc"]}},"required":["zone"],"additionalProperties":false}"#,
    ),
    ("count", r#"{"type":"integer"}"#),
];

/// One call of any of the tools: `{"name": ..., "arguments": ...}` with these separators.
fn calls(envelope: &mut Envelope, tools: &[(&str, Index)], colon: &str, comma: &str) -> PieceId {
    let begin = envelope.text(&format!("{{\"name\"{colon}\""));
    let each: Vec<PieceId> = tools
        .iter()
        .map(|(name, index)| {
            let name = envelope.text(&format!("{name}\"{comma}\"arguments\"{colon}"));
            let arguments = envelope.part(index);
            envelope.sequence(&[name, arguments])
        })
        .collect();
    let (any, end) = (envelope.choice(&each), envelope.text("}"));
    envelope.sequence(&[begin, any, end])
}

fn tools(vocabulary: &Arc<Vocabulary>) -> Vec<(&'static str, Index)> {
    TOOLS
        .map(|(name, parameters)| (name, schema(parameters, vocabulary)))
        .into()
}

/// Our own: `<|call|>name<|args|>{...}`, up to three times.
fn ours(envelope: &mut Envelope, tools: &[(&str, Index)]) {
    let (call, args) = (envelope.special(CALL), envelope.special(ARGS));
    let each: Vec<PieceId> = tools
        .iter()
        .map(|(name, index)| {
            let (name, arguments) = (envelope.text(name), envelope.part(index));
            envelope.sequence(&[call, name, args, arguments])
        })
        .collect();
    let any = envelope.choice(&each);
    envelope.repeat(any, 1, Some(3));
}

/// Hermes and Qwen, the model free until it calls.
fn hermes(envelope: &mut Envelope, tools: &[(&str, Index)]) {
    let before = envelope.free_until(&["<tool_call>"]);
    let (begin, call) = (envelope.text("\n"), calls(envelope, tools, ": ", ", "));
    let end = envelope.text("\n</tool_call>");
    let called = envelope.sequence(&[before, begin, call, end]);
    let (called, rest) = (
        envelope.repeat(called, 0, None),
        envelope.free_without(&["<tool_call>"]),
    );
    envelope.sequence(&[called, rest]);
}

/// Llama 3: a call behind its tag, which ends the message instead of the turn.
fn llama(envelope: &mut Envelope, tools: &[(&str, Index)]) {
    let (tag, call) = (envelope.special(CALL), calls(envelope, tools, ":", ","));
    let end = envelope.special(END_OF_MESSAGE);
    envelope.sequence(&[tag, call, end]);
}

/// Mistral: a list of calls behind its token.
fn mistral(envelope: &mut Envelope, tools: &[(&str, Index)]) {
    let (token, open, call) = (
        envelope.special(CALL),
        envelope.text("["),
        calls(envelope, tools, ": ", ", "),
    );
    let comma = envelope.text(", ");
    let next = envelope.sequence(&[comma, call]);
    let (more, close) = (envelope.repeat(next, 0, None), envelope.text("]"));
    envelope.sequence(&[token, open, call, more, close]);
}

/// A reasoning channel that stays free, then an answer of a schema.
fn reasoning(envelope: &mut Envelope, tools: &[(&str, Index)]) {
    let (think, free, done) = (
        envelope.special(THINK),
        envelope.free_without(&[]),
        envelope.special(DONE),
    );
    let thought = envelope.sequence(&[think, free, done]);
    let (thought, answer) = (envelope.optional(thought), envelope.part(&tools[0].1));
    envelope.sequence(&[thought, answer]);
}

/// Text parts side by side, which numbers and free text leave without a byte of their own.
fn adjoining(envelope: &mut Envelope, tools: &[(&str, Index)]) {
    let (number, words) = (
        envelope.part(&tools[3].1),
        envelope.free_without(&["done", "2}"]),
    );
    let (object, end) = (envelope.part(&tools[1].1), envelope.text("done"));
    let twice = envelope.sequence(&[number, object]);
    let (some, maybe) = (
        envelope.repeat(twice, 1, Some(2)),
        envelope.optional(number),
    );
    envelope.sequence(&[some, words, end, maybe]);
}

/// A language that can end where it can also go on, before text that it could have read itself.
fn ambiguous(envelope: &mut Envelope, tools: &[(&str, Index)]) {
    let vocabulary = Arc::clone(tools[0].1.vocabulary());
    let language = Input::Regex("(a|ab|é)*x?");
    let language = Index::compile(language, vocabulary, &Options::default()).unwrap();
    let (words, text) = (envelope.part(&language), envelope.text("abc"));
    let (number, brace) = (envelope.part(&tools[3].1), envelope.text("}}"));
    let either = envelope.choice(&[text, brace]);
    envelope.sequence(&[words, either, words, number, brace]);
}

type Family = fn(&mut Envelope, &[(&str, Index)]);
const FAMILIES: [(&str, Family); 7] = [
    ("ours", ours),
    ("hermes", hermes),
    ("llama", llama),
    ("mistral", mistral),
    ("reasoning", reasoning),
    ("adjoining", adjoining),
    ("ambiguous", ambiguous),
];

fn linked(family: Family, tools: &[(&str, Index)], vocabulary: &Arc<Vocabulary>) -> Index {
    let mut envelope = Envelope::new();
    family(&mut envelope, tools);
    Index::link(envelope, Arc::clone(vocabulary)).unwrap()
}

/// What is allowed after a text of bytes and special tokens.
fn after(index: &Index, text: &[&[u8]], special: &[u32]) -> Option<Cursor> {
    let mut cursor = index.cursor();
    for (place, bytes) in text.iter().enumerate() {
        for byte in *bytes {
            cursor.advance(u32::from(*byte)).ok()?;
        }
        if let Some(id) = special.get(place) {
            cursor.advance(*id).ok()?;
        }
    }
    Some(cursor)
}

fn accepts(index: &Index, text: &[&[u8]], special: &[u32]) -> bool {
    after(index, text, special).is_some_and(|mut cursor| cursor.may_end() || cursor.is_ended())
}

#[test]
fn masks_of_every_family_are_what_is_accepted_and_no_walk_gets_stuck() {
    let vocabulary = vocabulary();
    let tools = tools(&vocabulary);
    for (name, family) in FAMILIES {
        let index = linked(family, &tools, &vocabulary);
        let ended = (0..8)
            .filter(|seed| follow_masks(&index, &vocabulary, name, *seed).is_some())
            .count();
        assert!(ended > 0, "{name} never ends");
    }
}

#[test]
fn every_family_closes_in_time_through_its_special_tokens() {
    let vocabulary = vocabulary();
    let tools = tools(&vocabulary);
    for (name, family) in FAMILIES {
        let index = linked(family, &tools, &vocabulary);
        let shortest = index.cursor().shortest_end().unwrap();
        let shortest = shortest.unwrap_or_else(|| panic!("no ending of {name}"));
        let mut dice = Dice(11);
        for budget in (0..40).map(|more| shortest + more % 20) {
            let mut cursor = index.cursor();
            assert!(!cursor.close_within(shortest - 1).unwrap() || shortest == 1);
            walk_in_time(&mut cursor, budget, &mut dice, vocabulary.words());
        }
    }
}

#[test]
fn a_linked_set_of_tools_is_the_union_compiled_whole() {
    let vocabulary = vocabulary();
    let family: Family = |envelope, tools| {
        calls(envelope, tools, ":", ",");
    };
    let linked = linked(family, &tools(&vocabulary), &vocabulary);
    let each = TOOLS.map(|(name, parameters)| {
        format!(r#"{{"type":"object","properties":{{"name":{{"const":"{name}"}},"arguments":{parameters}}},"required":["name","arguments"],"additionalProperties":false}}"#)
    });
    let whole = schema(&format!(r#"{{"anyOf":[{}]}}"#, each.join(",")), &vocabulary);
    for seed in 0..40 {
        let (mut one, mut other, mut dice) = (linked.cursor(), whole.cursor(), Dice(seed));
        for _ in 0..60 {
            let tokens = allowed(&mut one, vocabulary.words());
            assert_eq!(tokens, allowed(&mut other, vocabulary.words()));
            let token = tokens[dice.roll(tokens.len())];
            one.advance(token).unwrap();
            other.advance(token).unwrap();
            if one.is_ended() {
                break;
            }
        }
        assert_eq!(one.is_ended(), other.is_ended());
    }
}

#[test]
fn a_name_of_a_tool_cannot_be_invented() {
    let vocabulary = vocabulary();
    let index = linked(ours, &tools(&vocabulary), &vocabulary);
    assert!(accepts(&index, &[b"", b"get", b"{}"], &[CALL, ARGS]));
    assert!(accepts(
        &index,
        &[b"", b"get", b"{}", b"count", b"7"],
        &[CALL, ARGS, CALL, ARGS]
    ));
    assert!(after(&index, &[b"", b"gets"], &[CALL]).is_none());
    assert!(after(&index, &[b"", b"get_"], &[CALL, ARGS]).is_none());
    assert!(after(&index, &[b"get"], &[]).is_none());
}

#[test]
fn a_call_opens_inside_free_text_wherever_tokens_split_it() {
    let vocabulary = vocabulary();
    let index = linked(hermes, &tools(&vocabulary), &vocabulary);
    assert!(accepts(&index, &["so é <tool".as_bytes()], &[]));
    let call = b"hm <<tool_call>\n{\"name\": \"get\", \"arguments\": {}}\n</tool_call>";
    assert!(accepts(&index, &[call], &[]));
    assert!(accepts(&index, &[call, call, b" there"], &[]));
    assert!(!accepts(&index, &[&call[..20]], &[]));
    assert!(after(&index, &[b"<tool_call>x"], &[]).is_none());
    let text = |token: u32| vocabulary.token_bytes(token).to_vec();
    let token = |wanted: &[u8]| {
        (END + 1..vocabulary.size() as u32)
            .find(|t| text(*t) == wanted)
            .unwrap()
    };
    let mut cursor = index.cursor();
    for part in [&b"a<"[..], b"<tool", b"_call>\n{\""] {
        cursor.advance(token(part)).unwrap();
    }
    assert_eq!(allowed(&mut cursor, vocabulary.words()), [u32::from(b'n')]);
}

#[test]
fn special_tokens_stand_only_where_the_envelope_says() {
    let vocabulary = vocabulary();
    let index = linked(llama, &tools(&vocabulary), &vocabulary);
    assert_eq!(allowed(&mut index.cursor(), vocabulary.words()), [CALL]);
    let call = b"{\"name\":\"get\",\"arguments\":{}}";
    let mut cursor = after(&index, &[b"", call], &[CALL]).unwrap();
    assert!(!cursor.may_end());
    assert_eq!(allowed(&mut cursor, vocabulary.words()), [END_OF_MESSAGE]);
    assert!(cursor.fork().advance(END).is_err());
    cursor.advance(END_OF_MESSAGE).unwrap();
    assert!(cursor.is_ended());
    cursor.rollback(1).unwrap();
    assert!(!cursor.is_ended());
    assert_eq!(
        cursor.advance(CALL),
        Err(CursorError::TokenNotAllowed { token: CALL })
    );
}

#[test]
fn repetitions_are_counted() {
    let vocabulary = vocabulary();
    let mut envelope = Envelope::new();
    let a = envelope.text("a");
    envelope.repeat(a, 2, Some(3));
    let index = Index::link(envelope, Arc::clone(&vocabulary)).unwrap();
    let may_end = |text: &[u8]| after(&index, &[text], &[]).map(|mut cursor| cursor.may_end());
    assert_eq!(
        [b"a" as &[u8], b"aa", b"aaa", b"aaaa"].map(may_end),
        [Some(false), Some(true), Some(true), None]
    );
}

#[test]
fn a_linked_index_is_a_part_of_others() {
    let vocabulary = vocabulary();
    let inner = linked(ours, &tools(&vocabulary), &vocabulary);
    let mut envelope = Envelope::new();
    let (part, end) = (envelope.part(&inner), envelope.special(END_OF_MESSAGE));
    envelope.sequence(&[part, end]);
    let outer = Index::link(envelope, Arc::clone(&vocabulary)).unwrap();
    assert!(accepts(
        &outer,
        &[b"", b"get", b"{}"],
        &[CALL, ARGS, END_OF_MESSAGE]
    ));
    for seed in 0..3 {
        follow_masks(&outer, &vocabulary, "nested", seed);
    }
    let deep = (0..3).try_fold(outer, |index, _| {
        let mut envelope = Envelope::new();
        envelope.part(&index);
        Index::link(envelope, Arc::clone(&vocabulary))
    });
    assert!(matches!(
        deep,
        Err(EngineError::TooLarge {
            limit: "max_link_level",
            ..
        })
    ));
}

#[test]
fn a_linked_index_is_loaded_with_its_parts_or_from_where_they_are() {
    let vocabulary = vocabulary();
    let tools = tools(&vocabulary);
    for (name, family) in FAMILIES {
        let index = linked(family, &tools, &vocabulary);
        let copy = Index::load(&index.dump(), Arc::clone(&vocabulary)).unwrap();
        let mut find = |id: &[u8; 32]| {
            let all = index.parts();
            all.iter().find(|part| part.content_id() == *id).cloned()
        };
        let links = index.dump_links();
        let shared = Index::load_linked(&links, Arc::clone(&vocabulary), &mut find).unwrap();
        assert!(Index::load(&links, Arc::clone(&vocabulary)).is_err());
        assert_eq!(copy.content_id(), index.content_id());
        for other in [copy, shared] {
            assert_eq!(other.dump(), index.dump(), "{name}");
            let words = vocabulary.words();
            assert_eq!(
                allowed(&mut other.cursor(), words),
                allowed(&mut index.cursor(), words)
            );
        }
    }
}

#[test]
fn hostile_bytes_of_a_linked_index_give_an_error_or_an_index() {
    let vocabulary = vocabulary();
    let tools = tools(&vocabulary);
    let index = linked(hermes, &tools, &vocabulary);
    let header = 80 + crate::index_bytes::ENGINE_VERSION.len();
    let (whole, mut dice) = (index.dump_links()[header + 1..].to_vec(), Dice(1));
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        let place = dice.roll(bytes.len());
        bytes[place] = [0, 1, 6, 0x7F, 0xFF][dice.roll(5)];
        let mut reader = crate::index_bytes::Reader::of_body(&bytes);
        if let Ok(pieces) = crate::envelope_bytes::read_pieces(&mut reader) {
            let parts = tools.iter().map(|(_, part)| part.clone()).collect();
            let _ = Index::link(Envelope { pieces, parts }, Arc::clone(&vocabulary));
        }
    }
}

#[test]
fn an_envelope_that_makes_no_sense_is_refused_with_its_piece() {
    let vocabulary = vocabulary();
    let refused = |make: &dyn Fn(&mut Envelope)| {
        let mut envelope = Envelope::new();
        make(&mut envelope);
        match Index::link(envelope, Arc::clone(&vocabulary)) {
            Err(refusal) => refusal.to_string(),
            Ok(_) => "nothing".into(),
        }
    };
    assert_eq!(refused(&|_| {}), "/pieces/0: is not there");
    assert_eq!(
        refused(&|e| {
            e.special(65);
        }),
        "/pieces/0: is no special token"
    );
    assert_eq!(
        refused(&|e| {
            e.special(9999);
        }),
        "/pieces/0: is no special token"
    );
    assert_eq!(
        refused(&|e| {
            e.choice(&[]);
        }),
        "/pieces/0: is a choice of nothing"
    );
    assert_eq!(
        refused(&|e| {
            e.free_until(&[]);
        }),
        "/pieces/0: is free text that cannot end"
    );
    assert_eq!(
        refused(&|e| {
            e.free_without(&[""]);
        }),
        "/pieces/0: is free text with an empty trigger"
    );
    assert_eq!(
        refused(&|e| {
            e.sequence(&[PieceId(0)]);
        }),
        "/pieces/0: refers to a piece that is not before it"
    );
    assert_eq!(
        refused(&|e| {
            let a = e.text("");
            e.repeat(a, 0, None);
        }),
        "/pieces/1: repeats what may be empty"
    );
    assert_eq!(
        refused(&|e| {
            let a = e.text("a");
            e.repeat(a, 2, Some(1));
        }),
        "/pieces/1: repeats at least more than at most"
    );
    assert_eq!(
        refused(&|e| {
            let (a, b) = (e.special(END), e.text("b"));
            e.sequence(&[a, b]);
        }),
        "/pieces/2: goes on after an id that ends the sequence"
    );
    assert_eq!(
        refused(&|e| {
            let a = e.special(END);
            e.repeat(a, 0, None);
        }),
        "/pieces/1: repeats an id that ends the sequence"
    );
    assert_eq!(
        refused(&|e| {
            e.text(&"x".repeat(1 << 21));
        }),
        "max_text_bytes is 2097152, more than 1048576"
    );
    let nested = refused(&|e| {
        let mut a = e.text("a");
        for _ in 0..99 {
            a = e.optional(a);
            a = e.sequence(&[a]);
        }
    });
    assert_eq!(nested, "/pieces/3: repeats what may be empty");
    let deep = refused(&|e| {
        let mut a = e.text("a");
        for _ in 0..99 {
            a = e.sequence(&[a]);
        }
    });
    assert_eq!(deep, "max_piece_depth is 65, more than 64");
    let wide = refused(&|e| {
        let t = e.text("ab");
        let all: Vec<_> = (0..9000)
            .map(|n| {
                let s = e.text(&format!("{n}"));
                e.sequence(&[t, s])
            })
            .collect();
        e.choice(&all);
    });
    assert_eq!(wide, "max_threads is 4097, more than 4096");
    let other = Arc::new(Vocabulary::new(["{", "}", ""], &[], &[2]).unwrap());
    let part = Index::compile(Input::AnyJson, other, &Options::default()).unwrap();
    assert_eq!(
        refused(&|e| {
            e.part(&part);
        }),
        "a part of another vocabulary"
    );
}

#[test]
fn ambiguous_envelopes_stay_small() {
    let vocabulary = vocabulary();
    let mut envelope = Envelope::new();
    let (a, b) = (envelope.text("a"), envelope.text("a"));
    let either = envelope.choice(&[a, b]);
    let (some, more) = (
        envelope.repeat(either, 1, None),
        envelope.repeat(either, 1, Some(500)),
    );
    let one = envelope.choice(&[some, more]);
    let pieces = vec![one; 30];
    envelope.sequence(&pieces);
    let index = Index::link(envelope, Arc::clone(&vocabulary)).unwrap();
    let text = [b'a'; 40];
    assert!(accepts(&index, &[&text], &[]));
}

#[test]
fn a_part_that_forgets_what_it_learnt_is_followed() {
    let vocabulary = vocabulary();
    let tools = tools(&vocabulary);
    let index = linked(ours, &tools, &vocabulary);
    let text: [&[u8]; 3] = [b"", b"get_time", b"{\"zo"];
    let mut cursor = after(&index, &text, &[CALL, ARGS]).unwrap();
    let mut other = cursor.fork();
    let part = &tools[2].1;
    part.renew(&mut part.working());
    assert_eq!(allowed(&mut cursor, vocabulary.words()), [u32::from(b'n')]);
    for byte in b"ne\":\"a\"}" {
        cursor.advance(u32::from(*byte)).unwrap();
        other.advance(u32::from(b"ne\":\"abc\"}"[0])).unwrap();
        other.rollback(1).unwrap();
    }
    assert!(cursor.may_end());
    assert!(other.advance(u32::from(b'x')).is_err());
}

#[test]
fn a_mask_of_a_linked_index_has_no_more_fuel_than_any_other() {
    let vocabulary = vocabulary();
    let index = linked(hermes, &tools(&vocabulary), &vocabulary);
    let mut mask = vec![0; vocabulary.words()];
    let mut cursor = after(&index, &[b"<tool_call>\n"], &[]).unwrap();
    let (limit, maximum) = ("mask_fuel", 3);
    let stopped = cursor.fork().prepare(maximum).unwrap_err();
    assert_eq!(stopped, CursorError::LimitReached { limit, maximum });
    assert!(
        !cursor
            .mask_within(&mut mask, &Allowance::new(maximum))
            .unwrap()
    );
    let mut other = after(&index, &[b"<tool_call>\n{\"nam"], &[]).unwrap();
    assert!(allowed(&mut other, vocabulary.words()).contains(&u32::from(b'e')));
}

#[test]
fn a_linked_index_apart_has_the_same_masks_and_shares_no_part() {
    let vocabulary = vocabulary();
    let tools = tools(&vocabulary);
    let index = linked(ours, &tools, &vocabulary);
    let apart = index.apart().unwrap();
    let text: [&[u8]; 3] = [b"", b"get_time", b"{\"zone\":\""];
    let held = tools[2].1.working();
    let mut cursor = after(&apart, &text, &[CALL, ARGS]).unwrap();
    let own = allowed(&mut cursor, vocabulary.words());
    drop(held);
    let mut shared = after(&index, &text, &[CALL, ARGS]).unwrap();
    assert_eq!(own, allowed(&mut shared, vocabulary.words()));
}
