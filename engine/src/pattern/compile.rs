//! From the parts of a pattern to its language.

use super::syntax::Part;
use super::{PatternError, PatternErrorKind};
use crate::charset::CharSet;
use crate::regex::{RegexId, Regexes};

/// How many parts are compiled at most; repetitions of assertions are compiled again and again.
const MAX_STEPS: u32 = 100_000;
/// How many classes of a previous character are told apart at most.
const MAX_CONTEXTS: usize = 16;
/// How many different sets assertions about a previous character may ask for.
const MAX_LOOKBEHINDS: usize = 64;
/// From so many strings on, alternatives become a list of words.
const MANY_WORDS: usize = 12;

/// The language of the strings that contain a match of the part.
pub(super) fn compile(regexes: &mut Regexes, part: Part) -> Result<RegexId, PatternError> {
    let mut languages = Vec::new();
    for alternative in into_alternatives(part) {
        let (anchored, rest) = without_start(alternative);
        let contexts = contexts_of(&rest)?;
        let mut compiler = Compiler {
            regexes,
            contexts,
            steps: 0,
        };
        languages.push(compiler.search(&rest, anchored)?);
    }
    Ok(regexes.union_all(languages))
}

/// The language of the strings that match the part as a whole.
pub(super) fn compile_whole(regexes: &mut Regexes, part: Part) -> Result<RegexId, PatternError> {
    let mut languages = Vec::new();
    for alternative in into_alternatives(part) {
        let (_, rest) = without_start(alternative);
        let contexts = contexts_of(&rest)?;
        let end = vec![Regexes::EMPTY; contexts.len() + 1];
        let mut compiler = Compiler {
            regexes,
            contexts,
            steps: 0,
        };
        languages.push(compiler.part(&rest, &end)?[0]);
    }
    Ok(regexes.union_all(languages))
}

/// The error for a pattern that the arena cannot hold.
pub(super) fn too_large() -> PatternError {
    unsupported("the pattern is too large".to_owned(), 0)
}

fn unsupported(message: String, offset: usize) -> PatternError {
    PatternError {
        kind: PatternErrorKind::Unsupported,
        message,
        offset,
    }
}

fn into_alternatives(part: Part) -> Vec<Part> {
    match part {
        Part::Alternatives(alternatives) => alternatives,
        Part::Sequence(mut parts) if parts.len() == 1 => into_alternatives(parts.remove(0)),
        one => vec![one],
    }
}

fn alternatives(part: &Part) -> &[Part] {
    match part {
        Part::Alternatives(alternatives) => alternatives,
        Part::Sequence(parts) if parts.len() == 1 => alternatives(&parts[0]),
        one => std::slice::from_ref(one),
    }
}

/// The part without a leading `^`, and whether there was one.
fn without_start(part: Part) -> (bool, Part) {
    match part {
        Part::Start => (true, Part::Sequence(Vec::new())),
        Part::Sequence(mut parts) if parts.first() == Some(&Part::Start) => {
            parts.remove(0);
            (true, Part::Sequence(parts))
        }
        _ => (false, part),
    }
}

/// The classes of a previous character that the part's assertions tell apart; without such
/// assertions there is nothing to tell apart, not even the start of the text.
fn contexts_of(part: &Part) -> Result<Vec<CharSet>, PatternError> {
    let mut classes = Vec::new();
    if !looks_back(part, &mut classes)? {
        return Ok(classes);
    }
    let mut contexts = vec![CharSet::all()];
    for set in &classes {
        let halves = |class: &CharSet| [class.intersection(set), class.difference(set)];
        let halves = contexts.iter().flat_map(halves);
        contexts = halves.filter(|class| !class.is_empty()).collect();
        if contexts.len() > MAX_CONTEXTS {
            return Err(too_many_lookbehinds());
        }
    }
    Ok(contexts)
}

fn too_many_lookbehinds() -> PatternError {
    unsupported("too many different lookbehinds".to_owned(), 0)
}

/// Adds what an assertion asks for to the sets, each once.
fn ask_for(set: CharSet, sets: &mut Vec<CharSet>) -> Result<bool, PatternError> {
    if !sets.contains(&set) {
        sets.push(set);
    }
    if sets.len() > MAX_LOOKBEHINDS {
        return Err(too_many_lookbehinds());
    }
    Ok(true)
}

/// Whether some assertion in the part is about what is before it; collects the sets these ask for.
fn looks_back(part: &Part, sets: &mut Vec<CharSet>) -> Result<bool, PatternError> {
    match part {
        Part::Set(_) | Part::End => Ok(false),
        Part::Start => Ok(true),
        Part::WordBoundary { word, .. } => ask_for(word.clone(), sets),
        Part::Lookbehind { body, offset, .. } => {
            let before = Before::of(body, *offset)?;
            ask_for(before.set, sets)
        }
        Part::Repeat { body, .. } | Part::Lookahead { body, .. } => looks_back(body, sets),
        Part::Sequence(parts) | Part::Alternatives(parts) => {
            let mut any = false;
            for part in parts {
                any |= looks_back(part, sets)?;
            }
            Ok(any)
        }
    }
}

/// What a lookbehind asks for: one of these characters, or the start of the text.
struct Before {
    set: CharSet,
    start: bool,
}

impl Before {
    fn of(body: &Part, offset: usize) -> Result<Self, PatternError> {
        let mut before = Self {
            set: CharSet::empty(),
            start: false,
        };
        for alternative in alternatives(body) {
            match alternative {
                Part::Set(set) => before.set = before.set.union(set),
                Part::Start => before.start = true,
                _ => {
                    return Err(unsupported(
                        "a lookbehind of more than one character".to_owned(),
                        offset,
                    ));
                }
            }
        }
        Ok(before)
    }
}

/// Whether the part is free of assertions.
fn is_plain(part: &Part) -> bool {
    match part {
        Part::Set(_) => true,
        Part::Sequence(parts) | Part::Alternatives(parts) => parts.iter().all(is_plain),
        Part::Repeat { body, .. } => is_plain(body),
        _ => false,
    }
}

/// The matches of the part that have at least one character.
fn nonempty(part: &Part) -> Result<Part, PatternError> {
    match part {
        part if consumes(part) => Ok(part.clone()),
        Part::Sequence(parts) => {
            if size(part).saturating_mul(parts.len() as u32) > MAX_STEPS {
                return Err(too_large());
            }
            let begins = (0..parts.len()).map(|place| {
                let mut sequence: Vec<Part> = parts[..place].iter().map(empty).collect();
                sequence.push(nonempty(&parts[place])?);
                sequence.extend_from_slice(&parts[place + 1..]);
                Ok(Part::Sequence(sequence))
            });
            begins.collect::<Result<_, _>>().map(Part::Alternatives)
        }
        Part::Alternatives(parts) => parts
            .iter()
            .map(nonempty)
            .collect::<Result<_, _>>()
            .map(Part::Alternatives),
        Part::Repeat {
            body,
            low: 0 | 1,
            high,
        } => Ok(Part::Repeat {
            body: Box::new(nonempty(body)?),
            low: 1,
            high: *high,
        }),
        Part::Repeat { .. } => Err(unsupported(
            "an endless repetition of a counted empty match".to_owned(),
            0,
        )),
        _ => Ok(Part::Alternatives(Vec::new())),
    }
}

/// The matches of the part that have no character.
fn empty(part: &Part) -> Part {
    match part {
        Part::Set(_) => Part::Alternatives(Vec::new()),
        Part::Sequence(parts) => Part::Sequence(parts.iter().map(empty).collect()),
        Part::Alternatives(parts) => Part::Alternatives(parts.iter().map(empty).collect()),
        Part::Repeat { low: 0, .. } => Part::Sequence(Vec::new()),
        Part::Repeat { body, .. } => empty(body),
        assertion => assertion.clone(),
    }
}

/// How many parts there are in the part.
fn size(part: &Part) -> u32 {
    let parts = match part {
        Part::Sequence(parts) | Part::Alternatives(parts) => parts.iter().map(size).sum(),
        Part::Repeat { body, .. } | Part::Lookahead { body, .. } => size(body),
        _ => 0,
    };
    parts + 1
}

/// Whether every match of the part has at least one character.
fn consumes(part: &Part) -> bool {
    match part {
        Part::Set(_) => true,
        Part::Sequence(parts) => parts.iter().any(consumes),
        Part::Alternatives(parts) => parts.iter().all(consumes),
        Part::Repeat { body, low, .. } => *low > 0 && consumes(body),
        _ => false,
    }
}

/// The text of a part that is a string.
fn literal(part: &Part) -> Option<String> {
    match part {
        Part::Set(set) => match set.ranges() {
            &[(low, high)] if low == high => char::from_u32(low).map(String::from),
            _ => None,
        },
        Part::Sequence(parts) => parts.iter().map(literal).collect(),
        _ => None,
    }
}

/// For each context, the language of the rest of the text when the part before ended in it.
/// Context 0 is the start of the text; without contexts there is only this one, for everything.
type Rest = Vec<RegexId>;

struct Compiler<'a> {
    regexes: &'a mut Regexes,
    contexts: Vec<CharSet>,
    steps: u32,
}

impl Compiler<'_> {
    /// The strings with a match anywhere, or with one at their start.
    fn search(&mut self, part: &Part, anchored: bool) -> Result<RegexId, PatternError> {
        let rest = vec![Regexes::ALWAYS; self.contexts.len() + 1];
        let matches = self.part(part, &rest)?;
        if anchored {
            return Ok(matches[0]);
        }
        if self.contexts.is_empty() {
            return Ok(self.regexes.concat(Regexes::ALWAYS, matches[0]));
        }
        let later = self.step_into(&CharSet::all(), &matches);
        let later = self.regexes.concat(Regexes::ALWAYS, later);
        Ok(self.regexes.union(matches[0], later))
    }

    /// One character of the set, then the rest that belongs to it.
    fn step_into(&mut self, set: &CharSet, rest: &Rest) -> RegexId {
        if is_uniform(rest) {
            let head = self.regexes.set(set.clone());
            return self.regexes.concat(head, rest[0]);
        }
        let mut alternatives = Vec::new();
        for place in 0..self.contexts.len() {
            let head = self.regexes.set(set.intersection(&self.contexts[place]));
            alternatives.push(self.regexes.concat(head, rest[place + 1]));
        }
        self.regexes.union_all(alternatives)
    }

    /// The language of a match followed by the rest, in each context.
    fn part(&mut self, part: &Part, rest: &Rest) -> Result<Rest, PatternError> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.regexes.is_void() {
            return Err(too_large());
        }
        match part {
            Part::Set(set) => Ok(vec![self.step_into(set, rest); rest.len()]),
            Part::Sequence(parts) => parts
                .iter()
                .rev()
                .try_fold(rest.clone(), |rest, part| self.part(part, &rest)),
            Part::Alternatives(parts) => self.alternatives(parts, rest),
            Part::Repeat { body, low, high } if is_plain(body) => {
                self.plain_repeat(part, body, (*low, *high), rest)
            }
            Part::Repeat { body, low, high } => self.repeat(body, *low, *high, rest),
            Part::Start => Ok(keep_where(rest, |context| context == 0)),
            Part::End => {
                let end = |&rest: &RegexId| {
                    if self.regexes.is_nullable(rest) {
                        Regexes::EMPTY
                    } else {
                        Regexes::NEVER
                    }
                };
                Ok(rest.iter().map(end).collect())
            }
            Part::WordBoundary { word, negated } => Ok(self.word_boundary(word, *negated, rest)),
            Part::Lookahead { body, negated } => self.lookahead(body, *negated, rest),
            Part::Lookbehind {
                body,
                negated,
                offset,
            } => self.lookbehind(&Before::of(body, *offset)?, *negated, rest),
        }
    }

    fn alternatives(&mut self, parts: &[Part], rest: &Rest) -> Result<Rest, PatternError> {
        let many = parts.len() >= MANY_WORDS && is_uniform(rest);
        let words: Option<Vec<String>> = parts.iter().map(literal).collect();
        if let (Some(words), true) = (words, many) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let words = self.regexes.literals(&words);
            return Ok(vec![self.regexes.concat(words, rest[0]); rest.len()]);
        }
        let mut columns = vec![Vec::new(); rest.len()];
        for part in parts {
            let languages = self.part(part, rest)?;
            columns
                .iter_mut()
                .zip(languages)
                .for_each(|(column, language)| column.push(language));
        }
        Ok(columns
            .into_iter()
            .map(|column| self.regexes.union_all(column))
            .collect())
    }

    /// A repetition without assertions is one expression, whatever its counts.
    fn plain_repeat(
        &mut self,
        part: &Part,
        body: &Part,
        counts: (u32, Option<u32>),
        rest: &Rest,
    ) -> Result<Rest, PatternError> {
        let (low, high) = counts;
        let language = self.language(part)?;
        if is_uniform(rest) {
            return Ok(vec![self.regexes.concat(language, rest[0]); rest.len()]);
        }
        let mut later = Vec::new();
        for place in 0..self.contexts.len() {
            let class = self.contexts[place].clone();
            let ending = self.ending_in(language, body, (low, high), &class);
            later.push(self.regexes.concat(ending, rest[place + 1]));
        }
        let later = self.regexes.union_all(later);
        let skipped = self.regexes.is_nullable(language);
        let either = |&rest: &RegexId| {
            if skipped {
                self.regexes.union(rest, later)
            } else {
                later
            }
        };
        Ok(rest.iter().map(either).collect())
    }

    /// The members of a repetition whose last character is in the class.
    fn ending_in(
        &mut self,
        language: RegexId,
        body: &Part,
        (low, high): (u32, Option<u32>),
        class: &CharSet,
    ) -> RegexId {
        if let Part::Set(set) = body {
            let (head, last) = (
                self.regexes.set(set.clone()),
                self.regexes.set(set.intersection(class)),
            );
            let before = match high {
                Some(0) => Regexes::NEVER,
                _ => self
                    .regexes
                    .repeat(head, low.saturating_sub(1), high.map(|high| high - 1)),
            };
            return self.regexes.concat(before, last);
        }
        let last = self.regexes.set(class.clone());
        let ending = self.regexes.concat(Regexes::ALWAYS, last);
        self.regexes.intersection(language, ending)
    }

    /// The language of a part without assertions.
    fn language(&mut self, part: &Part) -> Result<RegexId, PatternError> {
        let contexts = std::mem::take(&mut self.contexts);
        let language = match part {
            Part::Repeat { body, low, high } => {
                let body = self.language(body);
                body.map(|body| self.regexes.repeat(body, *low, *high))
            }
            _ => self
                .part(part, &vec![Regexes::EMPTY])
                .map(|languages| languages[0]),
        };
        self.contexts = contexts;
        language
    }

    /// A repetition with assertions: its required rounds one by one, then the others.
    fn repeat(
        &mut self,
        body: &Part,
        low: u32,
        high: Option<u32>,
        rest: &Rest,
    ) -> Result<Rest, PatternError> {
        let mut after = match high {
            None => self.endless(body, rest)?,
            Some(_) => rest.clone(),
        };
        for _ in low..high.unwrap_or(low) {
            let more = self.part(body, &after)?;
            after = rest
                .iter()
                .zip(more)
                .map(|(&rest, more)| self.regexes.union(rest, more))
                .collect();
        }
        for _ in 0..low {
            after = self.part(body, &after)?;
        }
        Ok(after)
    }

    fn endless(&mut self, body: &Part, rest: &Rest) -> Result<Rest, PatternError> {
        // A round that reads nothing leads nowhere.
        let body = &nonempty(body)?;
        self.steps = self.steps.saturating_add(size(body));
        let (contexts, steps) = (self.contexts.clone(), self.steps);
        let mut spent = steps;
        let rules = self.regexes.recursive(rest, |regexes, rules| {
            let mut compiler = Compiler {
                regexes,
                contexts,
                steps,
            };
            let bodies = compiler.part(body, &rules.to_vec());
            spent = compiler.steps;
            bodies
        });
        self.steps = spent;
        rules
    }

    fn word_boundary(&mut self, characters: &CharSet, negated: bool, rest: &Rest) -> Rest {
        let word = self.regexes.set(characters.clone());
        let before_word = self.regexes.concat(word, Regexes::ALWAYS);
        let other = self.regexes.set(characters.complement());
        let before_other = self.regexes.concat(other, Regexes::ALWAYS);
        let before_other = self.regexes.union(before_other, Regexes::EMPTY);
        let mut bounded = Vec::new();
        for (context, &rest) in rest.iter().enumerate() {
            let after_word = context > 0 && is_inside(&self.contexts[context - 1], characters);
            let next = if after_word == negated {
                before_word
            } else {
                before_other
            };
            bounded.push(self.regexes.intersection(rest, next));
        }
        bounded
    }

    fn lookahead(&mut self, body: &Part, negated: bool, rest: &Rest) -> Result<Rest, PatternError> {
        let mut wanted = self.part(body, &vec![Regexes::ALWAYS; rest.len()])?;
        if negated {
            wanted = wanted
                .into_iter()
                .map(|language| self.regexes.complement(language))
                .collect();
        }
        let both = rest
            .iter()
            .zip(wanted)
            .map(|(&rest, wanted)| self.regexes.intersection(rest, wanted));
        Ok(both.collect())
    }

    fn lookbehind(
        &mut self,
        before: &Before,
        negated: bool,
        rest: &Rest,
    ) -> Result<Rest, PatternError> {
        let found = |context: usize| match context.checked_sub(1) {
            None => before.start,
            Some(place) => is_inside(&self.contexts[place], &before.set),
        };
        Ok(keep_where(rest, |context| found(context) != negated))
    }
}

fn is_uniform(rest: &Rest) -> bool {
    rest.iter().all(|&one| one == rest[0])
}

/// Whether a context's class, which is inside or outside of the set as a whole, is inside.
fn is_inside(class: &CharSet, set: &CharSet) -> bool {
    class.first().is_some_and(|first| set.contains(first))
}

fn keep_where(rest: &Rest, holds: impl Fn(usize) -> bool) -> Rest {
    let kept = |(context, &rest)| if holds(context) { rest } else { Regexes::NEVER };
    rest.iter().enumerate().map(kept).collect()
}
