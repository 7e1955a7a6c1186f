use super::*;

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";

/// The 256 bytes, some texts, and an end.
pub(crate) fn bytes_and(texts: &[&str]) -> Vec<Vec<u8>> {
    let bytes = (0..=255).map(|byte| vec![byte]);
    let texts = texts.iter().map(|text| text.as_bytes().to_vec());
    bytes.chain(texts).chain([Vec::new()]).collect()
}

/// The vocabulary of some tokens, the last one the end, that is cut by text, after a pattern.
pub(crate) fn cut_by_text(tokens: &[Vec<u8>], pattern: Option<&str>) -> Vocabulary {
    let end = tokens.len() as u32 - 1;
    let atoms: Vec<u32> = (0..256).collect();
    let rules = Rules {
        pattern,
        atoms: &atoms,
        keeps_whole: true,
        ..Rules::default()
    };
    let vocabulary = Vocabulary::new(tokens, &[], &[end]).unwrap();
    vocabulary.cut_by(&rules).unwrap()
}

fn pieces(pattern: &str, text: &str) -> Vec<String> {
    let vocabulary = cut_by_text(&bytes_and(&[]), Some(pattern));
    let tokenisation = vocabulary.tokenisation().unwrap();
    let (mut pieces, mut from) = (Vec::new(), 0);
    while from < text.len() {
        let ends = tokenisation
            .piece_ends(&text.as_bytes()[from..], true)
            .unwrap();
        pieces.push(text[from..from + ends.within[0]].to_owned());
        from += ends.within[0];
    }
    pieces
}

fn open_ends(pattern: &str, text: &str) -> (Vec<usize>, bool) {
    let vocabulary = cut_by_text(&bytes_and(&[]), Some(pattern));
    let tokenisation = vocabulary.tokenisation().unwrap();
    let ends = tokenisation.piece_ends(text.as_bytes(), false).unwrap();
    (ends.within, ends.is_open)
}

#[test]
fn text_is_split_as_the_pattern_says() {
    assert_eq!(
        pieces(GPT2, "I'm  here: 42 \n"),
        ["I", "'m", " ", " here", ":", " 42", " \n"]
    );
    assert_eq!(
        pieces(CL100K, "{\"name\":\"Ünal's\",\"n\":12345}  \n x"),
        [
            "{\"", "name", "\":\"", "Ünal", "'s", "\",\"", "n", "\":", "123", "45", "}", "  \n",
            " x"
        ]
    );
}

#[test]
fn where_a_piece_may_end_is_said_for_all_that_may_follow() {
    assert_eq!(open_ends(CL100K, "{\"name"), (vec![2], false));
    assert_eq!(open_ends(CL100K, "{\""), (vec![2], true));
    assert_eq!(open_ends(CL100K, "name"), (vec![4], true));
    // two spaces are one piece at the end and before a space, and two before a letter
    let (ends, is_open) = open_ends(GPT2, "  ");
    assert!(is_open && ends.contains(&1) && ends.contains(&2));
}

#[test]
fn a_character_that_is_not_whole_is_not_known() {
    let vocabulary = cut_by_text(&bytes_and(&[]), Some(GPT2));
    let tokenisation = vocabulary.tokenisation().unwrap();
    let ends = tokenisation.piece_ends(b"a\xC3", false).unwrap();
    assert_eq!((ends.within, ends.is_open), (vec![1], true));
}

#[test]
fn pieces_never_hold_a_letter_and_a_quote_behind_it() {
    let vocabulary = cut_by_text(&bytes_and(&[]), Some(CL100K));
    let tokenisation = vocabulary.tokenisation().unwrap();
    let splits = |a: char, b: char| tokenisation.always_splits(u32::from(a), u32::from(b));
    assert!(splits('e', '"') && splits('é', '"') && splits('1', ',') && splits('a', '1'));
    assert!(!splits('"', 'e') && !splits('"', ',') && !splits('中', 'é') && !splits('\'', 's'));
}

#[test]
fn patterns_that_say_more_are_not_understood() {
    for pattern in [
        r"(?<=a)b",
        r"\bx",
        "a*?",
        "a|",
        "a*",
        "(a",
        "[a-",
        r"\p{Nothing}",
        "a",
    ] {
        let vocabulary = cut_by_text(&bytes_and(&[]), Some(pattern));
        assert!(vocabulary.tokenisation().is_none(), "{pattern}");
    }
}

#[test]
fn the_least_token_is_merged_first_and_the_leftmost_of_equal_ones() {
    let tokens = bytes_and(&["bc", "aa", "ab", "abc"]);
    let vocabulary = cut_by_text(&tokens, None);
    let tokenisation = vocabulary.tokenisation().unwrap();
    let cut = |text: &str| tokenisation.merge(text.as_bytes()).unwrap();
    let byte = u32::from(b'a');
    assert_eq!(cut("abcd"), [259, u32::from(b'd')]); // a + bc
    assert_eq!(cut("aaa"), [257, byte]);
    assert_eq!(cut("aab"), [257, u32::from(b'b')]);
}

#[test]
fn listed_merges_are_applied_in_their_order() {
    let tokens = bytes_and(&["ab", "bc", "abc"]);
    let (a, b, c) = (u32::from(b'a'), u32::from(b'b'), u32::from(b'c'));
    let atoms: Vec<u32> = (0..256).collect();
    let merges = [[a, b, 256], [b, c, 257], [256, c, 258]];
    let rules = Rules {
        atoms: &atoms,
        merges: Some(&merges),
        ..Rules::default()
    };
    let vocabulary = Vocabulary::new(&tokens, &[], &[259])
        .unwrap()
        .cut_by(&rules)
        .unwrap();
    let tokenisation = vocabulary.tokenisation().unwrap();
    assert_eq!(tokenisation.cut("abc").unwrap(), [258]);
    assert_eq!(tokenisation.cut("bcb").unwrap(), [257, b]);
}

#[test]
fn characters_that_are_no_atoms_are_left_alone() {
    let tokens = ["a", " ", " a", "é", ""];
    let rules = Rules {
        atoms: &[0, 1, 3],
        merges: Some(&[[1, 0, 2]]),
        has_characters: true,
        ..Rules::default()
    };
    let vocabulary = Vocabulary::new(tokens, &[], &[4])
        .unwrap()
        .cut_by(&rules)
        .unwrap();
    let tokenisation = vocabulary.tokenisation().unwrap();
    assert_eq!(tokenisation.cut("é a").unwrap(), [3, 2]);
    assert_eq!(tokenisation.cut("ü a"), None);
}

#[test]
fn ids_outside_the_tokens_are_refused() {
    let vocabulary = Vocabulary::new(["a", ""], &[], &[1]).unwrap();
    let rules = Rules {
        cut_first: &[7],
        ..Rules::default()
    };
    assert!(vocabulary.cut_by(&rules).is_err());
}
