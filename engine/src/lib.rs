//! Formwork's grammar engine: a JSON Schema becomes an index, an index gives masks over tokens.
//!
//! # From a schema to a mask
//!
//! A schema is read (`json`, exact numbers in `decimal`) and *translated* (`schema`, which knows the
//! schemas of JSON Schema itself) to *formulas* (`formula`): Boolean combinations of assertions about
//! one value, hash-consed, with negation pushed to the leaves. A constant is a formula too (`values`),
//! and some formulas plainly exclude each other (`exclusion`), by what they say and by what is required
//! beside them: then "exactly one" of them is any of them (`choice`). All that is said of a string is
//! one language of code points (`regex`, made from `pattern` and `formats`); numbers are judged by
//! arithmetic on their digits (`number`), and where draft 4 asks for integers by how they are written.
//!
//! A `grammar` is the arena of these formulas and all that is worked out from them. After a key or
//! at an item a formula goes on in *branches* (`derive`): what the child must fulfil, and what is
//! left then; a conjunction in many ways goes on in one for each *class* of children (`conjoin`), or for
//! each of the cases of which one at most can be met (`cases`).
//! Whether anything fulfils what is left is found by a bounded *search* (`satisfy`), so
//! that nothing is begun that cannot be ended.
//!
//! The text is read by a *byte machine with a stack* (`machine`). A *configuration* is a node on
//! top of a stack of nodes; both are interned and made as they are met. Inside a string the node is
//! a *shape* (`shape`): its languages, and where in an escape or a character the text is. A *mask*
//! (`mask`) is a walk over the vocabulary's trie (`vocabulary`) from a configuration; inside
//! strings most of it depends on the shape alone and is shared (`closed`). Where a language tells few
//! classes of characters apart, tokens that are alike in these are read at once (`class_trie`).
//!
//! Nodes do not tell one undeclared key from another (`keys`), so that they are few. Beside them a
//! configuration has a *memory* (`memory`): the undeclared keys that the open objects have, and
//! what was read of the key that is being written. What would repeat a key is taken out of the mask.
//!
//! Answers may be plain text, too (`text`): of a regular expression, whose places are derivatives,
//! or of a context-free grammar (`lark`), whose places are sets of terminals that are being read,
//! each with the row of an Earley parser that it began in. Rows are interned as well, so that masks
//! are remembered by place. Either can be read as a JSON string spells it.
//!
//! # Forced runs
//!
//! How a tokenizer cuts text is known for most vocabularies (`tokenisation`): a pattern splits it to
//! pieces, each is merged from bytes or characters. Where text can go on in one way only, the tokens
//! that the tokenizer would write are *forced* (`forced`), as far as nothing that may follow makes
//! it write others: the mask is the one token. So who appends it, and whether it is sampled, makes
//! no difference. Everywhere else the mask is open, and never excludes what the tokenizer writes.
//!
//! # From indexes to a linked index
//!
//! What a model writes around such texts is an *envelope* (`envelope`): special tokens, literal
//! text, free text and indexes, in sequences, choices and repetitions. An index is *linked* from it
//! (`linked`): its *parts* stay as they are and are shared, nothing is compiled, so that a set of a
//! hundred tools of which one is new costs that one. A place is a set of *threads*, each somewhere
//! in the envelope and, in a part, at a place of that part. Its mask is what the parts remember of
//! theirs, what special tokens and literal text come next, and *crossings*: tokens in which a part
//! ends and what follows begins. Those are looked for from the border, at the few nodes of the trie
//! where a byte that can end the part has one behind it that can go on (`crossings`).
//!
//! # Filled indexes
//!
//! An index can be *filled* (`fill`): its nodes, what bytes do to them, and the closed parts of the
//! masks inside strings are worked out ahead and written with it as *tables* (`frozen_tables`,
//! `frozen_codes`, `frozen_parts`). Inside an object's keys the keys stand for the nodes
//! (`frozen_keys`). No mask is written place by place: with these, one is put together in
//! microseconds wherever a cursor comes (`frozen_masks`), in one of three *ways* that filling finds
//! for each node (`fill_ways`). One that is loaded with tables is read with them (`frozen`) and
//! compiles nothing until it is asked what they do not hold: then the grammar is compiled and nodes
//! are paired with nodes as they are asked for (`frozen_live`, `frozen_paths`), so that it says what
//! it would say unfilled.
//!
//! # What a caller holds
//!
//! * A `Vocabulary`: the token bytes of one tokenizer.
//! * An `Index`: one grammar for one vocabulary, shared between threads, with all that has
//!   been learnt of it; written to and read from checked bytes (`index_bytes`, `sha256`).
//! * A `Cursor`: one sequence's place in an index. It gives masks, takes tokens, and takes
//!   them back.
//!
//! `error` has what is refused, `ffi` the C ABI and the only `unsafe`. No input is meant to cause a
//! panic, and one that happens ends at the C boundary. All work on an input burns fuel, from its
//! translation on: a unit for what is worked out, small steps of which `regex::STEPS` are a unit for
//! what is looked at, copied or kept, so that time and memory are bounded alike.
//!
//! # The files, from the bottom up
//!
//! * `error`: refusals of an index and failures of a cursor, with their fields.
//! * `hashing`, `byte_set`: maps whose keys the engine numbers itself; sets of bytes.
//! * `sha256`: names a vocabulary, checks an index.
//! * `decimal`: exact decimal numbers.
//! * `json`: JSON values, read strictly.
//! * `charset`, `unicode`: sets of code points; the properties that patterns name.
//! * `regex`: languages of code points with union, intersection and complement, by derivatives.
//! * `pattern`, `formats`: ECMA-262 patterns and the standard formats as such languages.
//! * `number`: languages of number texts.
//! * `formula`, `values`, `choice`, `exclusion`, `rivals`: formulas, those of constants, exactly one of
//!   several, those that exclude each other, and which of many have to be compared.
//! * `schema`: JSON Schema, drafts 4 to 2020-12, to formulas.
//! * `grammar`, `derive`, `conjoin`, `cases`, `satisfy`, `count`: a grammar, its branches, those of
//!   conjunctions and of conditions among them, whether it has a value, and how many at most.
//! * `shape`, `machine`: strings, and all of JSON, byte by byte.
//! * `tokenisation`: how tokenizers cut text.
//! * `vocabulary`: tokens and their trie.
//! * `class_trie`: tokens by the classes of their characters.
//! * `keys`, `memory`: which keys may come next; those that no node holds.
//! * `closed`, `mask`: the part of a mask that a shape alone decides, and which tokens may come next.
//! * `repeats`: masks without what would write a key once more.
//! * `text`: answers that are no JSON; regular expressions.
//! * `lark`: context-free grammars.
//! * `reader`: what an index is read with, whatever its input was.
//! * `frozen_tables`, `frozen_codes`, `frozen_keys`, `frozen_parts`: the tables of a filled index.
//! * `fill`, `fill_keys`, `fill_order`, `fill_ways`: how they are made.
//! * `frozen`, `frozen_masks`: reading with tables.
//! * `frozen_live`, `frozen_paths`: the grammar behind them.
//! * `crossings`, `free_text`: where tokens run out of a text; text that nothing constrains.
//! * `envelope`, `envelope_bytes`, `linked`: envelopes, and indexes linked from others.
//! * `forced`: the tokens that must come next.
//! * `index_bytes`, `index`, `cursor`: what a caller holds.
//! * `closing`: shortest endings, and sequences that end in time.
//! * `late`: masks that take long, finished beside the batch.
//! * `ffi`: the same in C.

#![deny(unsafe_code)]

mod byte_set;
pub mod error;
mod hashing;
mod sha256;

mod decimal;
mod json;

mod charset;
mod formats;
mod pattern;
mod regex;
mod unicode;

mod number;

mod choice;
mod exclusion;
mod formula;
mod rivals;
mod schema;
mod values;

mod cases;
mod conjoin;
mod count;
mod derive;
mod grammar;
mod satisfy;

mod class_trie;
mod closed;
mod crossings;
mod envelope_bytes;
mod fill;
mod fill_keys;
mod fill_order;
mod fill_ways;
mod forced;
mod free_text;
mod frozen;
mod frozen_codes;
mod frozen_keys;
mod frozen_live;
mod frozen_masks;
mod frozen_parts;
mod frozen_paths;
mod frozen_tables;
mod keys;
mod lark;
mod linked;
mod machine;
mod mask;
mod memory;
mod reader;
mod repeats;
mod shape;
mod text;
pub mod tokenisation;
pub mod vocabulary;

mod closing;
pub mod cursor;
pub mod envelope;
mod ffi;
pub mod index;
mod index_bytes;
mod late;

#[cfg(test)]
mod closing_tests;
#[cfg(test)]
mod frozen_random_tests;
#[cfg(test)]
mod frozen_tests;
#[cfg(test)]
mod fuel_tests;
#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod walk_tests;
