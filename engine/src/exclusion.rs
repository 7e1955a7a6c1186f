//! Whether two formulas plainly exclude each other: by type, by text, or by a property both need.

use std::sync::Arc;

use crate::formula::{Formula, FormulaId, Formulas, Kind, TextId};
use crate::hashing::IdSet;
use crate::regex::Regexes;
use crate::rivals::only_value;

/// Fuel for telling two text languages apart; beyond it they count as overlapping.
const TEXT_FUEL: u64 = 2_000;
/// Small steps that a part of a formula takes in which references are looked for.
const PART_STEPS: usize = 2;
/// How deep properties are compared.
const MAX_DEPTH: u32 = 3;

impl Formulas {
    /// Whether no value of this kind can fulfil both; "no" when that is not plain to see.
    pub(crate) fn exclude_each_other(
        &mut self,
        first: FormulaId,
        second: FormulaId,
        kind: Kind,
    ) -> bool {
        self.exclude(first, second, kind, MAX_DEPTH)
    }

    fn exclude(&mut self, first: FormulaId, second: FormulaId, kind: Kind, depth: u32) -> bool {
        let (first, second) = (self.restrict(first, kind), self.restrict(second, kind));
        if first == FormulaId::FALSE || second == FormulaId::FALSE {
            return true;
        }
        if let (Some(one), Some(other)) = (only_value(self, first), only_value(self, second)) {
            return one != other;
        }
        match kind {
            Kind::String => {
                let (first, second) = (self.text_language(first), self.text_language(second));
                let both = self.regexes.intersection(first, second);
                both == Regexes::NEVER
                    || self
                        .regexes
                        .is_empty_language(both, &mut TEXT_FUEL.clone())
                        .unwrap_or(false)
            }
            Kind::Object if depth > 0 => {
                self.keys_exclude(first, second, depth) || self.keys_exclude(second, first, depth)
            }
            _ => false,
        }
    }

    /// Whether a property that the first needs cannot be what both say of it.
    fn keys_exclude(&mut self, first: FormulaId, second: FormulaId, depth: u32) -> bool {
        let needed = self.needed_keys(first);
        needed.into_iter().any(|key| {
            let (one, other) = (self.goal_of(first, key), self.goal_of(second, key));
            if one == FormulaId::FALSE || other == FormulaId::FALSE {
                return true;
            }
            // What a reference says may be what is being worked out just now.
            !self.refers(one)
                && !self.refers(other)
                && Kind::ALL
                    .into_iter()
                    .all(|kind| self.exclude(one, other, kind, depth - 1))
        })
    }

    /// Whether a formula says something of its value by a reference.
    fn refers(&mut self, id: FormulaId) -> bool {
        let (mut open, mut met) = (vec![id], IdSet::default());
        while let Some(id) = open.pop() {
            match &**self.get(id) {
                Formula::And(parts) | Formula::Or(parts) | Formula::ExactlyOne(parts) => {
                    let new = parts.iter().filter(|part| met.insert(**part));
                    open.extend(new);
                }
                Formula::Reference { .. } => return true,
                _ => {}
            }
        }
        self.regexes.spend_steps(PART_STEPS * met.len());
        false
    }

    /// The keys that a formula's objects need for certain.
    pub(crate) fn needed_keys(&self, id: FormulaId) -> Vec<TextId> {
        match &**self.get(id) {
            Formula::And(parts) => parts.iter().flat_map(|p| self.needed_keys(*p)).collect(),
            Formula::Required(keys) => (**self.key_sets.get(*keys)).clone(),
            _ => Vec::new(),
        }
    }

    /// What a conjunction says for certain of a property.
    fn goal_of(&mut self, id: FormulaId, key: TextId) -> FormulaId {
        let formula = Arc::clone(self.get(id));
        match &*formula {
            Formula::And(parts) => {
                let goals: Vec<_> = parts.iter().map(|p| self.goal_of(*p, key)).collect();
                self.and(goals)
            }
            Formula::Properties {
                table,
                violated: false,
            } => self.property_goal(*table, key),
            Formula::Lacks(lacked) if *lacked == key => FormulaId::FALSE,
            _ => FormulaId::TRUE,
        }
    }
}
