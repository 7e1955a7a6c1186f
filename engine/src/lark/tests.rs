//! Grammars against texts, walks that follow the mask, and grammars made to blow up.

use super::grammar_reader;
use crate::error::EngineError;
use crate::index::{Input, Options};
use crate::reader::Reader;
use crate::walk_tests::{check_texts, reads, walk};

fn open(grammar: &str) -> Box<dyn Reader> {
    grammar_reader(grammar, &Options::default())
        .unwrap_or_else(|error| panic!("{grammar}: {error}"))
}

fn check(grammar: &str, inside: &[&str], outside: &[&str]) {
    check_texts(grammar, open(grammar), inside, outside);
}

const ARITHMETIC: &str = r#"
?start: sum
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: atom | product "*" atom | product "/" atom
?atom: NUMBER | "-" atom | "(" sum ")"
%import common.NUMBER
%import common.WS_INLINE
%ignore WS_INLINE
"#;

const QUERY: &str = r#"
start: "SELECT"i columns "FROM"i NAME where? ";"
columns: "*" | NAME ("," NAME)*
where: "WHERE"i test (("AND"i | "OR"i) test)*
test: NAME ("=" | "<" | ">") (INT | STRING)
STRING: /'[^']*'/
%import common.CNAME -> NAME
%import common (INT, WS)
%ignore WS
"#;

const PATCH: &str = r#"
start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change?

filename: /(.+)/
add_line: "+" /(.*)/ LF -> line
change: (change_context | change_line)+
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF

%import common.LF
"#;

#[test]
fn lines_are_read() {
    check(
        PATCH,
        &[
            "*** Begin Patch\n*** Delete File: a.py\n*** End Patch",
            "*** Begin Patch\n*** Add File: é b\n+\n+x = 1\n*** End Patch\n",
            "*** Begin Patch\n*** Update File: c\n@@ def f():\n-  1\n+  2\n \n@@\n+3\n*** End Patch",
        ],
        &[
            "*** Begin Patch\n*** End Patch",
            "*** Begin Patch\n*** Delete File: \n*** End Patch",
            "*** Begin Patch\n*** Add File: a\nx\n*** End Patch",
        ],
    );
}

#[test]
fn rules_derive_texts_of_terminals() {
    check(
        ARITHMETIC,
        &["1", "1+2*3", "-(1.5 - 2e3) / 4", "((1))", "1 +  2", "1 "],
        &["", "1+", "(1", "1 2", "+1", " 1"],
    );
    check(
        QUERY,
        &[
            "SELECT * FROM t;",
            "select a , b FROM t where x = 1 AND y < 'ok' ;",
            "SELECT a FROM b WHERE c='\u{e9}';",
        ],
        &["SELECT aFROM b;", "SELECT FROM;", "SELECT * FROM t"],
    );
}

#[test]
fn operators_repeat_and_group() {
    check(
        r#"start: "a"? "b"* "c"+"#,
        &["c", "abbcc"],
        &["a", "ab", ""],
    );
    check(
        r#"start: ("a" | "b" "c")~2..3"#,
        &["abc", "aaa", "bcbcbc"],
        &["a", "aaaa"],
    );
    check(
        r#"start: "a"~5 ["b"] "c"{2,} "d"{,2}"#,
        &["aaaaacc", "aaaaabccccdd"],
        &["aaaacc", "aaaaac", "aaaaaccddd"],
    );
    check(
        r#"start: ("x" "y"){7}"#,
        &["xyxyxyxyxyxyxy"],
        &["xyxyxyxyxyxy", "xyxyxyxyxyxyxyxy"],
    );
    check(
        "start: \"a\"\n  | \"b\" // c\n\n  # d\n  | \"c\"",
        &["a", "b", "c"],
        &["d"],
    );
    check("start:\n  | \"a\"", &["", "a"], &["b"]);
    check("start: (\"a\"\n \"b\")", &["ab"], &["a"]);
}

#[test]
fn terminals_are_strings_expressions_ranges_and_one_another() {
    check(
        r#"start: "aB"i "é" "\n\x41\u00e9\"""#,
        &["Abé\nAé\"", "aBé\nAé\""],
        &["aBÉ\nAé\""],
    );
    check(
        r#"start: "a".."f" /[x-z]/i /a.b/s"#,
        &["aXa\nb"],
        &["gxa-b"],
    );
    check(
        "start: A\nA: B+ \"-\" C?\nB: \"b\" | /c/\nC: \"0\"..\"9\"",
        &["bcb-", "c-4"],
        &["-", "b-12"],
    );
    check(
        "start: A\nA: /[a-z]+/ & ~(\"if\" | \"else\")",
        &["i", "iff", "elsa"],
        &["if", "else"],
    );
    check(r#"start: /\/\*x/ "z""#, &["/*xz"], &["/z"]);
    check(
        "start: STRING \" \" C_COMMENT\n%import common.ESCAPED_STRING -> STRING\n%import common.C_COMMENT",
        &[r#""a\"b" /*a*b**/"#],
        &[r#""a"b" /**/"#, r#""a" /*a*/b*/"#],
    );
}

#[test]
fn terminals_that_may_be_empty_are_optional() {
    check("start: T \"b\"\nT: /a*/", &["b", "aab"], &["a", "aa"]);
    check("start: \"\" \"a\" \"\"", &["a"], &["", "aa"]);
    check("start: /a?/*", &["", "aaa"], &["b"]);
}

#[test]
fn every_terminal_is_as_long_as_it_can_be() {
    check(r#"start: "a" "bc" | "ab" "d""#, &["abc", "abd"], &["ab"]);
    check(
        "start: NAME \"=\" NAME\nNAME: /[a-z]+/\n%ignore \" \"",
        &["a = b", "aa=bb"],
        &["a b = c"],
    );
    check(
        "start: NAME NAME\nNAME: /[a-z]+/\n%ignore \" \"",
        &["a b", "ab  c"],
        &["ab", "a "],
    );
    check(
        "start: (INT | FLOAT | \".\")+\nINT: /[0-9]+/\nFLOAT: /[0-9]+\\.[0-9]+/",
        &["1.5", "1.", "1..5", ".5"],
        &["x"],
    );
    // `1` is not all of `1.5` for a terminal that could read on.
    check(
        "start: NUMBER (\".\" INT)*\nNUMBER: /[0-9]+(\\.[0-9]+)?/\nINT: /[0-9]+/",
        &["1.5.2", "1"],
        &["1."],
    );
}

#[test]
fn what_leads_nowhere_is_refused_at_once() {
    for grammar in [
        "start: NAME \"s\"\nNAME: /[a-z]+/",
        "start: start \"a\"",
        "start: \"a\" b\nb: \"x\" b",
        "start: /(.|\\n)+/ \"<end>\"",
        "start: A\nA: /a/ & /b/",
    ] {
        let refusal = grammar_reader(grammar, &Options::default()).err();
        assert!(
            matches!(&refusal, Some(EngineError::Unsupported { keyword, .. }) if keyword == "start"),
            "{grammar}: {refusal:?}"
        );
    }
    // After a name that an `s` could follow, only what does not end the text in a corner is open.
    check(
        "start: NAME (\"s\" | \"!\") | \"1\" b\nNAME: /[a-z]+/\nb: b \"x\" | \"2\"",
        &["ab!", "12xx"],
        &["abs"],
    );
}

#[test]
fn recursion_goes_round() {
    for grammar in [
        "start: \"a\" start | \"a\"",
        "start: start \"a\" | \"a\"",
        "start: a+\na: \"a\"",
        "start: list\nlist: item list | item\nitem: \"a\"",
    ] {
        let mut reader = open(grammar);
        let mut places = std::collections::HashSet::new();
        let mut at = reader.start();
        for _ in 0..200 {
            at = reader.step(at, b'a').expect(grammar);
            places.insert(at);
            assert!(reader.may_end(at), "{grammar}");
        }
        assert!(places.len() < 8, "{grammar}: {} places", places.len());
    }
}

#[test]
fn ambiguity_cycles_and_empty_rules_are_read() {
    check("start: s\ns: s s | \"a\" |", &["", "a", "aaaaaaaa"], &["b"]);
    check("start: a \"x\"\na: b?\nb: a?", &["x"], &["", "xx"]);
    check("start: a\na: a | b\nb: a | \"x\"", &["x"], &["", "xx"]);
    check("start: e e \"x\" e\ne: |", &["x"], &["xx"]);
    check("start: (\"a\"?)* \"b\"", &["b", "aaab"], &["a"]);
    check(
        "start: x unused?\nx: \"x\"\nunused: unused \"y\"",
        &["x"],
        &["xy"],
    );
    check("start: \"(\" start \")\" |", &["", "(())"], &["(()"]);
    check(
        "start: \"a\" start \"b\" | \"a\" start | ",
        &["", "aab", "aaabbb"],
        &["b", "abb"],
    );
}

#[test]
fn errors_say_where_and_what() {
    for (grammar, said) in [
        ("", "no rule 'start'"),
        (
            "start",
            "line 1, column 6: expected ':', found the end of the grammar",
        ),
        (
            "start: foo",
            "line 1, column 8: the rule 'foo' is not defined",
        ),
        (
            "start: \"a\"\n\nb: FOO",
            "line 3, column 4: the terminal 'FOO' is not defined",
        ),
        (
            "start: \"a\"\nstart: \"b\"",
            "line 2, column 1: the rule 'start' is defined twice",
        ),
        (
            "start: A\nA: \"a\"\nA: \"b\"",
            "line 3, column 1: the terminal 'A' is defined twice",
        ),
        (
            "start: A\nA: \"a\" A",
            "line 2, column 8: the terminal 'A' contains itself",
        ),
        (
            "start: A\nA: start",
            "line 2, column 4: the rule 'start' cannot be part of a terminal",
        ),
        ("start: /(/", "line 1, column 8: a ')' is missing at byte 1"),
        (
            "start: /a",
            "line 1, column 8: the regular expression has no end",
        ),
        ("start: \"a", "line 1, column 8: the string has no end"),
        ("start: \"\\q\"", "line 1, column 9: an unknown escape"),
        (
            "start: (\"a\"",
            "line 1, column 12: expected ')', found the end",
        ),
        (
            "start: \"a\" )",
            "line 1, column 12: expected '|', an operator or the end of the line",
        ),
        ("start: \"b\"..\"a\"", "the range is out of order"),
        ("start: \"a\"{3,2}", "the counts are out of order"),
        (
            "%import common.NOPE\nstart: \"a\"",
            "the library has no terminal 'NOPE'",
        ),
        (
            "start: \"a\"\n  \"b\"",
            "line 2, column 3: expected a rule, a terminal or a directive",
        ),
        ("start: $", "line 1, column 8: '$' has no meaning here"),
    ] {
        let error = grammar_reader(grammar, &Options::default()).err();
        let Some(EngineError::Malformed { reason, .. }) = error else {
            panic!("{grammar}: {error:?}");
        };
        assert!(reason.contains(said), "{grammar}: {reason}");
    }
}

#[test]
fn what_the_dialect_lacks_is_refused_by_name() {
    for (grammar, construct) in [
        ("start: X\nX.2: \"a\"", "terminal priorities"),
        ("start.2: \"a\"", "rule priorities"),
        ("start: x{\"a\"}\nx{y}: y", "templates and parameters"),
        ("start[max_tokens=3]: \"a\"", "rule attributes"),
        ("start: <|end|>", "special tokens"),
        ("start: @other", "references to other grammars"),
        ("%declare X\nstart: \"a\"", "%declare"),
        ("%import other.X\nstart: \"a\"", "%import"),
        ("%override start: \"a\"", "%override"),
        ("%llguidance {\"a\": true}\nstart: \"a\"", "%llguidance"),
        ("start: /a(?=b)/", "an assertion in a terminal"),
        ("start: /a*?/", "a lazy quantifier in a terminal"),
        ("start: /(a)\\1/", "a backreference"),
        ("start: \"a\" & /./", "'&' outside of a terminal"),
    ] {
        let error = grammar_reader(grammar, &Options::default()).err();
        let Some(EngineError::Unsupported { keyword, .. }) = error else {
            panic!("{grammar}: {error:?}");
        };
        assert_eq!(keyword, construct, "{grammar}");
    }
}

#[test]
fn masks_allow_what_can_be_read_and_walks_end() {
    for grammar in [
        ARITHMETIC,
        QUERY,
        "start: s\ns: s s | \"a\" | \"[\" s \"]\" |",
        "start: NAME (\"s\" | \"!\")\nNAME: /[ab]+/",
        "start: pair (\",\" pair)*\npair: KEY \":\" value\nvalue: /\"[^\"]*\"/ | \"[\" (value (\",\" value)*)? \"]\"\nKEY: /[a-z]{1,3}/\n%ignore /[ ]/",
        "start: (/[0-9]{4}/ \"-\" /0[1-9]|1[0-2]/)~1..2 | \"é\"+ /[^a]/ | T\nT: /[α-ω]{2,5}/",
        "start: \"(\" start \")\" | \"x\" start | \"true\"",
    ] {
        let mut finished = 0;
        for seed in 0..4 {
            if let Some(text) = walk(Input::Lark(grammar), &Options::default(), seed) {
                assert!(reads(&mut *open(grammar), &text), "{grammar}: {text:?}");
                finished += 1;
            }
        }
        assert!(finished > 0, "{grammar}");
    }
}

/// Reads a text as far as it goes; false where a limit was reached.
fn survives(grammar: &str, text: &str) -> bool {
    let mut reader = match grammar_reader(grammar, &Options::default()) {
        Ok(reader) => reader,
        Err(EngineError::TooLarge { .. } | EngineError::Unsupported { .. }) => return false,
        Err(other) => panic!("{grammar:.60}: {other}"),
    };
    let mut at = reader.start();
    for byte in text.bytes() {
        reader.refuel(1_000_000);
        match reader.step(at, byte) {
            Some(next) => at = next,
            None => break,
        }
    }
    reader.limit_reached().is_none()
}

#[test]
fn hostile_grammars_end_in_time() {
    let many = |count: usize, rule: &dyn Fn(usize) -> String| -> String {
        (0..count).map(|i| rule(i) + "\n").collect()
    };
    let text = "a".repeat(300);
    assert!(survives("start: s\ns: s s | \"a\" |", &text));
    assert!(survives(
        "start: s\ns: s s s | s s | \"a\" | \"aa\" |",
        &text[..100]
    ));
    assert!(survives("start: \"a\"{1000000}", &text));
    assert!(survives("start: (\"a\" | \"aa\")~1..1000 \"b\"", &text));
    survives(
        "start: A B C\nA: /a{1,1000}/\nB: /a{1,1000}b/\nC: /(.*a.{20}){20}/",
        &text,
    );
    survives("start: A\nA: (/a{1000}/{1000}){1000}", &text);
    survives(
        &format!("start: {}\"a\"{}", "(".repeat(5000), ")".repeat(5000)),
        &text,
    );
    survives(
        &("start: x0\n".to_owned()
            + &many(9000, &|i| format!("x{i}: x{} | \"a\"", (i + 1) % 9000))),
        &text,
    );
    survives(
        &("start: x0\n".to_owned()
            + &many(60, &|i| format!("x{i}: x{0} x{0} |", i + 1))
            + "x60: \"a\""),
        &text,
    );
    survives(
        &("start: X0\n".to_owned()
            + &many(60, &|i| format!("X{i}: X{0} X{0}", i + 1))
            + "X60: \"a\""),
        &text,
    );
    survives(
        &("start: X0\n".to_owned()
            + &many(3000, &|i| format!("X{i}: X{} \"b\"?", i + 1))
            + "X3000: \"a\""),
        &text,
    );
    survives(
        &format!(
            "start: ({})*",
            (0..3000)
                .map(|i| format!("\"a{i}\""))
                .collect::<Vec<_>>()
                .join("|")
        ),
        &text,
    );
    survives(&format!("start: {}", "/a+/ ".repeat(3000)), &text);
    survives(&format!("start: {}", "/a*b?/* ".repeat(300)), &text);
}

#[test]
fn mutated_grammars_give_a_reader_or_a_typed_error() {
    let (mut state, pieces) = (
        7u64,
        [
            "|", "\"", "(", "[a", "{2}", "~", "\n", ":", "%ignore ", "/", "é", "start", "*", "A",
            "\\",
        ],
    );
    let mut roll = |sides: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % sides
    };
    for round in 0..400 {
        let source = if round % 2 == 0 { ARITHMETIC } else { QUERY };
        let mut characters: Vec<char> = source.chars().collect();
        for _ in 0..=roll(4) {
            let place = roll(characters.len());
            match roll(3) {
                0 => drop(characters.remove(place)),
                1 => characters.swap(place, roll(source.len() / 2)),
                _ => drop(characters.splice(place..place, pieces[roll(pieces.len())].chars())),
            }
        }
        let grammar: String = characters.into_iter().collect();
        if let Ok(mut reader) = grammar_reader(&grammar, &Options::default()) {
            reads(&mut *reader, b"SELECT a FROM b;");
            reads(&mut *reader, b"1+2*(3)");
        }
    }
}

#[test]
fn texts_of_a_grammar_are_spelled_as_in_a_json_string_where_that_is_asked_for() {
    let options = Options {
        in_json_string: true,
        ..Options::default()
    };
    let definition = "start: line (\"\\n\" line)*\nline: \"\\\"\" /[a-c\\\\]+/ \"\\\"\"";
    let reader = grammar_reader(definition, &options).unwrap();
    let inside = [r#"\"a\""#, r#"\"a\\\"\n\"b\""#];
    check_texts(
        definition,
        reader,
        &inside,
        &["\"a\"", r#"\"a\"\n"#, r#"\"a\" "#],
    );
}
