//! The branches of a conjunction: one of each part, in every combination that some child allows.
//!
//! Parts that go on in two ways each make a thousand ways of ten. Mostly the child decides which:
//! what some parts say of it for certain settles what others do. Where that leaves many ways (a few, where
//! children are listed strings: that costs little), the children are split into *classes* by what parts
//! say of strings, numbers and the like; every class has one way for all such parts, as a symbol has in a
//! deterministic automaton (D'Antoni and Veanes, "The power of symbolic automata and transducers", 2017,
//! on such minterms).

use std::collections::HashMap;
use std::sync::Arc;

use crate::formula::{FormulaId, Kind, Kinds};
use crate::grammar::{Branch, Grammar};
use crate::hashing::IdSet;
use crate::regex::RegexId;

/// Ways that are combined as they stand.
const FEW_WAYS: usize = 64;
/// The same where children are strings of a list, which are quickly told apart.
const FEW_WORD_WAYS: usize = 4;
/// Steps that it takes to look at a child as a value of every kind.
const KINDS_STEPS: usize = 16;

/// What a child that fulfils one formula may be to another.
struct Relation {
    may_hold: bool,
    may_fail: bool,
}

/// Children that fulfil `child`, and which of some predicates hold of all of them; the others hold of
/// none.
struct Class {
    child: FormulaId,
    holds: Vec<FormulaId>,
}

impl Grammar {
    /// Every combination of one branch of each part: all children hold, and all rests are left.
    /// What is left is an object's or an array's formula, as `kind` says.
    pub(crate) fn conjoin(&mut self, parts: &[Arc<[Branch]>], kind: Kind) -> Arc<[Branch]> {
        let ways = ways_of(parts);
        // One part that goes on in many ways makes no more of them.
        let is_product = parts.iter().filter(|part| part.len() > 1).count() > 1;
        if !is_product || ways <= FEW_WORD_WAYS {
            return self.combine(parts);
        }
        let certain = self.certain_child(parts);
        let few = match self.listed_language(certain) {
            Some(_) => FEW_WORD_WAYS,
            None => FEW_WAYS,
        };
        if ways <= few {
            return self.combine(parts);
        }
        let mut settled: Vec<_> = parts.iter().map(|p| self.settle(certain, p)).collect();
        if ways_of(&settled) > few {
            settled = self.join_cases(&settled, kind).unwrap_or(settled);
        }
        if ways_of(&settled) <= few {
            return self.combine(&settled);
        }
        self.combine_by_class(&settled)
    }

    /// What the parts that go on in one way say of the child.
    fn certain_child(&mut self, parts: &[Arc<[Branch]>]) -> FormulaId {
        let children = parts.iter().filter_map(|part| match &**part {
            [only] => Some(only.child),
            _ => None,
        });
        self.formulas.and(children.collect::<Vec<_>>())
    }

    /// The branches of a part that a child may take, which ask nothing that holds of it anyway.
    fn settle(&mut self, certain: FormulaId, part: &Arc<[Branch]>) -> Arc<[Branch]> {
        if part.len() == 1 {
            return Arc::clone(part);
        }
        let mut left = Vec::with_capacity(part.len());
        for branch in part.iter() {
            let Relation { may_hold, may_fail } = self.relate(certain, branch.child);
            let child = if may_fail {
                branch.child
            } else {
                FormulaId::TRUE
            };
            left.extend(may_hold.then_some(Branch { child, ..*branch }));
        }
        self.merge(left)
    }

    /// What children that fulfil one formula may be to another; both where that is not plain.
    fn relate(&mut self, certain: FormulaId, asked: FormulaId) -> Relation {
        let mut found = Relation {
            may_hold: asked == FormulaId::TRUE,
            may_fail: asked == FormulaId::FALSE,
        };
        self.spend_steps(KINDS_STEPS);
        for kind in Kind::ALL {
            let own = self.formulas.restrict(certain, kind);
            if own == FormulaId::FALSE || (found.may_hold && found.may_fail) {
                continue;
            }
            let wanted = self.formulas.restrict(asked, kind);
            let opposite = self.formulas.negate(asked);
            let opposite = self.formulas.restrict(opposite, kind);
            found.may_hold |= self.may_be_both(own, wanted, opposite, kind);
            found.may_fail |= self.may_be_both(own, opposite, wanted, kind);
        }
        found
    }

    /// Whether a value of a kind that fulfils `own` may fulfil `wanted`, whose opposite is known.
    fn may_be_both(
        &mut self,
        own: FormulaId,
        wanted: FormulaId,
        opposite: FormulaId,
        kind: Kind,
    ) -> bool {
        if own == opposite || wanted == FormulaId::FALSE || opposite == FormulaId::TRUE {
            return false;
        }
        if matches!(kind, Kind::Array | Kind::Object) {
            return !self.conjuncts(own).contains(&opposite);
        }
        let both = self.formulas.and([own, wanted]);
        self.is_satisfiable_as(both, kind)
    }

    /// The combinations with one way for each class of children, as far as parts tell them apart by
    /// what is no array or object.
    fn combine_by_class(&mut self, parts: &[Arc<[Branch]>]) -> Arc<[Branch]> {
        let are_plain: Vec<bool> = parts.iter().map(|p| self.is_plain_part(p)).collect();
        let plain = parts.iter().zip(&are_plain).filter(|(_, plain)| **plain);
        let predicates = plain.flat_map(|(part, _)| part.iter().map(|branch| branch.child));
        let predicates: Vec<_> = predicates.filter(|p| *p != FormulaId::TRUE).collect();
        let certain = self.certain_child(parts);
        let mut ways = Vec::new();
        for class in self.classes(certain, &predicates) {
            let mut decided = Vec::with_capacity(parts.len() + 1);
            for (part, is_plain) in parts.iter().zip(&are_plain) {
                decided.push(if *is_plain {
                    self.only_way(part, &class)
                } else {
                    Arc::clone(part)
                });
            }
            let (child, rest) = (class.child, FormulaId::TRUE);
            decided.push([Branch { child, rest }].into());
            ways.extend_from_slice(&self.combine(&decided));
        }
        self.merge(ways)
    }

    /// Whether a part goes on in several ways, and arrays and objects alike go on in all or none of
    /// each.
    fn is_plain_part(&mut self, part: &[Branch]) -> bool {
        let mut decided = |id, kind| {
            let left = self.formulas.restrict(id, kind);
            left == FormulaId::TRUE || left == FormulaId::FALSE
        };
        let mut is_plain = |id| decided(id, Kind::Array) && decided(id, Kind::Object);
        part.len() > 1 && part.iter().all(|branch| is_plain(branch.child))
    }

    /// Splits children by some predicates.
    fn classes(&mut self, certain: FormulaId, predicates: &[FormulaId]) -> Vec<Class> {
        if let Some(words) = self.listed_words(certain) {
            return self.classes_of_words(&words, predicates);
        }
        let mut met = IdSet::default();
        let mut classes = vec![Class {
            child: certain,
            holds: Vec::new(),
        }];
        for predicate in predicates.iter().filter(|p| met.insert(**p)) {
            let mut split = Vec::with_capacity(classes.len());
            for class in classes {
                self.split(class, *predicate, &mut split);
            }
            if split.len() > self.limits.max_branches {
                self.exhaust("max_branches", self.limits.max_branches as u64);
            }
            if !self.spend(split.len() as u64) {
                return Vec::new();
            }
            classes = split;
        }
        classes
    }

    /// The language of children that can be nothing but strings of a list.
    fn listed_language(&mut self, child: FormulaId) -> Option<RegexId> {
        let mut others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::String);
        if !others.all(|kind| self.formulas.restrict(child, kind) == FormulaId::FALSE) {
            return None;
        }
        let own = self.formulas.restrict(child, Kind::String);
        let language = self.formulas.text_language(own);
        self.formulas.regexes.listed(language).map(|_| language)
    }

    /// The strings that children are, where these are all they may be, and listed.
    fn listed_words(&mut self, child: FormulaId) -> Option<Vec<String>> {
        let language = self.listed_language(child)?;
        let regexes = &mut self.formulas.regexes;
        let listed = regexes.listed(language)?.into_iter().map(str::to_owned);
        let mut words: Vec<String> = listed.collect();
        let bytes = words.iter().map(String::len).sum::<usize>();
        if !regexes.spend_steps(bytes + words.len()) {
            return None;
        }
        words.retain(|word| regexes.matches(language, word));
        Some(words)
    }

    /// Splits strings one by one, which costs less than to ask whether languages have any in common.
    fn classes_of_words(&mut self, words: &[String], predicates: &[FormulaId]) -> Vec<Class> {
        let bytes = words.iter().map(|word| word.len() + 1).sum::<usize>();
        if !self.spend_steps(bytes.saturating_mul(predicates.len())) {
            return Vec::new();
        }
        let mut met = IdSet::default();
        let mut asked = Vec::new();
        for predicate in predicates.iter().filter(|p| met.insert(**p)) {
            let own = self.formulas.restrict(*predicate, Kind::String);
            asked.push((*predicate, self.formulas.text_language(own)));
        }
        let mut groups: HashMap<Vec<FormulaId>, Vec<&str>> = HashMap::new();
        let mut order = Vec::new();
        for word in words {
            let mut holds = asked.clone();
            holds.retain(|(_, language)| self.formulas.regexes.matches(*language, word));
            let holds: Vec<_> = holds.into_iter().map(|(predicate, _)| predicate).collect();
            let group = groups.entry(holds).or_insert_with_key(|holds| {
                order.push(holds.clone());
                Vec::new()
            });
            group.push(word);
        }
        let strings = self.formulas.types(Kinds::one(Kind::String));
        let mut class = |holds: Vec<FormulaId>| {
            let language = self.formulas.regexes.literals(&groups[&holds]);
            let text = self.formulas.text(language);
            let child = self.formulas.and([strings, text]);
            Class { child, holds }
        };
        order.into_iter().map(&mut class).collect()
    }

    /// The children of a class of which a predicate holds, and the others.
    fn split(&mut self, class: Class, predicate: FormulaId, into: &mut Vec<Class>) {
        let Relation { may_hold, may_fail } = self.relate(class.child, predicate);
        if may_fail {
            let others = self.formulas.negate(predicate);
            let child = if may_hold {
                self.formulas.and([class.child, others])
            } else {
                class.child
            };
            let holds = class.holds.clone();
            into.push(Class { child, holds });
        }
        if may_hold {
            let child = if may_fail {
                self.formulas.and([class.child, predicate])
            } else {
                class.child
            };
            let holds = [&class.holds[..], &[predicate]].concat();
            into.push(Class { child, holds });
        }
    }

    /// What is left of a part for all children of a class.
    fn only_way(&mut self, part: &[Branch], class: &Class) -> Arc<[Branch]> {
        let taken = |b: &&Branch| b.child == FormulaId::TRUE || class.holds.contains(&b.child);
        let rests: Vec<_> = part.iter().filter(taken).map(|b| b.rest).collect();
        self.spend_steps(part.len() * class.holds.len());
        let (child, rest) = (FormulaId::TRUE, self.formulas.or(rests));
        [Branch { child, rest }].into()
    }

    /// Every combination, however many there are.
    fn combine(&mut self, parts: &[Arc<[Branch]>]) -> Arc<[Branch]> {
        let mut made: Vec<(Vec<FormulaId>, Vec<FormulaId>)> = vec![(Vec::new(), Vec::new())];
        for part in parts {
            if let [only] = &**part {
                made.iter_mut().for_each(|(children, rests)| {
                    // What asks nothing is left out: most parts ask nothing of most keys.
                    children.extend(Some(only.child).filter(|f| *f != FormulaId::TRUE));
                    rests.extend(Some(only.rest).filter(|f| *f != FormulaId::TRUE));
                });
                continue;
            }
            let ways = made.len().saturating_mul(part.len());
            let size = made.first().map_or(0, |(children, _)| children.len() + 1);
            if ways > self.limits.max_branches {
                self.exhaust("max_branches", self.limits.max_branches as u64);
            }
            if !self.spend(ways as u64) || !self.spend_steps(ways.saturating_mul(size)) {
                return Arc::new([]);
            }
            made = made
                .iter()
                .flat_map(|(children, rests)| {
                    part.iter().map(|b| {
                        (
                            [&children[..], &[b.child]].concat(),
                            [&rests[..], &[b.rest]].concat(),
                        )
                    })
                })
                .collect();
        }
        let branches: Vec<_> = made
            .into_iter()
            .map(|(children, rests)| Branch {
                child: self.formulas.and(children),
                rest: self.formulas.and(rests),
            })
            .collect();
        self.merge(branches)
    }
}

/// How many combinations there are.
fn ways_of(parts: &[Arc<[Branch]>]) -> usize {
    let counts = parts.iter().map(|part| part.len());
    counts.fold(1, usize::saturating_mul)
}
