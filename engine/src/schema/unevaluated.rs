//! `unevaluatedProperties` and `unevaluatedItems` (2020-12 core, section 11).
//!
//! What counts as evaluated depends on which branches of `anyOf`, `oneOf`, `if` and their like
//! hold. So a schema is split into *alternatives*: every way in which its branches may turn out,
//! each with its formula and with what it has evaluated. They exclude each other or agree.

use std::collections::BTreeSet;

use super::path::Step;
use super::registry::{Dialect, Located};
use super::translate::{Result, Translator};
use crate::formula::{FormulaId, ItemTable, PropertyTable, TextId};
use crate::json::Value;
use crate::regex::RegexId;

/// The properties and items that some keyword has spoken of.
#[derive(Clone, Default, PartialEq, Eq)]
struct Evaluated {
    all_properties: bool,
    named: BTreeSet<TextId>,
    patterns: BTreeSet<RegexId>,
    all_items: bool,
    first_items: usize,
    /// Items that fulfil one of these are evaluated wherever they stand.
    containing: Vec<FormulaId>,
}

/// Small steps that it takes to join what two branches have evaluated, for each key, pattern and item.
const EVALUATED_STEPS: usize = 16;

impl Evaluated {
    fn size(&self) -> usize {
        1 + self.named.len() + self.patterns.len() + self.first_items + self.containing.len()
    }

    fn with(&self, other: &Evaluated) -> Evaluated {
        let mut containing = self.containing.clone();
        containing.extend(
            other
                .containing
                .iter()
                .filter(|f| !self.containing.contains(f)),
        );
        Evaluated {
            all_properties: self.all_properties || other.all_properties,
            named: &self.named | &other.named,
            patterns: &self.patterns | &other.patterns,
            all_items: self.all_items || other.all_items,
            first_items: self.first_items.max(other.first_items),
            containing,
        }
    }
}

/// One way in which a schema's branches may turn out.
#[derive(Clone)]
struct Alternative {
    formula: FormulaId,
    evaluated: Evaluated,
}

const APPLIED_IN_PLACE: [&str; 10] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "then",
    "else",
    "dependentSchemas",
];

impl<'a> Translator<'a> {
    /// What the unevaluated keywords of a schema say.
    pub(super) fn unevaluated(&mut self, at: Located<'a>) -> Result<Option<FormulaId>> {
        let keywords = ["unevaluatedProperties", "unevaluatedItems"];
        if at.dialect < Dialect::Draft2019 || keywords.iter().all(|k| at.value.get(k).is_none()) {
            return Ok(None);
        }
        let alternatives = self.at_keyword(
            keywords[usize::from(at.value.get(keywords[0]).is_none())],
            |t| t.alternatives(at, false),
        )?;
        let mut ways = Vec::new();
        for alternative in alternatives {
            let properties = self.unevaluated_properties(at, &alternative.evaluated)?;
            let items = self.unevaluated_items(at, &alternative.evaluated)?;
            ways.push(self.formulas.and([alternative.formula, properties, items]));
        }
        Ok(Some(self.formulas.or(ways)))
    }

    fn unevaluated_properties(
        &mut self,
        at: Located<'a>,
        evaluated: &Evaluated,
    ) -> Result<FormulaId> {
        let Some(value) = at.value.get("unevaluatedProperties") else {
            return Ok(FormulaId::TRUE);
        };
        let goal = self.at_keyword("unevaluatedProperties", |t| {
            t.schema(t.registry.child(at, value))
        })?;
        if evaluated.all_properties {
            return Ok(FormulaId::TRUE);
        }
        let open = FormulaId::TRUE;
        Ok(self.formulas.properties(PropertyTable {
            named: evaluated.named.iter().map(|key| (*key, open)).collect(),
            patterns: evaluated
                .patterns
                .iter()
                .map(|pattern| (*pattern, open))
                .collect(),
            additional: goal,
        }))
    }

    fn unevaluated_items(&mut self, at: Located<'a>, evaluated: &Evaluated) -> Result<FormulaId> {
        let Some(value) = at.value.get("unevaluatedItems") else {
            return Ok(FormulaId::TRUE);
        };
        let goal = self.at_keyword("unevaluatedItems", |t| {
            t.schema(t.registry.child(at, value))
        })?;
        if evaluated.all_items {
            return Ok(FormulaId::TRUE);
        }
        let rest = self
            .formulas
            .or(evaluated.containing.iter().copied().chain([goal]));
        let prefix = vec![FormulaId::TRUE; evaluated.first_items];
        Ok(self.formulas.items(ItemTable { prefix, rest }))
    }

    /// All alternatives of a schema; with `whole`, its own unevaluated keywords included.
    fn alternatives(&mut self, at: Located<'a>, whole: bool) -> Result<Vec<Alternative>> {
        if at.value.as_object().is_none() {
            let formula = self.schema(at)?;
            return Ok(vec![Alternative {
                formula,
                evaluated: Evaluated::default(),
            }]);
        }
        self.formulas.regexes.spend(1);
        self.within_fuel()?;
        if self.path.depth() > self.options.max_depth {
            return Err(
                self.unsupported("the schemas it depends on refer to each other without end")
            );
        }
        self.in_scope(at, |t| {
            t.at(Step::Again, |t| t.alternatives_in_scope(at, whole))
        })
    }

    fn alternatives_in_scope(&mut self, at: Located<'a>, whole: bool) -> Result<Vec<Alternative>> {
        let own = self.own_keywords(at, |keyword| !APPLIED_IN_PLACE.contains(&keyword))?;
        let own = self.formulas.and(own);
        let mut ways = vec![Alternative {
            formula: own,
            evaluated: self.evaluated_here(at)?,
        }];
        for (keyword, value) in at.value.as_object().unwrap_or_default() {
            let branches = match keyword.as_str() {
                "$ref" => {
                    let target = self.target(at)?;
                    self.at(Step::Target(target.value), |t| t.alternatives(target, true))?
                }
                "$dynamicRef" => {
                    let target = self.dynamic_target(at, value)?;
                    self.at(Step::Target(target.value), |t| t.alternatives(target, true))?
                }
                "allOf" => self.all_alternatives(at, value)?,
                "anyOf" => self.some_alternatives(at, value, false)?,
                "oneOf" => self.some_alternatives(at, value, true)?,
                "if" => self.condition_alternatives(at, value)?,
                "dependentSchemas" => self.dependent_alternatives(at, value)?,
                _ => continue,
            };
            ways = self.combine(&ways, &branches)?;
        }
        if whole && at.value.get("unevaluatedProperties").is_some() {
            self.close_alternatives(at, &mut ways, true)?;
        }
        if whole && at.value.get("unevaluatedItems").is_some() {
            self.close_alternatives(at, &mut ways, false)?;
        }
        Ok(ways)
    }

    /// A nested unevaluated keyword speaks of all that is left.
    fn close_alternatives(
        &mut self,
        at: Located<'a>,
        ways: &mut [Alternative],
        properties: bool,
    ) -> Result<()> {
        for way in ways {
            let closing = if properties {
                self.unevaluated_properties(at, &way.evaluated)?
            } else {
                self.unevaluated_items(at, &way.evaluated)?
            };
            way.formula = self.formulas.and([way.formula, closing]);
            way.evaluated.all_properties |= properties;
            way.evaluated.all_items |= !properties;
        }
        Ok(())
    }

    fn evaluated_here(&mut self, at: Located<'a>) -> Result<Evaluated> {
        let mut evaluated = Evaluated::default();
        for (keyword, value) in at.value.as_object().unwrap_or_default() {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(schemas)) => {
                    let keys = schemas
                        .iter()
                        .map(|(key, _)| self.formulas.texts.intern(key.clone()));
                    evaluated.named.extend(keys);
                }
                ("patternProperties", Value::Object(schemas)) => {
                    for (pattern, _) in schemas {
                        evaluated.patterns.insert(self.parse_pattern(pattern)?);
                    }
                }
                ("additionalProperties", _) => evaluated.all_properties = true,
                ("prefixItems" | "items", Value::Array(schemas)) => {
                    evaluated.first_items = evaluated.first_items.max(schemas.len());
                }
                ("items" | "additionalItems", _) => evaluated.all_items = true,
                ("contains", _) if at.dialect == Dialect::Draft2020 => {
                    evaluated
                        .containing
                        .push(self.schema(self.registry.child(at, value))?);
                }
                _ => {}
            }
        }
        Ok(evaluated)
    }

    fn combine(
        &mut self,
        ways: &[Alternative],
        branches: &[Alternative],
    ) -> Result<Vec<Alternative>> {
        let mut made: Vec<Alternative> = Vec::new();
        for way in ways {
            let evaluated = way.evaluated.size();
            for branch in branches {
                let size = evaluated + branch.evaluated.size();
                self.formulas.regexes.spend_steps(EVALUATED_STEPS * size);
                self.within_fuel()?;
                let formula = self.formulas.and([way.formula, branch.formula]);
                if formula != FormulaId::FALSE {
                    made.push(Alternative {
                        formula,
                        evaluated: way.evaluated.with(&branch.evaluated),
                    });
                }
                if made.len() > self.options.max_alternatives {
                    return Err(self.unsupported("its branches can turn out in too many ways"));
                }
            }
        }
        Ok(made)
    }

    fn all_alternatives(&mut self, at: Located<'a>, value: &'a Value) -> Result<Vec<Alternative>> {
        let mut ways = vec![Alternative {
            formula: FormulaId::TRUE,
            evaluated: Evaluated::default(),
        }];
        for schema in value.as_array().unwrap_or_default() {
            let branches = self.alternatives(self.registry.child(at, schema), true)?;
            ways = self.combine(&ways, &branches)?;
        }
        Ok(ways)
    }

    /// `anyOf`: every way in which at least one branch holds; `oneOf`: in which exactly one does.
    fn some_alternatives(
        &mut self,
        at: Located<'a>,
        value: &'a Value,
        one: bool,
    ) -> Result<Vec<Alternative>> {
        let failing = |formula| Alternative {
            formula,
            evaluated: Evaluated::default(),
        };
        let (mut none, mut some) = (vec![failing(FormulaId::TRUE)], Vec::new());
        for schema in value.as_array().unwrap_or_default() {
            let located = self.registry.child(at, schema);
            let holds = self.alternatives(located, true)?;
            let formula = self.schema(located)?;
            let fails = [failing(self.formulas.negate(formula))];
            let mut next = self.combine(&none, &holds)?;
            next.extend(self.combine(&some, &fails)?);
            if !one {
                next.extend(self.combine(&some, &holds)?);
            }
            none = self.combine(&none, &fails)?;
            some = next;
        }
        Ok(some)
    }

    fn condition_alternatives(
        &mut self,
        at: Located<'a>,
        value: &'a Value,
    ) -> Result<Vec<Alternative>> {
        let located = self.registry.child(at, value);
        let condition = self.schema(located)?;
        let mut met = self.alternatives(located, true)?;
        if let Some(then) = at.value.get("then") {
            let then = self.alternatives(self.registry.child(at, then), true)?;
            met = self.combine(&met, &then)?;
        }
        let negated = self.formulas.negate(condition);
        let mut unmet = vec![Alternative {
            formula: negated,
            evaluated: Evaluated::default(),
        }];
        if let Some(otherwise) = at.value.get("else") {
            let otherwise = self.alternatives(self.registry.child(at, otherwise), true)?;
            unmet = self.combine(&unmet, &otherwise)?;
        }
        met.extend(unmet);
        Ok(met)
    }

    fn dependent_alternatives(
        &mut self,
        at: Located<'a>,
        value: &'a Value,
    ) -> Result<Vec<Alternative>> {
        let mut ways = vec![Alternative {
            formula: FormulaId::TRUE,
            evaluated: Evaluated::default(),
        }];
        for (key, schema) in value.as_object().unwrap_or_default() {
            let key = self.formulas.texts.intern(key.clone());
            let (lacks, has) = (self.formulas.lacks(key), self.formulas.required(vec![key]));
            let present = [Alternative {
                formula: has,
                evaluated: Evaluated::default(),
            }];
            let dependent = self.alternatives(self.registry.child(at, schema), true)?;
            let mut branches = self.combine(&present, &dependent)?;
            branches.push(Alternative {
                formula: lacks,
                evaluated: Evaluated::default(),
            });
            ways = self.combine(&ways, &branches)?;
        }
        Ok(ways)
    }
}
