//! Choices: exactly one of several formulas holds, spelt out with conjunction and disjunction.
//!
//! Alternatives that exclude each other need not say so. Often they do by a property that tells them
//! apart, which is required beside the choice and not in each of them: so what a conjunction needs is
//! known where its choices are spelt out.

use std::sync::Arc;

use crate::formula::{Formula, FormulaId, Formulas, Kind, TextId};
use crate::rivals::Rivals;

/// Pairs of alternatives that may hold together, up to which each says that the other does not.
const MANY_RIVALS: usize = 16_384;
/// References behind each other that are followed to a choice.
const MAX_HOPS: usize = 8;

impl Formulas {
    /// What is left of a conjunction for a value of this kind.
    pub(crate) fn restrict_together(&mut self, parts: &[FormulaId], kind: Kind) -> FormulaId {
        if kind == Kind::Object {
            let choices: Vec<_> = parts.iter().map(|p| self.choice_behind(*p)).collect();
            if choices.iter().any(Option::is_some) {
                return self.restrict_with_choices(parts, &choices, Vec::new());
            }
        }
        let parts: Vec<_> = parts.iter().map(|p| self.restrict(*p, kind)).collect();
        self.and(parts)
    }

    /// What is left of a conjunction of objects, some parts of which are choices, or conjunctions with
    /// choices; `needed` are keys that are needed anyway.
    fn restrict_with_choices(
        &mut self,
        parts: &[FormulaId],
        choices: &[Option<FormulaId>],
        mut needed: Vec<TextId>,
    ) -> FormulaId {
        let mut left = Vec::with_capacity(parts.len());
        for (part, choice) in parts.iter().zip(choices) {
            left.push(match choice {
                Some(_) => FormulaId::TRUE,
                None => self.restrict(*part, Kind::Object),
            });
        }
        needed.extend(left.iter().flat_map(|part| self.needed_keys(*part)));
        for (place, choice) in choices.iter().enumerate() {
            left[place] = match choice {
                Some(_) if needed.is_empty() => self.restrict(parts[place], Kind::Object),
                Some(choice) => self.restrict_choice(*choice, needed.clone()),
                None => left[place],
            };
        }
        self.and(left)
    }

    /// What is left of a choice, or of a conjunction with choices, of objects that need some keys.
    fn restrict_choice(&mut self, id: FormulaId, needed: Vec<TextId>) -> FormulaId {
        let formula = Arc::clone(self.get(id));
        match &*formula {
            Formula::ExactlyOne(parts) => {
                let given = self.required(needed);
                self.spell_out_one(parts, Kind::Object, given)
            }
            Formula::And(parts) => {
                let plain = parts.iter().map(|p| self.is_choice(*p).then_some(*p));
                let choices: Vec<_> = plain.collect();
                self.restrict_with_choices(parts, &choices, needed)
            }
            _ => self.restrict(id, Kind::Object),
        }
    }

    fn is_choice(&self, id: FormulaId) -> bool {
        matches!(**self.get(id), Formula::ExactlyOne(_))
    }

    /// The choice that a formula is, or the conjunction with a choice, if need be by references.
    fn choice_behind(&mut self, mut id: FormulaId) -> Option<FormulaId> {
        for _ in 0..MAX_HOPS {
            match &**self.get(id) {
                Formula::ExactlyOne(_) => return Some(id),
                Formula::And(parts) => {
                    return parts.iter().any(|p| self.is_choice(*p)).then_some(id);
                }
                Formula::Reference { schema, negated } => id = self.resolve(*schema, *negated),
                _ => return None,
            }
        }
        None
    }

    /// Exactly one of these holds, spelt out; those that exclude each other anyway where `given` holds
    /// stay plain.
    pub(crate) fn spell_out_one(
        &mut self,
        parts: &[FormulaId],
        kind: Kind,
        given: FormulaId,
    ) -> FormulaId {
        let parts: Vec<_> = parts.iter().map(|p| self.restrict(*p, kind)).collect();
        let possible: Vec<_> = parts
            .into_iter()
            .filter(|p| *p != FormulaId::FALSE)
            .collect();
        let rivals = Rivals::of(self, &possible);
        let (mut ways, mut compared) = (Vec::new(), 0);
        for (place, part) in possible.iter().enumerate() {
            let others = rivals.of_place(place);
            if !self.regexes.spend(others.len() as u64) {
                return FormulaId::FALSE;
            }
            let (mut all, known) = (vec![*part], self.and([*part, given]));
            for other in others.iter().map(|other| possible[*other]) {
                if !self.exclude_each_other(known, other, kind) {
                    let negated = self.negate(other);
                    all.push(self.restrict(negated, kind));
                }
            }
            compared += all.len() - 1;
            if compared > MANY_RIVALS {
                return self.one_and_none(&possible, kind).0;
            }
            ways.push(self.and(all));
        }
        self.or(ways)
    }

    /// Exactly one of these holds, and none does: by halves, of which one has it. That takes as many
    /// formulas as there are parts, where each with the negation of all others takes their square.
    fn one_and_none(&mut self, parts: &[FormulaId], kind: Kind) -> (FormulaId, FormulaId) {
        if let [only] = parts {
            let negated = self.negate(*only);
            return (*only, self.restrict(negated, kind));
        }
        let (first, second) = parts.split_at(parts.len() / 2);
        let (one_first, none_first) = self.one_and_none(first, kind);
        let (one_second, none_second) = self.one_and_none(second, kind);
        let ways = [
            self.and([one_first, none_second]),
            self.and([none_first, one_second]),
        ];
        (self.or(ways), self.and([none_first, none_second]))
    }

    /// At least two hold, or none.
    pub(crate) fn not_exactly_one(&mut self, parts: &[FormulaId]) -> FormulaId {
        let negated: Vec<_> = parts.iter().map(|p| self.negate(*p)).collect();
        let mut ways = vec![self.and(negated)];
        for (place, first) in parts.iter().enumerate() {
            if !self.regexes.spend(parts.len() as u64) {
                return FormulaId::FALSE;
            }
            let rest = parts[place + 1..].iter();
            let pairs: Vec<_> = rest.map(|second| self.and([*first, *second])).collect();
            ways.extend(pairs);
        }
        self.or(ways)
    }
}
