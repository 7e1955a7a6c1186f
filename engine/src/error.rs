//! What the engine refuses, and how it says so.
//!
//! `EngineError` is for inputs: a grammar, a tokenizer, the bytes of an index. `CursorError` is for
//! a sequence on its way. Each carries what a caller acts on as fields; the text is for people.

use std::error::Error;
use std::fmt;

/// Why an index or a vocabulary was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EngineError {
    /// The text is not a schema, a regular expression or a grammar at all.
    Malformed {
        /// JSON pointer into the schema; empty at its root and for other inputs.
        pointer: String,
        /// The keyword whose value is wrong, where there is one.
        keyword: String,
        /// What is wrong.
        reason: String,
    },
    /// A constraint that cannot be enforced, and is therefore refused.
    Unsupported {
        /// JSON pointer of the schema that holds the keyword; empty at the root.
        pointer: String,
        /// The keyword, or the option.
        keyword: String,
        /// Why.
        reason: String,
    },
    /// A limit was passed.
    TooLarge {
        /// Its name, a field of `Budget` where it is one.
        limit: &'static str,
        /// What it allows.
        maximum: u64,
        /// What was asked, as far as it was counted.
        asked: u64,
    },
    /// Bytes that are not an index, or one of another engine or vocabulary.
    IndexFormat(String),
    /// Tokens that are not a vocabulary.
    Vocabulary(String),
}

impl EngineError {
    /// Refuses what is more than a limit allows.
    ///
    /// # Errors
    ///
    /// `TooLarge`.
    pub(crate) fn check_limit(
        limit: &'static str,
        maximum: usize,
        asked: usize,
    ) -> Result<(), EngineError> {
        if asked <= maximum {
            return Ok(());
        }
        let (maximum, asked) = (maximum as u64, asked as u64);
        Err(EngineError::TooLarge {
            limit,
            maximum,
            asked,
        })
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed {
                pointer,
                keyword,
                reason,
            } => match (pointer.as_str(), keyword.as_str()) {
                ("", "") => out.write_str(reason),
                (_, "") => write!(out, "{pointer}: {reason}"),
                (_, _) => write!(out, "{pointer}/{keyword}: {reason}"),
            },
            Self::Unsupported {
                pointer,
                keyword,
                reason,
            } => {
                let place = if pointer.is_empty() { "#" } else { pointer };
                write!(out, "{place}: '{keyword}' {reason}")
            }
            Self::TooLarge {
                limit,
                maximum,
                asked,
            } => write!(out, "{limit} is {asked}, more than {maximum}"),
            Self::IndexFormat(reason) | Self::Vocabulary(reason) => out.write_str(reason),
        }
    }
}

impl Error for EngineError {}

/// Why a cursor has failed; it stays failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CursorError {
    /// The token was not in the mask.
    TokenNotAllowed {
        /// Its id.
        token: u32,
    },
    /// The step passed a limit.
    LimitReached {
        /// Its name, a field of `Budget` where it is one.
        limit: &'static str,
        /// What it allows.
        maximum: u64,
    },
    /// Anything else, in words.
    Failed(String),
}

impl fmt::Display for CursorError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenNotAllowed { token } => write!(out, "token {token} is not allowed here"),
            Self::LimitReached { limit, maximum } => {
                write!(out, "the step needs more than {limit} allows, {maximum}")
            }
            Self::Failed(reason) => out.write_str(reason),
        }
    }
}

impl Error for CursorError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_place_the_keyword_and_the_reason() {
        let refusal = |pointer: &str| EngineError::Unsupported {
            pointer: pointer.into(),
            keyword: "$ref".into(),
            reason: "is remote".into(),
        };
        assert_eq!(refusal("/items").to_string(), "/items: '$ref' is remote");
        assert_eq!(refusal("").to_string(), "#: '$ref' is remote");
    }

    #[test]
    fn a_limit_tells_its_maximum_and_what_was_asked() {
        let error = EngineError::TooLarge {
            limit: "max_bytes",
            maximum: 10,
            asked: 11,
        };
        assert_eq!(error.to_string(), "max_bytes is 11, more than 10");
        let (limit, maximum) = ("max_branches", 10);
        assert_eq!(
            CursorError::LimitReached { limit, maximum }.to_string(),
            "the step needs more than max_branches allows, 10"
        );
    }
}
