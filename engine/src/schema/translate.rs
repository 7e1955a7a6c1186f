//! Keywords to formulas, in the order of the schema's text, which is also the order of properties.

use std::collections::HashMap;

use super::metaschemas::{Draft, drafts_named};
use super::path::{Path, Step};
use super::registry::{Dialect, Located, MAX_URI_BYTES, Registry, ResourceId};
use crate::decimal::Decimal;
use crate::error::EngineError;
use crate::formats;
use crate::formula::{
    FormulaId, Formulas, ItemTable, Kind, Kinds, PropertyTable, SchemaId, TextId,
};
use crate::json::Value;
use crate::number::{Bound, NumberGoal};
use crate::pattern::{self, PatternErrorKind};
use crate::regex::{RegexId, Regexes};

/// How a schema is read.
#[derive(Clone, Debug)]
pub struct SchemaOptions {
    /// Whether `format` is an assertion.
    pub assert_formats: bool,
    /// Nesting of schemas, references followed included.
    pub max_depth: usize,
    /// Schemas, each counted once for each scope it is read in.
    pub max_schemas: usize,
    /// Ways in which branches may turn out, where another keyword depends on it.
    pub max_alternatives: usize,
    /// Work on formulas; what is left of it is the grammar's.
    pub fuel: u64,
}

impl Default for SchemaOptions {
    fn default() -> Self {
        SchemaOptions {
            assert_formats: true,
            max_depth: 400,
            max_schemas: 100_000,
            max_alternatives: 512,
            fuel: 500_000,
        }
    }
}

/// Translate a schema; other documents are known under their URIs.
///
/// # Errors
/// `Malformed`, `Unsupported` or `TooLarge`, naming the JSON pointer and the keyword.
pub fn translate(
    document: &Value,
    remotes: &[(String, Value)],
    options: &SchemaOptions,
) -> Result<(Formulas, FormulaId)> {
    let known = Documents::new(document, remotes)?;
    known.translate(options, known.root(), None)
}

/// A document and those that it may refer to.
pub(super) struct Documents<'a> {
    pub document: &'a Value,
    pub registry: Registry<'a>,
    root: ResourceId,
}

impl<'a> Documents<'a> {
    pub fn new(document: &'a Value, remotes: &'a [(String, Value)]) -> Result<Self> {
        let mut registry = Registry::default();
        let root = registry.add("", document, Dialect::Draft2020);
        for (uri, remote) in remotes {
            registry.add(uri, remote, Dialect::Draft2020);
        }
        let known = remotes.iter().map(|(_, remote)| remote).chain([document]);
        for (uri, metaschema) in known.flat_map(drafts_named).flat_map(Draft::documents) {
            registry.add_unless_known(uri, metaschema);
        }
        if registry.is_full() {
            return Err(too_large("max_uri_bytes", MAX_URI_BYTES as u64));
        }
        Ok(Documents {
            document,
            registry,
            root,
        })
    }

    /// The whole document as a schema.
    pub fn root(&self) -> Located<'a> {
        self.registry.root(self.root)
    }

    /// The formula of a schema in them, or of one keyword of it alone.
    pub fn translate(
        &'a self,
        options: &SchemaOptions,
        at: Located<'a>,
        keyword: Option<&str>,
    ) -> Result<(Formulas, FormulaId)> {
        let mut formulas = Formulas::new();
        formulas.regexes.refuel(options.fuel);
        let mut translator = Translator {
            registry: &self.registry,
            options: options.clone(),
            formulas,
            known: HashMap::new(),
            document: self.document,
            path: Path::default(),
            scope: vec![self.root],
            formats: HashMap::new(),
        };
        let formula = match keyword {
            None => translator.schema(at)?,
            Some(wanted) => {
                let parts = translator.own_keywords(at, |keyword| keyword == wanted)?;
                translator.formulas.and(parts)
            }
        };
        translator.within_fuel()?;
        Ok((translator.formulas, formula))
    }
}

/// What a translation gives, or why the schema is refused.
pub(super) type Result<T> = std::result::Result<T, EngineError>;

fn too_large(limit: &'static str, maximum: u64) -> EngineError {
    EngineError::TooLarge {
        limit,
        maximum,
        asked: maximum + 1,
    }
}

/// Small steps that a schema takes, and a part of the scope that it is read in.
const SCHEMA_STEPS: usize = 32;
/// Bytes of a URI that a small step reads.
const BYTES_OF_A_STEP: usize = 1;

enum Known {
    /// Being translated; named by a reference meanwhile, or not yet.
    Open(Option<SchemaId>),
    Done(FormulaId),
}

/// The state of one translation.
pub(super) struct Translator<'a> {
    pub(super) registry: &'a Registry<'a>,
    pub(super) options: SchemaOptions,
    pub(super) formulas: Formulas,
    known: HashMap<(*const Value, Vec<ResourceId>), Known>,
    document: &'a Value,
    pub(super) path: Path<'a>,
    scope: Vec<ResourceId>,
    /// Languages of formats, by name.
    formats: HashMap<String, RegexId>,
}

impl<'a> Translator<'a> {
    /// The formula of a schema.
    pub(super) fn schema(&mut self, at: Located<'a>) -> Result<FormulaId> {
        match at.value {
            Value::Bool(true) => return Ok(FormulaId::TRUE),
            Value::Bool(false) => return Ok(FormulaId::FALSE),
            Value::Object(_) => {}
            _ => return Err(self.malformed("a schema is an object or a boolean")),
        }
        let steps = SCHEMA_STEPS + self.scope.len();
        self.formulas.regexes.spend_steps(steps);
        self.within_limits()?;
        self.in_scope(at, |t| t.known_schema(at))
    }

    /// Run with the schema's resource entered, where dynamic references make that matter.
    pub(super) fn in_scope<T>(
        &mut self,
        at: Located<'a>,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let steps = self.registry.dynamic_count(at.resource) * self.scope.len();
        self.formulas.regexes.spend_steps(steps);
        let entered = self.registry.widens(&self.scope, at.resource);
        if entered {
            self.scope.push(at.resource);
        }
        let made = run(self);
        if entered {
            self.scope.pop();
        }
        made
    }

    fn known_schema(&mut self, at: Located<'a>) -> Result<FormulaId> {
        let scope = if self.registry.has_dynamic_scope {
            self.scope.clone()
        } else {
            Vec::new()
        };
        let key = (std::ptr::from_ref(at.value), scope);
        match self.known.get_mut(&key) {
            Some(Known::Done(formula)) => return Ok(*formula),
            Some(Known::Open(named)) => {
                let id = *named.get_or_insert_with(|| self.formulas.declare_schema());
                return Ok(self.formulas.reference(id));
            }
            None => {}
        }
        self.known.insert(key.clone(), Known::Open(None));
        let formula = self.keywords(at)?;
        if let Some(Known::Open(Some(id))) = self.known.insert(key, Known::Done(formula)) {
            self.formulas.define_schema(id, formula);
        }
        Ok(formula)
    }

    /// Refuses what has taken all fuel, or filled the arena of expressions.
    pub(super) fn within_fuel(&self) -> Result<()> {
        let regexes = &self.formulas.regexes;
        let (limit, maximum) = if regexes.overflowed() {
            ("max_regex_nodes", regexes.max_nodes as u64)
        } else if regexes.starved() {
            ("compile_fuel", self.options.fuel)
        } else {
            return Ok(());
        };
        Err(too_large(limit, maximum))
    }

    fn within_limits(&self) -> Result<()> {
        self.within_fuel()?;
        let limits = [
            ("max_depth", self.options.max_depth, self.path.depth()),
            ("max_schemas", self.options.max_schemas, self.known.len()),
        ];
        match limits
            .into_iter()
            .find(|(_, maximum, asked)| asked > maximum)
        {
            Some((limit, maximum, asked)) => Err(EngineError::TooLarge {
                limit,
                maximum: maximum as u64,
                asked: asked as u64,
            }),
            None => Ok(()),
        }
    }

    fn keywords(&mut self, at: Located<'a>) -> Result<FormulaId> {
        let parts = self.own_keywords(at, |_| true)?;
        let unevaluated = self.unevaluated(at)?;
        Ok(self.formulas.and(parts.into_iter().chain(unevaluated)))
    }

    /// The formulas of the keywords that are wanted.
    pub(super) fn own_keywords(
        &mut self,
        at: Located<'a>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<FormulaId>> {
        let Value::Object(entries) = at.value else {
            return Ok(Vec::new());
        };
        if at.dialect <= Dialect::Draft7
            && at.value.get("$ref").is_some_and(|r| r.as_str().is_some())
        {
            return if wanted("$ref") {
                Ok(vec![self.at_keyword("$ref", |t| t.reference(at))?])
            } else {
                Ok(Vec::new())
            };
        }
        let mut parts = Vec::new();
        for (keyword, value) in entries.iter().filter(|(keyword, _)| wanted(keyword)) {
            parts.push(self.at_keyword(keyword, |t| t.keyword(at, keyword, value))?);
        }
        Ok(parts)
    }

    /// Run under a keyword, for errors to name.
    pub(super) fn at_keyword<T>(
        &mut self,
        keyword: &str,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.at(Step::Keyword(keyword.to_owned()), run)
    }

    /// Run at one of the schemas under a keyword.
    fn at_part<T>(&mut self, name: &str, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.at(Step::Part(name.to_owned()), run)
    }

    /// Run with one more step on the way that errors name.
    pub(super) fn at<T>(
        &mut self,
        step: Step<'a>,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.path.push(step);
        let made = run(self);
        self.path.pop();
        made
    }

    /// Run under a keyword next to the one that is being read.
    fn at_neighbour<T>(
        &mut self,
        keyword: &str,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let step = self.path.pop();
        let made = self.at_keyword(keyword, run);
        step.into_iter().for_each(|step| self.path.push(step));
        made
    }

    fn keyword(&mut self, at: Located<'a>, keyword: &str, value: &'a Value) -> Result<FormulaId> {
        match keyword {
            "$ref" => self.reference(at),
            "$dynamicRef" => self.dynamic_reference(at, value),
            "$recursiveRef" if at.dialect == Dialect::Draft2019 => {
                let target = self.registry.find_recursive(at.resource, &self.scope);
                self.at(Step::Target(target.value), |t| t.schema(target))
            }
            "type" => self.types(at, value),
            "enum" => self.enumeration(value),
            "const" if at.dialect > Dialect::Draft4 => Ok(self.formulas.equal_to(value)),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                self.bound(at, keyword, value)
            }
            "multipleOf" => self.multiple(value),
            "minLength" => self.length(value, false),
            "maxLength" => self.length(value, true),
            "pattern" => self
                .pattern(value)
                .map(|language| self.formulas.text(language)),
            "format" => self.format(value),
            "items" | "prefixItems" | "additionalItems" => self.items(at, keyword),
            "contains" => self.contains(at, value),
            "minItems" => self.count(value, |f, n| f.item_count(n, None)),
            "maxItems" => self.count(value, |f, n| f.item_count(0, Some(n))),
            "uniqueItems" => self.unique_items(value),
            "properties" | "patternProperties" | "additionalProperties" => {
                self.properties(at, keyword)
            }
            "required" => self.required(at, value),
            "minProperties" => self.count(value, |f, n| f.property_count(n, None)),
            "maxProperties" => self.count(value, |f, n| f.property_count(0, Some(n))),
            "propertyNames" => self.property_names(at, value),
            "dependentRequired" | "dependentSchemas" | "dependencies" => {
                self.dependencies(at, value)
            }
            "allOf" => self
                .schemas(at, value)
                .map(|parts| self.formulas.and(parts)),
            "anyOf" => self.schemas(at, value).map(|parts| self.formulas.or(parts)),
            "oneOf" => self
                .schemas(at, value)
                .map(|parts| self.formulas.exactly_one(parts)),
            "not" => {
                let formula = self.schema(self.registry.child(at, value))?;
                Ok(self.formulas.negate(formula))
            }
            "if" => self.condition(at, value),
            _ => Ok(FormulaId::TRUE),
        }
    }

    // Errors.

    /// A refusal of what is no schema, here.
    pub(super) fn malformed(&self, reason: &str) -> EngineError {
        let (pointer, keyword) = self.path.place(self.document);
        EngineError::Malformed {
            pointer,
            keyword,
            reason: reason.to_owned(),
        }
    }

    /// A refusal of the keyword here.
    pub(super) fn unsupported(&self, reason: &str) -> EngineError {
        let (pointer, keyword) = self.path.holder(self.document);
        EngineError::Unsupported {
            pointer,
            keyword,
            reason: reason.to_owned(),
        }
    }

    // References.

    fn reference(&mut self, at: Located<'a>) -> Result<FormulaId> {
        let target = self.target(at)?;
        self.at(Step::Target(target.value), |t| t.schema(target))
    }

    /// What a schema's `$ref` names.
    pub(super) fn target(&mut self, at: Located<'a>) -> Result<Located<'a>> {
        let Some(Value::String(reference)) = at.value.get("$ref") else {
            return Err(self.malformed("not a string"));
        };
        self.spend_on_reference(at, reference);
        self.registry
            .find(at.resource, reference)
            .ok_or_else(|| self.unknown_reference(reference))
    }

    /// What a schema's `$dynamicRef` names here.
    pub(super) fn dynamic_target(&mut self, at: Located<'a>, value: &Value) -> Result<Located<'a>> {
        let Value::String(reference) = value else {
            return Err(self.malformed("not a string"));
        };
        self.spend_on_reference(at, reference);
        let found = self
            .registry
            .find_dynamic(at.resource, reference, &self.scope);
        found.ok_or_else(|| self.unknown_reference(reference))
    }

    fn dynamic_reference(&mut self, at: Located<'a>, value: &Value) -> Result<FormulaId> {
        let target = self.dynamic_target(at, value)?;
        self.at(Step::Target(target.value), |t| t.schema(target))
    }

    fn spend_on_reference(&mut self, at: Located<'a>, reference: &str) {
        let mut bytes = reference.len();
        if !reference.starts_with('#') {
            bytes += self.registry.base_length(at.resource);
        }
        self.formulas.regexes.spend_steps(bytes / BYTES_OF_A_STEP);
    }

    fn unknown_reference(&self, reference: &str) -> EngineError {
        self.unsupported(&format!("nothing is known under {reference:?}"))
    }

    /// The formulas of an array of schemas.
    pub(super) fn schemas(&mut self, at: Located<'a>, value: &'a Value) -> Result<Vec<FormulaId>> {
        let Value::Array(schemas) = value else {
            return Err(self.malformed("not an array"));
        };
        if schemas.is_empty() {
            return Err(self.malformed("an empty array"));
        }
        let each = schemas.iter().enumerate();
        each.map(|(place, s)| {
            self.at_part(&place.to_string(), |t| t.schema(t.registry.child(at, s)))
        })
        .collect()
    }

    fn condition(&mut self, at: Located<'a>, value: &'a Value) -> Result<FormulaId> {
        if at.dialect < Dialect::Draft7 {
            return Ok(FormulaId::TRUE);
        }
        let condition = self.schema(self.registry.child(at, value))?;
        let then = self.beside(at, "then")?;
        let otherwise = self.beside(at, "else")?;
        if then == FormulaId::TRUE && otherwise == FormulaId::TRUE {
            return Ok(FormulaId::TRUE);
        }
        let met = self.formulas.and([condition, then]);
        let negated = self.formulas.negate(condition);
        let unmet = self.formulas.and([negated, otherwise]);
        Ok(self.formulas.or([met, unmet]))
    }

    /// The schema under a keyword next to this one; anything where there is none.
    pub(super) fn beside(&mut self, at: Located<'a>, keyword: &str) -> Result<FormulaId> {
        let Some(value) = at.value.get(keyword) else {
            return Ok(FormulaId::TRUE);
        };
        self.at_neighbour(keyword, |t| t.schema(t.registry.child(at, value)))
    }

    // Any value.

    fn types(&mut self, at: Located<'a>, value: &Value) -> Result<FormulaId> {
        let names: Vec<&Value> = match value {
            Value::Array(names) if names.is_empty() => return Err(self.malformed("an empty array")),
            Value::Array(names) => names.iter().collect(),
            one => vec![one],
        };
        let (mut kinds, mut integers, mut numbers) = (Kinds::NONE, false, false);
        for name in names {
            let kind = match name.as_str() {
                Some("null") => Kinds::one(Kind::Null),
                Some("boolean") => Kinds::BOOLEAN,
                Some("string") => Kinds::one(Kind::String),
                Some("array") => Kinds::one(Kind::Array),
                Some("object") => Kinds::one(Kind::Object),
                Some("number") => {
                    numbers = true;
                    Kinds::one(Kind::Number)
                }
                Some("integer") => {
                    integers = true;
                    Kinds::one(Kind::Number)
                }
                Some("any") => Kinds::ALL,
                _ => return Err(self.malformed("not the name of a type")),
            };
            kinds = kinds.with(kind);
        }
        let typed = self.formulas.types(kinds);
        if !integers || numbers {
            return Ok(typed);
        }
        let integer = self.formulas.number(integer_of(at.dialect));
        Ok(self.formulas.and([typed, integer]))
    }

    fn enumeration(&mut self, value: &Value) -> Result<FormulaId> {
        let Value::Array(values) = value else {
            return Err(self.malformed("not an array"));
        };
        let values: Vec<&Value> = values.iter().collect();
        Ok(self.formulas.any_of_values(&values))
    }

    // Numbers.

    fn bound(&mut self, at: Located<'a>, keyword: &str, value: &Value) -> Result<FormulaId> {
        if let (Dialect::Draft4, Value::Bool(_)) = (at.dialect, value) {
            return Ok(FormulaId::TRUE); // it belongs to `minimum` or `maximum`
        }
        if let (Value::Bool(_), true) = (value, keyword.starts_with("exclusive")) {
            return Ok(FormulaId::TRUE);
        }
        let value = self.decimal(value)?;
        let lower = keyword.ends_with("inimum");
        let draft4_keyword = if lower {
            "exclusiveMinimum"
        } else {
            "exclusiveMaximum"
        };
        let exclusive = keyword.starts_with("exclusive")
            || matches!(at.value.get(draft4_keyword), Some(Value::Bool(true)));
        let bound = Some(Bound { value, exclusive });
        let goal = if lower {
            NumberGoal {
                lower: bound,
                ..NumberGoal::default()
            }
        } else {
            NumberGoal {
                upper: bound,
                ..NumberGoal::default()
            }
        };
        Ok(self.formulas.number(goal))
    }

    fn multiple(&mut self, value: &Value) -> Result<FormulaId> {
        let divisor = self.decimal(value)?;
        if divisor.is_zero() || divisor.is_negative() {
            return Err(self.malformed("not above zero"));
        }
        Ok(self.formulas.number(NumberGoal {
            multiple_of: vec![divisor],
            ..NumberGoal::default()
        }))
    }

    fn decimal(&self, value: &Value) -> Result<Decimal> {
        value
            .as_number()
            .cloned()
            .ok_or_else(|| self.malformed("not a number"))
    }

    fn natural(&self, value: &Value) -> Result<u32> {
        let number = self.decimal(value)?;
        if !number.is_integer() || number.is_negative() {
            return Err(self.malformed("not a whole number from 0"));
        }
        let most = u64::from(u32::MAX - 1);
        Ok(u32::try_from(number.to_u64().unwrap_or(most).min(most)).unwrap_or(u32::MAX - 1))
    }

    fn count(
        &mut self,
        value: &Value,
        make: impl Fn(&mut Formulas, u32) -> FormulaId,
    ) -> Result<FormulaId> {
        let count = self.natural(value)?;
        Ok(make(&mut self.formulas, count))
    }

    // Strings.

    fn length(&mut self, value: &Value, most: bool) -> Result<FormulaId> {
        let length = self.natural(value)?;
        let regexes = &mut self.formulas.regexes;
        let language = if most {
            regexes.length(0, Some(length))
        } else {
            regexes.length(length, None)
        };
        Ok(self.formulas.text(language))
    }

    /// The language of a `pattern`.
    pub(super) fn pattern(&mut self, value: &Value) -> Result<RegexId> {
        let Value::String(text) = value else {
            return Err(self.malformed("not a string"));
        };
        self.parse_pattern(text)
    }

    /// The language of the strings that contain a match.
    pub(super) fn parse_pattern(&mut self, text: &str) -> Result<RegexId> {
        let parsed = pattern::parse(&mut self.formulas.regexes, text);
        if self.formulas.regexes.starved() {
            self.within_fuel()?;
        }
        parsed.map_err(|error| {
            let reason = format!("{} at {}", error.message, error.offset);
            match error.kind {
                PatternErrorKind::Malformed => self.malformed(&reason),
                PatternErrorKind::Unsupported => self.unsupported(&reason),
            }
        })
    }

    fn format(&mut self, value: &Value) -> Result<FormulaId> {
        let Value::String(name) = value else {
            return Err(self.malformed("not a string"));
        };
        if !self.options.assert_formats {
            return Ok(FormulaId::TRUE);
        }
        let Some(language) = self.format_language(name) else {
            return Ok(FormulaId::TRUE);
        };
        Ok(self.formulas.text(language))
    }

    /// The language of a standard format, which takes long to make and is made once.
    fn format_language(&mut self, name: &str) -> Option<RegexId> {
        if let Some(known) = self.formats.get(name) {
            return Some(*known);
        }
        let language = formats::format(&mut self.formulas.regexes, name)?;
        self.formats.insert(name.to_owned(), language);
        Some(language)
    }

    // Arrays.

    fn unique_items(&mut self, value: &Value) -> Result<FormulaId> {
        match value {
            Value::Bool(true) => Ok(self.formulas.unique(Vec::new())),
            Value::Bool(false) => Ok(FormulaId::TRUE),
            _ => Err(self.malformed("not a boolean")),
        }
    }

    fn items(&mut self, at: Located<'a>, keyword: &str) -> Result<FormulaId> {
        let group = ["items", "prefixItems", "additionalItems"];
        if !is_first(at.value, keyword, &group) {
            return Ok(FormulaId::TRUE);
        }
        let tuple = match (at.value.get("prefixItems"), at.value.get("items")) {
            (Some(Value::Array(schemas)), _) => Some(("prefixItems", schemas)),
            (Some(_), _) => return Err(self.malformed("not an array")),
            (None, Some(Value::Array(schemas))) => Some(("items", schemas)),
            _ => None,
        };
        let prefix = match tuple {
            Some((name, schemas)) => self.prefix(at, name, schemas)?,
            None => Vec::new(),
        };
        let rest = match (tuple, at.value.get("items")) {
            (Some(("items", _)), _) => self.beside(at, "additionalItems")?,
            (_, Some(_)) => self.beside(at, "items")?,
            _ => FormulaId::TRUE,
        };
        Ok(self.formulas.items(ItemTable { prefix, rest }))
    }

    fn prefix(
        &mut self,
        at: Located<'a>,
        name: &str,
        schemas: &'a [Value],
    ) -> Result<Vec<FormulaId>> {
        self.at_neighbour(name, |t| {
            let each = schemas.iter().enumerate();
            each.map(|(place, s)| {
                t.at_part(&place.to_string(), |t| t.schema(t.registry.child(at, s)))
            })
            .collect()
        })
    }

    fn contains(&mut self, at: Located<'a>, value: &'a Value) -> Result<FormulaId> {
        if at.dialect < Dialect::Draft6 {
            return Ok(FormulaId::TRUE);
        }
        let goal = self.schema(self.registry.child(at, value))?;
        let counted = at.dialect >= Dialect::Draft2019;
        let limit = |keyword: &str| at.value.get(keyword).filter(|_| counted);
        let low = limit("minContains").map_or(Ok(1), |n| self.natural(n))?;
        let high = limit("maxContains").map(|n| self.natural(n)).transpose()?;
        Ok(self.formulas.contains(goal, low, high))
    }

    // Objects.

    fn properties(&mut self, at: Located<'a>, keyword: &str) -> Result<FormulaId> {
        let group = ["properties", "patternProperties", "additionalProperties"];
        if !is_first(at.value, keyword, &group) {
            return Ok(FormulaId::TRUE);
        }
        let named = self.each_beside(at, "properties", |t, key, schema| {
            Ok((t.formulas.texts.intern(key.to_owned()), t.schema(schema)?))
        })?;
        let patterns = self.each_beside(at, "patternProperties", |t, key, schema| {
            Ok((t.parse_pattern(key)?, t.schema(schema)?))
        })?;
        let additional = self.beside(at, "additionalProperties")?;
        Ok(self.formulas.properties(PropertyTable {
            named,
            patterns,
            additional,
        }))
    }

    fn each_beside<T>(
        &mut self,
        at: Located<'a>,
        keyword: &str,
        each: impl Fn(&mut Self, &str, Located<'a>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let schemas = match at.value.get(keyword) {
            None => return Ok(Vec::new()),
            Some(Value::Object(schemas)) => schemas,
            Some(_) => return Err(self.malformed("not an object")),
        };
        self.at_neighbour(keyword, |t| {
            let one = |(key, schema): &'a (String, Value)| {
                t.at_part(key, |t| each(t, key, t.registry.child(at, schema)))
            };
            schemas.iter().map(one).collect()
        })
    }

    fn required(&mut self, at: Located<'a>, value: &Value) -> Result<FormulaId> {
        if let (Value::Bool(_), Dialect::Draft4) = (value, at.dialect) {
            // Draft 3 puts it into the property; draft 4 knows no such form.
            return Ok(FormulaId::TRUE);
        }
        let keys = self.names(value)?;
        Ok(self.formulas.required(keys))
    }

    fn names(&mut self, value: &Value) -> Result<Vec<TextId>> {
        let Value::Array(names) = value else {
            return Err(self.malformed("not an array"));
        };
        names
            .iter()
            .map(|name| match name {
                Value::String(name) => Ok(self.formulas.texts.intern(name.clone())),
                _ => Err(self.malformed("not a string")),
            })
            .collect()
    }

    fn property_names(&mut self, at: Located<'a>, value: &'a Value) -> Result<FormulaId> {
        if at.dialect < Dialect::Draft6 {
            return Ok(FormulaId::TRUE);
        }
        let formula = self.schema(self.registry.child(at, value))?;
        let listed = match (value.get("enum"), value.get("const")) {
            (Some(Value::Array(names)), _) => names.iter().collect(),
            (_, Some(name)) => vec![name],
            _ => Vec::new(),
        };
        let strings = self.formulas.restrict(formula, Kind::String);
        let language = self.formulas.text_language(strings);
        let listed: Vec<&str> = listed.into_iter().filter_map(Value::as_str).collect();
        let table = if listed.is_empty() {
            let others = self.formulas.regexes.complement(language);
            PropertyTable {
                named: Vec::new(),
                patterns: vec![(others, FormulaId::FALSE)],
                additional: FormulaId::TRUE,
            }
        } else {
            let named = listed
                .into_iter()
                .filter(|n| self.formulas.regexes.matches(language, n));
            let named: Vec<String> = named.map(str::to_owned).collect();
            let named = named
                .into_iter()
                .map(|n| (self.formulas.texts.intern(n), FormulaId::TRUE))
                .collect();
            PropertyTable {
                named,
                patterns: Vec::new(),
                additional: FormulaId::FALSE,
            }
        };
        Ok(if language == Regexes::ALWAYS {
            FormulaId::TRUE
        } else {
            self.formulas.properties(table)
        })
    }

    fn dependencies(&mut self, at: Located<'a>, value: &'a Value) -> Result<FormulaId> {
        let Value::Object(entries) = value else {
            return Err(self.malformed("not an object"));
        };
        let mut parts = Vec::new();
        for (key, dependency) in entries {
            let then = self.at_part(key, |t| match dependency {
                Value::Array(_) => {
                    let names = t.names(dependency)?;
                    Ok(t.formulas.required(names))
                }
                Value::String(name) => {
                    let name = t.formulas.texts.intern(name.clone());
                    Ok(t.formulas.required(vec![name]))
                }
                _ => t.schema(t.registry.child(at, dependency)),
            })?;
            let key = self.formulas.texts.intern(key.clone());
            let lacks = self.formulas.lacks(key);
            parts.push(self.formulas.or([lacks, then]));
        }
        Ok(self.formulas.and(parts))
    }
}

/// What `integer` means: to draft 4, a number without a fraction or exponent part (section 3.5 of its
/// core); since draft 6, one whose fraction is zero.
fn integer_of(dialect: Dialect) -> NumberGoal {
    match dialect {
        Dialect::Draft4 => NumberGoal::plain(),
        _ => NumberGoal::integer(),
    }
}

/// Whether a keyword is the first of its group in the schema's text.
fn is_first(schema: &Value, keyword: &str, group: &[&str]) -> bool {
    let entries = schema.as_object().unwrap_or_default();
    entries
        .iter()
        .map(|(k, _)| k.as_str())
        .find(|k| group.contains(k))
        == Some(keyword)
}
