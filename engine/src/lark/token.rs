//! The words of a grammar's text.

use crate::error::EngineError;

/// A line and a column, from 1; columns count characters.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    pub line: u32,
    pub column: u32,
}

impl Spot {
    /// The error for a text that is no grammar.
    pub fn malformed(self, reason: impl Into<String>) -> EngineError {
        let Spot { line, column } = self;
        EngineError::Malformed {
            pointer: String::new(),
            keyword: String::new(),
            reason: format!("line {line}, column {column}: {}", reason.into()),
        }
    }

    /// The error for a construct that the dialect lacks.
    pub fn unsupported(self, construct: impl Into<String>) -> EngineError {
        let Spot { line, column } = self;
        EngineError::Unsupported {
            pointer: String::new(),
            keyword: construct.into(),
            reason: format!("at line {line}, column {column} is not supported"),
        }
    }
}

/// One word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// A rule's name.
    Rule(String),
    /// A terminal's name.
    Terminal(String),
    Text {
        text: String,
        ignore_case: bool,
    },
    Pattern {
        pattern: String,
        modes: String,
    },
    Number(u32),
    /// `%name`.
    Directive(String),
    /// Anything of one or two characters that stands for itself.
    Mark(&'static str),
    /// The end of a line, where lines matter.
    Line,
    End,
}

impl Word {
    /// The word as an error names it.
    pub fn describe(&self) -> String {
        match self {
            Word::Rule(name) | Word::Terminal(name) => format!("'{name}'"),
            Word::Text { text, .. } => format!("the string {text:?}"),
            Word::Pattern { .. } => "a regular expression".into(),
            Word::Number(number) => format!("'{number}'"),
            Word::Directive(name) => format!("'%{name}'"),
            Word::Mark(mark) => format!("'{mark}'"),
            Word::Line => "the end of the line".into(),
            Word::End => "the end of the grammar".into(),
        }
    }
}

/// Longer ones first.
const MARKS: [&str; 25] = [
    "->", "..", "::", ":", "|", "(", ")", "[", "]", "{", "}", "?", "*", "+", "~", ".", ",", "-",
    "&", "=", "<", ">", "@", "!", "/",
];

/// The words of a text, each with its place; the last one is `End`.
pub(super) fn words(text: &str) -> Result<Vec<(Word, Spot)>, EngineError> {
    let mut scanner = Scanner {
        rest: text,
        at: Spot { line: 1, column: 1 },
        depth: 0,
        words: Vec::new(),
    };
    while scanner.scan()? {}
    Ok(scanner.words)
}

struct Scanner<'a> {
    rest: &'a str,
    at: Spot,
    /// Open brackets: inside them lines do not matter.
    depth: u32,
    words: Vec<(Word, Spot)>,
}

impl Scanner<'_> {
    /// Reads one word, or a comment; false after the last one.
    fn scan(&mut self) -> Result<bool, EngineError> {
        let blanks = self.rest.len()
            - self
                .rest
                .trim_start_matches([' ', '\t', '\r', '\u{c}'])
                .len();
        self.skip(blanks);
        let at = self.at;
        let Some(first) = self.rest.chars().next() else {
            self.words.push((Word::End, at));
            return Ok(false);
        };
        let word = match first {
            '#' => return self.comment(),
            '/' if self.rest.starts_with("//") => return self.comment(),
            '\n' => {
                self.skip(1);
                self.push_line(at);
                return Ok(true);
            }
            '"' => self.string()?,
            '/' => self.pattern()?,
            '%' => self.directive()?,
            '0'..='9' => self.number()?,
            c if c.is_ascii_alphabetic() || c == '_' => self.name()?,
            _ => self.mark()?,
        };
        self.words.push((word, at));
        Ok(true)
    }

    /// Skips so many bytes, whole characters.
    fn skip(&mut self, bytes: usize) {
        let (read, rest) = self.rest.split_at(bytes);
        for c in read.chars() {
            self.at.column += 1;
            if c == '\n' {
                self.at.line += 1;
                self.at.column = 1;
            }
        }
        self.rest = rest;
    }

    fn comment(&mut self) -> Result<bool, EngineError> {
        self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        Ok(true)
    }

    /// Several ends of lines are one.
    fn push_line(&mut self, at: Spot) {
        let is_first = !matches!(self.words.last(), None | Some((Word::Line, _)));
        if self.depth == 0 && is_first {
            self.words.push((Word::Line, at));
        }
    }

    fn mark(&mut self) -> Result<Word, EngineError> {
        let Some(mark) = MARKS.into_iter().find(|mark| self.rest.starts_with(mark)) else {
            let c = self.rest.chars().next().unwrap_or(' ');
            return Err(self.at.malformed(format!("{c:?} has no meaning here")));
        };
        match mark {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.saturating_sub(1),
            // Alternatives go on in the next line.
            "|" if matches!(self.words.last(), Some((Word::Line, _))) => {
                self.words.pop();
            }
            _ => {}
        }
        self.skip(mark.len());
        Ok(Word::Mark(mark))
    }

    fn name(&mut self) -> Result<Word, EngineError> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let mut length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        if self.rest[length..].starts_with('>') {
            // `a->b` names b.
            length = self.rest[..length].trim_end_matches('-').len();
        }
        let name = self.rest[..length].to_owned();
        let first = name.chars().find(char::is_ascii_alphabetic);
        let word = match first {
            Some(first) if first.is_ascii_uppercase() => Word::Terminal(name),
            Some(_) => Word::Rule(name),
            None => return Err(self.at.malformed("a name needs a letter")),
        };
        self.skip(length);
        Ok(word)
    }

    fn number(&mut self) -> Result<Word, EngineError> {
        let digits = self
            .rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let number = self.rest[..digits].parse();
        let number = number.map_err(|_| self.at.malformed("the number is too large"))?;
        self.skip(digits);
        Ok(Word::Number(number))
    }

    fn directive(&mut self) -> Result<Word, EngineError> {
        let behind = self.rest[1..].trim_start_matches(' ');
        let letters = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        if letters == 0 {
            return Err(self.at.malformed("expected a directive's name after '%'"));
        }
        let name = behind[..letters].to_owned();
        self.skip(self.rest.len() - behind.len() + letters);
        Ok(Word::Directive(name))
    }

    /// A string in double quotes, with `i` behind it where case does not matter.
    fn string(&mut self) -> Result<Word, EngineError> {
        let start = self.at;
        self.skip(1);
        let mut text = String::new();
        loop {
            match self.rest.chars().next() {
                None | Some('\n') => return Err(start.malformed("the string has no end")),
                Some('"') => break,
                Some('\\') => text.push(self.escape()?),
                Some(c) => {
                    self.skip(c.len_utf8());
                    text.push(c);
                }
            }
        }
        self.skip(1);
        let ignore_case = self.rest.starts_with('i');
        self.skip(usize::from(ignore_case));
        Ok(Word::Text { text, ignore_case })
    }

    /// The character of an escape.
    fn escape(&mut self) -> Result<char, EngineError> {
        let at = self.at;
        let letter = self.rest[1..].chars().next().unwrap_or('\n');
        let digits = match letter {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let character = match letter {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            'b' => Some('\u{8}'),
            '"' | '\\' | '/' | '\'' => Some(letter),
            _ => {
                let hexadecimal = self.rest.get(2..2 + digits).unwrap_or("");
                let code_point = u32::from_str_radix(hexadecimal, 16).ok();
                code_point.filter(|_| digits > 0).and_then(char::from_u32)
            }
        };
        let character = character.ok_or_else(|| at.malformed("an unknown escape in a string"))?;
        self.skip(1 + letter.len_utf8() + digits);
        Ok(character)
    }

    /// A regular expression between slashes, with its flags.
    fn pattern(&mut self) -> Result<Word, EngineError> {
        let (start, mut length, mut escaped) = (self.at, None, false);
        for (offset, c) in self.rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                '/' if !escaped => {
                    length = Some(offset);
                    break;
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        let length = length.ok_or_else(|| start.malformed("the regular expression has no end"))?;
        let pattern = self.rest[1..length].to_owned();
        self.skip(length + 1);
        let is_flag = |c: char| matches!(c, 'i' | 'm' | 's' | 'l' | 'u' | 'x');
        let flags = self.rest.find(|c| !is_flag(c)).unwrap_or(self.rest.len());
        let modes = self.rest[..flags].to_owned();
        if modes.contains('l') {
            return Err(self.at.unsupported("the flag l of a regular expression"));
        }
        self.skip(flags);
        Ok(Word::Pattern { pattern, modes })
    }
}
