use super::*;
use std::collections::BTreeSet;

const FUEL: u64 = 100_000;

/// A small deterministic generator (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

type Language = BTreeSet<String>;

/// How long the strings are on which an expression and its language are compared.
const LONGEST: usize = 5;

fn universe() -> Language {
    let mut all = Language::from([String::new()]);
    for _ in 0..LONGEST {
        let longer: Vec<String> = all
            .iter()
            .flat_map(|s| ['a', 'b', 'é'].map(|c| format!("{s}{c}")))
            .collect();
        all.extend(longer);
    }
    all
}

fn concat_languages(a: &Language, b: &Language) -> Language {
    let pairs = a
        .iter()
        .flat_map(|x| b.iter().map(move |y| format!("{x}{y}")));
    pairs.filter(|s| s.chars().count() <= LONGEST).collect()
}

fn repeat_language(body: &Language, low: u32, high: u32) -> Language {
    let mut power = Language::from([String::new()]);
    let mut all = Language::new();
    for count in 0..=high.min(low + LONGEST as u32 + 1) {
        if count >= low {
            all.extend(power.iter().cloned());
        }
        power = concat_languages(&power, body);
    }
    all
}

/// A random expression over a, b and é, with its language up to `LONGEST`.
fn random_regex(
    r: &mut Regexes,
    random: &mut Random,
    all: &Language,
    depth: u32,
) -> (RegexId, Language) {
    let choice = if depth == 0 {
        random.below(3)
    } else {
        random.below(10)
    };
    let child = |r: &mut Regexes, random: &mut Random| {
        random_regex(r, random, all, depth.saturating_sub(1))
    };
    match choice {
        0 => {
            let (set, members) = [
                (vec!['a'], ["a"].as_slice()),
                (vec!['a', 'é'], &["a", "é"]),
                (vec!['b'], &["b"]),
            ][random.below(3) as usize]
                .clone();
            let set = CharSet::from_ranges(set.iter().map(|&c| (c as u32, c as u32)));
            (r.set(set), members.iter().map(|s| s.to_string()).collect())
        }
        1 => {
            let words = ["", "a", "ab", "aba", "bé", "éa", "bb"];
            let some: Vec<&str> = words.into_iter().filter(|_| random.below(2) == 0).collect();
            (
                r.literals(&some),
                some.iter().map(|s| s.to_string()).collect(),
            )
        }
        2 => {
            let (low, extra) = (random.below(4) as u32, random.below(3) as u32);
            let high = (extra < 2).then_some(low + extra);
            let inside = |s: &&String| {
                s.chars().count() as u32 >= low
                    && high.is_none_or(|h| s.chars().count() as u32 <= h)
            };
            (
                r.length(low, high),
                all.iter().filter(inside).cloned().collect(),
            )
        }
        3 | 4 => {
            let ((a, x), (b, y)) = (child(r, random), child(r, random));
            (r.concat(a, b), concat_languages(&x, &y))
        }
        5 | 6 => {
            let ((a, x), (b, y)) = (child(r, random), child(r, random));
            (r.union(a, b), x.union(&y).cloned().collect())
        }
        7 => {
            let ((a, x), (b, y)) = (child(r, random), child(r, random));
            (r.intersection(a, b), x.intersection(&y).cloned().collect())
        }
        8 => {
            let (a, x) = child(r, random);
            (r.complement(a), all.difference(&x).cloned().collect())
        }
        _ => {
            let (a, x) = child(r, random);
            let (low, extra) = (random.below(3) as u32, random.below(4) as u32);
            let high = (extra < 3).then_some(low + extra);
            (
                r.repeat(a, low, high),
                repeat_language(&x, low, high.unwrap_or(u32::MAX)),
            )
        }
    }
}

#[test]
fn random_expressions_have_the_language_of_their_definition() {
    let all = universe();
    let mut random = Random(7);
    let mut r = Regexes::new();
    for round in 0..100 {
        let (id, language) = random_regex(&mut r, &mut random, &all, 1 + round % 4);
        for text in &all {
            assert_eq!(
                r.matches(id, text),
                language.contains(text),
                "round {round}: {text:?}"
            );
        }
        let (min, max) = r.length_bounds(id);
        for member in &language {
            let length = member.chars().count() as u32;
            assert!(
                min <= length && max.is_none_or(|max| length <= max),
                "round {round}"
            );
        }
        let shortest = r.shortest(id, &mut FUEL.clone()).expect("fuel");
        let empty = r.is_empty_language(id, &mut FUEL.clone()).expect("fuel");
        assert_eq!(shortest.is_none(), empty, "round {round}");
        let length = language.iter().map(|s| s.chars().count()).min();
        if let (Some(length), Some(shortest)) = (length, &shortest) {
            assert_eq!(
                shortest.chars().count(),
                length,
                "round {round}: {shortest:?}"
            );
        }
        if let Some(shortest) = &shortest {
            assert!(r.matches(id, shortest), "round {round}: {shortest:?}");
            assert!(
                length.is_some()
                    || shortest.chars().count() > LONGEST
                    || shortest.chars().any(|c| !"abé".contains(c))
            );
        }
        if r.size() > 100_000 {
            r = Regexes::new();
        }
    }
}

#[test]
fn emptiness_agrees_along_every_walk() {
    let all = universe();
    let mut random = Random(11);
    for round in 0..100 {
        let mut r = Regexes::new();
        let (id, language) = random_regex(&mut r, &mut random, &all, 4);
        for text in all.iter().filter(|text| text.chars().count() <= 2) {
            let rest = text.chars().fold(id, |id, c| r.derivative(id, c as u32));
            let empty = r.is_empty_language(rest, &mut FUEL.clone()).expect("fuel");
            let continued = language
                .iter()
                .any(|member| member.starts_with(text.as_str()));
            assert!(!(empty && continued), "round {round}: {text:?}");
            assert_eq!(empty, r.shortest(rest, &mut FUEL.clone()) == Ok(None));
        }
    }
}

#[test]
fn derivatives_agree_within_a_class() {
    let mut random = Random(3);
    let all = universe();
    for _ in 0..200 {
        let mut r = Regexes::new();
        let (id, _) = random_regex(&mut r, &mut random, &all, 3);
        let classes = r.classes(id);
        let covered = classes
            .iter()
            .fold(CharSet::empty(), |union, class| union.union(class));
        assert_eq!(covered, CharSet::all());
        for class in classes.iter() {
            let ends = class.ranges().iter().flat_map(|&(low, high)| [low, high]);
            let targets: BTreeSet<RegexId> = ends.map(|c| r.derivative(id, c)).collect();
            assert_eq!(targets.len(), 1);
        }
    }
}

#[test]
fn a_search_for_a_word_has_one_state_per_letter() {
    let mut r = Regexes::new();
    let word = r.literal("needle");
    let rest = r.concat(word, Regexes::ALWAYS);
    let search = r.concat(Regexes::ALWAYS, rest);
    let mut states = BTreeSet::from([search]);
    let mut open = vec![search];
    while let Some(state) = open.pop() {
        for c in ['n', 'e', 'd', 'l', 'x'] {
            let next = r.derivative(state, c as u32);
            if states.insert(next) {
                open.push(next);
            }
        }
    }
    assert_eq!(states.len(), 7);
    assert!(states.contains(&Regexes::ALWAYS));
}

#[test]
fn a_repetition_of_words_keeps_one_counter() {
    let mut r = Regexes::new();
    let letter = r.set(CharSet::from_ranges([(97, 122)]));
    let word = r.repeat(letter, 1, None);
    let space = r.literal(" ");
    let gap = r.repeat(space, 0, Some(1));
    let body = r.concat(word, gap);
    let id = r.repeat(body, 1, Some(1_000));
    let before = r.size();
    let text = "ab cde fg ".repeat(100);
    assert!(r.matches(id, &text));
    assert!(
        r.size() - before < 40 * text.len(),
        "{} nodes",
        r.size() - before
    );
}

#[test]
fn a_large_count_is_one_node() {
    let mut r = Regexes::new();
    let before = r.size();
    let id = r.length(0, Some(100_000));
    assert!(r.size() - before <= 1);
    let next = r.derivative(id, 65);
    assert_eq!(next, r.length(0, Some(99_999)));
}

#[test]
fn lengths_are_intersected_and_recognised() {
    let mut r = Regexes::new();
    let (a, b) = (r.length(2, Some(9)), r.length(5, None));
    let both = r.intersection(a, b);
    assert_eq!(both, r.length(5, Some(9)));
    let letters = r.set(CharSet::from_ranges([(97, 122)]));
    let letters = r.repeat(letters, 1, None);
    let short = r.intersection(letters, a);
    let body = r.set(CharSet::from_ranges([(97, 122)]));
    assert_eq!(short, r.repeat(body, 2, Some(9)));
    let at_least_two = r.length(2, None);
    assert_eq!(r.concat(at_least_two, Regexes::ALWAYS), at_least_two);
    assert_eq!(r.concat(Regexes::ALWAYS, Regexes::ALWAYS), Regexes::ALWAYS);
}

#[test]
fn a_length_that_holds_anyway_disappears() {
    let mut r = Regexes::new();
    let date = r.literal("2024-01-01");
    let length = r.length(3, Some(20));
    assert_eq!(r.intersection(date, length), date);
    let too_short = r.length(0, Some(9));
    assert_eq!(r.intersection(date, too_short), Regexes::NEVER);
}

#[test]
fn ten_thousand_words_are_walked_without_building_their_states() {
    let mut r = Regexes::new();
    let words: Vec<String> = (0..10_000)
        .map(|n| format!("item-{n:05}-of-the-list"))
        .collect();
    let list: Vec<&str> = words.iter().map(String::as_str).collect();
    let id = r.literals(&list);
    assert!(r.size() < 2_000);
    assert!(words.iter().step_by(997).all(|word| r.matches(id, word)));
    assert!(!r.matches(id, "item-10000-of-the-list"));
    assert!(!r.overflowed());
}

#[test]
fn an_empty_product_is_found_empty() {
    let mut r = Regexes::new();
    let ab = r.literal("ab");
    let even = r.repeat(ab, 0, None);
    let b = r.literal("b");
    let rest = r.concat(b, Regexes::ALWAYS);
    let has_bb = r.concat(b, rest);
    let has_bb = r.concat(Regexes::ALWAYS, has_bb);
    let both = r.intersection(even, has_bb);
    assert_eq!(r.is_empty_language(both, &mut FUEL.clone()), Ok(true));
    let mut none = 0;
    assert_eq!(
        r.is_empty_language(both, &mut none),
        Ok(true),
        "known answers need no fuel"
    );
}

#[test]
fn a_search_without_fuel_says_so() {
    let mut r = Regexes::new();
    let a = r.literal("ab");
    let b = r.literal("aba");
    let (a, b) = (r.repeat(a, 1, None), r.repeat(b, 1, None));
    let both = r.intersection(a, b);
    let mut fuel = 1;
    assert_eq!(r.is_empty_language(both, &mut fuel), Err(OutOfFuel));
}

#[test]
fn a_full_arena_says_so_and_gives_never() {
    let mut r = Regexes::new();
    r.max_nodes = 50;
    let text: String = ('a'..='z').chain('A'..='Z').collect();
    assert_eq!(r.literal(&text), Regexes::NEVER);
    assert!(r.overflowed());
}

#[test]
fn a_rule_is_a_loop_with_a_condition() {
    // Words of a and b in which no b follows a b: X = "" | [ab]X without bb at the front.
    let mut r = Regexes::new();
    let letter = r.set(CharSet::from_ranges([(97, 98)]));
    let bb = r.literal("bb");
    let bb = r.concat(bb, Regexes::ALWAYS);
    let rules = r.recursive::<()>(&[Regexes::EMPTY], |r, rules| {
        let more = r.concat(letter, rules[0]);
        Ok(vec![r.difference(more, bb)])
    });
    let id = rules.expect("no error")[0];
    for (text, expected) in [
        ("", true),
        ("abab", true),
        ("abba", false),
        ("bb", false),
        ("ba", true),
        ("c", false),
    ] {
        assert_eq!(r.matches(id, text), expected, "{text}");
    }
    assert!(!r.overflowed());
}

#[test]
fn a_state_knows_the_code_points_that_keep_it() {
    let mut r = Regexes::new();
    let letters = CharSet::from_ranges([(97, 122)]);
    let set = r.set(letters.clone());
    let many = r.repeat(set, 0, None);
    assert_eq!(r.self_loop(many), letters);
    assert_eq!(r.self_loop(Regexes::ALWAYS), CharSet::all());
}
