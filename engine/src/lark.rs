//! Context-free grammars in the Lark dialect of OpenAI's custom tools, as answers of their own.
//!
//! A grammar's text is cut into words (`token`), read (`syntax`, `expression`), and lowered: *terminals* become
//! languages of code points (`terminal`, `common`), *rules* productions without operators
//! (`lowering`, `production`). An answer is read by a character machine (`machine`): all terminals that may
//! come next are read side by side (`lexer`), and where one ends, an Earley parser goes on
//! (`row`). `future` tells whether a text can still end.
//!
//! # What a text of a grammar is
//!
//! A sequence of texts of terminals that the rules derive, ignored texts between them: none before
//! the first, and none behind one that no other may follow, as llguidance has it. Every
//! terminal is as long as it can be: what follows must not make it longer. That is what Lark's
//! `dynamic` lexer does. A lexer that takes the longest of *all* terminals that may come, as
//! llguidance's does, reads less: after `start: "a" "bc" | "ab" "d"` it refuses `abc`. Taking
//! terminals one by one keeps the language context-free, so that dead ends can be found exactly:
//! `start: NAME "s"` with `NAME: /[a-z]+/` has no text and is refused, where a lexer of the other
//! kind follows it for ever.

mod common;
mod expression;
mod future;
mod lexer;
mod lowering;
mod machine;
mod production;
mod row;
mod syntax;
mod terminal;
#[cfg(test)]
mod tests;
mod token;

use crate::error::EngineError;
use crate::index::Options;
use crate::reader::Reader;
use crate::text::reader_over;

/// The reader of a grammar.
///
/// # Errors
///
/// `Malformed` with line and column, `Unsupported` with the construct, `TooLarge` for a limit.
pub(crate) fn grammar_reader(
    definition: &str,
    options: &Options,
) -> Result<Box<dyn Reader>, EngineError> {
    let syntax = syntax::read(definition)?;
    let (productions, regexes) = lowering::productions_of(&syntax)?;
    let machine = machine::GrammarMachine::new(productions, regexes, &options.budget)?;
    Ok(reader_over(machine, options))
}
