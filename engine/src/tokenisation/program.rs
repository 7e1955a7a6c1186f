//! Split patterns at work: where a piece ends, as far as the text at hand tells.
//!
//! A match is looked for as backtracking engines do, alternatives in their order. Where it looks
//! at the end of a text that goes on, all is followed that may turn out: so what is said holds
//! whatever the text goes on with.

use super::pattern::{Part, Repeat};
use crate::charset::CharSet;

/// A set of characters that answers quickly for ASCII.
#[derive(Debug)]
struct Set {
    ascii: u128,
    all: CharSet,
}

impl Set {
    fn contains(&self, c: u32) -> bool {
        match c {
            0..0x80 => self.ascii >> c & 1 == 1,
            _ => self.all.contains(c),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Class(usize),
    /// Goes on at the first; if that fails, at the second.
    Split(usize, usize),
    Jump(usize),
    /// What stands until a place is looked for and not taken.
    Look {
        is_negative: bool,
        end: usize,
    },
    /// What stands until a place takes what it can and gives nothing back.
    Atomic {
        end: usize,
    },
    End,
    Accept,
}

/// A pattern, compiled.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    sets: Vec<Set>,
}

/// Steps that a program may have.
const MAX_STEPS: usize = 4_096;
/// Steps that one search may take.
const MAX_WORK: usize = 20_000;

/// Where a piece may end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ends {
    /// In the text at hand: places behind whole characters, none twice.
    pub within: Vec<usize>,
    /// It may go on beyond the text at hand.
    pub is_open: bool,
}

impl Ends {
    fn add(&mut self, end: usize) {
        if !self.within.contains(&end) {
            self.within.push(end);
        }
    }
}

/// A text, and whether it ends where it ends.
#[derive(Copy, Clone)]
pub(super) struct Text<'a> {
    pub bytes: &'a [u8],
    pub is_whole: bool,
}

/// What stands at a place of a text.
enum Found {
    Character(u32, usize),
    /// Nobody knows.
    Unknown,
    Nothing,
}

impl Text<'_> {
    fn at(self, place: usize) -> Found {
        match first_character(&self.bytes[place..]) {
            Some((c, length)) => Found::Character(c, length),
            None if self.is_whole => Found::Nothing,
            None => Found::Unknown,
        }
    }
}

/// The first character of a text, and its bytes; None where it is not there, or not all of it.
pub(crate) fn first_character(bytes: &[u8]) -> Option<(u32, usize)> {
    let length = match *bytes.first()? {
        c @ 0..0x80 => return Some((u32::from(c), 1)),
        0xC2..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    };
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    text.chars().next().map(|c| (u32::from(c), length))
}

/// What a search knows of one way to go on.
#[derive(Copy, Clone)]
struct Way {
    step: usize,
    place: usize,
    /// It holds only if what nobody knows turns out so.
    is_assumed: bool,
}

/// How a search, or one inside it, came out.
#[derive(Default)]
struct Outcome {
    ends: Ends,
    /// Some end is certain unless the text goes on so that it is not come to.
    is_certain: bool,
}

impl Program {
    /// Compiles a pattern; None where it is too large or may match nothing.
    pub fn new(part: &Part) -> Option<Program> {
        let mut program = Program {
            steps: Vec::new(),
            sets: Vec::new(),
        };
        program.add(part)?;
        program.steps.push(Step::Accept);
        (!part.may_be_empty()).then_some(program)
    }

    fn add(&mut self, part: &Part) -> Option<()> {
        if self.steps.len() > MAX_STEPS {
            return None;
        }
        match part {
            Part::Class(set) => self.add_class(set),
            Part::Sequence(parts) => return parts.iter().try_for_each(|part| self.add(part)),
            Part::Choice(parts) => return self.add_choice(parts),
            Part::Repeat(repeat) => return self.add_repeat(repeat),
            Part::Look { part, is_negative } => {
                let (at, is_negative) = (self.hold(), *is_negative);
                self.add(part)?;
                self.steps.push(Step::Accept);
                let end = self.steps.len();
                self.steps[at] = Step::Look { is_negative, end };
            }
            Part::End => self.steps.push(Step::End),
        }
        Some(())
    }

    fn add_class(&mut self, set: &CharSet) {
        let known = self.sets.iter().position(|known| known.all == *set);
        let number = known.unwrap_or_else(|| {
            let ascii = (0..0x80).filter(|c| set.contains(*c));
            self.sets.push(Set {
                ascii: ascii.fold(0, |bits, c| bits | 1 << c),
                all: set.clone(),
            });
            self.sets.len() - 1
        });
        self.steps.push(Step::Class(number));
    }

    /// A step that is decided later.
    fn hold(&mut self) -> usize {
        self.steps.push(Step::Accept);
        self.steps.len() - 1
    }

    fn add_choice(&mut self, parts: &[Part]) -> Option<()> {
        let mut jumps = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let split = (place + 1 < parts.len()).then(|| self.hold());
            self.add(part)?;
            if let Some(split) = split {
                jumps.push(self.hold());
                self.steps[split] = Step::Split(split + 1, self.steps.len());
            }
        }
        let end = self.steps.len();
        jumps
            .into_iter()
            .for_each(|jump| self.steps[jump] = Step::Jump(end));
        Some(())
    }

    fn add_repeat(&mut self, repeat: &Repeat) -> Option<()> {
        let atomic = repeat.is_possessive.then(|| self.hold());
        for _ in 0..repeat.least {
            self.add(&repeat.part)?;
        }
        match repeat.most {
            None => {
                let split = self.hold();
                self.add(&repeat.part)?;
                self.steps.push(Step::Jump(split));
                self.steps[split] = Step::Split(split + 1, self.steps.len());
            }
            Some(most) => {
                let mut splits = Vec::new();
                for _ in repeat.least..most {
                    splits.push(self.hold());
                    self.add(&repeat.part)?;
                }
                let end = self.steps.len();
                for split in splits {
                    self.steps[split] = Step::Split(split + 1, end);
                }
            }
        }
        if let Some(atomic) = atomic {
            self.steps.push(Step::Accept);
            let end = self.steps.len();
            self.steps[atomic] = Step::Atomic { end };
        }
        Some(())
    }

    /// Where a piece may end that begins at a place; None where that takes too long to say.
    pub fn ends(&self, text: Text, from: usize) -> Option<Ends> {
        let mut work = MAX_WORK;
        let outcome = self.search(text, (0, from), &mut work)?;
        Some(outcome.ends)
    }

    fn search(
        &self,
        text: Text,
        (step, place): (usize, usize),
        work: &mut usize,
    ) -> Option<Outcome> {
        let mut outcome = Outcome::default();
        let mut ways = vec![Way {
            step,
            place,
            is_assumed: false,
        }];
        while let Some(mut way) = ways.pop() {
            loop {
                *work = work.checked_sub(1)?;
                match self.steps[way.step] {
                    Step::Class(set) => match text.at(way.place) {
                        Found::Character(c, length) if self.sets[set].contains(c) => {
                            (way.place, way.step) = (way.place + length, way.step + 1);
                        }
                        Found::Unknown => {
                            outcome.ends.is_open = true;
                            break;
                        }
                        _ => break,
                    },
                    Step::Split(first, second) => {
                        ways.push(Way {
                            step: second,
                            ..way
                        });
                        way.step = first;
                    }
                    Step::Jump(to) => way.step = to,
                    Step::End => match text.at(way.place) {
                        Found::Character(..) => break,
                        Found::Nothing => way.step += 1,
                        Found::Unknown => (way.is_assumed, way.step) = (true, way.step + 1),
                    },
                    Step::Look { is_negative, end } => {
                        let inside = self.search(text, (way.step + 1, way.place), work)?;
                        match inside.holds() {
                            Some(holds) if holds == is_negative => break,
                            Some(_) => {}
                            None => way.is_assumed = true,
                        }
                        way.step = end;
                    }
                    Step::Atomic { end } => {
                        let inside = self.search(text, (way.step + 1, way.place), work)?;
                        outcome.ends.is_open |= inside.ends.is_open;
                        let is_assumed =
                            way.is_assumed || inside.ends.is_open || !inside.is_certain;
                        let ends = inside.ends.within.iter().rev();
                        ways.extend(ends.map(|place| Way {
                            step: end,
                            place: *place,
                            is_assumed,
                        }));
                        break;
                    }
                    Step::Accept => {
                        outcome.ends.add(way.place);
                        if !way.is_assumed {
                            outcome.is_certain = true;
                            return Some(outcome);
                        }
                        break;
                    }
                }
            }
        }
        Some(outcome)
    }
}

impl Outcome {
    /// Whether it matches; None where nobody knows.
    fn holds(&self) -> Option<bool> {
        let (some, open) = (!self.ends.within.is_empty(), self.ends.is_open);
        match (some, open) {
            (true, false) if self.is_certain => Some(true),
            (false, false) => Some(false),
            // It matches however the text goes on: what came first or this.
            (true, true) if self.is_certain => Some(true),
            _ => None,
        }
    }
}
