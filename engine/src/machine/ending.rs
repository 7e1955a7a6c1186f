//! Short endings of a text: what to write, from any place, so that it soon fulfils its formula.
//!
//! Costs in bytes are estimated bottom up, for each track by itself: a text that one track accepts
//! is accepted. The machine then writes the ending byte by byte by these estimates, so that what is
//! returned can surely be read; it is short, and not always the shortest.

use std::hash::Hash;
use std::sync::Arc;

use super::{Configuration, Gap, Node, ObjectId, ObjectState, Phase, Role, StackId};
use crate::closing::MAX_ENDING;
use crate::formula::{Formula, FormulaId, Kind, TextId};
use crate::grammar::{Branch, Grammar, Place};
use crate::hashing::IdMap;
use crate::regex::{RegexId, Regexes};
use crate::shape::{Lexeme, ShapeId, ShapeStep};

/// The cost where no ending is known.
const FAR: u32 = u32::MAX;
/// Properties or items that one estimate looks ahead.
const MAX_AHEAD: usize = 4_096;
/// Values inside each other that an estimate follows.
const MAX_NESTED: usize = 64;
/// Alternatives that are compared where nothing prefers one.
const MAX_ALTERNATIVES: usize = 32;
/// Small steps that an item or property takes in an estimate.
const ESTIMATE_STEPS: usize = 16;
/// Derivatives that the search for one short text may take.
const TEXT_FUEL: u64 = 100_000;

/// What has been estimated so far.
#[derive(Default)]
pub struct Endings {
    values: IdMap<FormulaId, u32>,
    /// By what an array or object has left to fulfil.
    arrays: IdMap<FormulaId, Ahead>,
    objects: IdMap<(FormulaId, Place), Ahead>,
    /// Values that are being estimated, each inside the one before.
    open: Vec<FormulaId>,
    /// Which of these the estimate in progress has met inside itself: a bit for each.
    met: u128,
    /// Estimates that hold only while all values that they met inside themselves are open, with
    /// these: so that no estimate depends on what was asked before.
    passing: Vec<(FormulaId, u32, u128)>,
    /// By stack: what follows the value on top of it, for each of its tracks.
    after: IdMap<StackId, Arc<[u32]>>,
    texts: IdMap<RegexId, Option<Arc<str>>>,
}

impl Grammar {
    /// Bytes that end the text; None where none are found.
    pub(crate) fn ending(&mut self, from: Configuration) -> Option<Vec<u8>> {
        let (mut at, mut text) = (from, Vec::new());
        while text.len() < MAX_ENDING && !self.is_void() {
            if self.may_end(at) {
                return Some(text);
            }
            for byte in self.next_bytes(at)? {
                at = self.step(at, byte)?;
                text.push(byte);
            }
        }
        None
    }

    /// Some bytes on the way to a near end.
    fn next_bytes(&mut self, at: Configuration) -> Option<Vec<u8>> {
        let node = Arc::clone(self.machine.node(at.top));
        if let Some(spaces) = spaces_before(&node) {
            return Some(vec![b' '; spaces]);
        }
        match &*node {
            Node::Start { goals, .. } => {
                let after = self.after(at.below);
                let costs: Vec<u32> = goals.iter().map(|g| self.value_cost(*g)).collect();
                let track = nearest(costs.into_iter().zip(after.iter().copied()))?;
                self.value_bytes(goals[track])
            }
            Node::Literal { kind, read, .. } => {
                Some(literal_text(*kind)[usize::from(*read)..].into())
            }
            Node::Number { .. } => self.end_number(at, &node),
            Node::Text {
                shape, role, read, ..
            } => self.end_text(at, *shape, *role, *read),
            Node::Object { object, phase, .. } => self.end_object(at, *object, *phase),
            Node::Colon { .. } => Some(b":".to_vec()),
            Node::Array {
                formulas, phase, ..
            } => self.end_array(at, formulas, *phase),
            Node::End | Node::Root | Node::Property { .. } | Node::Item { .. } => None,
        }
    }

    /// The first bytes of a short value: all of it, but for arrays and objects.
    fn value_bytes(&mut self, goal: FormulaId) -> Option<Vec<u8>> {
        let costs: Vec<u32> = Kind::ALL.iter().map(|k| self.kind_cost(goal, *k)).collect();
        let place = nearest(costs.into_iter().map(|cost| (cost, 0)))?;
        let kind = Kind::ALL[place];
        let left = self.formulas.restrict(goal, kind);
        match kind {
            Kind::Null | Kind::True | Kind::False => Some(literal_text(kind).into()),
            Kind::Number => {
                let language = self.number_language(left);
                let language = &self.number_languages[usize::from(language)];
                Some(language.shortest_from(&language.start()))
            }
            Kind::String => {
                let language = self.formulas.text_language(left);
                let text = self.short_text(language)?;
                Some([b"\"", &spelt(&text)[..], b"\""].concat())
            }
            Kind::Array => Some(b"[".to_vec()),
            Kind::Object => Some(b"{".to_vec()),
        }
    }

    fn end_number(&mut self, at: Configuration, node: &Node) -> Option<Vec<u8>> {
        let Node::Number { states, .. } = node else {
            return None;
        };
        let ways = states.iter().map(|tracked| {
            let (language, state) = tracked.as_ref()?;
            Some(self.number_languages[usize::from(*language)].shortest_from(state))
        });
        let ways: Vec<Option<Vec<u8>>> = ways.collect();
        let after = self.after(at.below);
        let costs = ways.iter().map(|way| length(way.as_deref()));
        let track = nearest(costs.zip(after.iter().copied()))?;
        let bytes = ways[track].clone()?;
        if !bytes.is_empty() {
            return Some(bytes);
        }
        let outcome = self.number_outcome(at.top)?;
        let next = self.pop(at, outcome)?;
        self.next_bytes(next)
    }

    fn end_text(
        &mut self,
        at: Configuration,
        shape: ShapeId,
        role: Role,
        read: Option<TextId>,
    ) -> Option<Vec<u8>> {
        if self.machine.shapes.get(shape).lexeme != Lexeme::Plain {
            return self.end_character(shape);
        }
        let rest = match role {
            Role::Value => self.short_rest(at, shape)?,
            Role::Key(object) => self.short_key(at, object, shape, read)?,
        };
        Some([&spelt(&rest)[..], b"\""].concat())
    }

    /// A byte on the way to the end of a code point.
    fn end_character(&mut self, shape: ShapeId) -> Option<Vec<u8>> {
        let first = b"\"\\bfnrtdu0123456789abcef".iter().copied();
        let mut bytes = first.chain(0x80..=0xBF);
        let next = bytes.find(|b| matches!(self.shape_step(shape, *b), ShapeStep::To(_)))?;
        Some(vec![next])
    }

    fn short_rest(&mut self, at: Configuration, shape: ShapeId) -> Option<Arc<str>> {
        let languages = self.machine.shapes.get(shape).languages.clone();
        let texts: Vec<_> = languages.iter().map(|l| self.short_text(*l)).collect();
        let after = self.after(at.below);
        let costs = texts
            .iter()
            .map(|t| length(t.as_deref().map(str::as_bytes)));
        let track = nearest(costs.zip(after.iter().copied()))?;
        texts[track].clone()
    }

    /// What completes a key that goes on soon to an end.
    fn short_key(
        &mut self,
        at: Configuration,
        object: ObjectId,
        shape: ShapeId,
        read: Option<TextId>,
    ) -> Option<Arc<str>> {
        let mut ways = self.declared_rests(object, shape, read);
        ways.extend(self.undeclared_rests(at, object, shape));
        let costs: Vec<(u32, u32)> = ways
            .iter()
            .map(|(rest, key)| (rest.len() as u32, self.key_cost(at, object, *key)))
            .collect();
        let best = nearest(costs.into_iter())?;
        ways.into_iter().nth(best).map(|(rest, _)| rest)
    }

    /// Ways to complete a key whose text the node holds, each with the key.
    fn declared_rests(
        &mut self,
        object: ObjectId,
        shape: ShapeId,
        read: Option<TextId>,
    ) -> Vec<(Arc<str>, TextId)> {
        let Some(read) = read else {
            return Vec::new();
        };
        let state = Arc::clone(self.machine.objects.get(object));
        let read = Arc::clone(self.formulas.texts.get(read));
        let language = self.machine.shapes.get(shape).languages[0];
        let mut rests: Vec<Arc<str>> = Vec::new();
        for key in self.next_declared(&state) {
            let text = self.formulas.texts.get(key);
            rests.extend(text.strip_prefix(read.as_str()).map(Arc::from));
        }
        rests.truncate(MAX_ALTERNATIVES);
        rests.extend(self.short_text(language));
        rests.retain(|rest| self.formulas.regexes.matches(language, rest));
        let mut whole = |rest: Arc<str>| {
            let key = self.formulas.texts.intern(format!("{read}{rest}"));
            (rest, key)
        };
        rests.into_iter().map(&mut whole).collect()
    }

    /// Ways to complete an undeclared key that the object does not have yet, each with the example
    /// of its class.
    fn undeclared_rests(
        &mut self,
        at: Configuration,
        object: ObjectId,
        shape: ShapeId,
    ) -> Vec<(Arc<str>, TextId)> {
        let tracks = self.key_tracks(object);
        let languages = self.machine.shapes.get(shape).languages.clone();
        let taken = self.key_endings(at.memory);
        let mut ways = Vec::new();
        for (language, example) in languages.iter().skip(1).zip(&tracks.examples) {
            let language = self.without_texts(*language, &taken);
            ways.extend(self.short_text(language).map(|rest| (rest, *example)));
        }
        ways
    }

    fn without_texts(&mut self, language: RegexId, texts: &[Vec<u8>]) -> RegexId {
        let texts: Vec<&str> = texts
            .iter()
            .filter_map(|text| std::str::from_utf8(text).ok())
            .collect();
        let texts = self.formulas.regexes.literals(&texts);
        self.formulas.regexes.difference(language, texts)
    }

    /// What follows a key, all tracks compared.
    fn key_cost(&mut self, at: Configuration, object: ObjectId, key: TextId) -> u32 {
        let state = Arc::clone(self.machine.objects.get(object));
        let (next, after) = (self.place_after(state.place, key), self.after(at.below));
        let branches = self.tracked_branches(&state, key);
        let costs = branches.into_iter().map(|(track, branch)| {
            let value = self.value_cost(branch.child);
            let rest = self.object_cost(branch.rest, next);
            sum([value, rest, beyond(&after, track)])
        });
        costs.min().unwrap_or(FAR)
    }

    fn end_object(&mut self, at: Configuration, object: ObjectId, phase: Phase) -> Option<Vec<u8>> {
        let state = Arc::clone(self.machine.objects.get(object));
        if phase != Phase::Comma && self.is_near_end(at, &state.formulas) {
            return Some(b"}".to_vec());
        }
        if phase == Phase::Between {
            return Some(b",".to_vec());
        }
        let mut keys = Vec::new();
        for formula in state.formulas.iter().filter(|f| **f != FormulaId::FALSE) {
            keys.extend(self.first_keys(*formula, state.place));
        }
        if keys.is_empty() {
            keys = self.next_declared(&state);
        }
        keys.truncate(MAX_ALTERNATIVES);
        let costs: Vec<_> = keys
            .iter()
            .map(|key| {
                (
                    self.formulas.texts.get(*key).len() as u32,
                    self.key_cost(at, object, *key),
                )
            })
            .collect();
        let key = keys[nearest(costs.into_iter())?];
        let text = self.unseen(at, &state, key)?;
        Some([b"\"", &spelt(&text)[..], b"\""].concat())
    }

    /// The key itself or, where an object has it already, another one of its class.
    fn unseen(&mut self, at: Configuration, state: &ObjectState, key: TextId) -> Option<Arc<str>> {
        let own = Arc::clone(self.formulas.texts.get(key));
        let remembered = self.undeclared_keys(at.memory);
        let seen = Arc::clone(self.formulas.key_sets.get(state.place.seen));
        let is_new = seen.binary_search(&key).is_err();
        if is_new && !remembered.iter().any(|k| k == own.as_bytes()) {
            return Some(own.as_str().into());
        }
        let all = self.formulas.or(state.formulas.iter().copied());
        let classes = self.extra_classes(all, state.place.order);
        let (class, _) = *classes.iter().find(|(_, example)| *example == key)?;
        let unseen = self.next_unseen(state);
        let others = self.formulas.regexes.intersection(class, unseen);
        let others = self.without_texts(others, &remembered);
        self.short_text(others)
    }

    /// Whether closing here is the nearest end: some track may, and none that may not is nearer.
    fn is_near_end(&mut self, at: Configuration, formulas: &[FormulaId]) -> bool {
        let after = self.after(at.below);
        let may: Vec<bool> = formulas.iter().map(|f| self.may_end_with(*f)).collect();
        let least = |wanted: bool| {
            let costs = may.iter().zip(after.iter()).filter(|(m, _)| **m == wanted);
            costs.map(|(_, cost)| *cost).min()
        };
        match (least(true), least(false)) {
            (Some(now), Some(later)) => now <= later.saturating_add(MIN_PROPERTY),
            (now, _) => now.is_some(),
        }
    }

    fn end_array(
        &mut self,
        at: Configuration,
        formulas: &[FormulaId],
        phase: Phase,
    ) -> Option<Vec<u8>> {
        if phase != Phase::Comma && self.is_near_end(at, formulas) {
            return Some(b"]".to_vec());
        }
        if phase == Phase::Between {
            return Some(b",".to_vec());
        }
        let (tracks, after) = (self.item_tracks(formulas), self.after(at.below));
        let costs: Vec<(u32, u32)> = tracks
            .iter()
            .map(|(track, branch)| {
                let rest = self.array_cost(branch.rest);
                (
                    self.value_cost(branch.child),
                    sum([rest, beyond(&after, *track)]),
                )
            })
            .collect();
        let best = nearest(costs.into_iter())?;
        self.value_bytes(tracks[best].1.child)
    }

    // Estimates.

    /// What follows the value on top of a stack, for each of its tracks.
    fn after(&mut self, stack: StackId) -> Arc<[u32]> {
        let mut unknown = Vec::new();
        let mut at = stack;
        while !self.machine.endings.after.contains_key(&at) {
            unknown.push(at);
            match **self.machine.stacks.get(at) {
                Some((_, below)) => at = below,
                None => break,
            }
        }
        for stack in unknown.into_iter().rev() {
            let costs = self.work_out_after(stack);
            if self.is_void() {
                return Arc::new([]);
            }
            self.machine.endings.after.insert(stack, costs);
        }
        let known = self.machine.endings.after.get(&stack);
        known.map_or_else(|| Arc::new([]), Arc::clone)
    }

    fn work_out_after(&mut self, stack: StackId) -> Arc<[u32]> {
        let Some((node, below)) = **self.machine.stacks.get(stack) else {
            return Arc::new([]);
        };
        let parent = self.machine.endings.after.get(&below).map(Arc::clone);
        let parent = parent.unwrap_or_else(|| Arc::new([]));
        let node = Arc::clone(self.machine.node(node));
        match &*node {
            Node::Property { object, key } => {
                let state = Arc::clone(self.machine.objects.get(*object));
                let next = self.place_after(state.place, *key);
                let branches = self.tracked_branches(&state, *key);
                let costs = branches.into_iter().map(|(track, b)| {
                    sum([self.object_cost(b.rest, next), beyond(&parent, track)])
                });
                costs.collect()
            }
            Node::Item { formulas, .. } => {
                let branches = self.item_tracks(formulas);
                let costs = branches
                    .into_iter()
                    .map(|(track, b)| sum([self.array_cost(b.rest), beyond(&parent, track)]));
                costs.collect()
            }
            _ => Arc::new([0]),
        }
    }

    /// The bytes of a short value.
    fn value_cost(&mut self, goal: FormulaId) -> u32 {
        match goal {
            FormulaId::TRUE => return 1,
            FormulaId::FALSE => return FAR,
            _ => {}
        }
        if let Some(known) = self.machine.endings.values.get(&goal) {
            return *known;
        }
        let endings = &mut self.machine.endings;
        if let Some((_, cost, met)) = endings.passing.iter().find(|(known, ..)| *known == goal) {
            endings.met |= *met;
            return *cost;
        }
        // A value inside itself is never the shortest one.
        let met = endings.open.iter().position(|open| *open == goal);
        if let Some(met) = met.or((endings.open.len() >= MAX_NESTED).then_some(MAX_NESTED)) {
            endings.met |= 1 << met;
            return FAR;
        }
        endings.open.push(goal);
        let before = std::mem::take(&mut endings.met);
        let costs: Vec<u32> = Kind::ALL.iter().map(|k| self.kind_cost(goal, *k)).collect();
        let cost = costs.into_iter().min().unwrap_or(FAR);
        self.close_estimate(goal, cost);
        self.machine.endings.met |= before;
        cost
    }

    /// Remembers what an estimate has found, for as long as it holds.
    fn close_estimate(&mut self, goal: FormulaId, cost: u32) {
        let is_void = self.is_void();
        let endings = &mut self.machine.endings;
        endings.open.pop();
        let own = 1 << endings.open.len();
        endings.met &= !own;
        endings.passing.retain(|(_, _, met)| met & own == 0);
        if is_void {
            endings.passing.clear();
        } else if endings.met == 0 {
            endings.values.insert(goal, cost);
        } else if endings.met >> MAX_NESTED == 0 {
            endings.passing.push((goal, cost, endings.met));
        }
    }

    /// The bytes of a short value of one kind.
    fn kind_cost(&mut self, goal: FormulaId, kind: Kind) -> u32 {
        if !self.spend(1) || !self.is_satisfiable_as(goal, kind) {
            return FAR;
        }
        let left = self.formulas.restrict(goal, kind);
        match kind {
            Kind::Null | Kind::True | Kind::False => literal_text(kind).len() as u32,
            Kind::Number => {
                let language = self.number_language(left);
                let language = &self.number_languages[usize::from(language)];
                length(Some(&language.shortest_from(&language.start())))
            }
            Kind::String => {
                let language = self.formulas.text_language(left);
                let text = self.short_text(language);
                sum([2, length(text.as_deref().map(str::as_bytes))])
            }
            Kind::Array => sum([1, self.array_cost(left)]),
            Kind::Object => {
                let place = self.first_place(&[left]);
                sum([1, self.object_cost(left, place)])
            }
        }
    }

    /// The bytes that end an object with this left to fulfil.
    fn object_cost(&mut self, formula: FormulaId, place: Place) -> u32 {
        if self.may_end_formula(formula) {
            return 1;
        }
        if let Some(parts) = self.alternatives(formula) {
            let costs = parts.into_iter().map(|part| self.object_cost(part, place));
            return costs.min().unwrap_or(FAR);
        }
        let (mut at, mut passed) = ((formula, place), Vec::new());
        let end = loop {
            if let Some(known) = self.machine.endings.objects.get(&at) {
                break *known;
            }
            if self.may_end_formula(at.0) {
                break Ahead::END;
            }
            let next = self.first_property(at.0, at.1);
            let Some((key, branch, cost)) = next.filter(|_| passed.len() < MAX_AHEAD) else {
                return FAR;
            };
            passed.push((at, cost));
            at = (branch.rest, self.place_after(at.1, key));
        };
        let is_lasting = self.spend_on_estimates(passed.len());
        let known = is_lasting.then_some(&mut self.machine.endings.objects);
        end.before(passed, known)
    }

    /// Burns fuel for so many steps of an estimate; whether it holds whatever else is asked.
    fn spend_on_estimates(&mut self, steps: usize) -> bool {
        self.spend_steps(ESTIMATE_STEPS * steps) && self.machine.endings.open.is_empty()
    }

    /// A property that brings the object nearer to its end, and its bytes.
    fn first_property(
        &mut self,
        formula: FormulaId,
        place: Place,
    ) -> Option<(TextId, Branch, u32)> {
        let mut best: Option<(TextId, Branch, u32)> = None;
        for key in self.first_keys(formula, place) {
            let branches = self.live_branches(formula, place, key);
            for branch in branches.into_iter().filter(|b| b.rest != formula) {
                let length = self.formulas.texts.get(key).len() as u32;
                let cost = sum([MIN_PROPERTY, length, self.value_cost(branch.child)]);
                if best.is_none_or(|(_, _, least)| cost < least) {
                    best = Some((key, branch, cost));
                }
            }
        }
        best
    }

    /// Keys that a short object goes on with: the first that it needs, else all that help.
    fn first_keys(&mut self, formula: FormulaId, place: Place) -> Vec<TextId> {
        let is_needed = self.required_position(formula, place).is_some();
        let mut keys = self.useful_keys(formula, place);
        keys.retain(|key| !self.live_branches(formula, place, *key).is_empty());
        keys.truncate(if is_needed { 1 } else { MAX_ALTERNATIVES });
        keys
    }

    /// The bytes that end an array with this left to fulfil.
    fn array_cost(&mut self, formula: FormulaId) -> u32 {
        if let Some(parts) = self.alternatives(formula) {
            let costs = parts.into_iter().map(|part| self.array_cost(part));
            return costs.min().unwrap_or(FAR);
        }
        let (mut left, mut passed) = (formula, Vec::new());
        let end = loop {
            if let Some(known) = self.machine.endings.arrays.get(&left) {
                break *known;
            }
            if self.may_end_formula(left) {
                break Ahead::END;
            }
            let next = self.first_item(left);
            let Some((cost, rest)) = next.filter(|_| passed.len() < MAX_AHEAD) else {
                return FAR;
            };
            passed.push((left, sum([1, cost])));
            left = rest;
        };
        let is_lasting = self.spend_on_estimates(passed.len());
        let known = is_lasting.then_some(&mut self.machine.endings.arrays);
        end.before(passed, known)
    }

    /// The bytes of an item that brings the array nearer to its end, and what is left then.
    fn first_item(&mut self, left: FormulaId) -> Option<(u32, FormulaId)> {
        let branches = self.item_tracks(&[left]);
        let useful = branches.into_iter().filter(|(_, b)| b.rest != left);
        let costs = useful.map(|(_, b)| (self.value_cost(b.child), b.rest));
        costs.min_by_key(|(cost, _)| *cost)
    }

    fn alternatives(&mut self, formula: FormulaId) -> Option<Vec<FormulaId>> {
        let Formula::Or(parts) = &**self.formulas.get(formula) else {
            return None;
        };
        let parts = parts.iter().copied().take(MAX_ALTERNATIVES).collect();
        (!self.may_end_formula(formula)).then_some(parts)
    }

    /// A shortest member of a language in which only the length counts.
    fn shortest_of_length(&mut self, language: RegexId) -> Option<String> {
        let (low, high) = self.formulas.regexes.length_bounds(language);
        let is_length =
            low as usize <= MAX_ENDING && self.formulas.regexes.length(low, high) == language;
        is_length.then(|| "a".repeat(low as usize))
    }

    /// A short member of a language.
    fn short_text(&mut self, language: RegexId) -> Option<Arc<str>> {
        if language == Regexes::NEVER {
            return None;
        }
        if let Some(known) = self.machine.endings.texts.get(&language) {
            return known.clone();
        }
        let text: Option<Arc<str>> = match self.shortest_of_length(language) {
            Some(text) => Some(text.into()),
            None => {
                let mut fuel = TEXT_FUEL;
                let found = self.formulas.regexes.shortest(language, &mut fuel);
                found.ok().flatten().map(Into::into)
            }
        };
        if !self.is_void() {
            self.machine.endings.texts.insert(language, text.clone());
        }
        text
    }
}

/// What is ahead of the end of an array or object: its bytes, and how many items or properties.
#[derive(Copy, Clone)]
struct Ahead {
    bytes: u32,
    count: usize,
}

impl Ahead {
    /// The closing bracket.
    const END: Ahead = Ahead { bytes: 1, count: 0 };

    /// The bytes before which some places were passed, each with its own; they are remembered.
    fn before<At: Eq + Hash>(
        mut self,
        passed: Vec<(At, u32)>,
        mut known: Option<&mut IdMap<At, Ahead>>,
    ) -> u32 {
        for (at, bytes) in passed.into_iter().rev() {
            self.bytes = sum([self.bytes, bytes]);
            self.count += 1;
            if let Some(known) = &mut known {
                known.insert(at, self);
            }
        }
        if self.count > MAX_AHEAD {
            return FAR;
        }
        self.bytes
    }
}

/// Quotes, colon and comma of a property.
const MIN_PROPERTY: u32 = 4;

/// What follows a value on a track: nothing is known of a stack without fuel, or that no text has.
fn beyond(after: &[u32], track: usize) -> u32 {
    after.get(track).copied().unwrap_or(0)
}

fn sum<const N: usize>(costs: [u32; N]) -> u32 {
    costs.into_iter().fold(0, u32::saturating_add)
}

fn length(bytes: Option<&[u8]>) -> u32 {
    bytes.map_or(FAR, |bytes| u32::try_from(bytes.len()).unwrap_or(FAR))
}

/// The place of the least sum, if any is known.
fn nearest(costs: impl Iterator<Item = (u32, u32)>) -> Option<usize> {
    let costs = costs
        .map(|(own, after)| own.saturating_add(after))
        .enumerate();
    let best = costs.min_by_key(|(_, cost)| *cost);
    best.filter(|(_, cost)| *cost < FAR).map(|(place, _)| place)
}

fn literal_text(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Null => b"null",
        Kind::True => b"true",
        _ => b"false",
    }
}

/// Spaces that must come before anything else.
fn spaces_before(node: &Node) -> Option<usize> {
    match node {
        Node::Start { gap, .. }
        | Node::Object { gap, .. }
        | Node::Colon { gap, .. }
        | Node::Array { gap, .. } => match gap {
            Gap::Exactly(spaces) if *spaces > 0 => Some(usize::from(*spaces)),
            _ => None,
        },
        _ => None,
    }
}

/// A text as it stands between quotes.
fn spelt(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\0'..' ' => {
                bytes.extend(format!("\\u{:04x}", u32::from(c)).bytes());
                continue;
            }
            _ => {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        bytes.extend_from_slice(short.as_bytes());
    }
    bytes
}
