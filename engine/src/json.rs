//! JSON values with exact numbers, as schemas need them: read strictly, compared by meaning.

use crate::decimal::{Decimal, DecimalError};
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A JSON value; equal when the JSON values are (1 is 1.0, the order of members does not matter).
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exact.
    Number(Decimal),
    /// A string, unescaped.
    String(String),
    /// The elements in order.
    Array(Vec<Value>),
    /// Members in the order of the text, each key once.
    Object(Vec<(String, Value)>),
}

/// The six JSON types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` and `false`.
    Boolean,
    /// Numbers, integers among them.
    Number,
    /// Strings.
    String,
    /// Arrays.
    Array,
    /// Objects.
    Object,
}

/// What a text may cost before it is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonLimits {
    /// Length of the text in bytes.
    pub bytes: usize,
    /// Nesting of arrays and objects.
    pub depth: usize,
    /// Number of values, the inner ones included.
    pub nodes: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            depth: 256,
            nodes: 1_000_000,
        }
    }
}

/// Why and where (byte offset) a text was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonError {
    /// The byte at which reading stopped.
    pub offset: usize,
    /// What is wrong there.
    pub cause: JsonCause,
}

/// What is wrong with a refused text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JsonCause {
    /// The text does not follow RFC 8259; what was expected.
    Expected(&'static str),
    /// The text is not UTF-8.
    InvalidUtf8,
    /// An escaped surrogate without its pair.
    LoneSurrogate,
    /// A key that its object already has.
    RepeatedKey(String),
    /// A number beyond the limits of decimals.
    Number(DecimalError),
    /// The text is longer than the limit.
    TooManyBytes {
        /// What is allowed.
        limit: usize,
        /// What was given.
        actual: usize,
    },
    /// Arrays and objects nested deeper than the limit.
    TooDeep {
        /// What is allowed.
        limit: usize,
    },
    /// More values than the limit.
    TooManyNodes {
        /// What is allowed.
        limit: usize,
    },
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            JsonCause::Expected(what) => write!(f, "expected {what}"),
            JsonCause::InvalidUtf8 => write!(f, "invalid UTF-8"),
            JsonCause::LoneSurrogate => write!(f, "an escaped surrogate without its pair"),
            JsonCause::RepeatedKey(key) => write!(f, "the key {key:?} stands twice in an object"),
            JsonCause::Number(error) => write!(f, "{error}"),
            JsonCause::TooManyBytes { limit, actual } => {
                write!(f, "{actual} bytes where {limit} are allowed")
            }
            JsonCause::TooDeep { limit } => write!(f, "nested deeper than {limit}"),
            JsonCause::TooManyNodes { limit } => write!(f, "more than {limit} values"),
        }?;
        write!(f, " at byte {}", self.offset)
    }
}

impl std::error::Error for JsonError {}

/// The value of a JSON text (RFC 8259), or the first thing wrong with it.
pub fn parse(text: &[u8], limits: &JsonLimits) -> Result<Value, JsonError> {
    if text.len() > limits.bytes {
        let cause = JsonCause::TooManyBytes {
            limit: limits.bytes,
            actual: text.len(),
        };
        return Err(JsonError { offset: 0, cause });
    }
    let text = std::str::from_utf8(text).map_err(|e| JsonError {
        offset: e.valid_up_to(),
        cause: JsonCause::InvalidUtf8,
    })?;
    let mut parser = Parser {
        text,
        at: 0,
        nodes: 0,
        limits,
    };
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.expected("the end of the text")),
    }
}

impl Value {
    /// The JSON type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Boolean,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// The member of an object with this key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value)
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<&Decimal> {
        if let Self::Number(value) = self {
            Some(value)
        } else {
            None
        }
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(value) = self {
            Some(value)
        } else {
            None
        }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The members in the order of the text, if this is an object.
    pub fn as_object(&self) -> Option<&[(String, Value)]> {
        if let Self::Object(members) = self {
            Some(members)
        } else {
            None
        }
    }
}

/// The members sorted by key, so that their order does not matter.
fn sorted(members: &[(String, Value)]) -> Vec<&(String, Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by(|a, b| a.0.cmp(&b.0));
    members
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a.len() == b.len() && sorted(a) == sorted(b),
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind().hash(state);
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::Number(value) => value.hash(state),
            Self::String(value) => value.hash(state),
            Self::Array(items) => items.hash(state),
            Self::Object(members) => sorted(members).hash(state),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
    limits: &'a JsonLimits,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes the byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn error(&self, cause: JsonCause) -> JsonError {
        JsonError {
            offset: self.at,
            cause,
        }
    }

    fn expected(&self, what: &'static str) -> JsonError {
        self.error(JsonCause::Expected(what))
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.skip_space();
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(self.error(JsonCause::TooManyNodes {
                limit: self.limits.nodes,
            }));
        }
        match self.peek() {
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[' | b'{') if depth >= self.limits.depth => {
                Err(self.error(JsonCause::TooDeep {
                    limit: self.limits.depth,
                }))
            }
            Some(b'[') => self.array(depth + 1),
            Some(b'{') => self.object(depth + 1),
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let rest = &self.text[self.at..];
        let is_part = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().position(|b| !is_part(b)).unwrap_or(rest.len());
        let value = Decimal::parse(&rest[..length]).map_err(|e| match e {
            DecimalError::Malformed => self.expected("a number"),
            limit => self.error(JsonCause::Number(limit)),
        })?;
        self.at += length;
        Ok(Value::Number(value))
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(self.expected("',' or ']'"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let (mut members, mut keys) = (Vec::new(), HashSet::new());
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            let key = self.key(&mut keys)?;
            members.push((key, self.value(depth)?));
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }

    /// A key that the object does not have yet, and the colon after it.
    fn key(&mut self, keys: &mut HashSet<String>) -> Result<String, JsonError> {
        self.skip_space();
        let offset = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key"));
        }
        let key = self.string()?;
        if !keys.insert(key.clone()) {
            return Err(JsonError {
                offset,
                cause: JsonCause::RepeatedKey(key),
            });
        }
        self.skip_space();
        if self.take(b':') {
            Ok(key)
        } else {
            Err(self.expected("':'"))
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            let special = |b: u8| b < b' ' || b == b'"' || b == b'\\';
            let length = rest.bytes().position(special).unwrap_or(rest.len());
            value.push_str(&rest[..length]);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                Some(_) => return Err(self.expected("no raw control character in a string")),
                None => return Err(self.expected("'\"'")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let character = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.expected("an escape")),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self
            .code_unit(self.at)
            .ok_or_else(|| self.expected("four hex digits"))?;
        let second = self
            .code_unit(self.at + 6)
            .filter(|unit| (0xDC00..0xE000).contains(unit));
        let (code_point, length) = match (first, second) {
            (0xD800..=0xDBFF, Some(second)) => {
                (0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00), 12)
            }
            _ => (first, 6),
        };
        let character =
            char::from_u32(code_point).ok_or_else(|| self.error(JsonCause::LoneSurrogate))?;
        self.at += length;
        Ok(character)
    }

    /// The UTF-16 code unit that a `\uXXXX` escape at this offset stands for.
    fn code_unit(&self, at: usize) -> Option<u32> {
        let hex = self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        let digit = |n: u32, b: &u8| Some(n * 16 + char::from(*b).to_digit(16)?);
        hex.iter().try_fold(0, digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        parse(text.as_bytes(), &JsonLimits::default()).unwrap()
    }

    fn refusal(text: &str) -> (usize, JsonCause) {
        let error = parse(text.as_bytes(), &JsonLimits::default()).unwrap_err();
        (error.offset, error.cause)
    }

    fn hash(value: &Value) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn escapes_mean_their_characters() {
        let value = read(r#"" \u00e9\ud83d\ude00\/\u0041\uFFFF""#);
        assert_eq!(value.as_str(), Some(" é😀/A\u{ffff}"));
    }

    #[test]
    fn numbers_compare_by_value_and_objects_ignore_order() {
        let (a, b) = (
            read(r#"{"a":1,"b":[2.50]}"#),
            read(r#"{"b":[25e-1],"a":1.0}"#),
        );
        assert_eq!(a, b);
        assert_eq!(hash(&a), hash(&b));
        assert_ne!(read("[1,2]"), read("[2,1]"));
        assert_ne!(read("0"), read("false"));
        assert_ne!(read(r#"{"a":1}"#), read(r#"{"b":1}"#));
    }

    #[test]
    fn refusals_name_the_place_and_the_cause() {
        assert_eq!(
            refusal(r#"{"a":1,"\u0061":2}"#),
            (7, JsonCause::RepeatedKey("a".into()))
        );
        assert_eq!(refusal(r#"["\ud800"]"#), (2, JsonCause::LoneSurrogate));
        assert_eq!(
            refusal(r#"["\ude00\ud83d"]"#),
            (2, JsonCause::LoneSurrogate)
        );
        assert_eq!(refusal("[1,]"), (3, JsonCause::Expected("a value")));
        assert_eq!(refusal("[01]"), (1, JsonCause::Expected("a number")));
        assert_eq!(
            refusal("1 2"),
            (2, JsonCause::Expected("the end of the text"))
        );
        assert_eq!(refusal(r#"{"a" 1}"#), (5, JsonCause::Expected("':'")));
        assert_eq!(refusal("nul"), (0, JsonCause::Expected("null")));
        assert_eq!(
            refusal("[1e5000]"),
            (1, JsonCause::Number(DecimalError::TooManyPlaces))
        );
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in [
            "",
            " ",
            "[",
            "{",
            "\"",
            "\"\\",
            "\"\\u12",
            "\"\\u+123\"",
            "\"\n\"",
            "{a:1}",
        ] {
            assert!(
                parse(text.as_bytes(), &JsonLimits::default()).is_err(),
                "{text:?}"
            );
        }
        for text in [
            "{\"a\":1,}",
            "[1 2]",
            "'a'",
            "NaN",
            "-",
            "tru",
            "\u{feff}1",
            "\"\\é\"",
            "]",
        ] {
            assert!(
                parse(text.as_bytes(), &JsonLimits::default()).is_err(),
                "{text:?}"
            );
        }
        assert!(parse(b"\"\xff\"", &JsonLimits::default()).is_err());
    }

    #[test]
    fn limits_are_named_in_the_refusal() {
        let limits = JsonLimits {
            bytes: 10,
            depth: 2,
            nodes: 3,
        };
        let cause = |text: &str| parse(text.as_bytes(), &limits).map_err(|e| e.cause);
        assert_eq!(cause("[[[]]]"), Err(JsonCause::TooDeep { limit: 2 }));
        assert_eq!(cause("[1,2,3]"), Err(JsonCause::TooManyNodes { limit: 3 }));
        assert_eq!(
            cause("[1,       2]"),
            Err(JsonCause::TooManyBytes {
                limit: 10,
                actual: 12
            })
        );
        assert!(cause("[[1]]").is_ok());
        assert!(parse("[".repeat(100_000).as_bytes(), &JsonLimits::default()).is_err());
    }

    #[test]
    fn members_are_found_by_key() {
        let value = read(r#"{"a":[1],"b":"x"}"#);
        assert_eq!(value.get("b").and_then(Value::as_str), Some("x"));
        assert_eq!(value.get("a").map(Value::kind), Some(Kind::Array));
        assert_eq!(value.get("c"), None);
        assert_eq!(read("1").get("a"), None);
    }
}
