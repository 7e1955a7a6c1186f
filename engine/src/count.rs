//! At most how many values fulfil a formula, and which if they are few: where none may repeat, an
//! array can run out of them.

use std::sync::Arc;

use crate::decimal::Decimal;
use crate::formula::{Formula, FormulaId, Kind, ValueId};
use crate::grammar::{Branch, Grammar};
use crate::json::Value;
use crate::number::NumberGoal;

/// Values that are told apart where a later item may need one of them.
const MAX_WANTED: usize = 16;

/// Values inside each other that are counted.
const MAX_NESTED: u32 = 8;
/// Items of an array that are counted one by one.
const MAX_COUNTED: u32 = 4_096;

impl Grammar {
    /// The branches of an array's formula, those apart in which the item is a value that a later
    /// one may need: once it is taken, the array may have no end.
    pub(crate) fn told_apart(
        &mut self,
        parts: &[FormulaId],
        branches: Arc<[Branch]>,
    ) -> Vec<Branch> {
        let values = self.wanted_values(parts);
        if values.is_empty() {
            return branches.to_vec();
        }
        let one_of = self.one_of(&values);
        let other = self.formulas.negate(one_of);
        let mut apart = Vec::new();
        for branch in branches.iter() {
            for value in &values {
                let equal = self.one_of(&[*value]);
                apart.push(Branch {
                    child: self.formulas.and([branch.child, equal]),
                    rest: self.remember_item(branch.rest, *value),
                });
            }
            apart.push(Branch {
                child: self.formulas.and([branch.child, other]),
                rest: branch.rest,
            });
        }
        apart
    }

    /// The values that later items of an array without repetitions may need, if they are few.
    fn wanted_values(&mut self, parts: &[FormulaId]) -> Vec<ValueId> {
        let (mut is_unique, mut is_contained, mut goals) = (false, false, Vec::new());
        for part in parts {
            match &**self.formulas.get(*part) {
                Formula::Unique(_) => is_unique = true,
                Formula::Contains { low, .. } => is_contained |= *low > 0,
                Formula::Items {
                    table,
                    from,
                    violated: false,
                } => {
                    let table = self.formulas.item_tables.get(*table);
                    let later = table.prefix.iter().skip(*from as usize);
                    goals.extend(later.copied());
                    goals.push(table.rest);
                }
                _ => {}
            }
        }
        if !is_unique || (goals.len() < 2 && !is_contained) {
            return Vec::new();
        }
        let mut wanted: Vec<ValueId> = Vec::new();
        for goal in goals {
            wanted.extend(self.few_values(goal).unwrap_or_default());
        }
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.len() > MAX_WANTED {
            wanted.clear();
        }
        wanted
    }

    /// The values that fulfil a formula, if they are few and no arrays or objects.
    fn few_values(&mut self, goal: FormulaId) -> Option<Vec<ValueId>> {
        if goal == FormulaId::TRUE || self.most_values(goal, MAX_NESTED)? > MAX_WANTED as u64 {
            return None;
        }
        let mut found = Vec::new();
        for kind in Kind::ALL {
            if !self.is_satisfiable_as(goal, kind) {
                continue;
            }
            let left = self.formulas.restrict(goal, kind);
            match kind {
                Kind::Null => found.push(Value::Null),
                Kind::True | Kind::False => found.push(Value::Bool(kind == Kind::True)),
                Kind::Number => {
                    let goals = self.collect_goals(left);
                    let numbers = goals.iter().map(few_numbers).collect::<Option<Vec<_>>>()?;
                    found.extend(numbers.into_iter().flatten().map(Value::Number));
                }
                Kind::String => found.extend(self.few_texts(left)?.into_iter().map(Value::String)),
                Kind::Array | Kind::Object => return None,
            }
        }
        let values = &mut self.formulas.values;
        Some(
            found
                .into_iter()
                .map(|value| values.intern(value))
                .collect(),
        )
    }

    fn few_texts(&mut self, left: FormulaId) -> Option<Vec<String>> {
        let mut language = self.formulas.text_language(left);
        let mut texts = Vec::new();
        while !self.is_dead(language) {
            let mut fuel = self.limits.regex_fuel;
            let text = self.formulas.regexes.shortest(language, &mut fuel).ok()??;
            let taken = self.formulas.regexes.literal(&text);
            language = self.formulas.regexes.difference(language, taken);
            texts.push(text);
            if texts.len() > MAX_WANTED {
                return None;
            }
        }
        Some(texts)
    }

    /// Whether an array that must not repeat an item needs more of them than there are values.
    pub(crate) fn lacks_values(&mut self, id: FormulaId) -> bool {
        let parts = self.conjuncts(id);
        let (mut seen, mut least, mut tables) = (None, 0, Vec::new());
        for part in parts {
            match &**self.formulas.get(part) {
                Formula::Unique(set) => seen = Some(*set),
                Formula::ItemCount { low, .. } => least = least.max(*low),
                Formula::Items {
                    table,
                    from,
                    violated: false,
                } => tables.push((*table, *from)),
                _ => {}
            }
        }
        let Some(seen) = seen.filter(|_| least > 0) else {
            return false;
        };
        let seen = Arc::clone(self.formulas.value_sets.get(seen));
        tables.into_iter().any(|(table, from)| {
            let table = Arc::clone(self.formulas.item_tables.get(table));
            let before = table.prefix.len().saturating_sub(from as usize) as u64;
            let Some(most) = self.most_values(table.rest, MAX_NESTED) else {
                return false;
            };
            let taken = seen.iter().filter(|value| self.allows(table.rest, **value));
            let left = most.saturating_sub(taken.count() as u64);
            before.saturating_add(left) < u64::from(least)
        })
    }

    fn allows(&mut self, goal: FormulaId, value: ValueId) -> bool {
        let equal = self.one_of(&[value]);
        let both = self.formulas.and([goal, equal]);
        self.is_satisfiable(both)
    }

    /// At most so many values fulfil the formula; None where they may be endless, or nest deeper.
    fn most_values(&mut self, goal: FormulaId, depth: u32) -> Option<u64> {
        let (mut most, depth) = (0u64, depth.checked_sub(1)?);
        for kind in Kind::ALL {
            if !self.is_satisfiable_as(goal, kind) {
                continue;
            }
            let left = self.formulas.restrict(goal, kind);
            most = most.saturating_add(match kind {
                Kind::Null | Kind::True | Kind::False => 1,
                Kind::Number => self.most_numbers(left)?,
                Kind::String => {
                    let language = self.formulas.text_language(left);
                    self.formulas.regexes.most_members(language)?
                }
                Kind::Array => self.most_arrays(left, depth)?,
                Kind::Object => self.most_objects(left, depth)?,
            });
        }
        Some(most)
    }

    /// At most so many arrays, by how many items may stand at each place.
    fn most_arrays(&mut self, left: FormulaId, depth: u32) -> Option<u64> {
        if let Formula::Or(parts) = &**self.formulas.get(left) {
            let parts = parts.clone();
            return sum_of(parts.iter().map(|part| self.most_arrays(*part, depth)));
        }
        let (mut low, mut high, mut tables) = (0, u32::MAX, Vec::new());
        for part in self.conjuncts(left) {
            match &**self.formulas.get(part) {
                Formula::ItemCount { low: l, high: h } => {
                    (low, high) = (low.max(*l), high.min(h.unwrap_or(u32::MAX)));
                }
                Formula::Items {
                    table,
                    from,
                    violated: false,
                } => tables.push((Arc::clone(self.formulas.item_tables.get(*table)), *from)),
                _ => {}
            }
        }
        let (mut most, mut longer) = (u64::from(low == 0), 1u64);
        for place in 0..high {
            if !self.spend(1) {
                return None;
            }
            let mut items = Vec::new();
            for (table, from) in &tables {
                let goal = table.prefix.get((place + from) as usize);
                let goal = *goal.unwrap_or(&table.rest);
                items.extend(self.most_values(goal, depth));
            }
            longer = longer.saturating_mul(items.into_iter().min()?);
            if longer == 0 {
                break;
            }
            if place + 1 >= low {
                most = most.saturating_add(longer);
            }
            if place > MAX_COUNTED || most > u64::from(u32::MAX) {
                return None;
            }
        }
        Some(most)
    }

    /// At most so many objects, by how many values each key may have: endless unless some table has
    /// no others than those it names.
    fn most_objects(&mut self, left: FormulaId, depth: u32) -> Option<u64> {
        if let Formula::Or(parts) = &**self.formulas.get(left) {
            let parts = parts.clone();
            return sum_of(parts.iter().map(|part| self.most_objects(*part, depth)));
        }
        let (mut closed, mut required) = (None, Vec::new());
        for part in self.conjuncts(left) {
            match &**self.formulas.get(part) {
                Formula::Required(keys) => {
                    required.extend_from_slice(self.formulas.key_sets.get(*keys));
                }
                Formula::Properties {
                    table,
                    violated: false,
                } => {
                    let table = Arc::clone(self.formulas.property_tables.get(*table));
                    if table.patterns.is_empty() && !self.is_satisfiable(table.additional) {
                        closed = Some(table);
                    }
                }
                Formula::PropertyCount { high: Some(0), .. } => return Some(1),
                _ => {}
            }
        }
        let mut most = 1u64;
        for (key, goal) in &closed?.named {
            let values = self.most_values(*goal, depth)?;
            let may_lack = u64::from(!required.contains(key));
            most = most.saturating_mul(values.saturating_add(may_lack));
        }
        Some(most)
    }

    fn most_numbers(&mut self, id: FormulaId) -> Option<u64> {
        let goals = self.collect_goals(id);
        sum_of(goals.iter().map(most_integers))
    }
}

/// The sum of counts, none where one of them has no end: counts stop at the highest number.
fn sum_of(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    let mut counts = counts;
    counts.try_fold(0u64, |sum, count| Some(sum.saturating_add(count?)))
}

/// At most so many integers fulfil a goal; None where others do, or no end is known.
fn most_integers(goal: &NumberGoal) -> Option<u64> {
    if goal.equal.is_some() {
        return Some(1);
    }
    let (true, Some(lower), Some(upper)) = (goal.is_whole(), &goal.lower, &goal.upper) else {
        return None;
    };
    let width = upper.value.subtract(&lower.value);
    if width.is_negative() {
        return Some(0);
    }
    let width: f64 = width.to_json_text().parse().ok()?;
    // A bound from above: what a double rounds away does not matter where counts are small.
    (width < 1e9).then_some(width.ceil() as u64 + 1)
}

/// The numbers that fulfil a goal of one value or of a short range of integers.
fn few_numbers(goal: &NumberGoal) -> Option<Vec<Decimal>> {
    if let Some(value) = &goal.equal {
        return Some(vec![value.clone()]);
    }
    let whole = |value: &Decimal| value.to_json_text().parse::<i32>().ok();
    let lower = whole(&goal.lower.as_ref()?.value)?;
    let upper = whole(&goal.upper.as_ref()?.value)?;
    let numbers = (lower..=upper).filter_map(|n| Decimal::parse(&n.to_string()).ok());
    Some(numbers.filter(|number| goal.contains(number)).collect())
}
