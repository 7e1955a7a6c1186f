//! From definitions to productions: operators become rules of their own.

use std::collections::HashMap;

use super::expression::Expression;
use super::production::{Productions, RuleId, Symbol, TerminalId};
use super::syntax::{Definition, Syntax};
use super::terminal::Terminals;
use crate::error::EngineError;
use crate::hashing::IdMap;
use crate::regex::{RegexId, Regexes};
use crate::text::too_large;

/// Symbols of all productions together.
const MAX_SYMBOLS: usize = 100_000;

/// The productions of a grammar, and the arena of its terminals.
///
/// # Errors
///
/// `Malformed` and `Unsupported` with the place, `TooLarge` for a limit.
pub(super) fn productions_of(syntax: &Syntax) -> Result<(Productions, Regexes), EngineError> {
    let mut lowering = Lowering::new(syntax)?;
    lowering.lower_whole()?;
    for definition in &syntax.rules {
        lowering.lower_rule(definition)?;
    }
    lowering.lower_ignored(&syntax.ignored)?;
    let Lowering {
        mut productions,
        terminals,
        ..
    } = lowering;
    productions.settle_nullable();
    Ok((productions, terminals.regexes))
}

struct Lowering<'a> {
    terminals: Terminals<'a>,
    productions: Productions,
    rules: HashMap<&'a str, RuleId>,
    terminal_ids: IdMap<RegexId, TerminalId>,
    /// Repetitions that have a rule already.
    repeated: HashMap<(Vec<Symbol>, u32, Option<u32>), RuleId>,
    symbols: usize,
}

impl<'a> Lowering<'a> {
    fn new(syntax: &'a Syntax) -> Result<Self, EngineError> {
        let productions = Productions::new(syntax.rules.len() + 1);
        let mut rules = HashMap::new();
        for (place, definition) in syntax.rules.iter().enumerate() {
            let id = RuleId::from(place + 1);
            if rules.insert(definition.name.as_str(), id).is_some() {
                let reason = format!("the rule '{}' is defined twice", definition.name);
                return Err(definition.at.malformed(reason));
            }
        }
        Ok(Lowering {
            terminals: Terminals::new(syntax)?,
            productions,
            rules,
            terminal_ids: IdMap::default(),
            repeated: HashMap::new(),
            symbols: 0,
        })
    }

    fn lower_whole(&mut self) -> Result<(), EngineError> {
        let Some(start) = self.rules.get("start") else {
            return Err(EngineError::Malformed {
                pointer: String::new(),
                keyword: String::new(),
                reason: "the grammar has no rule 'start'".into(),
            });
        };
        let symbol = Symbol::Rule(*start);
        self.add(Productions::WHOLE, &[symbol])
    }

    fn lower_rule(&mut self, definition: &Definition) -> Result<(), EngineError> {
        let rule = self.rules[definition.name.as_str()];
        self.add_alternatives(rule, &definition.body)
    }

    /// Ignored terminals come last, so that a comparison tells them.
    fn lower_ignored(&mut self, ignored: &[Expression]) -> Result<(), EngineError> {
        self.productions.first_ignored = TerminalId::from(self.productions.terminals.len());
        for expression in ignored {
            let language = self.terminals.language(expression)?;
            let nonempty = self.nonempty(language);
            self.productions.terminals.push(nonempty);
        }
        Ok(())
    }

    fn new_rule(&mut self) -> RuleId {
        self.productions.beginnings.push(Vec::new());
        RuleId::from(self.productions.beginnings.len() - 1)
    }

    fn add(&mut self, rule: RuleId, symbols: &[Symbol]) -> Result<(), EngineError> {
        self.symbols += symbols.len() + 1;
        if self.symbols > MAX_SYMBOLS {
            return Err(too_large("max_symbols", MAX_SYMBOLS as u64));
        }
        let beginning = self.productions.slot_of(rule, symbols);
        let beginnings = &mut self.productions.beginnings[usize::from(rule)];
        if !beginnings.contains(&beginning) {
            beginnings.push(beginning);
        }
        Ok(())
    }

    fn add_alternatives(&mut self, rule: RuleId, body: &Expression) -> Result<(), EngineError> {
        let Expression::Alternatives(alternatives) = body else {
            let symbols = self.symbols_of(body)?;
            return self.add(rule, &symbols);
        };
        for alternative in alternatives {
            self.add_alternatives(rule, alternative)?;
        }
        Ok(())
    }

    fn symbols_of(&mut self, expression: &Expression) -> Result<Vec<Symbol>, EngineError> {
        match expression {
            Expression::Sequence(parts) => {
                let mut symbols = Vec::new();
                for part in parts {
                    symbols.extend(self.symbols_of(part)?);
                }
                Ok(symbols)
            }
            Expression::Alternatives(_) => {
                let rule = self.new_rule();
                self.add_alternatives(rule, expression)?;
                Ok(vec![Symbol::Rule(rule)])
            }
            Expression::Repeat { body, low, high } => {
                let body = self.symbols_of(body)?;
                Ok(self.repeat(body, *low, *high)?.into_iter().collect())
            }
            Expression::Rule(name, at) => match self.rules.get(name.as_str()) {
                Some(rule) => Ok(vec![Symbol::Rule(*rule)]),
                None => Err(at.malformed(format!("the rule '{name}' is not defined"))),
            },
            Expression::All(_, at) => Err(at.unsupported("'&' outside of a terminal")),
            Expression::Not(_, at) => Err(at.unsupported("'~' outside of a terminal")),
            _ => self.terminal(expression),
        }
    }

    /// A terminal; one that may be empty is an optional one that may not.
    fn terminal(&mut self, expression: &Expression) -> Result<Vec<Symbol>, EngineError> {
        let language = self.terminals.language(expression)?;
        if language == Regexes::EMPTY {
            return Ok(Vec::new());
        }
        let is_optional = self.terminals.regexes.is_nullable(language);
        let nonempty = self.nonempty(language);
        let terminals = &mut self.productions.terminals;
        let id = *self.terminal_ids.entry(nonempty).or_insert_with(|| {
            terminals.push(nonempty);
            TerminalId::from(terminals.len() - 1)
        });
        let symbol = Symbol::Terminal(id);
        if is_optional {
            Ok(self.repeat(vec![symbol], 0, Some(1))?.into_iter().collect())
        } else {
            Ok(vec![symbol])
        }
    }

    fn nonempty(&mut self, language: RegexId) -> RegexId {
        let regexes = &mut self.terminals.regexes;
        if !regexes.is_nullable(language) {
            return language;
        }
        let some = regexes.length(1, None);
        regexes.intersection(language, some)
    }

    /// A symbol for some symbols in a row, so many times; none for the empty text.
    fn repeat(
        &mut self,
        body: Vec<Symbol>,
        low: u32,
        high: Option<u32>,
    ) -> Result<Option<Symbol>, EngineError> {
        if body.is_empty() || high == Some(0) {
            return Ok(None);
        }
        if let ([only], 1, Some(1)) = (&body[..], low, high) {
            return Ok(Some(*only));
        }
        let key = (body, low, high);
        if let Some(known) = self.repeated.get(&key) {
            return Ok(Some(Symbol::Rule(*known)));
        }
        let rule = self.new_rule();
        self.repeated.insert(key.clone(), rule);
        let (body, ..) = key;
        match (low, high) {
            (0, Some(1)) => {
                self.add(rule, &[])?;
                self.add(rule, &body)?;
            }
            (0 | 1, None) => {
                let first = if low == 0 { &[][..] } else { &body };
                self.add(rule, first)?;
                let more = [&[Symbol::Rule(rule)], &body[..]].concat();
                self.add(rule, &more)?;
            }
            _ => self.add_counted(rule, body, low, high)?,
        }
        Ok(Some(Symbol::Rule(rule)))
    }

    /// Counts are halved again and again, so that a count costs its logarithm.
    fn add_counted(
        &mut self,
        rule: RuleId,
        body: Vec<Symbol>,
        low: u32,
        high: Option<u32>,
    ) -> Result<(), EngineError> {
        let parts = match (low, high) {
            (1, Some(1)) => return self.add(rule, &body),
            (0, Some(high)) => [(0, Some(high / 2)), (0, Some(high - high / 2))],
            (low, None) => [(low, Some(low)), (0, None)],
            (low, Some(high)) if low == high => [
                (low / 2, Some(low / 2)),
                (low - low / 2, Some(low - low / 2)),
            ],
            (low, Some(high)) => [(low, Some(low)), (0, Some(high - low))],
        };
        let mut symbols = Vec::new();
        for (low, high) in parts {
            symbols.extend(self.repeat(body.clone(), low, high)?);
        }
        self.add(rule, &symbols)
    }
}
