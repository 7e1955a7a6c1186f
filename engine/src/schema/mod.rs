//! JSON Schema (drafts 4 to 2020-12) to formulas.
//!
//! `registry` finds what references name, among them the schemas of JSON Schema itself
//! (`metaschemas`); `translate` turns keywords into formulas in the order of the schema's text,
//! `unevaluated` works out which properties and items other keywords have seen,
//! `contradiction` finds where a schema that allows nothing contradicts itself.

mod contradiction;
mod metaschemas;
mod path;
mod registry;
mod translate;
mod unevaluated;

pub use contradiction::find_contradiction;
pub use translate::{SchemaOptions, translate};
