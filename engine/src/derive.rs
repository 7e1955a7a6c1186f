//! What is left of an object's or an array's formula after one more property or item.

use std::sync::Arc;

use crate::formula::{Formula, FormulaId, ItemTableId, Kind, TextId, ValueId, ValueSetId};
use crate::grammar::{Branch, Grammar};
use crate::hashing::IdMap;

/// Steps that a part takes whose branches are looked up.
const LOOK_STEPS: usize = 4;

impl Grammar {
    /// Whether an object or array may end with this left to fulfil.
    pub(crate) fn may_end_formula(&mut self, id: FormulaId) -> bool {
        let formula = Arc::clone(self.formulas.get(id));
        let (Formula::And(parts) | Formula::Or(parts)) = &*formula else {
            return may_end_alone(&formula);
        };
        if let Some(known) = self.may_end.get(&id) {
            return *known;
        }
        self.spend_on_parts(id);
        let mut parts = parts.iter();
        let may_end = match &*formula {
            Formula::And(_) => parts.all(|p| self.may_end_formula(*p)),
            _ => parts.any(|p| self.may_end_formula(*p)),
        };
        self.may_end.insert(id, may_end);
        may_end
    }

    /// The ways an object's formula goes on after a property of this name.
    pub(crate) fn property_branches(&mut self, id: FormulaId, key: TextId) -> Arc<[Branch]> {
        if let Some(known) = self.property_branches.get(&(id, key)) {
            return Arc::clone(known);
        }
        if !self.spend(1) {
            return Arc::new([]);
        }
        let formula = Arc::clone(self.formulas.get(id));
        self.spend_on_parts(id);
        let branches: Arc<[Branch]> = match &*formula {
            Formula::And(parts) => {
                let parts: Vec<_> = parts
                    .iter()
                    .map(|p| self.property_branches(*p, key))
                    .collect();
                self.conjoin(&parts, Kind::Object)
            }
            Formula::Or(parts) => {
                let parts: Vec<_> = parts
                    .iter()
                    .map(|p| self.property_branches(*p, key))
                    .collect();
                self.merge(parts.iter().flat_map(|p| p.iter().copied()))
            }
            _ => self.property_step(id, &formula, key).into(),
        };
        if !self.is_void() {
            self.property_branches
                .insert((id, key), Arc::clone(&branches));
        }
        branches
    }

    fn property_step(&mut self, id: FormulaId, formula: &Formula, key: TextId) -> Vec<Branch> {
        let stay = Branch {
            child: FormulaId::TRUE,
            rest: id,
        };
        match formula {
            Formula::Properties {
                table,
                violated: false,
            } => {
                let child = self.formulas.property_goal(*table, key);
                vec![Branch { child, rest: id }]
            }
            Formula::Properties {
                table,
                violated: true,
            } => {
                let goal = self.formulas.property_goal(*table, key);
                let child = self.formulas.negate(goal);
                vec![
                    Branch {
                        child,
                        rest: FormulaId::TRUE,
                    },
                    stay,
                ]
            }
            Formula::Required(keys) => {
                let keys = Arc::clone(self.formulas.key_sets.get(*keys));
                let rest = match keys.binary_search(&key) {
                    Ok(_) => {
                        let left = keys.iter().copied().filter(|k| *k != key).collect();
                        self.formulas.required(left)
                    }
                    Err(_) => id,
                };
                vec![Branch { rest, ..stay }]
            }
            Formula::Lacks(lacked) if *lacked == key => Vec::new(),
            Formula::PropertyCount { high: Some(0), .. } => Vec::new(),
            Formula::PropertyCount { low, high } => {
                let rest = self
                    .formulas
                    .property_count(low.saturating_sub(1), high.map(|n| n - 1));
                vec![Branch { rest, ..stay }]
            }
            Formula::False => Vec::new(),
            _ => vec![stay],
        }
    }

    /// The ways an array's formula goes on after one more item.
    pub(crate) fn item_branches(&mut self, id: FormulaId) -> Arc<[Branch]> {
        if let Some(known) = self.item_branches.get(&id) {
            return Arc::clone(known);
        }
        if !self.spend(1) {
            return Arc::new([]);
        }
        let formula = Arc::clone(self.formulas.get(id));
        self.spend_on_parts(id);
        let branches: Arc<[Branch]> = match &*formula {
            Formula::And(parts) => {
                let ways: Vec<_> = parts.iter().map(|p| self.item_branches(*p)).collect();
                let branches = self.conjoin(&ways, Kind::Array);
                let branches = self.told_apart(parts, branches);
                self.merge(branches)
            }
            Formula::Or(parts) => {
                let parts: Vec<_> = parts.iter().map(|p| self.item_branches(*p)).collect();
                self.merge(parts.iter().flat_map(|p| p.iter().copied()))
            }
            _ => self.item_step(id, &formula).into(),
        };
        if !self.is_void() {
            self.item_branches.insert(id, Arc::clone(&branches));
        }
        branches
    }

    fn item_step(&mut self, id: FormulaId, formula: &Formula) -> Vec<Branch> {
        let stay = Branch {
            child: FormulaId::TRUE,
            rest: id,
        };
        match formula {
            Formula::Items {
                table,
                from,
                violated,
            } => self.items_step((*table, *from), *violated),
            Formula::ItemCount { high: Some(0), .. } => Vec::new(),
            Formula::ItemCount { low, high } => {
                let rest = self
                    .formulas
                    .item_count(low.saturating_sub(1), high.map(|n| n - 1));
                vec![Branch { rest, ..stay }]
            }
            Formula::Contains { goal, low, high } => self.contains_step(id, (*goal, *low, *high)),
            Formula::Unique(seen) => {
                let seen = Arc::clone(self.formulas.value_sets.get(*seen));
                let one_of = self.one_of(&seen);
                vec![Branch {
                    child: self.formulas.negate(one_of),
                    rest: id,
                }]
            }
            Formula::Repeats(seen) => self.repeats_step(id, *seen),
            Formula::False => Vec::new(),
            _ => vec![stay],
        }
    }

    fn items_step(&mut self, items: (ItemTableId, u32), violated: bool) -> Vec<Branch> {
        let (table, from) = items;
        let goal = self.formulas.item_goal(table, from);
        let prefix = self.formulas.item_tables.get(table).prefix.len();
        let next = (from + 1).min(u32::try_from(prefix).unwrap_or(u32::MAX));
        let rest = self.formulas.items_from(table, next, violated);
        if !violated {
            return vec![Branch { child: goal, rest }];
        }
        let here = Branch {
            child: self.formulas.negate(goal),
            rest: FormulaId::TRUE,
        };
        let later = Branch {
            child: FormulaId::TRUE,
            rest,
        };
        vec![here, later]
    }

    fn repeats_step(&mut self, id: FormulaId, seen: ValueSetId) -> Vec<Branch> {
        let seen = Arc::clone(self.formulas.value_sets.get(seen));
        let one_of = self.one_of(&seen);
        let repeated = Branch {
            child: one_of,
            rest: FormulaId::TRUE,
        };
        let other = Branch {
            child: self.formulas.negate(one_of),
            rest: id,
        };
        vec![repeated, other]
    }

    fn contains_step(
        &mut self,
        id: FormulaId,
        contains: (FormulaId, u32, Option<u32>),
    ) -> Vec<Branch> {
        let (goal, low, high) = contains;
        let other = Branch {
            child: self.formulas.negate(goal),
            rest: id,
        };
        if high == Some(0) {
            return vec![other];
        }
        let rest = self
            .formulas
            .contains(goal, low.saturating_sub(1), high.map(|n| n - 1));
        if rest == FormulaId::TRUE {
            // Once it holds, whether this item matches does not matter.
            return vec![
                Branch { child: goal, rest },
                Branch {
                    child: FormulaId::TRUE,
                    rest: id,
                },
            ];
        }
        vec![Branch { child: goal, rest }, other]
    }

    /// The formula of all values that equal one of these.
    pub(crate) fn one_of(&mut self, values: &[ValueId]) -> FormulaId {
        let values: Vec<_> = values
            .iter()
            .map(|v| Arc::clone(self.formulas.values.get(*v)))
            .collect();
        let values: Vec<_> = values.iter().map(|v| &**v).collect();
        self.formulas.any_of_values(&values)
    }

    /// Burns fuel for looking at the parts of a formula.
    pub(crate) fn spend_on_parts(&mut self, id: FormulaId) {
        if let Formula::And(parts) | Formula::Or(parts) = &**self.formulas.get(id) {
            let steps = LOOK_STEPS * parts.len();
            self.spend_steps(steps);
        }
    }

    /// Branches without dead ones; those with the same child, then those with the same rest,
    /// become one.
    pub(crate) fn merge(&mut self, branches: impl IntoIterator<Item = Branch>) -> Arc<[Branch]> {
        let branches = branches.into_iter();
        let alive = branches.filter(|b| b.child != FormulaId::FALSE && b.rest != FormulaId::FALSE);
        let by_child = grouped(alive.map(|b| (b.child, b.rest)));
        let mut joined = Vec::with_capacity(by_child.len());
        for (child, rests) in by_child {
            joined.push((self.formulas.or(rests), child));
        }
        let by_rest = grouped(joined.into_iter());
        let mut kept = Vec::with_capacity(by_rest.len());
        for (rest, children) in by_rest {
            let child = self.formulas.or(children);
            kept.push(Branch { child, rest });
        }
        kept.into()
    }

    /// What is left of an array's formula once it is known which value the item was.
    pub(crate) fn remember_item(&mut self, id: FormulaId, value: ValueId) -> FormulaId {
        if !self.compares_items(id) || !self.spend(1) {
            return id;
        }
        let formula = Arc::clone(self.formulas.get(id));
        match &*formula {
            Formula::And(parts) => {
                let parts: Vec<_> = parts
                    .iter()
                    .map(|p| self.remember_item(*p, value))
                    .collect();
                self.formulas.and(parts)
            }
            Formula::Or(parts) => {
                let parts: Vec<_> = parts
                    .iter()
                    .map(|p| self.remember_item(*p, value))
                    .collect();
                self.formulas.or(parts)
            }
            Formula::Unique(seen) => {
                let seen = with(self.formulas.value_sets.get(*seen), value);
                self.formulas.unique(seen)
            }
            Formula::Repeats(seen) => {
                let seen = with(self.formulas.value_sets.get(*seen), value);
                self.formulas.repeats(seen)
            }
            _ => id,
        }
    }

    /// Whether the values of an array's items have to be known.
    pub(crate) fn compares_items(&mut self, id: FormulaId) -> bool {
        let formula = Arc::clone(self.formulas.get(id));
        let parts = match &*formula {
            Formula::And(parts) | Formula::Or(parts) => parts,
            Formula::Unique(_) | Formula::Repeats(_) => return true,
            _ => return false,
        };
        if let Some(known) = self.compares.get(&id) {
            return *known;
        }
        self.spend_on_parts(id);
        let compares = parts.iter().any(|p| self.compares_items(*p));
        self.compares.insert(id, compares);
        compares
    }
}

/// Whether an object or array may end with an assertion that is no combination of others.
fn may_end_alone(formula: &Formula) -> bool {
    match formula {
        Formula::True | Formula::Lacks(_) | Formula::Unique(_) => true,
        Formula::Properties { violated, .. } | Formula::Items { violated, .. } => !violated,
        Formula::PropertyCount { low, .. }
        | Formula::ItemCount { low, .. }
        | Formula::Contains { low, .. } => *low == 0,
        _ => false,
    }
}

fn with(seen: &[ValueId], value: ValueId) -> Vec<ValueId> {
    let mut seen = seen.to_vec();
    if let Err(place) = seen.binary_search(&value) {
        seen.insert(place, value);
    }
    seen
}

/// The seconds of each first, in order of appearance.
fn grouped(
    pairs: impl Iterator<Item = (FormulaId, FormulaId)>,
) -> Vec<(FormulaId, Vec<FormulaId>)> {
    let mut places: IdMap<FormulaId, usize> = IdMap::default();
    let mut groups: Vec<(FormulaId, Vec<FormulaId>)> = Vec::new();
    for (first, second) in pairs {
        let place = *places.entry(first).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, seconds)) => seconds.push(second),
            None => groups.push((first, vec![second])),
        }
    }
    groups
}
