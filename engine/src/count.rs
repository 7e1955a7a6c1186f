//! At most how many values fulfil a formula: where none may repeat, an array can run out of them.

use std::sync::Arc;

use crate::formula::{Formula, FormulaId, Kind};
use crate::grammar::Grammar;
use crate::number::NumberGoal;

impl Grammar {
    /// Whether an array that must not repeat an item needs more of them than there are values.
    pub(crate) fn lacks_values(&mut self, id: FormulaId) -> bool {
        let parts = self.conjuncts(id);
        let (mut is_unique, mut least, mut tables) = (false, 0, Vec::new());
        for part in parts {
            match &**self.formulas.get(part) {
                Formula::Unique(_) => is_unique = true,
                Formula::ItemCount { low, .. } => least = least.max(*low),
                Formula::Items {
                    table,
                    from,
                    violated: false,
                } => tables.push((*table, *from)),
                _ => {}
            }
        }
        if !is_unique || least < 2 {
            return false;
        }
        tables.into_iter().any(|(table, from)| {
            let table = Arc::clone(self.formulas.item_tables.get(table));
            let before = table.prefix.len().saturating_sub(from as usize) as u64;
            let most = self.most_values(table.rest);
            most.is_some_and(|most| before.saturating_add(most) < u64::from(least))
        })
    }

    /// At most so many values fulfil the formula; None where they may be endless.
    fn most_values(&mut self, goal: FormulaId) -> Option<u64> {
        let mut most = 0u64;
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
                Kind::Array | Kind::Object => return None,
            });
        }
        Some(most)
    }

    fn most_numbers(&mut self, id: FormulaId) -> Option<u64> {
        let goals = self.collect_goals(id);
        let most = goals.iter().map(most_integers);
        most.sum()
    }
}

/// At most so many integers fulfil a goal; None where others do, or no end is known.
fn most_integers(goal: &NumberGoal) -> Option<u64> {
    if goal.equal.is_some() {
        return Some(1);
    }
    let (Some(true), Some(lower), Some(upper)) = (goal.integer, &goal.lower, &goal.upper) else {
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
