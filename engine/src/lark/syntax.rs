//! From the words of a grammar to its definitions.

use super::expression::Expression;
use super::token::{Spot, Word, words};
use crate::error::EngineError;

/// A rule or a terminal.
pub(super) struct Definition {
    pub name: String,
    pub body: Expression,
    pub at: Spot,
}

/// A terminal of the library, and its name here.
pub(super) struct Import {
    pub name: String,
    pub alias: String,
    pub at: Spot,
}

/// All that a text says.
#[derive(Default)]
pub(super) struct Syntax {
    pub rules: Vec<Definition>,
    pub terminals: Vec<Definition>,
    pub ignored: Vec<Expression>,
    pub imports: Vec<Import>,
}

/// Reads a whole grammar.
pub(super) fn read(text: &str) -> Result<Syntax, EngineError> {
    let mut parser = Parser {
        words: words(text)?,
        next: 0,
        depth: 0,
        syntax: Syntax::default(),
    };
    while *parser.peek() != Word::End {
        parser.statement()?;
    }
    Ok(parser.syntax)
}

/// The words of a grammar, and what has been read of it.
pub(super) struct Parser {
    words: Vec<(Word, Spot)>,
    pub next: usize,
    /// Open groups.
    pub depth: u32,
    syntax: Syntax,
}

impl Parser {
    pub fn peek(&self) -> &Word {
        self.peek_after(0)
    }

    pub fn peek_after(&self, words: usize) -> &Word {
        let place = (self.next + words).min(self.words.len() - 1);
        &self.words[place].0
    }

    pub fn at(&self) -> Spot {
        self.words[self.next.min(self.words.len() - 1)].1
    }

    pub fn take(&mut self) -> Word {
        let word = self.peek().clone();
        self.next += 1;
        word
    }

    /// Takes a mark if it comes next.
    pub fn takes(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Word::Mark(next) if *next == mark);
        self.next += usize::from(found);
        found
    }

    pub fn expected(&self, what: &str) -> EngineError {
        let found = self.peek().describe();
        self.at()
            .malformed(format!("expected {what}, found {found}"))
    }

    pub fn expect(&mut self, mark: &str) -> Result<(), EngineError> {
        if self.takes(mark) {
            return Ok(());
        }
        Err(self.expected(&format!("'{mark}'")))
    }

    fn end_of_statement(&mut self) -> Result<(), EngineError> {
        match self.peek() {
            Word::Line => self.next += 1,
            Word::End => {}
            _ => return Err(self.expected("'|', an operator or the end of the line")),
        }
        Ok(())
    }

    fn statement(&mut self) -> Result<(), EngineError> {
        if *self.peek() == Word::Line {
            self.next += 1;
            return Ok(());
        }
        if let Word::Directive(name) = self.peek().clone() {
            return self.directive(&name);
        }
        while self.takes("?") || self.takes("!") {}
        let at = self.at();
        let (name, is_rule) = match self.take() {
            Word::Rule(name) => (name, true),
            Word::Terminal(name) => (name, false),
            _ => {
                self.next -= 1;
                return Err(self.expected("a rule, a terminal or a directive"));
            }
        };
        self.refuse_extras(is_rule)?;
        self.expect(":")?;
        let body = self.alternatives()?;
        let definition = Definition { name, body, at };
        if is_rule {
            self.syntax.rules.push(definition);
        } else {
            self.syntax.terminals.push(definition);
        }
        self.end_of_statement()
    }

    /// What may follow a name that is being defined, and is not enforced.
    fn refuse_extras(&self, is_rule: bool) -> Result<(), EngineError> {
        let construct = match self.peek() {
            Word::Mark(".") if is_rule => "rule priorities",
            Word::Mark(".") => "terminal priorities",
            Word::Mark("{" | "::") => "templates and parameters",
            Word::Mark("[") => "rule attributes",
            _ => return Ok(()),
        };
        Err(self.at().unsupported(construct))
    }

    fn directive(&mut self, name: &str) -> Result<(), EngineError> {
        let at = self.at();
        match name {
            "ignore" => {
                self.next += 1;
                let ignored = self.alternatives()?;
                self.syntax.ignored.push(ignored);
            }
            "import" => {
                self.next += 1;
                self.import()?;
            }
            "llguidance" if self.is_empty_object() => self.next += 3,
            _ => return Err(at.unsupported(format!("%{name}"))),
        }
        self.end_of_statement()
    }

    fn is_empty_object(&self) -> bool {
        let mark = |after, mark| *self.peek_after(after) == Word::Mark(mark);
        mark(1, "{") && mark(2, "}")
    }

    /// `common.NAME`, `common.NAME -> NAME` or `common (NAME, NAME)`.
    fn import(&mut self) -> Result<(), EngineError> {
        let at = self.at();
        let is_common = matches!(self.peek(), Word::Rule(library) if library == "common");
        if !is_common {
            return Err(at.unsupported("%import"));
        }
        self.next += 1;
        if self.takes(".") {
            let name = self.terminal_name()?;
            let alias = if self.takes("->") {
                self.terminal_name()?
            } else {
                name.clone()
            };
            self.syntax.imports.push(Import { name, alias, at });
            return Ok(());
        }
        self.expect("(")?;
        loop {
            let at = self.at();
            let name = self.terminal_name()?;
            self.syntax.imports.push(Import {
                alias: name.clone(),
                name,
                at,
            });
            if !self.takes(",") {
                return self.expect(")");
            }
        }
    }

    fn terminal_name(&mut self) -> Result<String, EngineError> {
        match self.peek() {
            Word::Terminal(name) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.expected("a terminal's name")),
        }
    }
}
