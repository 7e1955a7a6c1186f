//! Whether exactly one byte may come next.

use std::sync::Arc;

use super::{Configuration, Node};
use crate::charset::CharSet;
use crate::grammar::Grammar;
use crate::reader::NextByte;
use crate::regex::Regexes;
use crate::shape::{Lexeme, ShapeId};

impl Grammar {
    /// What may come next. Only bytes that the node does not rule out are tried, and none once two
    /// are found.
    pub(crate) fn next_byte(&mut self, at: Configuration) -> NextByte {
        let node = Arc::clone(self.machine.node(at.top));
        let candidates = match &*node {
            Node::End | Node::Root | Node::Property { .. } | Node::Item { .. } => Vec::new(),
            Node::Literal { .. } => b"aeflnrstu".to_vec(),
            Node::Number { .. } => b"-+.eE0123456789,]} \t\n\r".to_vec(),
            Node::Text { shape, .. } => match self.next_in_text(*shape) {
                Some(candidates) => candidates,
                None => return NextByte::Several,
            },
            node => (0..0x80)
                .filter(|byte| node.may_begin_with(*byte))
                .collect(),
        };
        let mut next = NextByte::Nothing;
        for byte in candidates {
            if next != NextByte::Several && self.step(at, byte).is_some() {
                next = next.or(NextByte::Only(byte));
            }
        }
        next
    }

    /// The bytes that may come next in a string, and some that may not; None for any.
    fn next_in_text(&mut self, id: ShapeId) -> Option<Vec<u8>> {
        let shape = Arc::clone(self.machine.shapes.get(id));
        Some(match shape.lexeme {
            Lexeme::Plain if shape.languages.contains(&Regexes::ALWAYS) => return None,
            Lexeme::Plain => self.next_characters(id),
            Lexeme::Utf8 { .. } => (0x80..0xC0).collect(),
            Lexeme::Escape => b"\"\\/bfnrtu".to_vec(),
            Lexeme::Hex { .. } | Lexeme::LowHex { .. } => b"0123456789abcdefABCDEF".to_vec(),
            Lexeme::HighSurrogate { .. } => b"\\".to_vec(),
            Lexeme::HighSurrogateEscape { .. } => b"u".to_vec(),
        })
    }

    /// The characters that may come next, and maybe more.
    fn first_characters(&mut self, id: ShapeId) -> CharSet {
        let shape = Arc::clone(self.machine.shapes.get(id));
        let mut first = CharSet::empty();
        for language in shape.languages.iter().filter(|l| **l != Regexes::NEVER) {
            match self.formulas.regexes.first_characters(*language) {
                Some(more) => first = first.union(&more),
                None => return self.live_characters(id),
            }
        }
        first
    }

    /// The first bytes of the characters that may come next, of their escapes, and the quote.
    fn next_characters(&mut self, id: ShapeId) -> Vec<u8> {
        let live = self.first_characters(id);
        let mut bytes = vec![b'"'];
        let is_escaped = |c: u32| c < 0x20 || c == 0x22 || c == 0x5C;
        if self.writing.all_spellings || (0..0x5D).any(|c| is_escaped(c) && live.contains(c)) {
            bytes.push(b'\\');
        }
        for &(low, high) in live.ranges() {
            bytes.extend(
                (low..=high.min(0x7F))
                    .filter(|c| !is_escaped(*c))
                    .map(|c| c as u8),
            );
            if high >= 0x80 {
                bytes.extend(first_byte(low.max(0x80))..=first_byte(high));
            }
        }
        bytes
    }
}

/// The first byte of a character beyond ASCII.
fn first_byte(c: u32) -> u8 {
    let lead = match c {
        0..0x800 => 0xC0 | c >> 6,
        0x800..0x1_0000 => 0xE0 | c >> 12,
        _ => 0xF0 | c >> 18,
    };
    lead as u8
}
