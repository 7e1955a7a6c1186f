//! Random schemas, filled, dumped and loaded: they say what freshly compiled ones say, also after
//! rollbacks and in forks. `FORMWORK_ROUNDS=1000 cargo test --release random_schemas` tries more.

use std::sync::Arc;

use crate::cursor::Cursor;
use crate::index::{Index, Input, Options, Whitespace};
use crate::vocabulary::Vocabulary;
use crate::walk_tests::{Dice, allowed, vocabulary};

const KEYS: [&str; 6] = ["a", "ab", "b", "x y", "é", ""];
const PATTERNS: [&str; 5] = ["^a", "b$", "^[ab]{1,3}$", "^.{2}", "^(?!a)"];

/// How many inputs a test tries that is not asked for more.
pub(crate) fn rounds(usual: usize) -> usize {
    let asked = std::env::var("FORMWORK_ROUNDS");
    asked.map_or(usual, |rounds| rounds.parse().unwrap())
}

fn choose<'a>(dice: &mut Dice, choices: &[&'a str]) -> &'a str {
    choices[dice.roll(choices.len())]
}

/// A random schema whose values nest at most so deep.
fn schema(dice: &mut Dice, depth: usize) -> String {
    let sides = if depth == 0 { 7 } else { 15 };
    match dice.roll(sides) {
        0 => r#"{"type":"boolean"}"#.into(),
        1 => format!(r#"{{"type":"integer","minimum":{}}}"#, dice.roll(20)),
        2 => format!(r#"{{"type":"string","maxLength":{}}}"#, dice.roll(6)),
        3 => format!(
            r#"{{"type":"string","pattern":"{}"}}"#,
            choose(dice, &PATTERNS)
        ),
        4 => r#"{"enum":["x","x y",null,1.5,["a"],{"a":1}]}"#.into(),
        5 => r#"{"type":["null","string"]}"#.into(),
        6 => r#"{"type":"number","multipleOf":0.5}"#.into(),
        7 | 8 => object(dice, depth - 1),
        9 | 10 => array(dice, depth - 1),
        11 => combined(dice, depth - 1, "anyOf"),
        12 => combined(dice, depth - 1, "oneOf"),
        13 => format!(r#"{{"not":{}}}"#, schema(dice, depth - 1)),
        _ => format!(
            r#"{{"if":{},"then":{},"else":{}}}"#,
            schema(dice, depth - 1),
            schema(dice, depth - 1),
            schema(dice, depth - 1)
        ),
    }
}

fn combined(dice: &mut Dice, depth: usize, keyword: &str) -> String {
    let (one, other) = (schema(dice, depth), schema(dice, depth));
    format!(r#"{{"{keyword}":[{one},{other}]}}"#)
}

fn object(dice: &mut Dice, depth: usize) -> String {
    let mut keys = KEYS.to_vec();
    let named: Vec<&str> = (0..1 + dice.roll(4))
        .map(|_| keys.remove(dice.roll(keys.len())))
        .collect();
    let properties: Vec<String> = named
        .iter()
        .map(|key| format!(r#""{key}":{}"#, schema(dice, depth)))
        .collect();
    let more = [
        String::new(),
        r#","additionalProperties":false"#.into(),
        format!(r#","additionalProperties":{}"#, schema(dice, 0)),
        format!(r#","required":["{}"]"#, named[0]),
        format!(r#","minProperties":{}"#, 1 + dice.roll(2)),
        format!(
            r#","patternProperties":{{"{}":{}}}"#,
            choose(dice, &PATTERNS),
            schema(dice, 0)
        ),
        r#","propertyNames":{"maxLength":2}"#.into(),
    ];
    let more = &more[dice.roll(more.len())];
    format!(
        r#"{{"type":"object","properties":{{{}}}{more}}}"#,
        properties.join(",")
    )
}

fn array(dice: &mut Dice, depth: usize) -> String {
    let more = [
        String::new(),
        r#","uniqueItems":true,"maxItems":4"#.into(),
        format!(r#","minItems":{},"maxItems":4"#, dice.roll(3)),
        r#","contains":{"type":"string"}"#.into(),
        format!(r#","prefixItems":[{}]"#, schema(dice, depth)),
    ];
    let more = &more[dice.roll(more.len())];
    format!(
        r#"{{"type":"array","items":{}{more}}}"#,
        schema(dice, depth)
    )
}

fn options(dice: &mut Dice) -> Options {
    let wide = dice.roll(3) == 0;
    Options {
        whitespace: if wide {
            Whitespace::Bounded(1)
        } else {
            Whitespace::Compact
        },
        item_spaces: if wide { 0 } else { dice.roll(2) as u8 },
        any_order: wide,
        all_spellings: wide,
        ..Options::default()
    }
}

/// Two indexes of one grammar, side by side.
struct Pair<'a> {
    one: Cursor,
    other: Cursor,
    vocabulary: &'a Vocabulary,
    taken: usize,
}

impl Pair<'_> {
    fn tokens(&mut self) -> Vec<u32> {
        let tokens = allowed(&mut self.one, self.vocabulary.words());
        assert_eq!(allowed(&mut self.other, self.vocabulary.words()), tokens);
        assert_eq!(self.other.may_end(), self.one.may_end());
        tokens
    }

    fn advance(&mut self, token: u32) {
        self.one.advance(token).unwrap();
        self.other.advance(token).unwrap();
        self.taken += 1;
    }

    fn roll_back(&mut self, count: usize) {
        self.one.rollback(count).unwrap();
        self.other.rollback(count).unwrap();
        self.taken -= count;
    }

    fn fork(&self) -> Self {
        Pair {
            one: self.one.fork(),
            other: self.other.fork(),
            ..*self
        }
    }

    /// Takes so many tokens at random, now and then some of them back, now and then in a fork.
    fn walk(&mut self, dice: &mut Dice, steps: usize) {
        for _ in 0..steps {
            let tokens = self.tokens();
            self.advance(tokens[dice.roll(tokens.len())]);
            if self.one.is_ended() {
                return;
            }
            match dice.roll(8) {
                0 => self.roll_back(1 + dice.roll(self.taken)),
                1 => self.fork().walk(dice, steps / 2),
                2 => assert_eq!(self.other.shortest_end(), self.one.shortest_end()),
                _ => {}
            }
        }
    }
}

#[test]
fn random_schemas_say_filled_what_they_say_compiled() {
    let vocabulary = vocabulary();
    for round in 0..rounds(40) {
        let mut dice = Dice(round as u64);
        let (text, options) = (schema(&mut dice, 3), options(&mut dice));
        let compile = || {
            let input = Input::JsonSchema(text.as_bytes());
            Index::compile(input, Arc::clone(&vocabulary), &options).ok()
        };
        let (Some(compiled), Some(again)) = (compile(), compile()) else {
            continue; // no value, or too large
        };
        again.fill([0, 5, 200][dice.roll(3)]);
        let filled = Index::load(&again.dump(), Arc::clone(&vocabulary)).unwrap();
        for _ in 0..4 {
            let (one, other) = (compiled.cursor(), filled.cursor());
            let (vocabulary, taken) = (&*vocabulary, 0);
            let mut pair = Pair {
                one,
                other,
                vocabulary,
                taken,
            };
            println!("round {round}: {text} {options:?}");
            pair.walk(&mut dice, 24);
        }
    }
}
