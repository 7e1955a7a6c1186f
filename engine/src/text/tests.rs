//! Regular expressions against texts, and walks that follow the mask.

use super::expression_reader;
use crate::error::EngineError;
use crate::index::{Input, Options};
use crate::reader::Reader;
use crate::walk_tests::{check_texts, reads, walk};

fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    let reader = expression_reader(pattern, &Options::default()).expect(pattern);
    check_texts(pattern, reader, matching, others);
}

#[test]
fn the_whole_text_matches() {
    check("ab|c", &["ab", "c"], &["a", "xab", "abc", ""]);
    check("^ab$|^c", &["ab", "c"], &["abc", "^ab"]);
    check("", &[""], &["a"]);
    check(
        "(?i)stra\u{df}e",
        &["STRA\u{df}E", "stra\u{df}e"],
        &["strasse"],
    );
    check("a{2,3}(b|)c{,2}", &["aa", "aaabcc"], &["a", "aaccc"]);
    check(
        "(?<year>\\d{4})-(?P<month>\\d\\d)",
        &["2024-01"],
        &["2024-1"],
    );
    check("(a*)*", &["", "aaa"], &["b"]);
    check("(?:a++|b**)", &["aa", "", "bb"], &["ab"]);
}

#[test]
fn classes_are_those_of_the_regex_crate() {
    check(".", &["\r", "\u{2028}", "é"], &["\n"]);
    check("(?s).", &["\n"], &["\n\n"]);
    check(r"\d\w\s", &["٣é\u{a0}"], &["xé "]);
    check(r"[a-z&&[^aeiou]]", &["b"], &["a", "B"]);
    check(r"[[:alpha:]--[x-z]]", &["a"], &["x", "1"]);
    check(r"[]\-a]", &["]", "-", "a"], &["b"]);
    check(r"[^[a-c]\d]", &["d"], &["a", "7"]);
    check(r"\pL\p{Greek}\P{^Lu}", &["éλÉ"], &["1λÉ", "éλé"]);
    check(r"\x41\x{1F600}\u00e9\U0001F600\a\.", &["A😀é😀\u{7}."], &[]);
    check(r"(?x) a b # c", &["ab"], &["a b"]);
    check(r"\bab\b.c", &["ab c"], &["abxc"]);
    check("a(?=b)(?!bd)b.", &["abc"], &["abd"]);
}

#[test]
fn bytes_are_refused_where_they_begin_no_code_point_that_may_follow() {
    let mut reader = expression_reader("[é-ê]|€|😀|[^\\x00-\\x7f]x", &Options::default()).unwrap();
    let reads = |reader: &mut dyn Reader, bytes: &[u8]| {
        let start = reader.start();
        bytes
            .iter()
            .try_fold(start, |at, byte| reader.step(at, *byte))
            .is_some()
    };
    for alive in [
        &b"\xc3\xa9"[..],
        b"\xe2\x82\xac",
        b"\xf0\x9f\x98\x80",
        b"\xed\x9f\xbfx",
    ] {
        assert!(reads(&mut *reader, alive), "{alive:?}");
    }
    for dead in [
        &b"\xc1"[..],
        b"\xe0\x9f",
        b"\xed\xa0",
        b"\xf0\x8f",
        b"\xf4\x90",
        b"\xf5",
        b"\x80",
        b"\xc3\xa9\xa9",
    ] {
        assert!(!reads(&mut *reader, dead), "{dead:?}");
    }
    let mut reader = expression_reader("[\u{800}-\u{900}]", &Options::default()).unwrap();
    assert!(!reads(&mut *reader, b"\xe1") && !reads(&mut *reader, b"\xe0\xa8"));
    assert!(reads(&mut *reader, b"\xe0\xa0\x80"));
}

#[test]
fn refusals_are_typed_and_say_where() {
    let refusal = |pattern: &str| expression_reader(pattern, &Options::default()).err();
    for (pattern, offset) in [("a(", 2), ("ab)", 2), ("[z-a]", 4), ("*a", 1), ("a{x", 2)] {
        let Some(EngineError::Malformed { reason, .. }) = refusal(pattern) else {
            panic!("{pattern}");
        };
        assert!(
            reason.contains(&format!("byte {offset}")),
            "{pattern}: {reason}"
        );
    }
    for (pattern, construct) in [
        (r"(a)\1", "a backreference"),
        ("(?<=ab)c", "a lookbehind of more than one character"),
        ("(?m)^a", "an anchor of lines"),
        (r"\p{Klingon}", "the property \"Klingon\""),
        ("a(?!)", "regex"),
    ] {
        let Some(EngineError::Unsupported { keyword, .. }) = refusal(pattern) else {
            panic!("{pattern}");
        };
        assert_eq!(keyword, construct, "{pattern}");
    }
}

#[test]
fn what_is_too_large_is_a_limit() {
    for pattern in [
        "((a{1000}){1000}b|c){1000}",
        "(.*a.{20}){20}",
        &"(a|b)?".repeat(20_000),
    ] {
        match expression_reader(pattern, &Options::default()) {
            Ok(mut reader) => {
                reads(&mut *reader, "abab".repeat(100).as_bytes());
            }
            Err(EngineError::TooLarge { .. }) => {}
            Err(other) => panic!("{pattern:.20}: {other}"),
        }
    }
}

#[test]
fn masks_allow_what_can_be_read_and_walks_end() {
    for pattern in [
        "(ab|a)*[0-9]{2,4}é?",
        "[a-z]{1,40}(,[a-z]{2,3})*",
        "(?s).{0,6}\"",
        "[^\"\\\\]*",
        "\\{\"a\":(true|false)\\}",
        "(?!.*ab).{3,9}",
        "[^a]{2}é*[α-ω]+",
    ] {
        let finished = (0..8).filter_map(|seed| {
            let text = walk(Input::Regex(pattern), &Options::default(), seed)?;
            let mut reader = expression_reader(pattern, &Options::default()).unwrap();
            assert!(reads(&mut *reader, &text), "{pattern}: {text:?}");
            Some(text)
        });
        assert!(finished.count() > 0, "{pattern}");
    }
}

fn quoting() -> Options {
    Options {
        in_json_string: true,
        ..Options::default()
    }
}

fn check_quoted(pattern: &str, inside: &[&str], outside: &[&str]) {
    let reader = expression_reader(pattern, &quoting()).expect(pattern);
    check_texts(pattern, reader, inside, outside);
}

#[test]
fn in_a_json_string_what_must_be_escaped_is_and_has_one_spelling() {
    check_quoted("a\"b\\\\c", &[r#"a\"b\\c"#], &["a\"b\\c", r"a\u0022b\\c"]);
    check_quoted(
        "[\\x00-\\x20é]",
        &[r"\n", r"\u0000", r"\u001f", " ", "é"],
        &["\n", r"\u000a"],
    );
    check_quoted("\\x1F", &[r"\u001f"], &[r"\u001F", "\u{1f}"]);
    check_quoted(
        "[/é\\x7f]",
        &["/", "é", "\u{7f}"],
        &[r"\/", r"\u00e9", r"\u007f"],
    );
    check_quoted(
        "\\x08\\t\\n\\x0c\\r",
        &[r"\b\t\n\f\r"],
        &["\u{8}\t\n\u{c}\r"],
    );
}

#[test]
fn no_escape_is_begun_in_a_json_string_that_cannot_be_ended() {
    let begins = |pattern: &str, text: &str| {
        let mut reader = expression_reader(pattern, &quoting()).unwrap();
        let start = reader.start();
        let mut bytes = text.bytes();
        bytes
            .try_fold(start, |at, byte| reader.step(at, byte))
            .is_some()
    };
    assert!(!begins("[a-z]+", "\\") && !begins("[^\\x00-\\x1f\"\\\\]*", "a\\"));
    assert!(begins("\\n|a", "\\n") && !begins("\\n|a", "\\u") && !begins("\\n|a", "\\\""));
    assert!(begins("\\x01|\\x1a", "\\u001") && !begins("\\x01|\\x0b", "\\u001"));
    assert!(!begins("\\x01", "\\u01") && !begins("\\x01", "\\u0002"));
}

#[test]
fn masks_in_json_strings_allow_what_can_be_read_and_walks_end() {
    for pattern in [
        "(?s).{0,6}",
        "[^ab]{2}é*[\\x00-\\x1f]+\"",
        "(a\"|\\\\n|\n){2,5}",
    ] {
        let finished = (0..8).filter_map(|seed| {
            let text = walk(Input::Regex(pattern), &quoting(), seed)?;
            let mut reader = expression_reader(pattern, &quoting()).unwrap();
            assert!(reads(&mut *reader, &text), "{pattern}: {text:?}");
            let quoted = [&b"\""[..], &text, b"\""].concat();
            let limits = crate::json::JsonLimits::default();
            assert!(crate::json::parse(&quoted, &limits).is_ok(), "{text:?}");
            Some(text)
        });
        assert!(finished.count() > 0, "{pattern}");
    }
}
