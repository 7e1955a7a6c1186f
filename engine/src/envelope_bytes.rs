//! An envelope as bytes: the structure that the C ABI takes, and what a linked index is dumped to.
//!
//! The structure: a count of pieces and each of them (4 bytes for each count, id and bound), its
//! kind in one byte before it. A piece refers to another by how many pieces back that is, so that
//! what is written for a piece and all in it is the same wherever it stands, and may be kept.
//!
//! * 0 special: the token's id;
//! * 1 text: a length and UTF-8;
//! * 2 part: 0 for the next one of the list of parts, else how many parts back;
//! * 3 free text: one byte, 1 where it goes until a trigger; a count of triggers, as texts;
//! * 4 sequence, 5 choice: a count of pieces, and where they are;
//! * 6 repetition: where its piece is, how often at least, and at most: 2^32 - 1 for no limit.
//!
//! The piece of everything is the last one. A dump has a count of parts behind it, each with a byte
//! before it: 0 for the part's own bytes, 1 for its content id.

use crate::envelope::{Envelope, FreeText, Piece, PieceId};
use crate::error::EngineError;
use crate::index_bytes::{Reader, Writer};
use crate::sha256::Digest;

const NO_LIMIT: u32 = u32::MAX;

/// Writes the structure.
pub(crate) fn write_pieces(writer: &mut Writer, envelope: &Envelope) {
    writer.write_count(envelope.pieces.len());
    let mut parts = 0;
    for (number, piece) in envelope.pieces.iter().enumerate() {
        write_piece(writer, number as u32, piece, &mut parts);
    }
}

/// Writes a piece behind so many others with so many parts.
fn write_piece(writer: &mut Writer, number: u32, piece: &Piece, parts: &mut u32) {
    let back = |other: &PieceId| number.saturating_sub(other.0);
    match piece {
        Piece::Special(id) => write_numbers(writer, 0, &[*id]),
        Piece::Text(text) => {
            writer.write_u8(1);
            writer.write_text(text);
        }
        Piece::Part(part) => {
            write_numbers(writer, 2, &[parts.saturating_sub(*part)]);
            *parts = (*parts).max(part.saturating_add(1));
        }
        Piece::Free(free) => {
            writer.write_u8(3);
            writer.write_bool(free.is_until);
            writer.write_count(free.triggers.len());
            free.triggers
                .iter()
                .for_each(|text| writer.write_text(text));
        }
        Piece::Sequence(pieces) | Piece::Choice(pieces) => {
            writer.write_u8(if matches!(piece, Piece::Sequence(_)) {
                4
            } else {
                5
            });
            writer.write_u32s(&pieces.iter().map(back).collect::<Vec<_>>());
        }
        Piece::Repeat { piece, least, most } => {
            write_numbers(writer, 6, &[back(piece), *least, most.unwrap_or(NO_LIMIT)]);
        }
    }
}

fn write_numbers(writer: &mut Writer, kind: u8, numbers: &[u32]) {
    writer.write_u8(kind);
    numbers.iter().for_each(|number| writer.write_u32(*number));
}

/// Reads the structure; that it makes sense is for `Envelope::check`.
///
/// # Errors
///
/// `IndexFormat`: no structure.
pub(crate) fn read_pieces(reader: &mut Reader) -> Result<Vec<Piece>, EngineError> {
    let count = reader.read_count(5)?;
    let mut parts = 0;
    (0..count as u32)
        .map(|number| read_piece(reader, number, &mut parts))
        .collect()
}

fn read_piece(reader: &mut Reader, number: u32, parts: &mut u32) -> Result<Piece, EngineError> {
    let before = |back: u32| match number.checked_sub(back) {
        Some(other) if other < number => Ok(PieceId(other)),
        _ => Err(refused(format!("piece {number} refers {back} pieces back"))),
    };
    let list = |reader: &mut Reader| -> Result<Box<[PieceId]>, EngineError> {
        reader.read_u32s()?.into_iter().map(before).collect()
    };
    match reader.read_u8()? {
        0 => reader.read_u32().map(Piece::Special),
        1 => reader.read_text().map(|text| Piece::Text(text.into())),
        2 => {
            let back = reader.read_u32()?;
            let part = parts.checked_sub(back);
            *parts += u32::from(back == 0);
            part.map(Piece::Part)
                .ok_or_else(|| refused(format!("piece {number} refers {back} parts back")))
        }
        3 => Ok(Piece::Free(FreeText {
            is_until: reader.read_bool()?,
            triggers: (0..reader.read_count(4)?)
                .map(|_| reader.read_text().map(Into::into))
                .collect::<Result<_, _>>()?,
        })),
        4 => list(reader).map(Piece::Sequence),
        5 => list(reader).map(Piece::Choice),
        6 => Ok(Piece::Repeat {
            piece: before(reader.read_u32()?)?,
            least: reader.read_u32()?,
            most: Some(reader.read_u32()?).filter(|most| *most != NO_LIMIT),
        }),
        other => Err(refused(format!("piece of kind {other}"))),
    }
}

/// Writes the parts: their bytes, or only their content ids.
pub(crate) fn write_parts(writer: &mut Writer, envelope: &Envelope, is_whole: bool) {
    writer.write_count(envelope.parts.len());
    for part in &envelope.parts {
        writer.write_bool(!is_whole);
        match is_whole {
            true => writer.write_bytes(&part.dump()),
            false => writer.write_bytes(&part.content_id()),
        }
    }
}

/// A part as a dump has it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum WrittenPart<'a> {
    Bytes(&'a [u8]),
    Id(Digest),
}

/// Reads the parts.
///
/// # Errors
///
/// `IndexFormat`: something else.
pub(crate) fn read_parts<'a>(reader: &mut Reader<'a>) -> Result<Vec<WrittenPart<'a>>, EngineError> {
    let count = reader.read_count(5)?;
    (0..count)
        .map(|_| match reader.read_bool()? {
            false => reader.read_bytes().map(WrittenPart::Bytes),
            true => read_id(reader).map(WrittenPart::Id),
        })
        .collect()
}

fn read_id(reader: &mut Reader) -> Result<Digest, EngineError> {
    let bytes = reader.read_bytes()?;
    Digest::try_from(bytes).map_err(|_| refused("a content id has 32 bytes".into()))
}

/// The refusal of a dump whose part nobody has.
pub(crate) fn missing(id: &Digest) -> EngineError {
    let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    refused(format!("the part {name} is not at hand"))
}

fn refused(reason: String) -> EngineError {
    EngineError::IndexFormat(reason)
}
