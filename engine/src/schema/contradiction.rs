//! Where a schema that allows no value contradicts itself.
//!
//! From the schema on, what every value of it must fulfil is asked by itself whether it allows
//! anything: the parts of `allOf`, what a reference names, a single alternative, the schemas of
//! required properties and of items that must be there. What allows nothing is asked in turn.

use super::path::{pointer_to, push_token};
use super::registry::Located;
use super::translate::{Documents, SchemaOptions};
use crate::formula::{FormulaId, Formulas};
use crate::json::Value;

/// Schemas and keywords that are looked at.
const MAX_LOOKS: usize = 64;

/// Says of a formula whether some value fulfils it, and how much fuel is left; None without fuel.
pub type Search<'a> = dyn Fn(Formulas, FormulaId) -> Option<(bool, u64)> + 'a;

/// The JSON pointer of the deepest schema that allows no value by itself, and its keyword that
/// does not, where one alone does.
pub fn find_contradiction(
    document: &Value,
    remotes: &[(String, Value)],
    options: &SchemaOptions,
    search: &Search,
) -> (String, Option<String>) {
    let Ok(documents) = Documents::new(document, remotes) else {
        return (String::new(), None);
    };
    let mut finder = Finder {
        documents: &documents,
        options: options.clone(),
        search,
        looks: 0,
    };
    let (mut at, mut pointer) = (documents.root(), String::new());
    let mut passed = vec![std::ptr::from_ref(document)];
    while let Some((next, found)) = finder.deeper(at, &pointer, &passed) {
        (at, pointer) = (next, found);
        passed.push(std::ptr::from_ref(at.value));
    }
    let keyword = finder.keyword(at);
    (pointer, keyword)
}

struct Finder<'a> {
    documents: &'a Documents<'a>,
    options: SchemaOptions,
    search: &'a Search<'a>,
    looks: usize,
}

impl<'a> Finder<'a> {
    /// A part that every value must fulfil and none can, with its pointer; none that was passed.
    fn deeper(
        &mut self,
        at: Located<'a>,
        pointer: &str,
        passed: &[*const Value],
    ) -> Option<(Located<'a>, String)> {
        let parts = self.necessary(at, pointer).into_iter();
        let mut parts = parts.filter(|(part, _)| !passed.contains(&std::ptr::from_ref(part.value)));
        parts.find(|(part, _)| self.is_contradictory(*part, None))
    }

    /// The schemas that every value, or some part of every value, must fulfil.
    fn necessary(&self, at: Located<'a>, pointer: &str) -> Vec<(Located<'a>, String)> {
        let registry = &self.documents.registry;
        let below = |names: Vec<String>| {
            let mut pointer = pointer.to_owned();
            names.iter().for_each(|name| push_token(&mut pointer, name));
            pointer
        };
        let parts = necessary_parts(at.value).into_iter();
        let parts = parts.map(|(names, value)| (registry.child(at, value), below(names)));
        let target = at.value.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|reference| registry.find(at.resource, reference));
        let named = target.and_then(|target| {
            let pointer = pointer_to(self.documents.document, target.value)?;
            Some((target, pointer))
        });
        parts.chain(named).collect()
    }

    /// The first keyword that allows nothing by itself.
    fn keyword(&mut self, at: Located<'a>) -> Option<String> {
        let mut keywords = at.value.as_object()?.iter().map(|(keyword, _)| keyword);
        let found = keywords.find(|keyword| self.is_contradictory(at, Some(keyword)));
        found.cloned()
    }

    /// Whether a schema, or one keyword of it, surely allows nothing.
    fn is_contradictory(&mut self, at: Located<'a>, keyword: Option<&str>) -> bool {
        self.looks += 1;
        if self.looks > MAX_LOOKS {
            return false;
        }
        let translated = self.documents.translate(&self.options, at, keyword);
        let found = translated.ok().and_then(|(f, root)| (self.search)(f, root));
        let (allows, left) = found.unwrap_or((true, 0));
        self.options.fuel = left;
        !allows
    }
}

/// Names of the way to a schema inside another one, and that schema.
type Part<'a> = (Vec<String>, &'a Value);

fn necessary_parts(schema: &Value) -> Vec<Part<'_>> {
    let mut parts = branches(schema);
    parts.extend(required_properties(schema));
    parts.extend(needed_items(schema));
    parts
}

/// The parts of `allOf`, and an alternative that is the only one.
fn branches(schema: &Value) -> Vec<Part<'_>> {
    let of = |keyword: &'static str| {
        let parts = schema.get(keyword).and_then(Value::as_array);
        let parts = parts.filter(|parts| keyword == "allOf" || parts.len() == 1);
        let parts = parts.unwrap_or_default().iter().enumerate();
        parts.map(move |(place, part)| (vec![keyword.to_owned(), place.to_string()], part))
    };
    ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .flat_map(of)
        .collect()
}

fn required_properties(schema: &Value) -> Vec<Part<'_>> {
    if !is_typed(schema, "object") {
        return Vec::new();
    }
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").filter(|_| required.is_some());
    let names = required
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str);
    let named = names.take(MAX_LOOKS).filter_map(|name| {
        let part = properties?.get(name)?;
        Some((vec!["properties".to_owned(), name.to_owned()], part))
    });
    named.collect()
}

fn needed_items(schema: &Value) -> Vec<Part<'_>> {
    let least = schema.get("minItems").and_then(Value::as_number);
    let least = least.and_then(crate::decimal::Decimal::to_u64).unwrap_or(0);
    if !is_typed(schema, "array") || least == 0 {
        return Vec::new();
    }
    let of = |keyword: &str| schema.get(keyword);
    let prefix =
        of("prefixItems").or_else(|| of("items").filter(|items| items.as_array().is_some()));
    let name = if of("prefixItems").is_some() {
        "prefixItems"
    } else {
        "items"
    };
    let prefix = prefix.and_then(Value::as_array).unwrap_or_default();
    let needed = prefix
        .iter()
        .enumerate()
        .take(least.min(MAX_LOOKS as u64) as usize);
    let mut parts: Vec<Part> = needed
        .map(|(place, part)| (vec![name.to_owned(), place.to_string()], part))
        .collect();
    if (prefix.len() as u64) < least {
        let rest = of("items").filter(|items| items.as_array().is_none());
        parts.extend(rest.map(|part| (vec!["items".to_owned()], part)));
    }
    parts
}

/// Whether a schema says that its values are of this type.
fn is_typed(schema: &Value, name: &str) -> bool {
    schema.get("type").and_then(Value::as_str) == Some(name)
}
