//! Which alternatives might hold together, so that exclusive choices among many values are not
//! compared pair by pair: those that allow one value each differ, or are the same.

use std::collections::HashMap;

use crate::decimal::Decimal;
use crate::formula::{Formula, FormulaId, Formulas};

/// Code points of the longest text that is compared as a value.
const LONGEST: u32 = 1_024;

/// A value that a formula allows at most, of one kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Only {
    Text(String),
    Number(Decimal),
}

/// Alternatives of one kind, by the only value that each allows.
pub(crate) struct Rivals {
    only: Vec<Option<Only>>,
    open: Vec<usize>,
    alike: HashMap<Only, Vec<usize>>,
}

impl Rivals {
    /// Sorts alternatives that are restricted to one kind.
    pub fn of(formulas: &Formulas, alternatives: &[FormulaId]) -> Self {
        let only: Vec<_> = alternatives
            .iter()
            .map(|id| only_value(formulas, *id))
            .collect();
        let (mut open, mut alike) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for (place, value) in only.iter().enumerate() {
            match value {
                Some(value) => alike.entry(value.clone()).or_default().push(place),
                None => open.push(place),
            }
        }
        Rivals { only, open, alike }
    }

    /// The places of those that may hold together with that at a place, in their order.
    pub fn of_place(&self, place: usize) -> Vec<usize> {
        let Some(value) = &self.only[place] else {
            return (0..self.only.len())
                .filter(|other| *other != place)
                .collect();
        };
        let same = self.alike[value].iter().filter(|other| **other != place);
        let mut rivals: Vec<_> = same.chain(&self.open).copied().collect();
        rivals.sort_unstable();
        rivals
    }
}

/// The value that a formula, restricted to one kind, allows at most; None where that is not plain.
pub(crate) fn only_value(formulas: &Formulas, id: FormulaId) -> Option<Only> {
    match &**formulas.get(id) {
        Formula::Text(language) => formulas
            .regexes
            .only_text(*language, LONGEST)
            .map(Only::Text),
        Formula::Number(goal) => formulas.goals.get(*goal).equal.clone().map(Only::Number),
        Formula::And(parts) => parts.iter().find_map(|part| only_value(formulas, *part)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{JsonLimits, parse};

    fn places(values: &[&str]) -> Vec<Vec<usize>> {
        let mut formulas = Formulas::new();
        let ids: Vec<_> = values
            .iter()
            .map(
                |text| match parse(text.as_bytes(), &JsonLimits::default()) {
                    Ok(value) => formulas.equal_to(&value),
                    Err(_) => FormulaId::TRUE,
                },
            )
            .collect();
        let rivals = Rivals::of(&formulas, &ids);
        (0..ids.len()).map(|place| rivals.of_place(place)).collect()
    }

    #[test]
    fn different_values_are_no_rivals_and_same_ones_are() {
        assert_eq!(
            places(&["\"a\"", "\"b\"", "1", "1.0", "\"aa\""]),
            [vec![], vec![], vec![3], vec![2], vec![]]
        );
    }

    #[test]
    fn whatever_allows_several_values_is_a_rival_of_all() {
        assert_eq!(places(&["\"a\"", "?", "2"]), [vec![1], vec![0, 2], vec![1]]);
    }
}
