//! The C ABI, and the only file with `unsafe` in it. The header is generated from it.
//!
//! **Ownership.** A handle that a function returns belongs to the caller, who gives it to the
//! `_free` function of its kind exactly once; null is taken there and ignored. Handles keep what
//! they need of each other alive: a vocabulary may be freed before its indexes, an index before its
//! cursors. Buffers belong to the caller and are used during the call only; each comes with its
//! length, and may be null where that is 0. What a handle's data is (`formwork_error_fields`,
//! `formwork_bytes_data`) lives as long as the handle.
//!
//! **Threads.** Any thread may use any handle, and vocabularies and indexes many at once. A cursor
//! is used by one at a time: whoever comes second gets `Busy` and changes nothing. Nobody may free
//! what another thread still uses.
//!
//! **Failures.** What returns a handle returns null instead and hands an error out through `error`,
//! unless that is null; what returns a status keeps the error in the cursor, where
//! `formwork_cursor_error` finds it, but for `Argument` and `Busy`, which say all. A panic becomes
//! `Internal`; the cursor that it befell stays failed.
//!
//! # Safety
//!
//! Every pointer is null, or what this file gave out and was not freed yet, or a buffer of the
//! length beside it that nobody else uses meanwhile.
#![allow(unsafe_code)]
#![allow(clippy::missing_safety_doc)] // it is the paragraph above for each of them

mod helpers;
mod refusal;
mod seat;

use std::collections::HashMap;
use std::ptr;
use std::slice;
use std::sync::Arc;

use crate::cursor::Cursor;
use crate::envelope::Envelope;
use crate::error::EngineError;
use crate::index::{Budget, Index, Input, Options, Whitespace, free_here};
use crate::index_bytes::ENGINE_VERSION;
use crate::late::Allowance;
use crate::sha256::Digest;
use crate::tokenisation::Rules;
use crate::vocabulary::Vocabulary;
use helpers::share_out;
use refusal::{Refusal, guard, status};
pub use seat::FormworkCursor;

/// The tokens of one tokenizer.
pub struct FormworkVocabulary(Arc<Vocabulary>);

/// One compiled grammar for one vocabulary.
pub struct FormworkIndex {
    index: Index,
    words: usize,
}

/// Why a call failed.
pub struct FormworkError {
    status: FormworkStatus,
    fields: String,
}

/// Bytes that the engine made.
pub struct FormworkBytes(Vec<u8>);

/// What became of a call.
#[repr(i32)]
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FormworkStatus {
    /// It did what it says.
    Ok = 0,
    /// The grammar is none; fields: pointer, keyword, reason.
    Malformed = 1,
    /// The grammar says what cannot be enforced; fields: pointer, keyword, reason.
    Unsupported = 2,
    /// A limit was passed; fields: limit, maximum, asked.
    TooLarge = 3,
    /// The bytes are not an index of this engine and vocabulary; fields: reason.
    IndexFormat = 4,
    /// The tokens are not a vocabulary; fields: reason.
    Vocabulary = 5,
    /// The token is not in the mask; fields: token.
    TokenNotAllowed = 6,
    /// The step passed a limit; fields: limit, maximum.
    LimitReached = 7,
    /// The cursor has failed for another reason; fields: reason.
    Failed = 8,
    /// An argument is not what it must be; fields: reason.
    Argument = 9,
    /// Another thread uses the cursor now.
    Busy = 10,
    /// The engine has a bug; fields: reason.
    Internal = 11,
    /// The mask takes long: it is finished beside this call, to be asked for again.
    Later = 12,
}

/// What kind of grammar a text is.
#[repr(i32)]
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FormworkInput {
    /// A JSON Schema, as JSON.
    JsonSchema = 0,
    /// Any JSON value; the text is ignored.
    AnyJson = 1,
    /// A regular expression.
    Regex = 2,
    /// A context-free grammar in a dialect of Lark.
    Lark = 3,
}

/// What the answer's text looks like, and what a compile may cost: a limit of 0 is the default one.
#[repr(C)]
pub struct FormworkOptions {
    /// Not 0: whitespace between the tokens of JSON, at most `max_whitespace` characters.
    pub is_whitespace_bounded: u8,
    /// Not 0: properties in any order.
    pub any_order: u8,
    /// Not 0: all spellings of a value.
    pub all_spellings: u8,
    /// Not 0: `format` is enforced.
    pub format_assertion: u8,
    /// Not 0: texts of an expression or grammar are spelled as in a JSON string.
    pub in_json_string: u8,
    /// Spaces after each comma; read without `is_whitespace_bounded`.
    pub item_spaces: u8,
    /// Spaces after each colon; read without `is_whitespace_bounded`.
    pub key_spaces: u8,
    /// Read with `is_whitespace_bounded` only.
    pub max_whitespace: u32,
    /// What remote references mean.
    pub remotes: *const FormworkRemote,
    /// How many there are.
    pub remote_count: usize,
    /// Bytes of the grammar.
    pub max_bytes: u64,
    /// Nesting of the grammar.
    pub max_depth: u64,
    /// JSON values in the grammar.
    pub max_nodes: u64,
    /// Work of one compile.
    pub compile_fuel: u64,
    /// Work of one mask.
    pub mask_fuel: u64,
}

/// A schema that lives elsewhere.
#[repr(C)]
pub struct FormworkRemote {
    /// Its URI, as UTF-8.
    pub uri: *const u8,
    /// In bytes.
    pub uri_length: usize,
    /// Its JSON text.
    pub schema: *const u8,
    /// In bytes.
    pub schema_length: usize,
}

/// The bits of `formwork_cursor_state`.
#[repr(i32)]
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FormworkState {
    /// The text so far is a whole answer.
    MayEnd = 1,
    /// The sequence has ended.
    IsEnded = 2,
}

/// Returns the version of the engine, ASCII, and its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_engine_version(length: *mut usize) -> *const u8 {
    unsafe { put(length, ENGINE_VERSION.len()) };
    ENGINE_VERSION.as_ptr()
}

// ---------------------------------------------------------------------------------- vocabulary

/// How a tokenizer cuts text.
#[repr(C)]
pub struct FormworkTokenisation {
    /// The pattern that splits text, as UTF-8; null for none.
    pub pattern: *const u8,
    /// In bytes.
    pub pattern_length: usize,
    /// The tokens of single bytes, or of single characters.
    pub atoms: *const u32,
    /// How many there are.
    pub atom_count: usize,
    /// Two ids and what they become, the earliest first; null: any two tokens become the one with
    /// their text, the least id first.
    pub merges: *const u32,
    /// Three for each merge.
    pub merge_ids: usize,
    /// Tokens that are cut out of a text before it is split.
    pub cut_first: *const u32,
    /// How many there are.
    pub cut_first_count: usize,
    /// Not 0: atoms are characters.
    pub has_characters: u8,
    /// Not 0: a piece that is a token stays whole.
    pub keeps_whole: u8,
    /// Not 0: text beyond ASCII is changed before it is cut.
    pub is_ascii_only: u8,
}

/// Returns the vocabulary of tokens that stand one after the other in `bytes`, by id; null for
/// what is none. `tokenisation` may be null; where it is not understood, nothing is forced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_vocabulary_new(
    bytes: *const u8,
    bytes_length: usize,
    lengths: *const u32,
    count: usize,
    special_ids: *const u32,
    special_count: usize,
    end_ids: *const u32,
    end_count: usize,
    tokenisation: *const FormworkTokenisation,
    error: *mut *mut FormworkError,
) -> *mut FormworkVocabulary {
    let make = || {
        let bytes = unsafe { read(bytes, bytes_length) }?;
        let lengths = unsafe { read(lengths, count) }?;
        let special_ids = unsafe { read(special_ids, special_count) }?;
        let end_ids = unsafe { read(end_ids, end_count) }?;
        let mut vocabulary = Vocabulary::new(split(bytes, lengths)?, special_ids, end_ids)?;
        if let Some(tokenisation) = unsafe { tokenisation.as_ref() } {
            vocabulary = vocabulary.cut_by(&unsafe { rules_of(tokenisation) }?)?;
        }
        Ok(FormworkVocabulary(Arc::new(vocabulary)))
    };
    unsafe { hand_out(error, make) }
}

unsafe fn rules_of<'a>(given: &FormworkTokenisation) -> Result<Rules<'a>, Refusal> {
    let merges = unsafe { read(given.merges, given.merge_ids) }?;
    let (merges, rest) = merges.as_chunks();
    if !rest.is_empty() {
        return Err(Refusal::Argument("a merge has three ids"));
    }
    let pattern = unsafe { read(given.pattern, given.pattern_length) }?;
    let pattern = str::from_utf8(pattern).map_err(|_| Refusal::Argument("a pattern is UTF-8"))?;
    Ok(Rules {
        pattern: (!given.pattern.is_null()).then_some(pattern),
        atoms: unsafe { read(given.atoms, given.atom_count) }?,
        merges: (!given.merges.is_null()).then_some(merges),
        has_characters: given.has_characters != 0,
        keeps_whole: given.keeps_whole != 0,
        is_ascii_only: given.is_ascii_only != 0,
        cut_first: unsafe { read(given.cut_first, given.cut_first_count) }?,
    })
}

fn split<'a>(mut bytes: &'a [u8], lengths: &[u32]) -> Result<Vec<&'a [u8]>, Refusal> {
    let mut tokens = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let (token, rest) = bytes
            .split_at_checked(length as usize)
            .ok_or(Refusal::Argument("the lengths exceed the bytes"))?;
        tokens.push(token);
        bytes = rest;
    }
    Ok(tokens)
}

/// Writes the tokens that the tokenizer makes of a text, as many as there is room for, and how many
/// there are; all bits set where it is not known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_vocabulary_cut(
    vocabulary: *const FormworkVocabulary,
    text: *const u8,
    text_length: usize,
    out: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> FormworkStatus {
    status(|| {
        let tokenisation = unsafe { borrow(vocabulary) }?.0.tokenisation();
        let text = str::from_utf8(unsafe { read(text, text_length) }?).ok();
        let out = unsafe { write(out, capacity) }?;
        let tokens = tokenisation.zip(text).and_then(|(t, text)| t.cut(text));
        let tokens = tokens.as_deref();
        for (out, token) in out.iter_mut().zip(tokens.unwrap_or_default()) {
            *out = *token;
        }
        unsafe { put(count, tokens.map_or(usize::MAX, <[u32]>::len)) };
        Ok(())
    })
}

/// Returns the number of 32-bit words of a mask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_vocabulary_words(vocabulary: *const FormworkVocabulary) -> usize {
    unsafe { vocabulary.as_ref() }.map_or(0, |vocabulary| vocabulary.0.words())
}

/// Writes the 32 bytes of the vocabulary's fingerprint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_vocabulary_fingerprint(
    vocabulary: *const FormworkVocabulary,
    out: *mut u8,
) {
    let (vocabulary, out) = (unsafe { vocabulary.as_ref() }, unsafe { write(out, 32) });
    if let (Some(vocabulary), Ok(out)) = (vocabulary, out) {
        out.copy_from_slice(&vocabulary.0.fingerprint());
    }
}

/// Ends the use of a vocabulary.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_vocabulary_free(vocabulary: *mut FormworkVocabulary) {
    unsafe { free(vocabulary) };
}

// --------------------------------------------------------------------------------------- index

/// Returns the index of a grammar; null for one that is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_compile(
    vocabulary: *const FormworkVocabulary,
    input: FormworkInputKind,
    text: *const u8,
    text_length: usize,
    options: *const FormworkOptions,
    error: *mut *mut FormworkError,
) -> *mut FormworkIndex {
    let compile = || {
        let vocabulary = &unsafe { borrow(vocabulary) }?.0;
        let input = input_of(input, unsafe { read(text, text_length) }?)?;
        let options = unsafe { options_of(borrow(options)?) }?;
        let index = Index::compile(input, Arc::clone(vocabulary), &options)?;
        let words = vocabulary.words();
        Ok(FormworkIndex { index, words })
    };
    unsafe { hand_out(error, compile) }
}

/// One of `FormworkInput`.
pub type FormworkInputKind = i32;

fn input_of(kind: FormworkInputKind, text: &[u8]) -> Result<Input<'_>, Refusal> {
    const JSON_SCHEMA: i32 = FormworkInput::JsonSchema as i32;
    const ANY_JSON: i32 = FormworkInput::AnyJson as i32;
    const REGEX: i32 = FormworkInput::Regex as i32;
    const LARK: i32 = FormworkInput::Lark as i32;
    match kind {
        JSON_SCHEMA => Ok(Input::JsonSchema(text)),
        ANY_JSON => Ok(Input::AnyJson),
        REGEX => Ok(Input::Regex(text_of(text)?)),
        LARK => Ok(Input::Lark(text_of(text)?)),
        _ => Err(Refusal::Argument("no kind of input")),
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, EngineError> {
    std::str::from_utf8(bytes).map_err(|error| EngineError::Malformed {
        pointer: String::new(),
        keyword: String::new(),
        reason: error.to_string(),
    })
}

unsafe fn options_of(given: &FormworkOptions) -> Result<Options, Refusal> {
    Ok(Options {
        whitespace: match given.is_whitespace_bounded {
            0 => Whitespace::Compact,
            _ => Whitespace::Bounded(given.max_whitespace),
        },
        item_spaces: given.item_spaces,
        key_spaces: given.key_spaces,
        any_order: given.any_order != 0,
        all_spellings: given.all_spellings != 0,
        format_assertion: given.format_assertion != 0,
        in_json_string: given.in_json_string != 0,
        remotes: unsafe { read(given.remotes, given.remote_count) }?
            .iter()
            .map(|remote| unsafe { remote_of(remote) })
            .collect::<Result<_, _>>()?,
        budget: budget_of(given),
    })
}

unsafe fn remote_of(remote: &FormworkRemote) -> Result<(String, Vec<u8>), Refusal> {
    let uri = unsafe { read(remote.uri, remote.uri_length) }?;
    let schema = unsafe { read(remote.schema, remote.schema_length) }?;
    Ok((text_of(uri)?.to_owned(), schema.to_vec()))
}

fn budget_of(given: &FormworkOptions) -> Budget {
    let default = Budget::default();
    let or = |given: u64, default| if given == 0 { default } else { given };
    Budget {
        max_bytes: or(given.max_bytes, default.max_bytes),
        max_depth: or(given.max_depth, default.max_depth),
        max_nodes: or(given.max_nodes, default.max_nodes),
        compile_fuel: or(given.compile_fuel, default.compile_fuel),
        mask_fuel: or(given.mask_fuel, default.mask_fuel),
    }
}

/// Returns the index that `formwork_index_dump` wrote; null for other bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_load(
    vocabulary: *const FormworkVocabulary,
    bytes: *const u8,
    length: usize,
    error: *mut *mut FormworkError,
) -> *mut FormworkIndex {
    let load = || {
        let vocabulary = &unsafe { borrow(vocabulary) }?.0;
        let index = Index::load(unsafe { read(bytes, length) }?, Arc::clone(vocabulary))?;
        let words = vocabulary.words();
        Ok(FormworkIndex { index, words })
    };
    unsafe { hand_out(error, load) }
}

/// Loads several indexes that are to be parts of linked ones, and gives out all or none. Their bytes
/// stand one behind the other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_load_parts(
    vocabulary: *const FormworkVocabulary,
    bytes: *const u8,
    length: usize,
    sizes: *const usize,
    count: usize,
    out: *mut *mut FormworkIndex,
    error: *mut *mut FormworkError,
) -> FormworkStatus {
    let load = || {
        let vocabulary = &unsafe { borrow(vocabulary) }?.0;
        let mut bytes = unsafe { read(bytes, length) }?;
        let out = unsafe { write(out, count) }?;
        let mut loaded = Vec::with_capacity(count.min(length));
        for size in unsafe { read(sizes, count) }? {
            let (own, others) = bytes
                .split_at_checked(*size)
                .ok_or(Refusal::Argument("a size is beyond the bytes"))?;
            loaded.push(Index::load_part(own, Arc::clone(vocabulary))?);
            bytes = others;
        }
        let words = vocabulary.words();
        for (place, index) in out.iter_mut().zip(loaded) {
            *place = give(FormworkIndex { index, words });
        }
        Ok(())
    };
    let refusal = guard(load).err();
    let status = refusal.as_ref().map_or(FormworkStatus::Ok, Refusal::status);
    if let Some(refusal) = refusal {
        unsafe { put(error, give(refusal.into())) };
    }
    status
}

/// Has whoever frees the last handle of an index free all of it, in this process from now on: where
/// indexes are compiled one after the other and nobody waits.
#[unsafe(no_mangle)]
pub extern "C" fn formwork_free_here() {
    free_here();
}

/// Returns the bytes of an index, for `formwork_index_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_dump(
    index: *const FormworkIndex,
    error: *mut *mut FormworkError,
) -> *mut FormworkBytes {
    let dump = || Ok(FormworkBytes(unsafe { borrow(index) }?.index.dump()));
    unsafe { hand_out(error, dump) }
}

/// Computes masks ahead, for about so long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_fill(
    index: *const FormworkIndex,
    milliseconds: u64,
    error: *mut *mut FormworkError,
) -> FormworkStatus {
    let fill = || {
        unsafe { borrow(index) }?.index.fill(milliseconds);
        Ok(())
    };
    let refusal = guard(fill).err();
    let status = refusal.as_ref().map_or(FormworkStatus::Ok, Refusal::status);
    if let Some(refusal) = refusal {
        unsafe { put(error, give(refusal.into())) };
    }
    status
}

/// Returns a cursor at the start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_cursor(
    index: *const FormworkIndex,
    error: *mut *mut FormworkError,
) -> *mut FormworkCursor {
    let open = || {
        let FormworkIndex { index, words } = unsafe { borrow(index) }?;
        Ok(FormworkCursor::new(index.cursor(), *words))
    };
    unsafe { hand_out(error, open) }
}

/// Ends the use of an index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_free(index: *mut FormworkIndex) {
    unsafe { free(index) };
}

/// Returns the index of an envelope around others, which are shared and may be freed before it;
/// null for what is none. The structure is laid out as `envelope_bytes.rs` tells, its parts are
/// numbered as they stand here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_link(
    vocabulary: *const FormworkVocabulary,
    structure: *const u8,
    length: usize,
    parts: *const *const FormworkIndex,
    part_count: usize,
    error: *mut *mut FormworkError,
) -> *mut FormworkIndex {
    let link = || {
        let vocabulary = &unsafe { borrow(vocabulary) }?.0;
        let structure = unsafe { read(structure, length) }?;
        let envelope = Envelope::read(structure, unsafe { indexes_of(parts, part_count) }?)?;
        let index = Index::link(envelope, Arc::clone(vocabulary))?;
        let words = vocabulary.words();
        Ok(FormworkIndex { index, words })
    };
    unsafe { hand_out(error, link) }
}

unsafe fn indexes_of(
    indexes: *const *const FormworkIndex,
    count: usize,
) -> Result<Vec<Index>, Refusal> {
    let indexes = unsafe { read(indexes, count) }?;
    let borrowed = indexes.iter().map(|index| unsafe { borrow(*index) });
    borrowed.map(|index| Ok(index?.index.clone())).collect()
}

/// Returns the bytes of an index, for `formwork_index_load_linked`: of a linked one only its
/// envelope and the content ids of its parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_dump_links(
    index: *const FormworkIndex,
    error: *mut *mut FormworkError,
) -> *mut FormworkBytes {
    let dump = || Ok(FormworkBytes(unsafe { borrow(index) }?.index.dump_links()));
    unsafe { hand_out(error, dump) }
}

/// Returns the content ids, 32 bytes each, of the parts that must be at hand to load some bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_links(
    vocabulary: *const FormworkVocabulary,
    bytes: *const u8,
    length: usize,
    error: *mut *mut FormworkError,
) -> *mut FormworkBytes {
    let list = || {
        let vocabulary = &unsafe { borrow(vocabulary) }?.0;
        let ids = Index::links(unsafe { read(bytes, length) }?, vocabulary)?;
        Ok(FormworkBytes(ids.concat()))
    };
    unsafe { hand_out(error, list) }
}

/// Returns the index that `formwork_index_dump_links` wrote, its parts found among some indexes by
/// their content; null for other bytes, or where a part is missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_load_linked(
    vocabulary: *const FormworkVocabulary,
    bytes: *const u8,
    length: usize,
    parts: *const *const FormworkIndex,
    part_count: usize,
    error: *mut *mut FormworkError,
) -> *mut FormworkIndex {
    let load = || {
        let vocabulary = &unsafe { borrow(vocabulary) }?.0;
        let bytes = unsafe { read(bytes, length) }?;
        let parts = unsafe { indexes_of(parts, part_count) }?;
        let parts: HashMap<Digest, Index> = parts
            .into_iter()
            .map(|part| (part.content_id(), part))
            .collect();
        let mut find = |id: &Digest| parts.get(id).cloned();
        let index = Index::load_linked(bytes, Arc::clone(vocabulary), &mut find)?;
        let words = vocabulary.words();
        Ok(FormworkIndex { index, words })
    };
    unsafe { hand_out(error, load) }
}

/// Writes the 32 bytes of an index's content id: the same for what was made from the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_index_content_id(index: *const FormworkIndex, out: *mut u8) {
    let (index, out) = (unsafe { index.as_ref() }, unsafe { write(out, 32) });
    if let (Some(index), Ok(out)) = (index, out) {
        out.copy_from_slice(&index.index.content_id());
    }
}

// -------------------------------------------------------------------------------------- cursor

/// Writes which tokens may come next: token i is bit i % 32 of word i / 32. Words beyond the
/// vocabulary become 0; on failure all do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_mask(
    cursor: *const FormworkCursor,
    out: *mut u32,
    words: usize,
) -> FormworkStatus {
    status(|| {
        let out = unsafe { write(out, words) }?;
        unsafe { borrow(cursor) }?.mask(out)
    })
}

/// Moves on by one token of the mask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_advance(
    cursor: *const FormworkCursor,
    token: u32,
) -> FormworkStatus {
    status(|| unsafe { borrow(cursor) }?.run(|cursor| Ok(cursor.advance(token)?)))
}

/// Takes back the last tokens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_rollback(
    cursor: *const FormworkCursor,
    tokens: usize,
) -> FormworkStatus {
    status(|| unsafe { borrow(cursor) }?.run(|cursor| Ok(cursor.rollback(tokens)?)))
}

/// Writes the tokens that must come next, as many as there is room for, and how many there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_forced(
    cursor: *const FormworkCursor,
    out: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> FormworkStatus {
    status(|| {
        let out = unsafe { write(out, capacity) }?;
        let forced = unsafe { borrow(cursor) }?.run(|cursor| Ok(cursor.forced()?.to_vec()))?;
        for (out, token) in out.iter_mut().zip(&forced) {
            *out = *token;
        }
        unsafe { put(count, forced.len()) };
        Ok(())
    })
}

/// Writes how many tokens a short ending takes from here, the end token counted; all bits set where
/// none is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_shortest_end(
    cursor: *const FormworkCursor,
    tokens: *mut u32,
) -> FormworkStatus {
    status(|| {
        let shortest = unsafe { borrow(cursor) }?.run(|cursor| Ok(cursor.shortest_end()?))?;
        unsafe { put(tokens, shortest.unwrap_or(u32::MAX)) };
        Ok(())
    })
}

/// From now on the answer ends within so many tokens, the end token counted: a token that leaves no
/// room for an ending fails the cursor. `fits` becomes 0, and nothing changes, where no ending that
/// fits is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_close_within(
    cursor: *const FormworkCursor,
    tokens: u32,
    fits: *mut i32,
) -> FormworkStatus {
    status(|| {
        let closes = unsafe { borrow(cursor) }?.run(|cursor| Ok(cursor.close_within(tokens)?))?;
        unsafe { put(fits, i32::from(closes)) };
        Ok(())
    })
}

/// Tells whether a token of the mask leaves room for an ending, where the answer shall end in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_leaves_room(
    cursor: *const FormworkCursor,
    token: u32,
    leaves: *mut i32,
) -> FormworkStatus {
    status(|| {
        let room = unsafe { borrow(cursor) }?.run(|cursor| Ok(cursor.leaves_room(token)?))?;
        unsafe { put(leaves, i32::from(room)) };
        Ok(())
    })
}

/// Writes tokens of the mask that leave room for an ending, not all of them but always one; the
/// mask itself where the answer need not end in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_closing_mask(
    cursor: *const FormworkCursor,
    out: *mut u32,
    words: usize,
) -> FormworkStatus {
    status(|| {
        let out = unsafe { write(out, words) }?;
        unsafe { borrow(cursor) }?.closing_mask(out)
    })
}

/// Writes the mask at the cursor and after each token of a draft, `count + 1` rows of `words`
/// words, and how many tokens of the draft are in their masks; the rows after the first that is
/// not become 0. The cursor stays where it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_draft_masks(
    cursor: *const FormworkCursor,
    draft: *const u32,
    count: usize,
    out: *mut u32,
    words: usize,
    accepted: *mut usize,
) -> FormworkStatus {
    status(|| {
        let draft = unsafe { read(draft, count) }?;
        let size = count
            .checked_add(1)
            .and_then(|rows| rows.checked_mul(words));
        let out = unsafe { write(out, size.ok_or(TOO_LONG)?) }?;
        let taken = unsafe { borrow(cursor) }?.draft_masks(draft, out, words)?;
        unsafe { put(accepted, taken) };
        Ok(())
    })
}

/// Returns the bits of `FormworkState` that hold; 0 for a cursor that cannot tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_state(cursor: *const FormworkCursor) -> i32 {
    let bit = |holds, bit: FormworkState| if holds { bit as i32 } else { 0 };
    let state = |cursor: &mut Cursor| {
        let may_end = bit(cursor.may_end(), FormworkState::MayEnd);
        Ok(may_end | bit(cursor.is_ended(), FormworkState::IsEnded))
    };
    guard(|| unsafe { borrow(cursor) }?.run(state)).unwrap_or(0)
}

/// Returns an independent cursor at the same place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_fork(
    cursor: *const FormworkCursor,
    error: *mut *mut FormworkError,
) -> *mut FormworkCursor {
    unsafe { hand_out(error, || borrow(cursor)?.fork()) }
}

/// Returns the last error of a cursor; null if there was none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_error(
    cursor: *const FormworkCursor,
) -> *mut FormworkError {
    let refusal = || unsafe { borrow(cursor) }?.last_refusal();
    match guard(refusal) {
        Ok(None) => ptr::null_mut(),
        Ok(Some(refusal)) | Err(refusal) => give(refusal.into()),
    }
}

/// Ends the use of a cursor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_cursor_free(cursor: *mut FormworkCursor) {
    unsafe { free(cursor) };
}

/// Moves many cursors on, each by one token of its mask, on so many threads.
///
/// What became of cursor i, a `FormworkStatus`, goes to `statuses[i]`, and how many tokens are
/// forced behind its own to `forced[i]`: 0 for a cursor that fails, by which the others are not
/// touched. `Argument`, before anything is moved: a null cursor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_advance_all(
    cursors: *const *const FormworkCursor,
    tokens: *const u32,
    count: usize,
    threads: usize,
    forced: *mut usize,
    statuses: *mut i32,
) -> FormworkStatus {
    status(|| {
        let moves = Moves {
            cursors: unsafe { read(cursors, count) }?,
            tokens: unsafe { read(tokens, count) }?,
            forced: unsafe { write(forced, count) }?.as_mut_ptr(),
            statuses: unsafe { write(statuses, count) }?.as_mut_ptr(),
        };
        check_handles(unsafe { &*moves.cursors })?;
        // `share_out` is through with all places before it returns
        let work = move |place| unsafe { moves.advance(place) };
        share_out(count, threads, Arc::new(work));
        Ok(())
    })
}

/// The buffers of cursors that move together, as threads share them: each place is one's.
struct Moves {
    cursors: *const [*const FormworkCursor],
    tokens: *const [u32],
    forced: *mut usize,
    statuses: *mut i32,
}

unsafe impl Send for Moves {}
unsafe impl Sync for Moves {}

impl Moves {
    /// Moves the cursor of one place, which nobody else does meanwhile.
    unsafe fn advance(&self, place: usize) {
        let (cursor, token) = unsafe { ((&*self.cursors)[place], (&*self.tokens)[place]) };
        let advance = |cursor: &mut Cursor| {
            cursor.advance(token)?;
            Ok(cursor.forced()?.len())
        };
        let (forced, status) = match guard(|| unsafe { borrow(cursor) }?.run(advance)) {
            Ok(forced) => (forced, FormworkStatus::Ok),
            Err(refusal) => (0, refusal.status()),
        };
        unsafe {
            self.forced.add(place).write(forced);
            self.statuses.add(place).write(status as i32);
        }
    }
}

/// Writes the masks of many cursors, on so many threads; those beyond the caller's stay, waiting.
///
/// The mask of cursor i goes to row `rows[i]` of `out`, and what became of it, a
/// `FormworkStatus`, to `statuses[i]`; a
/// cursor that fails gets zeros, and the others are not touched by it. `Argument`, before anything
/// is written: two cursors of one row, or a row that is not there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_fill_masks(
    cursors: *const *const FormworkCursor,
    rows: *const usize,
    count: usize,
    out: *mut u32,
    out_rows: usize,
    words: usize,
    threads: usize,
    statuses: *mut i32,
) -> FormworkStatus {
    unsafe {
        formwork_fill_masks_within(
            cursors,
            rows,
            count,
            out,
            out_rows,
            words,
            threads,
            u64::MAX,
            statuses,
        )
    }
}

/// The same, with so much fuel for each mask and for all of them what a few may take: the row of a
/// cursor that needs more becomes 0, its status `Later`, and another thread goes on with its mask;
/// a later call finds it finished, or the cursor failed after its whole budget. A cursor that is
/// taken on or back meanwhile is asked anew.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_fill_masks_within(
    cursors: *const *const FormworkCursor,
    rows: *const usize,
    count: usize,
    out: *mut u32,
    out_rows: usize,
    words: usize,
    threads: usize,
    fuel: u64,
    statuses: *mut i32,
) -> FormworkStatus {
    status(|| {
        let size = out_rows.checked_mul(words).ok_or(TOO_LONG)?;
        let batch = Batch {
            cursors: unsafe { read(cursors, count) }?,
            rows: unsafe { read(rows, count) }?,
            out: unsafe { write(out, size) }?.as_mut_ptr(),
            words,
            allowance: (fuel < u64::MAX).then(|| Allowance::new(fuel)),
            statuses: unsafe { write(statuses, count) }?.as_mut_ptr(),
        };
        batch.check(out_rows)?;
        // `share_out` is through with all places before it returns
        let work = move |place| unsafe { batch.fill(place) };
        share_out(count, threads, Arc::new(work));
        Ok(())
    })
}

fn check_handles(cursors: &[*const FormworkCursor]) -> Result<(), Refusal> {
    match cursors.iter().any(|cursor| cursor.is_null()) {
        true => Err(NULL_HANDLE),
        false => Ok(()),
    }
}

/// Has the calling thread run only where no other wants the processor, or nearly so.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")] // elsewhere it would be the whole process
    unsafe {
        unsafe extern "C" {
            fn nice(increment: i32) -> i32;
        }
        nice(19);
    }
}

/// The buffers of a batch, as threads share them: each place is worked on by one.
struct Batch {
    cursors: *const [*const FormworkCursor],
    rows: *const [usize],
    out: *mut u32,
    words: usize,
    /// None: each mask may take all that its cursor has.
    allowance: Option<Allowance>,
    statuses: *mut i32,
}

unsafe impl Send for Batch {}
unsafe impl Sync for Batch {}

impl Batch {
    fn check(&self, out_rows: usize) -> Result<(), Refusal> {
        let (cursors, rows) = unsafe { (&*self.cursors, &*self.rows) };
        check_handles(cursors)?;
        if self.words == 0 {
            return Err(Refusal::Argument("masks without words"));
        }
        let mut is_free = vec![true; out_rows];
        for row in rows {
            match is_free.get_mut(*row) {
                Some(is_free @ true) => *is_free = false,
                _ => return Err(Refusal::Argument("each cursor has a row of its own")),
            }
        }
        Ok(())
    }

    /// Fills the row of one place, which nobody else does meanwhile.
    unsafe fn fill(&self, place: usize) {
        unsafe {
            let (cursor, row) = ((&*self.cursors)[place], (&*self.rows)[place]);
            let row = slice::from_raw_parts_mut(self.out.add(row * self.words), self.words);
            let filled = guard(|| borrow(cursor)?.mask_within(row, self.allowance.as_ref()));
            let status = match filled {
                Ok(true) => FormworkStatus::Ok,
                Ok(false) => FormworkStatus::Later,
                Err(refusal) => refusal.status(),
            };
            self.statuses.add(place).write(status as i32);
        }
    }
}

// ------------------------------------------------------------------------------ errors, buffers

/// Returns what kind of failure an error is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_error_status(error: *const FormworkError) -> FormworkStatus {
    unsafe { error.as_ref() }.map_or(FormworkStatus::Ok, |error| error.status)
}

/// Returns a JSON object, UTF-8, of the fields of an error and its `message`, and its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_error_fields(
    error: *const FormworkError,
    length: *mut usize,
) -> *const u8 {
    let fields = unsafe { error.as_ref() }.map_or("{}", |error| &error.fields);
    unsafe { put(length, fields.len()) };
    fields.as_ptr()
}

/// Ends the use of an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_error_free(error: *mut FormworkError) {
    unsafe { free(error) };
}

/// Returns the bytes, and how many they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_bytes_data(
    bytes: *const FormworkBytes,
    length: *mut usize,
) -> *const u8 {
    let bytes = unsafe { bytes.as_ref() }.map_or(&[][..], |bytes| &bytes.0);
    unsafe { put(length, bytes.len()) };
    bytes.as_ptr()
}

/// Ends the use of some bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn formwork_bytes_free(bytes: *mut FormworkBytes) {
    unsafe { free(bytes) };
}

const NULL_HANDLE: Refusal = Refusal::Argument("a null handle");
const TOO_LONG: Refusal = Refusal::Argument("a buffer longer than memory");

unsafe fn hand_out<T>(
    error: *mut *mut FormworkError,
    make: impl FnOnce() -> Result<T, Refusal>,
) -> *mut T {
    match guard(make) {
        Ok(value) => give(value),
        Err(refusal) => {
            unsafe { put(error, give(refusal.into())) };
            ptr::null_mut()
        }
    }
}

fn give<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

unsafe fn put<T>(out: *mut T, value: T) {
    if !out.is_null() {
        unsafe { out.write(value) };
    }
}

unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        let _ = guard(|| {
            drop(unsafe { Box::from_raw(handle) });
            Ok(())
        });
    }
}

unsafe fn borrow<'a, T>(handle: *const T) -> Result<&'a T, Refusal> {
    unsafe { handle.as_ref() }.ok_or(NULL_HANDLE)
}

unsafe fn read<'a, T>(data: *const T, length: usize) -> Result<&'a [T], Refusal> {
    if length == 0 {
        return Ok(&[]);
    }
    check_buffer(data, length)?;
    Ok(unsafe { slice::from_raw_parts(data, length) })
}

unsafe fn write<'a, T>(data: *mut T, length: usize) -> Result<&'a mut [T], Refusal> {
    if length == 0 {
        return Ok(&mut []);
    }
    check_buffer(data, length)?;
    Ok(unsafe { slice::from_raw_parts_mut(data, length) })
}

fn check_buffer<T>(data: *const T, length: usize) -> Result<(), Refusal> {
    if data.is_null() || !data.is_aligned() {
        return Err(Refusal::Argument("a buffer that is null or not aligned"));
    }
    let size = length.checked_mul(size_of::<T>());
    match size.is_some_and(|size| isize::try_from(size).is_ok()) {
        true => Ok(()),
        false => Err(TOO_LONG),
    }
}

/// Handles go from thread to thread, and indexes are used by many at once.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<FormworkVocabulary>();
    is_shared::<FormworkIndex>();
    is_shared::<FormworkCursor>();
};

#[cfg(test)]
mod tests {
    use super::*;

    struct Handles {
        vocabulary: *mut FormworkVocabulary,
        index: *mut FormworkIndex,
        cursor: *mut FormworkCursor,
    }

    const END: u32 = 256;
    const WORDS: usize = 9;

    /// A vocabulary of the 256 bytes and an end, and a cursor in any JSON.
    fn open() -> Handles {
        let bytes: Vec<u8> = (0..=255).collect();
        let lengths = [vec![1; 256], vec![0]].concat();
        let (mut error, options) = (ptr::null_mut(), options());
        unsafe {
            let (bytes, lengths) = (bytes.as_ptr(), lengths.as_ptr());
            let vocabulary = formwork_vocabulary_new(
                bytes,
                256,
                lengths,
                257,
                ptr::null(),
                0,
                &END,
                1,
                ptr::null(),
                &mut error,
            );
            let kind = FormworkInput::AnyJson as i32;
            let index =
                formwork_index_compile(vocabulary, kind, ptr::null(), 0, &options, &mut error);
            let cursor = formwork_index_cursor(index, &mut error);
            assert!(error.is_null() && !cursor.is_null());
            Handles {
                vocabulary,
                index,
                cursor,
            }
        }
    }

    fn options() -> FormworkOptions {
        FormworkOptions {
            is_whitespace_bounded: 0,
            any_order: 0,
            all_spellings: 0,
            format_assertion: 1,
            in_json_string: 0,
            item_spaces: 0,
            key_spaces: 0,
            max_whitespace: 0,
            remotes: ptr::null(),
            remote_count: 0,
            max_bytes: 0,
            max_depth: 0,
            max_nodes: 0,
            compile_fuel: 0,
            mask_fuel: 0,
        }
    }

    impl Drop for Handles {
        fn drop(&mut self) {
            unsafe {
                formwork_vocabulary_free(self.vocabulary);
                formwork_index_free(self.index);
                formwork_cursor_free(self.cursor);
            }
        }
    }

    impl Handles {
        fn mask(&self) -> [u32; WORDS] {
            let mut mask = [u32::MAX; WORDS];
            let status = unsafe { formwork_cursor_mask(self.cursor, mask.as_mut_ptr(), WORDS) };
            assert_eq!(status, FormworkStatus::Ok);
            mask
        }

        fn advance(&self, byte: u8) -> FormworkStatus {
            unsafe { formwork_cursor_advance(self.cursor, byte.into()) }
        }
    }

    fn has(mask: &[u32], token: impl Into<u32>) -> bool {
        let token = token.into();
        mask[token as usize / 32] >> (token % 32) & 1 == 1
    }

    unsafe fn text(error: *mut FormworkError) -> String {
        let mut length = 0;
        unsafe {
            let fields = formwork_error_fields(error, &mut length);
            let text = slice::from_raw_parts(fields, length).to_vec();
            formwork_error_free(error);
            String::from_utf8(text).unwrap()
        }
    }

    #[test]
    fn a_cursor_walks_through_an_answer() {
        let handles = open();
        assert!(has(&handles.mask(), b'{'));
        assert_eq!(handles.advance(b'{'), FormworkStatus::Ok);
        assert_eq!(handles.advance(b'}'), FormworkStatus::Ok);
        assert!(has(&handles.mask(), END));
        let state = unsafe { formwork_cursor_state(handles.cursor) };
        assert_eq!(state, FormworkState::MayEnd as i32);
    }

    #[test]
    fn a_refusal_says_why_in_fields() {
        let handles = open();
        unsafe {
            assert!(formwork_cursor_error(handles.cursor).is_null());
            let status = formwork_cursor_advance(handles.cursor, 999);
            assert_eq!(status, FormworkStatus::TokenNotAllowed);
            let error = formwork_cursor_error(handles.cursor);
            assert_eq!(formwork_error_status(error), status);
            let fields = r#"{"token":999,"message":"token 999 is not allowed here"}"#;
            assert_eq!(text(error), fields);
        }
    }

    #[test]
    fn null_handles_and_buffers_are_refused() {
        let handles = open();
        unsafe {
            let nothing = ptr::null_mut();
            assert_eq!(
                formwork_cursor_advance(ptr::null(), 1),
                FormworkStatus::Argument
            );
            let status = formwork_cursor_mask(handles.cursor, ptr::null_mut(), WORDS);
            assert_eq!(status, FormworkStatus::Argument);
            let status = formwork_cursor_mask(handles.cursor, [0; 8].as_mut_ptr(), 8);
            assert_eq!(status, FormworkStatus::Argument);
            assert!(formwork_index_load(handles.vocabulary, ptr::null(), 9, nothing).is_null());
            formwork_cursor_free(ptr::null_mut());
        }
    }

    #[test]
    fn an_index_is_loaded_from_its_bytes_and_from_no_others() {
        let handles = open();
        let mut error = ptr::null_mut();
        unsafe {
            let bytes = formwork_index_dump(handles.index, &mut error);
            let mut length = 0;
            let data = formwork_bytes_data(bytes, &mut length);
            let index = formwork_index_load(handles.vocabulary, data, length, &mut error);
            assert!(!index.is_null() && error.is_null());
            formwork_index_free(index);
            let (mut out, twice) = (
                [ptr::null_mut(); 2],
                slice::from_raw_parts(data, length).repeat(2),
            );
            let mut load = |sizes: [usize; 2], error| {
                let (bytes, all) = (twice.as_ptr(), twice.len());
                let out = out.as_mut_ptr();
                formwork_index_load_parts(
                    handles.vocabulary,
                    bytes,
                    all,
                    sizes.as_ptr(),
                    2,
                    out,
                    error,
                )
            };
            for (sizes, status) in [
                ([length - 1, 1], FormworkStatus::IndexFormat),
                ([length, length + 1], FormworkStatus::Argument),
            ] {
                assert_eq!(load(sizes, &mut error), status);
                formwork_error_free(error);
                error = ptr::null_mut();
            }
            assert_eq!(load([length; 2], &mut error), FormworkStatus::Ok);
            out.into_iter().for_each(|index| formwork_index_free(index));
            let none = formwork_index_load(handles.vocabulary, data, length - 1, &mut error);
            assert!(none.is_null());
            assert_eq!(formwork_error_status(error), FormworkStatus::IndexFormat);
            formwork_error_free(error);
            formwork_bytes_free(bytes);
        }
    }

    #[test]
    fn a_batch_gives_the_masks_of_its_cursors_on_any_number_of_threads() {
        let all: Vec<Handles> = (0..50).map(|_| open()).collect();
        let rows: Vec<usize> = (0..50).rev().collect();
        let cursors: Vec<_> = all
            .iter()
            .map(|handles| handles.cursor.cast_const())
            .collect();
        for threads in [0, 1, 2, 7] {
            let (mut out, mut statuses) = (vec![7; 51 * WORDS], vec![-1; 50]);
            let status = unsafe {
                let (out, statuses) = (out.as_mut_ptr(), statuses.as_mut_ptr());
                let (cursors, rows) = (cursors.as_ptr(), rows.as_ptr());
                formwork_fill_masks(cursors, rows, 50, out, 51, WORDS, threads, statuses)
            };
            assert_eq!((status, statuses), (FormworkStatus::Ok, vec![0; 50]));
            let (last, filled) = (out.split_off(50 * WORDS), out);
            assert!(filled.chunks(WORDS).all(|row| row == all[0].mask()));
            assert_eq!(last, [7; WORDS]);
        }
    }

    #[test]
    fn two_cursors_of_a_batch_cannot_share_a_row() {
        let (one, other) = (open(), open());
        let (mut out, mut statuses) = ([0; 2 * WORDS], [0; 2]);
        let cursors = [one.cursor.cast_const(), other.cursor.cast_const()];
        for rows in [[1, 1], [0, 2]] {
            let status = unsafe {
                let (out, statuses) = (out.as_mut_ptr(), statuses.as_mut_ptr());
                formwork_fill_masks(
                    cursors.as_ptr(),
                    rows.as_ptr(),
                    2,
                    out,
                    2,
                    WORDS,
                    1,
                    statuses,
                )
            };
            assert_eq!(status, FormworkStatus::Argument);
        }
    }

    #[test]
    fn cursors_move_together_as_each_would_alone_and_one_that_fails_touches_no_other() {
        let alone = open();
        assert_eq!(alone.advance(b'['), FormworkStatus::Ok);
        for threads in [0, 1, 3] {
            let all: Vec<Handles> = (0..40).map(|_| open()).collect();
            let cursors: Vec<_> = all
                .iter()
                .map(|handles| handles.cursor.cast_const())
                .collect();
            let mut tokens = [u32::from(b'['); 40];
            tokens[17] = b'!'.into();
            let (mut forced, mut statuses) = ([9; 40], [-1; 40]);
            let status = unsafe {
                let (forced, statuses) = (forced.as_mut_ptr(), statuses.as_mut_ptr());
                let (cursors, tokens) = (cursors.as_ptr(), tokens.as_ptr());
                formwork_advance_all(cursors, tokens, 40, threads, forced, statuses)
            };
            assert_eq!(status, FormworkStatus::Ok);
            assert_eq!(forced, [0; 40]); // nothing is where nobody knows how text is cut
            let refused = FormworkStatus::TokenNotAllowed as i32;
            for (place, status) in statuses.into_iter().enumerate() {
                assert_eq!(status, if place == 17 { refused } else { 0 });
                assert!(place == 17 || all[place].mask() == alone.mask());
            }
        }
    }

    #[test]
    fn no_cursor_is_moved_with_a_null_one() {
        let handles = open();
        let (mut forced, mut statuses) = ([9; 2], [-1; 2]);
        let cursors = [handles.cursor.cast_const(), ptr::null()];
        let tokens = [u32::from(b'['); 2];
        let status = unsafe {
            let (forced, statuses) = (forced.as_mut_ptr(), statuses.as_mut_ptr());
            formwork_advance_all(cursors.as_ptr(), tokens.as_ptr(), 2, 1, forced, statuses)
        };
        assert_eq!((status, statuses), (FormworkStatus::Argument, [-1; 2]));
        assert!(has(&handles.mask(), b'{'));
    }

    #[test]
    fn a_draft_gets_its_masks_and_leaves_the_cursor_where_it_is() {
        let handles = open();
        let draft = [u32::from(b'['), u32::from(b'1'), 0];
        let (mut out, mut accepted) = ([7; 4 * WORDS], 9);
        let status = unsafe {
            let (cursor, draft) = (handles.cursor, draft.as_ptr());
            formwork_cursor_draft_masks(cursor, draft, 3, out.as_mut_ptr(), WORDS, &mut accepted)
        };
        assert_eq!((status, accepted), (FormworkStatus::Ok, 2));
        assert_eq!(out[..WORDS], handles.mask());
        assert!(has(&out[WORDS..], b'1'));
        assert_eq!(out[3 * WORDS..], [0; WORDS]);
    }
}
