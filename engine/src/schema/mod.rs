//! JSON Schema (drafts 4 to 2020-12) to formulas.
//!
//! `registry` finds what references name, `translate` turns keywords into formulas in the order of
//! the schema's text, `unevaluated` works out which properties and items other keywords have seen.

mod path;
mod registry;
mod translate;
mod unevaluated;

pub use translate::{SchemaOptions, translate};
