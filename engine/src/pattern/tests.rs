use super::*;

/// Checks which of some texts contain a match.
fn check(pattern: &str, found: &[&str], missing: &[&str]) {
    let mut regexes = Regexes::new();
    let id = parse(&mut regexes, pattern).unwrap_or_else(|error| panic!("{pattern}: {error:?}"));
    for text in found {
        assert!(regexes.matches(id, text), "{pattern} is in {text:?}");
    }
    for text in missing {
        assert!(!regexes.matches(id, text), "{pattern} is not in {text:?}");
    }
    assert!(!regexes.overflowed());
}

fn error(pattern: &str) -> PatternErrorKind {
    let found = parse(&mut Regexes::new(), pattern);
    found.expect_err(pattern).kind
}

#[test]
fn a_pattern_is_searched_for_and_anchors_bind_it() {
    check("b", &["abc", "b"], &["ac", ""]);
    check("^ab|c$", &["abx", "xc"], &["xab", "cx"]);
    check("(^|,)a(,|$)", &["a", "b,a", "a,b"], &["ba", "ab"]);
    check("a$b|^$", &[""], &["ab", "a"]);
    check(r"\Aa\Z", &["a"], &["a\n", "ba"]);
}

#[test]
fn quantifiers_count_and_lazy_ones_give_the_same_language() {
    check("^a{2,3}?$", &["aa", "aaa"], &["a", "aaaa"]);
    check("^(?:ab){2}c?$", &["abab", "ababc"], &["ab", "ababab"]);
    check("^a{2,}$", &["aa", "aaaaa"], &["a"]);
    check("^x{,2}{$", &["x{,2}{"], &["xx"]);
}

#[test]
fn classes_hold_ranges_sets_and_lenient_hyphens() {
    check(r"^[\w.-]+$", &["a-b.c_9"], &["é", "a b"]);
    check(r"^[^a-c\d]$", &["d", "é", "\n"], &["b", "5", ""]);
    check(r"^[a-\d]$", &["a", "-", "7"], &["b"]);
    check(r"^[]$|^[^]$", &["x", "\n"], &["", "xx"]);
    check(r"^[\b\]\\]$", &["\u{8}", "]", "\\"], &["b"]);
}

#[test]
fn escapes_name_code_points() {
    check(
        r"^\x41\u0042\u{43}\uD83D\uDE00\t\cJ\0$",
        &["ABC😀\t\n\0"],
        &[],
    );
    check(r"^\/\-\_\.$", &["/-_."], &[]);
    check("^🐲*$", &["", "🐲🐲"], &["🐉"]);
    check(r"^[\uD83D\uDE00-\uD83D\uDE02]$", &["😁"], &["😃"]);
}

#[test]
fn digits_and_words_are_ascii_and_space_is_not() {
    check(r"^\d$", &["7"], &["২"]);
    check(r"^\w$", &["a", "_"], &["é"]);
    check(
        r"^\s$",
        &[" ", "\u{a0}", "\u{feff}", "\u{2029}", "\t"],
        &["\u{85}", "\u{1}"],
    );
    check(r"^\p{Letter}\P{Lu}$", &["éé"], &["éÉ"]);
    check(r"^\p{digit}+$", &["42", "২"], &["-"]);
}

#[test]
fn the_dot_excludes_line_terminators_only() {
    check("^.$", &["a", "\u{85}", "😀"], &["\n", "\r", "\u{2028}"]);
    check("(?s)^.$", &["\n"], &[]);
}

#[test]
fn a_lookahead_is_about_the_whole_rest() {
    check(r"^(?=.*[A-Z])(?=.*\d).{4,}$", &["aB3d"], &["ab3d", "aB3"]);
    check("^(?!foo$).*$", &["foobar", "fo"], &["foo"]);
    check("^(?:(?!--)[a-z-])*$", &["a-b-c", ""], &["a--b"]);
    check("a(?=b(?=c))", &["xabc"], &["ab"]);
    check("^(?:a(?=$|b)|b)*$", &["aba", "b"], &["aa"]);
}

#[test]
fn word_boundaries_and_lookbehinds_look_at_the_character_before() {
    check(r"\bcat\b", &["a cat.", "cat"], &["concat", "cats", "écat_"]);
    check(r"^\w+\B.$", &["abc"], &["ab!"]);
    check(r"(?<=\$)\d", &["a$5"], &["a5", "5"]);
    check(r"(?<!^|,)a", &["ba"], &["a", ",a"]);
    check(r"^(\b\w+\b ?)+$", &["ab cd", "a"], &["ab  cd", " a"]);
}

#[test]
fn case_is_ignored_where_flags_say_so() {
    check("(?i)^straße$", &["STRAẞE", "straße"], &["strasse"]);
    check("^(?i:[a-c])d$", &["Bd"], &["BD"]);
    check("^(?i)[^k]$", &["j"], &["K", "\u{212A}"]);
}

#[test]
fn many_words_are_one_list() {
    let words: Vec<String> = (0..2_000).map(|n| format!("word{n}")).collect();
    let pattern = format!("^(?:{})$", words.join("|"));
    let mut regexes = Regexes::new();
    let id = parse(&mut regexes, &pattern).expect("a pattern");
    assert!(regexes.matches(id, "word1999") && !regexes.matches(id, "word2000"));
    assert!(regexes.size() < 1_000);
}

#[test]
fn what_is_no_pattern_is_malformed() {
    for pattern in [
        "(",
        ")",
        "a)",
        "[a",
        "*",
        "a**",
        "a{2,1}",
        r"\",
        "[b-a]",
        r"\u{110000}",
        r"\xg0",
        "^*",
        "(?<>a)",
        "{2}",
    ] {
        assert_eq!(error(pattern), PatternErrorKind::Malformed, "{pattern}");
    }
}

#[test]
fn what_has_no_language_here_is_unsupported() {
    for pattern in [
        r"(a)\1",
        r"(?<n>a)\k<n>",
        "(?>a)",
        "a++",
        "(?<=ab)c",
        r"\p{Klingon}",
        r"\h",
        "(?#c)",
    ] {
        assert_eq!(error(pattern), PatternErrorKind::Unsupported, "{pattern}");
    }
    assert_eq!(error(&"(".repeat(10_000)), PatternErrorKind::Unsupported);
}

#[test]
fn an_error_says_where_it_is() {
    let error = parse(&mut Regexes::new(), "é(a|b").expect_err("unclosed");
    assert_eq!(
        (error.offset, error.message.as_str()),
        (6, "a ')' is missing")
    );
}

#[test]
fn deep_patterns_are_derived_within_the_stack() {
    let pattern = format!("^{}a{}$", "(?:(?:b|".repeat(124), ")*c)".repeat(124));
    let mut regexes = Regexes::new();
    let id = parse(&mut regexes, &pattern).expect("a pattern");
    assert!(regexes.matches(id, &"c".repeat(124)));
}

#[test]
fn hostile_patterns_end_in_time() {
    for pattern in [
        "^((a{0,1000}){0,1000}b?){0,1000}$",
        "^(?:(?:(?:(?!a)b|c){1,200}){1,200}){1,200}$",
        "(?:a?){30}a{30}$",
        r"(\w+\s?){1,5000}$",
        "^((a|b)*c(a|b){12})*$",
    ] {
        let mut regexes = Regexes::new();
        let Ok(id) = parse(&mut regexes, pattern) else {
            continue;
        };
        regexes.matches(id, &"abcab aa".repeat(20));
        assert!(regexes.size() <= 210_000, "{pattern}");
    }
}
