//! Number languages against enumeration: what is accepted, that nothing is a dead end, and how
//! texts end.

use super::*;
use crate::decimal::Decimal;

/// Random goals for each property; raise it for a long search.
const ROUNDS: u64 = 40;

fn d(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn bound(text: &str, exclusive: bool) -> Option<Bound> {
    Some(Bound {
        value: d(text),
        exclusive,
    })
}

fn language(goals: &[NumberGoal], spellings: Spellings) -> NumberLanguage {
    NumberLanguage::new(goals.to_vec(), spellings).unwrap()
}

fn walk(language: &NumberLanguage, text: &[u8]) -> Option<NumberState> {
    text.iter()
        .try_fold(language.start(), |state, &byte| language.step(&state, byte))
}

fn accepts(language: &NumberLanguage, text: &str) -> bool {
    walk(language, text.as_bytes()).is_some_and(|state| language.is_accepting(&state))
}

/// A deterministic source of small choices (the recurrence of Knuth's MMIX).
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len() as u64) as usize]
    }

    fn number(&mut self) -> Decimal {
        let limit = [10, 100, 1000][self.below(3) as usize];
        let sign = self.of(&["", "", "-"]);
        d(&format!(
            "{sign}{}e{}",
            self.below(limit),
            self.of(&["0", "0", "1", "-1", "-2"])
        ))
    }

    fn bound(&mut self) -> Option<Bound> {
        (self.below(2) == 0).then(|| Bound {
            value: self.number(),
            exclusive: self.below(2) == 0,
        })
    }

    fn divisors(&mut self) -> Vec<Decimal> {
        let all = [
            "1", "2", "3", "7", "0.1", "0.25", "0.3", "0.05", "15", "100", "20", "1.5", "13",
        ];
        let count = [0, 0, 0, 1, 1, 2][self.below(6) as usize];
        (0..count).map(|_| d(self.of(&all))).collect()
    }

    fn goal(&mut self) -> NumberGoal {
        NumberGoal {
            integer: [None, None, Some(true), Some(false)][self.below(4) as usize],
            plain: [None, None, None, Some(true), Some(false)][self.below(5) as usize],
            lower: self.bound(),
            upper: self.bound(),
            multiple_of: self.divisors(),
            not_multiple_of: self.divisors(),
            not_equal: (0..[0, 0, 2, 9][self.below(4) as usize])
                .map(|_| self.number())
                .collect(),
            equal: (self.below(12) == 0).then(|| self.number()),
        }
    }
}

fn is_member(goals: &[NumberGoal], spellings: Spellings, text: &str) -> bool {
    Decimal::parse(text).is_ok_and(|value| {
        let spelt = spellings == Spellings::All || value.to_json_text() == text;
        spelt && goals.iter().any(|g| allows_text(g, text))
    })
}

fn allows_text(goal: &NumberGoal, text: &str) -> bool {
    let is_plain = !text.contains(['.', 'e', 'E']);
    goal.plain.is_none_or(|plain| plain == is_plain) && goal.contains(&d(text))
}

/// Whether no text of a spelling satisfies the goal.
fn is_void(goal: &NumberGoal, spellings: Spellings) -> bool {
    let spelt = goal.clone().spelt(spellings);
    spelt.is_none_or(|goal| goal.is_empty())
}

/// Whether the text can be completed to a JSON number.
fn begins_a_number(text: &str) -> bool {
    ["", "0", "00"]
        .iter()
        .any(|end| text.is_empty() || Decimal::parse(&format!("{text}{end}")).is_ok())
}

/// Compares every text up to a length with the definition, and ends every prefix that the walk
/// allows.
fn check_texts(
    goals: &[NumberGoal],
    language: &NumberLanguage,
    prefix: &mut String,
    state: Option<&NumberState>,
    depth: usize,
) {
    let spellings = language.spellings;
    let member = is_member(goals, spellings, prefix);
    let accepted = state.is_some_and(|s| language.is_accepting(s));
    assert_eq!(
        accepted, member,
        "{prefix:?} {spellings:?} {goals:?} {state:?}"
    );
    if let Some(state) = state {
        let ending = String::from_utf8(language.shortest_from(state)).unwrap();
        let text = format!("{prefix}{ending}");
        assert!(
            is_member(goals, spellings, &text),
            "{prefix:?}+{ending:?} {spellings:?} {goals:?}"
        );
        assert!(
            accepts(language, &text),
            "walk {prefix:?}+{ending:?} {spellings:?} {goals:?}"
        );
        assert_eq!(ending.is_empty(), member);
    }
    if depth == 0 || (state.is_none() && !begins_a_number(prefix)) {
        return;
    }
    let bytes = if spellings == Spellings::All {
        "-0123456789.eE+"
    } else {
        "-0123456789.e"
    };
    for c in bytes.chars() {
        let next = state.and_then(|s| language.step(s, c as u8));
        prefix.push(c);
        check_texts(goals, language, prefix, next.as_ref(), depth - 1);
        prefix.pop();
    }
}

fn check_random_goals(rounds: u64, depth: usize, spellings: Spellings) {
    for seed in 0..rounds {
        let mut choices = Choices(seed);
        let goals: Vec<_> = (0..1 + choices.below(2)).map(|_| choices.goal()).collect();
        let language = language(&goals, spellings);
        if language.is_empty() {
            assert!(goals.iter().all(|g| is_void(g, spellings)), "{goals:?}");
            check_texts(&goals, &language, &mut String::new(), None, depth);
        } else {
            check_texts(
                &goals,
                &language,
                &mut String::new(),
                Some(&language.start()),
                depth,
            );
        }
    }
}

/// Follows random allowed bytes; every state must end in a member.
fn check_random_walks(goals: &[NumberGoal], spellings: Spellings, choices: &mut Choices) {
    let language = language(goals, spellings);
    let bytes = if spellings == Spellings::All {
        "-0123456789.eE+"
    } else {
        "-0123456789.e"
    };
    let (mut text, mut state) = (String::new(), language.start());
    loop {
        let next = bytes
            .chars()
            .filter_map(|c| Some((c, language.step(&state, c as u8)?)));
        let next: Vec<_> = next.collect();
        if next.is_empty() {
            assert!(
                is_member(goals, spellings, &text),
                "{text} {spellings:?} {goals:?}"
            );
            return;
        }
        let (c, after) = next[choices.below(next.len() as u64) as usize].clone();
        text.push(c);
        let ending = String::from_utf8(language.shortest_from(&after)).unwrap();
        let whole = format!("{text}{ending}");
        assert!(
            is_member(goals, spellings, &whole),
            "{text}+{ending} {spellings:?} {goals:?}"
        );
        assert!(
            accepts(&language, &whole),
            "{text}+{ending} {spellings:?} {goals:?}"
        );
        state = after;
    }
}

/// A number with up to 20 digits around the point.
fn long_number(choices: &mut Choices) -> Decimal {
    let digits: Vec<u8> = (0..1 + choices.below(20))
        .map(|_| choices.below(10) as u8)
        .collect();
    let exponent = choices.below(24) as i32 - 20;
    Decimal::from_digits(choices.below(4) == 0, &digits, exponent)
}

fn long_goal(choices: &mut Choices) -> NumberGoal {
    let lower = long_number(choices);
    let nudge = Decimal::from_digits(
        false,
        &[1 + choices.below(9) as u8],
        choices.below(30) as i32 - 22,
    );
    let bound = |value: Decimal, exclusive| Some(Bound { value, exclusive });
    let divisors = |c: &mut Choices| match c.below(3) {
        0 => vec![long_number(c).abs()]
            .into_iter()
            .filter(|d| !d.is_zero())
            .collect(),
        _ => c.divisors(),
    };
    NumberGoal {
        upper: if choices.below(3) > 0 {
            bound(lower.add(&nudge), choices.below(2) == 0)
        } else {
            None
        },
        not_equal: vec![lower.add(&nudge), lower.clone(), lower.negated()],
        lower: bound(lower, choices.below(2) == 0),
        multiple_of: divisors(choices),
        not_multiple_of: divisors(choices),
        integer: [None, None, None, Some(true), Some(false)][choices.below(5) as usize],
        plain: [None, None, None, Some(true), Some(false)][choices.below(5) as usize],
        equal: None,
    }
}

#[test]
fn canonical_texts_agree_with_enumeration_and_every_prefix_ends() {
    check_random_goals(ROUNDS, 4, Spellings::Canonical);
}

#[test]
fn all_spellings_agree_with_enumeration_and_every_prefix_ends() {
    check_random_goals(ROUNDS / 4, 4, Spellings::All);
}

#[test]
fn walks_between_long_narrow_bounds_always_end() {
    let mut walked = 0;
    for seed in 0..10 * ROUNDS {
        let mut choices = Choices(seed);
        let goals = [long_goal(&mut choices)];
        for spellings in [Spellings::Canonical, Spellings::All] {
            let Ok(language) = NumberLanguage::new(goals.to_vec(), spellings) else {
                continue;
            };
            let is_void = is_void(&goals[0], spellings);
            assert_eq!(language.is_empty(), is_void, "{goals:?}");
            if !language.is_empty() {
                check_random_walks(&goals, spellings, &mut choices);
                walked += 1;
            }
        }
    }
    assert!(walked > 5 * ROUNDS);
}

/// The sum of a number and so many units at one of its last places.
fn beside(value: &Decimal, units: i64, place: i32) -> Decimal {
    let unit = Decimal::from_digits(units < 0, &[units.unsigned_abs() as u8], place);
    value.add(&unit)
}

#[test]
fn members_beside_long_bounds_are_accepted_and_others_are_not() {
    for seed in 0..10 * ROUNDS {
        let mut choices = Choices(seed);
        let goals = [long_goal(&mut choices)];
        let Ok(language) = NumberLanguage::new(goals.to_vec(), Spellings::Canonical) else {
            continue;
        };
        for number in goals[0].mentioned() {
            for units in -9..=9 {
                let text = beside(number, units, number.exponent()).to_json_text();
                let member = allows_text(&goals[0], &text);
                assert_eq!(accepts(&language, &text), member, "{text} {goals:?}");
            }
        }
    }
}

#[test]
fn the_shortest_ending_is_the_shortest() {
    for seed in 0..ROUNDS / 2 {
        for spellings in [Spellings::Canonical, Spellings::All] {
            let language = language(&[Choices(seed).goal()], spellings);
            if language.is_empty() {
                continue;
            }
            let ending = language.shortest_from(&language.start());
            assert_eq!(
                ending.len().min(4),
                fewest_bytes(&language, 3),
                "seed {seed} {spellings:?}"
            );
        }
    }
}

/// The length of the shortest member by search, or `limit` + 1 if it is longer than `limit`.
fn fewest_bytes(language: &NumberLanguage, limit: usize) -> usize {
    let mut states = vec![language.start()];
    for length in 0..=limit {
        if states.iter().any(|state| language.is_accepting(state)) {
            return length;
        }
        let next = |state: &NumberState| -> Vec<_> {
            b"-0123456789.eE+"
                .iter()
                .filter_map(|&b| language.step(state, b))
                .collect()
        };
        states = states.iter().flat_map(next).collect();
    }
    limit + 1
}

/// How many states a language has, up to a limit.
fn count_states(language: &NumberLanguage, limit: usize) -> usize {
    let mut seen = std::collections::HashSet::from([language.start()]);
    let mut waiting = vec![language.start()];
    while let Some(state) = waiting.pop() {
        for &byte in b"-0123456789.eE+" {
            if let Some(next) = language.step(&state, byte)
                && seen.len() < limit
                && seen.insert(next.clone())
            {
                waiting.push(next);
            }
        }
    }
    seen.len()
}

fn between(lower: &str, upper: &str) -> NumberGoal {
    NumberGoal {
        lower: bound(lower, false),
        upper: bound(upper, false),
        ..NumberGoal::default()
    }
}

#[test]
fn unbounded_and_bounded_numbers_have_few_states() {
    let states = |goal: &NumberGoal| {
        count_states(
            &language(std::slice::from_ref(goal), Spellings::Canonical),
            1000,
        )
    };
    let int64 = between("-9223372036854775808", "9223372036854775807");
    let integers = NumberGoal {
        integer: Some(true),
        ..int64
    };
    let cents = NumberGoal {
        multiple_of: vec![d("0.01")],
        ..NumberGoal::default()
    };
    let doubles = between("-1.7976931348623157e308", "1.7976931348623157e308");
    for (goal, most) in [
        (NumberGoal::integer(), 30),
        (NumberGoal::default(), 80),
        (cents, 40),
        (doubles, 80),
        (integers, 120),
        (between("0", "1"), 50),
    ] {
        assert!(states(&goal) <= most, "{goal:?} {}", states(&goal));
    }
}

#[test]
fn canonical_numbers_have_seventeen_digits_unless_the_goals_ask_for_more() {
    let number = language(&[NumberGoal::default()], Spellings::Canonical);
    for text in [
        "12345678901234567",
        "-0.0012345678901234567",
        "123456789012345670000",
        "1.5",
        "0",
    ] {
        assert!(accepts(&number, text), "{text}");
    }
    for text in [
        "123456789012345678",
        "1234567890123456700000",
        "1.0",
        "-0",
        "1e5",
        "01",
        "1.23456789012345678",
    ] {
        assert!(!accepts(&number, text), "{text}");
    }
    let unsigned = language(
        &[between("0", "18446744073709551615")],
        Spellings::Canonical,
    );
    assert!(accepts(&unsigned, "18446744073709551615"));
    assert!(!accepts(&unsigned, "18446744073709551616"));
    let pi = language(
        &[NumberGoal::equal_to(d(
            "3.14159265358979323846264338327950288",
        ))],
        Spellings::Canonical,
    );
    assert!(accepts(&pi, "3.14159265358979323846264338327950288"));
    let huge = language(&[NumberGoal::equal_to(d("-1e400"))], Spellings::Canonical);
    assert!(accepts(&huge, &format!("-1{}", "0".repeat(400))));
}

#[test]
fn all_spellings_stay_within_finite_doubles_unless_the_goals_ask_for_more() {
    let number = language(&[NumberGoal::default()], Spellings::All);
    for text in [
        "1e2",
        "10E-1",
        "-0",
        "-0.00e+5",
        "1.7976931348623157e308",
        "0.0001e+0004",
        "1e-323",
    ] {
        assert!(accepts(&number, text), "{text}");
    }
    for text in [
        "1.7976931348623158e308",
        "1e309",
        "1e400",
        "1e-400",
        "1e00005",
        "1.e5",
        "01",
    ] {
        assert!(!accepts(&number, text), "{text}");
    }
    let huge = language(&[NumberGoal::equal_to(d("1e400"))], Spellings::All);
    assert!(accepts(&huge, "10e399") && !accepts(&huge, "1e40"));
}

#[test]
fn integers_may_be_spelt_with_fractions_and_exponents() {
    let integer = language(&[NumberGoal::integer()], Spellings::All);
    for text in ["1.0", "1.50e1", "100e-2", "0.0", "25e-1e0"] {
        assert_eq!(accepts(&integer, text), text != "25e-1e0", "{text}");
    }
    for text in ["1.5", "1.55e1", "25e-1", "0.1"] {
        assert!(!accepts(&integer, text), "{text}");
    }
}

#[test]
fn decimal_divisors_are_exact() {
    let cents = NumberGoal {
        multiple_of: vec![d("0.01")],
        ..NumberGoal::default()
    };
    let language = language(&[cents], Spellings::Canonical);
    assert!(accepts(&language, "19.99") && accepts(&language, "1.25"));
    assert!(!accepts(&language, "1.255") && walk(&language, b"1.00").is_none());
}

#[test]
fn divisors_without_a_small_common_multiple_are_refused() {
    let divisors = ["1000000000000000000000000000057", "1000000007"];
    let goal = NumberGoal {
        multiple_of: divisors.map(d).to_vec(),
        ..NumberGoal::default()
    };
    let language = NumberLanguage::new(vec![goal], Spellings::Canonical);
    assert_eq!(language, Err(NumberLimitError::LargeDivisor));
}

#[test]
fn hostile_goals_are_walked_quickly() {
    let begun = std::time::Instant::now();
    let far = NumberGoal {
        multiple_of: vec![d("1234567891")],
        ..between("1e300", "1.1e300")
    };
    let holes = NumberGoal {
        not_equal: (1..20_000).map(Decimal::from).collect(),
        ..NumberGoal::integer()
    };
    let values = (0..5_000)
        .map(|i| NumberGoal::equal_to(Decimal::from(i * 7919)))
        .collect::<Vec<_>>();
    for goals in [vec![far], vec![holes], values] {
        let language = language(&goals, Spellings::Canonical);
        let ending = language.shortest_from(&language.start());
        assert!(accepts(&language, std::str::from_utf8(&ending).unwrap()));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn conjunctions_keep_the_values_of_both_goals() {
    for seed in 0..20 * ROUNDS {
        let mut choices = Choices(seed);
        let (a, b) = (choices.goal(), choices.goal());
        let both = NumberGoal::all(&[&a, &b]);
        assert_eq!(both, NumberGoal::all(&[&b, &a]));
        for i in -200..200 {
            let value = format!("{}e-1", i * 5);
            for text in [d(&value).to_json_text(), value] {
                let expected = allows_text(&a, &text) && allows_text(&b, &text);
                let actual = both.as_ref().is_some_and(|goal| allows_text(goal, &text));
                assert_eq!(actual, expected, "{text} {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn plain_numbers_have_neither_a_point_nor_an_exponent() {
    let plain = language(&[NumberGoal::plain()], Spellings::All);
    for text in ["0", "-0", "12", "-123456789012345678901234567890123456"] {
        assert!(accepts(&plain, text), "{text}");
    }
    for text in ["12.", "0e", "0.", "-1e", "1E"] {
        assert!(walk(&plain, text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn marked_numbers_have_a_point_or_an_exponent_and_any_value() {
    let marked = NumberGoal {
        plain: Some(false),
        ..NumberGoal::default()
    };
    let every = language(std::slice::from_ref(&marked), Spellings::All);
    for text in ["0.0", "-0e5", "12.0", "1.5", "12e0"] {
        assert!(accepts(&every, text), "{text}");
        assert!(!accepts(&every, text.split(['.', 'e']).next().unwrap()));
    }
    let canonical = language(&[marked], Spellings::Canonical);
    assert!(accepts(&canonical, "1.5"));
    assert!(!accepts(&canonical, "12") && !accepts(&canonical, "12.0"));
}

#[test]
fn a_choice_of_plain_numbers_and_multiples_keeps_each_to_its_texts() {
    let fives = NumberGoal {
        multiple_of: vec![d("5")],
        ..NumberGoal::default()
    };
    let either = language(&[NumberGoal::plain(), fives], Spellings::All);
    for (text, member) in [("7", true), ("5.0", true), ("7.0", false), ("15e0", true)] {
        assert_eq!(accepts(&either, text), member, "{text}");
    }
    assert!(walk(&either, b"7.0").is_some()); // "7.0e1" is a multiple
}

#[test]
fn contradictions_are_empty() {
    let odd_gap = NumberGoal {
        multiple_of: vec![d("7")],
        ..between("8", "13")
    };
    let barred = NumberGoal {
        not_multiple_of: vec![d("0.5")],
        ..NumberGoal::integer()
    };
    let open = NumberGoal {
        lower: bound("1", true),
        upper: bound("1", false),
        ..NumberGoal::default()
    };
    let holes = NumberGoal {
        integer: Some(true),
        not_equal: (-3..=3).map(Decimal::from).collect(),
        ..between("-3", "3.5")
    };
    for goal in [odd_gap, barred, open, holes] {
        assert!(goal.is_empty(), "{goal:?}");
        assert!(NumberGoal::all(&[&goal, &NumberGoal::default()]).is_none());
    }
    let (one, half) = (d("1"), d("1.5"));
    let twice = [NumberGoal::equal_to(one), NumberGoal::equal_to(d("1.0"))];
    assert!(NumberGoal::all(&twice.each_ref()).is_some());
    let neither = [NumberGoal::integer(), NumberGoal::equal_to(half)];
    assert!(NumberGoal::all(&neither.each_ref()).is_none());
    assert!(
        !NumberGoal {
            lower: bound("1", true),
            upper: bound("1.0001", true),
            ..NumberGoal::default()
        }
        .is_empty()
    );
}
