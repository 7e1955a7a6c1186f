//! Cases: parts of a conjunction that hold anyway unless their case is met, of which one at most is.
//!
//! A schema says of every value of one property what another has to be: `if` it is this, `then` that.
//! Written the other way round, a child that fulfils what ten cases ask goes on in a thousand ways,
//! one for each set of them; but the property will have one value. So there is one way for each case,
//! in which it will be met, and one in which none will.

use std::sync::Arc;

use crate::formula::{FormulaId, Kind};
use crate::grammar::{Branch, Grammar};

/// Cases that are compared with each other.
const MANY_CASES: usize = 64;

/// A part that goes on in two ways.
struct Case {
    /// What is left if the case is not to be met, whatever the child is.
    unmet: FormulaId,
    /// The opposite of that: the case.
    condition: FormulaId,
    /// What the child is if the case is to be met, and all that is left then.
    met: Branch,
}

impl Grammar {
    /// The parts with all cases as one, where there are several and each excludes all others.
    pub(crate) fn join_cases(
        &mut self,
        parts: &[Arc<[Branch]>],
        kind: Kind,
    ) -> Option<Vec<Arc<[Branch]>>> {
        let (mut cases, mut joined) = (Vec::new(), Vec::new());
        for part in parts {
            match self.case_of(part, kind) {
                Some(case) => cases.push(case),
                None => joined.push(Arc::clone(part)),
            }
        }
        if cases.len() < 2 || cases.len() > MANY_CASES || !self.exclude_all(&cases, kind) {
            return None;
        }
        let unmet: Vec<_> = cases.iter().map(|case| case.unmet).collect();
        let none = Branch {
            child: FormulaId::TRUE,
            rest: self.formulas.and(unmet),
        };
        let ways = cases.into_iter().map(|case| case.met).chain([none]);
        joined.push(self.merge(ways));
        Some(joined)
    }

    /// The case that a part is, if it goes on in two ways, one of them whatever the child is: then the
    /// other one is only for what does not fulfil what is left there.
    fn case_of(&mut self, part: &[Branch], kind: Kind) -> Option<Case> {
        let (first, second) = match part {
            [first, second] if first.child == FormulaId::TRUE => (first, second),
            [first, second] if second.child == FormulaId::TRUE => (second, first),
            _ => return None,
        };
        let condition = self.formulas.negate(first.rest);
        let condition = self.formulas.restrict(condition, kind);
        let rest = self.formulas.and([second.rest, condition]);
        Some(Case {
            unmet: first.rest,
            condition,
            met: Branch { rest, ..*second },
        })
    }

    /// Whether no two of the cases can be met together.
    fn exclude_all(&mut self, cases: &[Case], kind: Kind) -> bool {
        cases.iter().enumerate().all(|(place, case)| {
            cases[place + 1..].iter().all(|other| {
                let (one, other) = (case.condition, other.condition);
                self.formulas.regexes.spend(1) && self.formulas.exclude_each_other(one, other, kind)
            })
        })
    }
}
