//! The bytes of an index: a checked header around a body that is read field by field.
//!
//! At offset (integers are little-endian on every machine):
//!
//! * 0: magic "FWINDEX" and a zero byte;
//! * 8: format version, 2 bytes; length n of the engine version, 2; length m of the body, 4;
//! * 16: the fingerprint of the vocabulary, 32;
//! * 48: SHA-256 of everything else but the tables, 32;
//! * 80: the engine version, n bytes of ASCII; then the body, m bytes;
//! * of a filled index (format version 4): its tables, which have a checksum of their own
//!   (`frozen_tables`).
//!
//! Whatever the bytes, reading gives a value or `IndexFormat`: lengths are compared with what is
//! there before anything is allocated, and the checksum is compared before the body is read.

use crate::error::EngineError;
use crate::index::{Budget, Input, Options, Whitespace};
use crate::sha256::{Digest, Sha256};

/// Which engine this is: its release, then what is raised with every change of what a grammar is
/// compiled to. Part of every index, so that none outlives its engine.
pub const ENGINE_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+9");
/// The version of the layout above without tables; 1 is the Python face's own.
pub const FORMAT_VERSION: u16 = 2;
/// The version of the layout with tables.
pub const FILLED_VERSION: u16 = 4;
/// Bytes that tables may have at most.
pub const MAX_TABLES_BYTES: usize = 32 << 20;
/// Bytes that a body may have at most.
pub const MAX_BODY_BYTES: usize = 64 << 20;

const MAGIC: &[u8; 8] = b"FWINDEX\0";
const CHECKSUM_AT: usize = 48;
const HEADER_BYTES: usize = 80;

/// A body being written.
#[derive(Clone, Default)]
pub struct Writer {
    body: Vec<u8>,
}

impl Writer {
    /// Returns an empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes one byte.
    pub fn write_u8(&mut self, value: u8) {
        self.body.push(value);
    }

    /// Writes 4 bytes.
    pub fn write_u32(&mut self, value: u32) {
        self.body.extend(value.to_le_bytes());
    }

    /// Writes 8 bytes.
    pub fn write_u64(&mut self, value: u64) {
        self.body.extend(value.to_le_bytes());
    }

    /// Writes one byte, 0 or 1.
    pub fn write_bool(&mut self, value: bool) {
        self.write_u8(u8::from(value));
    }

    /// Writes how many items follow, 4 bytes.
    pub fn write_count(&mut self, count: usize) {
        self.write_u32(count as u32); // a body with more is too long for any reader
    }

    /// Writes a length and some bytes.
    pub fn write_bytes(&mut self, bytes: &[u8]) {
        self.write_count(bytes.len());
        self.body.extend_from_slice(bytes);
    }

    /// Writes a length and a text.
    pub fn write_text(&mut self, text: &str) {
        self.write_bytes(text.as_bytes());
    }

    /// Writes a count and some numbers of 4 bytes.
    pub fn write_u32s(&mut self, values: &[u32]) {
        self.write_count(values.len());
        self.body
            .extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }

    /// Returns the bytes of the index. No reader takes a body longer than `MAX_BODY_BYTES`.
    pub fn seal(self, fingerprint: &Digest) -> Vec<u8> {
        self.sealed(FORMAT_VERSION, fingerprint)
    }

    /// The same with tables.
    pub fn seal_with(self, fingerprint: &Digest, tables: &[u8]) -> Vec<u8> {
        let mut index = self.sealed(FILLED_VERSION, fingerprint);
        index.extend_from_slice(tables);
        index
    }

    /// Returns what has been written.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn sealed(self, version: u16, fingerprint: &Digest) -> Vec<u8> {
        let mut index = Vec::with_capacity(HEADER_BYTES + ENGINE_VERSION.len() + self.body.len());
        index.extend(MAGIC);
        index.extend(version.to_le_bytes());
        index.extend((ENGINE_VERSION.len() as u16).to_le_bytes());
        index.extend((self.body.len() as u32).to_le_bytes());
        index.extend(fingerprint);
        index.extend([0; 32]);
        index.extend(ENGINE_VERSION.as_bytes());
        index.extend(self.body);
        let checksum = checksum(&index);
        index[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum);
        index
    }
}

/// The SHA-256 of an index but for the checksum itself.
fn checksum(index: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(&index[..CHECKSUM_AT]);
    hash.update(&index[HEADER_BYTES..]);
    hash.finish()
}

/// A body being read. Every method gives `IndexFormat` where the bytes are not what it asks for.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Returns the reader of the body of an index, its header checked.
    ///
    /// # Errors
    ///
    /// `IndexFormat`: not an index, damaged, of another format, engine version or vocabulary.
    pub fn open(index: &'a [u8], fingerprint: &Digest) -> Result<Self, EngineError> {
        let mut header = Self { rest: index };
        if header.read_array().ok() != Some(*MAGIC) {
            return Err(refused("not an index"));
        }
        let version = u16::from_le_bytes(header.read_array()?);
        if version != FORMAT_VERSION && version != FILLED_VERSION {
            let text = format!("format version {version}, not {FILLED_VERSION}");
            return Err(refused(text));
        }
        let engine_size = usize::from(u16::from_le_bytes(header.read_array()?));
        let body_size = header.read_u32()? as usize;
        let (written_for, written): (Digest, Digest) = (header.read_array()?, header.read_array()?);
        let is_filled = version == FILLED_VERSION;
        let tables_size = header.rest.len().checked_sub(engine_size + body_size);
        let fits = |size| (size > 0) == is_filled && size <= MAX_TABLES_BYTES;
        if body_size > MAX_BODY_BYTES || !tables_size.is_some_and(fits) {
            return Err(refused("truncated or overlong"));
        }
        let end = index.len() - tables_size.unwrap_or(0);
        if checksum(&index[..end]) != written {
            return Err(refused("damaged: the checksum differs"));
        }
        let engine = header.take(engine_size)?;
        if engine != ENGINE_VERSION.as_bytes() {
            let engine = String::from_utf8_lossy(engine);
            return Err(refused(format!("of engine {engine}, not {ENGINE_VERSION}")));
        }
        if written_for != *fingerprint {
            return Err(refused("of another vocabulary"));
        }
        Ok(Self {
            rest: &header.rest[..body_size],
        })
    }

    /// Returns the reader of a body that has no header.
    pub fn of_body(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Reads one byte if it is this one, else nothing.
    pub fn read_if(&mut self, byte: u8) -> bool {
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads one byte.
    pub fn read_u8(&mut self) -> Result<u8, EngineError> {
        self.read_array().map(|[byte]| byte)
    }

    /// Reads 4 bytes.
    pub fn read_u32(&mut self) -> Result<u32, EngineError> {
        self.read_array().map(u32::from_le_bytes)
    }

    /// Reads 8 bytes.
    pub fn read_u64(&mut self) -> Result<u64, EngineError> {
        self.read_array().map(u64::from_le_bytes)
    }

    /// Reads one byte that is 0 or 1.
    pub fn read_bool(&mut self) -> Result<bool, EngineError> {
        match self.read_u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(refused(format!("{other} where 0 or 1 must be"))),
        }
    }

    /// Reads how many items follow, of at least so many bytes each: never more than there are, so
    /// that room for them may be allocated at once.
    pub fn read_count(&mut self, item_bytes: usize) -> Result<usize, EngineError> {
        let count = self.read_u32()? as usize;
        if count > self.rest.len() / item_bytes.max(1) {
            return Err(refused(format!("{count} items where fewer fit")));
        }
        Ok(count)
    }

    /// Reads a length and so many bytes.
    pub fn read_bytes(&mut self) -> Result<&'a [u8], EngineError> {
        let count = self.read_count(1)?;
        self.take(count)
    }

    /// Reads a length and a text.
    pub fn read_text(&mut self) -> Result<&'a str, EngineError> {
        std::str::from_utf8(self.read_bytes()?).map_err(|_| refused("a text is not UTF-8"))
    }

    /// Reads a count and so many numbers of 4 bytes.
    pub fn read_u32s(&mut self) -> Result<Vec<u32>, EngineError> {
        let count = self.read_count(4)?;
        let bytes = self.take(count * 4)?.as_chunks().0;
        Ok(bytes.iter().map(|b| u32::from_le_bytes(*b)).collect())
    }

    /// Ends the reading: nothing may be left.
    pub fn finish(self) -> Result<(), EngineError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(refused(format!("{left} bytes too many"))),
        }
    }

    fn read_array<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], EngineError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn ends_early() -> EngineError {
    refused("ends early")
}

fn refused(reason: impl Into<String>) -> EngineError {
    EngineError::IndexFormat(reason.into())
}

/// The tables of an index that `Reader::open` has taken; None of one that was not filled.
pub fn tables_of(index: &[u8]) -> Result<Option<&[u8]>, EngineError> {
    let mut header = Reader { rest: index };
    header.take(MAGIC.len())?;
    let version = u16::from_le_bytes(header.read_array()?);
    let engine_size = usize::from(u16::from_le_bytes(header.read_array()?));
    let body_size = header.read_u32()? as usize;
    let tables = index.get(HEADER_BYTES + engine_size + body_size..);
    Ok(tables.filter(|_| version == FILLED_VERSION))
}

/// Writes a grammar and its options.
pub fn write_source(writer: &mut Writer, input: &Input, options: &Options) {
    let (kind, text): (u8, &[u8]) = match input {
        Input::JsonSchema(schema) => (0, schema),
        Input::AnyJson => (1, &[]),
        Input::Regex(pattern) => (2, pattern.as_bytes()),
        Input::Lark(definition) => (3, definition.as_bytes()),
    };
    writer.write_u8(kind);
    writer.write_bytes(text);
    writer.write_bool(matches!(options.whitespace, Whitespace::Bounded(_)));
    writer.write_u32(match options.whitespace {
        Whitespace::Compact => 0,
        Whitespace::Bounded(characters) => characters,
    });
    writer.write_u8(options.item_spaces);
    writer.write_u8(options.key_spaces);
    for flag in [
        options.any_order,
        options.all_spellings,
        options.format_assertion,
        options.in_json_string,
    ] {
        writer.write_bool(flag);
    }
    writer.write_count(options.remotes.len());
    for (uri, schema) in &options.remotes {
        writer.write_text(uri);
        writer.write_bytes(schema);
    }
    let budget = &options.budget;
    for limit in [
        budget.max_bytes,
        budget.max_depth,
        budget.max_nodes,
        budget.compile_fuel,
        budget.mask_fuel,
    ] {
        writer.write_u64(limit);
    }
}

/// Reads what `write_source` wrote.
///
/// # Errors
///
/// `IndexFormat`: something else.
pub fn read_source<'a>(reader: &mut Reader<'a>) -> Result<(Input<'a>, Options), EngineError> {
    let input = read_input(reader)?;
    let (is_bounded, characters) = (reader.read_bool()?, reader.read_u32()?);
    let options = Options {
        whitespace: match is_bounded {
            true => Whitespace::Bounded(characters),
            false => Whitespace::Compact,
        },
        item_spaces: reader.read_u8()?,
        key_spaces: reader.read_u8()?,
        any_order: reader.read_bool()?,
        all_spellings: reader.read_bool()?,
        format_assertion: reader.read_bool()?,
        in_json_string: reader.read_bool()?,
        remotes: read_remotes(reader)?,
        budget: read_budget(reader)?,
    };
    Ok((input, options))
}

/// How many times the usual budget an index may ask for where it is loaded.
const MOST_TIMES: u64 = 16;

/// Whoever loads an index pays what it asks for, so that it may not ask for anything.
fn read_budget(reader: &mut Reader) -> Result<Budget, EngineError> {
    let budget = Budget {
        max_bytes: reader.read_u64()?,
        max_depth: reader.read_u64()?,
        max_nodes: reader.read_u64()?,
        compile_fuel: reader.read_u64()?,
        mask_fuel: reader.read_u64()?,
    };
    let usual = Budget::default();
    let asked = [
        ("compile_fuel", budget.compile_fuel, usual.compile_fuel),
        ("mask_fuel", budget.mask_fuel, usual.mask_fuel),
    ];
    for (limit, asked, usual) in asked {
        if asked > MOST_TIMES * usual {
            return Err(refused(format!("it asks for {limit} {asked}")));
        }
    }
    Ok(budget)
}

fn read_input<'a>(reader: &mut Reader<'a>) -> Result<Input<'a>, EngineError> {
    let kind = reader.read_u8()?;
    let text = |reader: &mut Reader<'a>| reader.read_text();
    match kind {
        0 => reader.read_bytes().map(Input::JsonSchema),
        1 => reader.read_bytes().map(|_| Input::AnyJson),
        2 => text(reader).map(Input::Regex),
        3 => text(reader).map(Input::Lark),
        other => Err(refused(format!("input kind {other}"))),
    }
}

fn read_remotes(reader: &mut Reader) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
    (0..reader.read_count(8)?)
        .map(|_| {
            Ok((
                reader.read_text()?.to_owned(),
                reader.read_bytes()?.to_vec(),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: Digest = [7; 32];

    fn index() -> Vec<u8> {
        let mut writer = Writer::new();
        write_source(&mut writer, &Input::Regex("a+é"), &options());
        writer.write_u32s(&[1, u32::MAX]);
        writer.seal(&FINGERPRINT)
    }

    fn options() -> Options {
        Options {
            whitespace: Whitespace::Bounded(3),
            any_order: true,
            item_spaces: 1,
            key_spaces: 2,
            remotes: vec![("urn:a".into(), b"{}".to_vec())],
            ..Options::default()
        }
    }

    fn read(index: &[u8]) -> Result<Vec<u32>, EngineError> {
        let mut reader = Reader::open(index, &FINGERPRINT)?;
        let (input, read) = read_source(&mut reader)?;
        assert_eq!((input, read), (Input::Regex("a+é"), options()));
        let numbers = reader.read_u32s()?;
        reader.finish().map(|()| numbers)
    }

    /// The bytes with a checksum that fits them.
    fn resealed(mut index: Vec<u8>) -> Vec<u8> {
        let checksum = checksum(&index);
        index[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum);
        index
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&index()).unwrap(), [1, u32::MAX]);
    }

    #[test]
    fn the_header_stands_where_it_is_documented() {
        let index = index();
        assert_eq!(&index[..10], b"FWINDEX\0\x02\0");
        assert_eq!(index[16..48], FINGERPRINT);
        assert_eq!(
            &index[80..80 + ENGINE_VERSION.len()],
            ENGINE_VERSION.as_bytes()
        );
    }

    #[test]
    fn truncated_bytes_are_refused() {
        let index = index();
        for length in 0..index.len() {
            assert!(matches!(
                read(&index[..length]),
                Err(EngineError::IndexFormat(_))
            ));
        }
        assert!(read(&[&index[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_flipped_bit_is_refused() {
        for place in 0..index().len() * 8 {
            let mut index = index();
            index[place / 8] ^= 1 << (place % 8);
            assert!(matches!(read(&index), Err(EngineError::IndexFormat(_))));
        }
    }

    #[test]
    fn another_vocabulary_is_refused() {
        assert!(Reader::open(&index(), &[8; 32]).is_err());
    }

    #[test]
    fn hostile_bodies_with_a_right_checksum_give_an_error_or_a_value() {
        let start = HEADER_BYTES + ENGINE_VERSION.len();
        for place in start..index().len() {
            for byte in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut index = index();
                index[place] = byte;
                let index = resealed(index);
                let mut reader = Reader::open(&index, &FINGERPRINT).unwrap();
                let read = read_source(&mut reader).and_then(|_| reader.read_u32s());
                assert!(matches!(read, Ok(_) | Err(EngineError::IndexFormat(_))));
            }
        }
    }

    #[test]
    fn a_count_never_exceeds_what_is_there() {
        let mut writer = Writer::new();
        writer.write_count(usize::MAX);
        let index = writer.seal(&FINGERPRINT);
        let mut reader = Reader::open(&index, &FINGERPRINT).unwrap();
        assert!(reader.read_u32s().is_err());
    }
}
