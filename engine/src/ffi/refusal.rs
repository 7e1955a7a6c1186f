//! What a call is refused for, and how it crosses the boundary: a status, and fields as JSON.
#![deny(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{FormworkError, FormworkStatus};
use crate::error::{CursorError, EngineError};

/// Why a call did not do what it says.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The input.
    Engine(EngineError),
    /// The sequence.
    Cursor(CursorError),
    /// The call: an argument is not what it must be.
    Argument(&'static str),
    /// Another thread uses the cursor.
    Busy,
    /// The engine: it panicked.
    Internal(String),
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<CursorError> for Refusal {
    fn from(error: CursorError) -> Self {
        Self::Cursor(error)
    }
}

impl Refusal {
    /// Returns what kind of failure it is.
    pub fn status(&self) -> FormworkStatus {
        match self {
            Self::Engine(EngineError::Malformed { .. }) => FormworkStatus::Malformed,
            Self::Engine(EngineError::Unsupported { .. }) => FormworkStatus::Unsupported,
            Self::Engine(EngineError::TooLarge { .. }) => FormworkStatus::TooLarge,
            Self::Engine(EngineError::IndexFormat(_)) => FormworkStatus::IndexFormat,
            Self::Engine(EngineError::Vocabulary(_)) => FormworkStatus::Vocabulary,
            Self::Cursor(CursorError::TokenNotAllowed { .. }) => FormworkStatus::TokenNotAllowed,
            Self::Cursor(CursorError::LimitReached { .. }) => FormworkStatus::LimitReached,
            Self::Cursor(CursorError::Failed(_)) => FormworkStatus::Failed,
            Self::Argument(_) => FormworkStatus::Argument,
            Self::Busy => FormworkStatus::Busy,
            Self::Internal(_) => FormworkStatus::Internal,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Engine(error) => error.to_string(),
            Self::Cursor(error) => error.to_string(),
            Self::Argument(reason) => (*reason).to_owned(),
            Self::Busy => "another thread uses the cursor".to_owned(),
            Self::Internal(reason) => format!("a bug in the engine: {reason}"),
        }
    }

    fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        match self {
            Self::Engine(EngineError::Malformed {
                pointer,
                keyword,
                reason,
            })
            | Self::Engine(EngineError::Unsupported {
                pointer,
                keyword,
                reason,
            }) => vec![
                ("pointer", Field::Text(pointer)),
                ("keyword", Field::Text(keyword)),
                ("reason", Field::Text(reason)),
            ],
            Self::Engine(EngineError::TooLarge {
                limit,
                maximum,
                asked,
            }) => vec![
                ("limit", Field::Text(limit)),
                ("maximum", Field::Number(*maximum)),
                ("asked", Field::Number(*asked)),
            ],
            Self::Engine(EngineError::IndexFormat(reason) | EngineError::Vocabulary(reason))
            | Self::Cursor(CursorError::Failed(reason))
            | Self::Internal(reason) => vec![("reason", Field::Text(reason))],
            Self::Cursor(CursorError::TokenNotAllowed { token }) => {
                vec![("token", Field::Number((*token).into()))]
            }
            Self::Cursor(CursorError::LimitReached { limit, maximum }) => vec![
                ("limit", Field::Text(limit)),
                ("maximum", Field::Number(*maximum)),
            ],
            Self::Argument(reason) => vec![("reason", Field::Text(reason))],
            Self::Busy => vec![],
        }
    }
}

enum Field<'a> {
    Text(&'a str),
    Number(u64),
}

impl From<Refusal> for FormworkError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message();
        let mut fields = refusal.fields();
        fields.push(("message", Field::Text(&message)));
        let members = fields.into_iter().map(|(name, field)| match field {
            Field::Text(text) => format!("\"{name}\":{}", json_text(text)),
            Field::Number(number) => format!("\"{name}\":{number}"),
        });
        let members: Vec<String> = members.collect();
        Self {
            status: refusal.status(),
            fields: format!("{{{}}}", members.join(",")),
        }
    }
}

fn json_text(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..' ' => json += &format!("\\u{:04x}", u32::from(character)),
            _ => json.push(character),
        }
    }
    json + "\""
}

/// Does something; a panic becomes a refusal.
pub fn guard<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Refusal::Internal(panic_text(&*panic))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic").to_owned()
}

/// Does something; tells what became of it.
pub fn status(work: impl FnOnce() -> Result<(), Refusal>) -> FormworkStatus {
    guard(work).map_or_else(|refusal| refusal.status(), |()| FormworkStatus::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_refusal_with_its_text() {
        let refusal = guard::<()>(|| panic!("no {}", "way")).unwrap_err();
        assert_eq!(refusal.status(), FormworkStatus::Internal);
        assert_eq!(refusal.message(), "a bug in the engine: no way");
    }

    #[test]
    fn fields_are_json_whatever_they_hold() {
        let error = EngineError::Malformed {
            pointer: "/a\"\\".into(),
            keyword: String::new(),
            reason: "\u{1}é\n".into(),
        };
        let fields = FormworkError::from(Refusal::from(error)).fields;
        let expected = r#"{"pointer":"/a\"\\","keyword":"","reason":"\u0001é\u000a","message":"#;
        assert!(fields.starts_with(expected), "{fields}");
    }
}
