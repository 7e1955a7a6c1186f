//! Whether a formula has any value at all, so that nothing is begun that cannot be ended.
//!
//! A least fixpoint over formulas: a value that would need itself has no finite text. The search
//! goes by branches of `derive.rs`, is memoised, and is bounded by fuel.

use std::sync::Arc;

use crate::formula::{Formula, FormulaId, Kind, PropertyTableId, TextId};
use crate::grammar::{Branch, Grammar, KeyClasses, NumberLanguageId, Order, OrderId, Place};
use crate::hashing::{IdMap, IdSet};
use crate::number::{NumberGoal, NumberLanguage};
use crate::regex::{RegexId, Regexes};

/// Steps that a key takes that is compared or kept.
const KEY_STEPS: usize = 1;
/// The same for a key that a formula names, and for a part of a formula in which keys are looked for.
const NAME_STEPS: usize = 2;
const PART_STEPS: usize = 4;
/// The same for a number in a conjunction of what numbers must be.
const GOAL_STEPS: usize = 16;

impl Grammar {
    /// Whether some value fulfils the formula.
    pub(crate) fn is_satisfiable(&mut self, id: FormulaId) -> bool {
        if id == FormulaId::TRUE || id == FormulaId::FALSE {
            return id == FormulaId::TRUE;
        }
        self.decide(Question::Value(id), |g| {
            Kind::ALL
                .into_iter()
                .any(|kind| g.is_satisfiable_as(id, kind))
        })
    }

    /// Answer a question by search: yes for good, no only where it rests on no open question.
    ///
    /// A question met again while it is open counts as no (the least fixpoint); what was answered
    /// on that ground is forgotten until the open one is settled.
    fn decide(&mut self, question: Question, search: impl FnOnce(&mut Self) -> bool) -> bool {
        if let Some(known) = self.answers.get(&question) {
            return *known;
        }
        if let Some(depth) = self.open_questions.get(&question) {
            self.lowest_assumed = self.lowest_assumed.min(*depth);
            return false;
        }
        if !self.spend(1) {
            return true;
        }
        let (depth, maximum) = (self.open_questions.len(), self.limits.max_search_depth);
        if depth >= maximum {
            self.exhaust("max_search_depth", maximum as u64);
            return true;
        }
        self.open_questions.insert(question, depth);
        let assumed_before = std::mem::replace(&mut self.lowest_assumed, usize::MAX);
        let found = search(self);
        self.open_questions.remove(&question);
        if !self.is_void() && (found || self.lowest_assumed >= depth) {
            self.answers.insert(question, found);
        }
        let assumed_here = if self.lowest_assumed < depth {
            self.lowest_assumed
        } else {
            usize::MAX
        };
        self.lowest_assumed = assumed_before.min(assumed_here);
        found
    }

    /// Whether some value of this kind fulfils the formula.
    pub(crate) fn is_satisfiable_as(&mut self, id: FormulaId, kind: Kind) -> bool {
        let left = self.formulas.restrict(id, kind);
        if left == FormulaId::TRUE || left == FormulaId::FALSE {
            return left == FormulaId::TRUE;
        }
        match kind {
            Kind::Null | Kind::True | Kind::False => false,
            Kind::Number => {
                let language = self.number_language(left);
                !self.number_languages[usize::from(language)].is_empty()
            }
            Kind::String => {
                let language = self.formulas.text_language(left);
                !self.is_dead(language)
            }
            Kind::Array => self.can_array_end(left),
            Kind::Object => {
                let place = self.first_place(&[left]);
                self.can_object_end(left, place)
            }
        }
    }

    /// Whether a language of texts is empty; without fuel it counts as empty and the grammar fails.
    pub(crate) fn is_dead(&mut self, language: RegexId) -> bool {
        if language == Regexes::ALWAYS {
            return false;
        }
        let mut fuel = self.limits.regex_fuel;
        match self.formulas.regexes.is_empty_language(language, &mut fuel) {
            Ok(empty) => empty,
            Err(_) => {
                self.exhaust_expression();
                true
            }
        }
    }

    /// The language of the numbers that fulfil a formula restricted to numbers.
    pub(crate) fn number_language(&mut self, id: FormulaId) -> NumberLanguageId {
        if let Some(known) = self.numbers_of.get(&id) {
            return *known;
        }
        let goals = self.collect_goals(id);
        let language = self.language_of_goals(goals);
        if !self.is_void() {
            self.numbers_of.insert(id, language);
        }
        language
    }

    fn language_of_goals(&mut self, goals: Vec<NumberGoal>) -> NumberLanguageId {
        if let Some(known) = self.number_goals.find(&goals) {
            return known;
        }
        match NumberLanguage::new(goals.clone(), self.spellings()) {
            Ok(made) => {
                self.number_languages.push(made);
                self.number_goals.intern(goals)
            }
            Err(_) => {
                self.exhaust("max_divisor_digits", MAX_DIVISOR_DIGITS);
                self.language_of_goals(Vec::new())
            }
        }
    }

    pub(crate) fn collect_goals(&mut self, id: FormulaId) -> Vec<NumberGoal> {
        if !self.spend(1) {
            return Vec::new();
        }
        let formula = Arc::clone(self.formulas.get(id));
        let goals: Vec<NumberGoal> = match &*formula {
            Formula::True => vec![NumberGoal::default()],
            Formula::Number(goal) => {
                let goal = (**self.formulas.goals.get(*goal)).clone();
                goal.spelt(self.spellings()).into_iter().collect()
            }
            Formula::And(parts) => {
                let ways: Vec<_> = parts.iter().map(|p| self.collect_goals(*p)).collect();
                self.conjoin_goals(&ways)
            }
            Formula::Or(parts) => parts.iter().flat_map(|p| self.collect_goals(*p)).collect(),
            _ => Vec::new(),
        };
        if goals.len() > self.limits.max_branches {
            self.exhaust("max_branches", self.limits.max_branches as u64);
        }
        goals
    }

    /// Every conjunction of one goal of each part. Parts of one goal are met at once.
    fn conjoin_goals(&mut self, parts: &[Vec<NumberGoal>]) -> Vec<NumberGoal> {
        let single = parts.iter().filter_map(|goals| match &goals[..] {
            [only] => Some(only),
            _ => None,
        });
        let single: Vec<&NumberGoal> = single.collect();
        self.spend_on_goals(&single);
        let mut all: Vec<NumberGoal> = NumberGoal::all(&single).into_iter().collect();
        for part in parts.iter().filter(|goals| goals.len() != 1) {
            let mut met = Vec::new();
            for (one, other) in all.iter().flat_map(|a| part.iter().map(move |b| (a, b))) {
                if !self.spend_on_goals(&[one, other]) || met.len() > self.limits.max_branches {
                    break;
                }
                met.extend(NumberGoal::all(&[one, other]));
            }
            all = met;
        }
        all
    }

    /// Burns fuel for looking at goals; false once a limit was reached.
    fn spend_on_goals(&mut self, goals: &[&NumberGoal]) -> bool {
        let weights = goals.iter().map(|goal| 1 + goal.weight());
        self.spend_steps(GOAL_STEPS * weights.sum::<usize>())
    }

    /// Whether an array can be completed with this left to fulfil.
    pub(crate) fn can_array_end(&mut self, id: FormulaId) -> bool {
        self.spend_on_parts(id);
        self.may_end_formula(id)
            || self.decide(Question::Array(id), |g| {
                if let Formula::Or(ways) = &*Arc::clone(g.formulas.get(id)) {
                    return ways.iter().any(|way| g.can_array_end(*way));
                }
                let branches = g.item_branches(id);
                !g.lacks_values(id)
                    && branches
                        .iter()
                        .any(|b| g.is_satisfiable(b.child) && g.can_array_end(b.rest))
            })
    }

    /// Whether an object can be completed from this place with this left to fulfil.
    pub(crate) fn can_object_end(&mut self, id: FormulaId, place: Place) -> bool {
        self.spend_on_parts(id);
        self.may_end_formula(id)
            || self.decide(Question::Object(id, place), |g| {
                if let Formula::Or(ways) = &*Arc::clone(g.formulas.get(id)) {
                    return ways.iter().any(|way| g.can_object_end(*way, place));
                }
                let keys = g.useful_keys(id, place);
                keys.into_iter().any(|key| g.can_go_on(id, place, key))
            })
    }

    fn can_go_on(&mut self, id: FormulaId, place: Place, key: TextId) -> bool {
        let next = self.place_after(place, key);
        let branches = self.property_branches(id, key);
        // A key after which the same is left to fulfil has brought nothing.
        let useful = branches.iter().filter(|b| b.rest != id);
        useful
            .into_iter()
            .any(|b| self.is_satisfiable(b.child) && self.can_object_end(b.rest, next))
    }

    /// The branches after a key that can be completed.
    pub(crate) fn live_branches(
        &mut self,
        id: FormulaId,
        place: Place,
        key: TextId,
    ) -> Vec<Branch> {
        let next = self.place_after(place, key);
        let branches = self.property_branches(id, key);
        let live = |b: &&Branch| self.is_satisfiable(b.child) && self.can_object_end(b.rest, next);
        branches.iter().filter(live).copied().collect()
    }

    /// Keys to try when an object may not end yet: the first required one, else all that are known.
    pub(crate) fn useful_keys(&mut self, id: FormulaId, place: Place) -> Vec<TextId> {
        let needed = self.first_required(id, place);
        if let Some(Needed::Impossible) = needed {
            return Vec::new();
        }
        let order = Arc::clone(self.orders.get(place.order));
        let seen = Arc::clone(self.formulas.key_sets.get(place.seen));
        self.spend_steps(KEY_STEPS * order.keys.len());
        let Some(until) = self.helped_until(id, place, &mut IdMap::default()) else {
            return Vec::new();
        };
        let last = match &needed {
            Some(Needed::At(position)) => (*position).min(until) as usize + 1,
            _ => order.keys.len().min((until as usize).saturating_add(1)),
        };
        let open = &order.keys[(place.position as usize).min(last)..last];
        let mut keys: Vec<TextId> = open
            .iter()
            .rev()
            .copied()
            .filter(|k| seen.binary_search(k).is_err())
            .collect();
        if needed.is_none() && until == ANY_KEY {
            keys.extend(
                self.extra_classes(id, place.order)
                    .iter()
                    .map(|(_, key)| *key),
            );
        }
        keys
    }

    /// The place up to which some key has to come that brings the formula nearer to its end;
    /// `ANY_KEY` where that may be any, or where it may end, None where no key is left that does.
    fn helped_until(
        &mut self,
        id: FormulaId,
        place: Place,
        known: &mut IdMap<FormulaId, Option<u32>>,
    ) -> Option<u32> {
        if self.may_end_formula(id) {
            return Some(ANY_KEY);
        }
        if let Some(until) = known.get(&id) {
            return *until;
        }
        self.spend_on_parts(id);
        let formula = Arc::clone(self.formulas.get(id));
        let until = match &*formula {
            Formula::And(parts) => {
                let mut each = parts.iter().map(|p| self.helped_until(*p, place, known));
                each.try_fold(ANY_KEY, |first, part| Some(first.min(part?)))
            }
            Formula::Or(parts) => {
                let each = parts.iter().map(|p| self.helped_until(*p, place, known));
                each.max().flatten()
            }
            Formula::Properties {
                table,
                violated: true,
            } => self.violated_until(*table, place),
            Formula::False => None,
            _ => Some(ANY_KEY),
        };
        known.insert(id, until);
        until
    }

    /// The place of the last key that may still break what a table says.
    fn violated_until(&mut self, table: PropertyTableId, place: Place) -> Option<u32> {
        let table = Arc::clone(self.formulas.property_tables.get(table));
        if table.additional != FormulaId::TRUE || !table.patterns.is_empty() {
            return Some(ANY_KEY);
        }
        self.spend_steps(NAME_STEPS * table.named.len());
        let positions = self.positions(place.order);
        let seen = Arc::clone(self.formulas.key_sets.get(place.seen));
        let breaking = table
            .named
            .iter()
            .filter(|(key, goal)| *goal != FormulaId::TRUE && seen.binary_search(key).is_err());
        let places = breaking.map(|(key, _)| positions.get(key).copied().unwrap_or(ANY_KEY));
        places.filter(|at| *at >= place.position).max()
    }

    /// The place of the first key that every way to fulfil the formula needs.
    fn first_required(&mut self, id: FormulaId, place: Place) -> Option<Needed> {
        let positions = self.positions(place.order);
        let mut first: Option<u32> = None;
        for part in self.conjuncts(id) {
            if let Formula::Required(keys) = &**self.formulas.get(part) {
                let keys = Arc::clone(self.formulas.key_sets.get(*keys));
                self.spend_steps(KEY_STEPS * keys.len());
                let at = keys.iter().filter_map(|k| positions.get(k)).min().copied();
                first = first.into_iter().chain(at).min();
            }
        }
        first.map(|at| {
            if at < place.position {
                Needed::Impossible
            } else {
                Needed::At(at)
            }
        })
    }

    /// The place of the first key that the formula still needs, if it needs any.
    pub(crate) fn required_position(&mut self, id: FormulaId, place: Place) -> Option<u32> {
        match self.first_required(id, place) {
            Some(Needed::At(at)) => Some(at),
            _ => None,
        }
    }

    /// The place after writing a key.
    pub(crate) fn place_after(&mut self, place: Place, key: TextId) -> Place {
        let declared = self.positions(place.order).get(&key).copied();
        match declared {
            Some(at) if !self.writing.any_order => Place {
                position: at + 1,
                ..place
            },
            declared => {
                let mut seen = (**self.formulas.key_sets.get(place.seen)).clone();
                self.spend_steps(KEY_STEPS * seen.len());
                let is_held = declared.is_some() || place.is_frugal;
                if let (true, Err(at)) = (is_held, seen.binary_search(&key)) {
                    seen.insert(at, key);
                }
                let position = match declared {
                    None if !self.writing.any_order => {
                        self.orders.get(place.order).keys.len() as u32
                    }
                    _ => place.position,
                };
                Place {
                    position,
                    seen: self.formulas.key_sets.intern(seen),
                    ..place
                }
            }
        }
    }

    /// The place of each declared key.
    pub(crate) fn positions(&mut self, order: OrderId) -> Arc<IdMap<TextId, u32>> {
        let keys = Arc::clone(self.orders.get(order));
        let made = self.order_positions.entry(order).or_insert_with(|| {
            Arc::new(
                keys.keys
                    .iter()
                    .enumerate()
                    .map(|(at, key)| (*key, at as u32))
                    .collect(),
            )
        });
        Arc::clone(made)
    }

    /// Where an object that must fulfil one of these formulas begins.
    pub(crate) fn first_place(&mut self, formulas: &[FormulaId]) -> Place {
        let seen = self.formulas.key_sets.intern(Vec::new());
        if let Some((order, is_frugal)) = self.orders_of.get(formulas).copied() {
            return Place {
                order,
                position: 0,
                seen,
                is_frugal,
            };
        }
        let named = self.keys_of(formulas);
        let order = self.orders.intern(Order { keys: named });
        let is_frugal = self.could_run_out_of_keys(formulas, order);
        if !self.is_void() {
            self.orders_of.insert(formulas.to_vec(), (order, is_frugal));
        }
        Place {
            order,
            position: 0,
            seen,
            is_frugal,
        }
    }

    /// Whether some class of undeclared keys has, after some beginning, finitely many.
    fn could_run_out_of_keys(&mut self, formulas: &[FormulaId], order: OrderId) -> bool {
        let all = self.formulas.or(formulas.iter().copied());
        if self.patterns_of(all).is_empty() {
            return false; // all keys but a few
        }
        let classes = self.extra_classes(all, order);
        classes.iter().any(|(class, _)| !self.is_endless(*class))
    }

    /// The keys that formulas name, in order of appearance: those with a schema of their own first.
    fn keys_of(&mut self, formulas: &[FormulaId]) -> Vec<TextId> {
        let (mut named, mut others) = (Vec::new(), Vec::new());
        let mut open: Vec<FormulaId> = formulas.iter().rev().copied().collect();
        let mut met: IdSet<FormulaId> = IdSet::default();
        while let Some(id) = open.pop() {
            if !met.insert(id) {
                continue;
            }
            match &**self.formulas.get(id) {
                Formula::And(parts) | Formula::Or(parts) => open.extend(parts.iter().rev()),
                Formula::Properties { table, .. } => {
                    let table = self.formulas.property_tables.get(*table);
                    named.extend(table.named.iter().map(|(key, _)| *key));
                }
                Formula::Required(keys) => others.extend(self.formulas.key_sets.get(*keys).iter()),
                Formula::Lacks(key) => others.push(*key),
                _ => {}
            }
        }
        named.append(&mut others);
        self.spend_steps(NAME_STEPS * named.len() + PART_STEPS * met.len());
        let mut known: IdSet<TextId> = IdSet::default();
        named.retain(|key| known.insert(*key));
        named
    }

    /// The undeclared keys, split where the formula's patterns tell them apart: the language of
    /// each class (declared keys excepted) and one key of it.
    pub(crate) fn extra_classes(&mut self, id: FormulaId, order: OrderId) -> KeyClasses {
        let patterns = self.patterns_of(id);
        let key = (order, patterns.to_vec());
        if let Some(known) = self.extra_classes.get(&key) {
            return Arc::clone(known);
        }
        let declared = self.declared_language(order);
        let mut classes = vec![self.formulas.regexes.complement(declared)];
        for pattern in patterns.iter() {
            let mut split = Vec::new();
            for class in classes {
                let inside = self.formulas.regexes.intersection(class, *pattern);
                let outside = self.formulas.regexes.difference(class, *pattern);
                split.extend([inside, outside].into_iter().filter(|c| !self.is_dead(*c)));
            }
            classes = split;
            if classes.len() > self.limits.max_classes {
                self.exhaust("max_classes", self.limits.max_classes as u64);
                classes.clear();
            }
        }
        let made: KeyClasses = classes
            .into_iter()
            .filter_map(|c| self.with_example(c))
            .collect();
        if !self.is_void() {
            self.extra_classes.insert(key, Arc::clone(&made));
        }
        made
    }

    /// Fails the piece of work for what one expression may take, unless all of its fuel is gone.
    fn exhaust_expression(&mut self) {
        if !self.is_void() {
            self.exhaust("regex_fuel", self.limits.regex_fuel);
        }
    }

    fn with_example(&mut self, class: RegexId) -> Option<(RegexId, TextId)> {
        let mut fuel = self.limits.regex_fuel;
        match self.formulas.regexes.shortest(class, &mut fuel) {
            Ok(example) => example.map(|text| (class, self.formulas.texts.intern(text))),
            Err(_) => {
                self.exhaust_expression();
                None
            }
        }
    }

    /// The language of the declared keys.
    pub(crate) fn declared_language(&mut self, order: OrderId) -> RegexId {
        let order = Arc::clone(self.orders.get(order));
        let texts: Vec<_> = order
            .keys
            .iter()
            .map(|k| Arc::clone(self.formulas.texts.get(*k)))
            .collect();
        let texts: Vec<&str> = texts.iter().map(|t| t.as_str()).collect();
        self.formulas.regexes.literals(&texts)
    }

    /// The patterns that a formula's objects tell keys apart by, in order of their first mention.
    pub(crate) fn patterns_of(&mut self, id: FormulaId) -> Arc<[RegexId]> {
        if let Some(known) = self.patterns_of.get(&id) {
            return Arc::clone(known);
        }
        self.spend_on_parts(id);
        let formula = Arc::clone(self.formulas.get(id));
        let (mut found, mut known) = (Vec::new(), IdSet::default());
        let mut add = |pattern: RegexId| {
            if known.insert(pattern) {
                found.push(pattern);
            }
        };
        match &*formula {
            Formula::And(parts) | Formula::Or(parts) => {
                for part in parts {
                    self.patterns_of(*part).iter().copied().for_each(&mut add);
                }
            }
            Formula::Properties { table, .. } => {
                let table = self.formulas.property_tables.get(*table);
                table
                    .patterns
                    .iter()
                    .map(|(pattern, _)| *pattern)
                    .for_each(&mut add);
            }
            _ => {}
        }
        let found: Arc<[RegexId]> = found.into();
        self.patterns_of.insert(id, Arc::clone(&found));
        found
    }
}

/// Digits that the common multiple of `multipleOf` values may have.
const MAX_DIVISOR_DIGITS: u64 = 36;

/// What the search for values is asked.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Value(FormulaId),
    Array(FormulaId),
    Object(FormulaId, Place),
}

/// No place of a key.
const ANY_KEY: u32 = u32::MAX;

enum Needed {
    At(u32),
    Impossible,
}
