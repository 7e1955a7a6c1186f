//! Where every schema of a document is, by URI and anchor (2020-12 core, sections 8.2 and 9).

use std::cell::RefCell;
use std::collections::HashMap;

use crate::json::Value;

/// The rules that a schema's keywords follow.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Dialect {
    Draft4,
    Draft6,
    Draft7,
    Draft2019,
    Draft2020,
}

impl Dialect {
    /// The dialect that a `$schema` names; unknown ones are read as the newest.
    pub fn named(uri: &str) -> Dialect {
        let known = [
            ("draft-03", Dialect::Draft4),
            ("draft-04", Dialect::Draft4),
            ("draft-05", Dialect::Draft4),
            ("draft-06", Dialect::Draft6),
            ("draft-07", Dialect::Draft7),
            ("2019-09", Dialect::Draft2019),
        ];
        let found = known.iter().find(|(name, _)| uri.contains(name));
        found.map_or(Dialect::Draft2020, |(_, dialect)| *dialect)
    }

    /// The keyword that names a schema.
    fn id_keyword(self) -> &'static str {
        if self == Dialect::Draft4 { "id" } else { "$id" }
    }
}

/// A schema in its document: the value, where it stands, and by which rules it is read.
#[derive(Copy, Clone)]
pub struct Located<'a> {
    pub value: &'a Value,
    pub resource: ResourceId,
    pub dialect: Dialect,
}

/// A schema resource: a document, or a part of one with an id of its own.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct ResourceId(pub u32);

struct Resource<'a> {
    uri: String,
    root: &'a Value,
    dialect: Dialect,
    anchors: HashMap<&'a str, &'a Value>,
    dynamic_anchors: HashMap<&'a str, &'a Value>,
    recursive: bool,
    /// The first resource of the same URI, which references to it mean.
    first: ResourceId,
}

/// Bytes of all URIs together: a relative one is kept with all of its base.
pub const MAX_URI_BYTES: usize = 32 << 20;
/// Members from which on an object's are found by a table of them.
const MANY_MEMBERS: usize = 32;

/// Members of objects that have many, by key.
type Members<'a> = HashMap<*const Value, HashMap<&'a str, &'a Value>>;

/// All resources of the documents given.
#[derive(Default)]
pub struct Registry<'a> {
    resources: Vec<Resource<'a>>,
    by_uri: HashMap<String, ResourceId>,
    resource_of: HashMap<*const Value, ResourceId>,
    members: RefCell<Members<'a>>,
    uri_bytes: usize,
    pub has_dynamic_scope: bool,
}

const HOLD_SCHEMA: [&str; 17] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "prefixItems",
    "extends",
];
const HOLD_SCHEMAS_BY_NAME: [&str; 6] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
    "dependencies",
];

impl<'a> Registry<'a> {
    /// Add a document under its retrieval URI.
    pub fn add(&mut self, uri: &str, document: &'a Value, default: Dialect) -> ResourceId {
        let dialect = match document.get("$schema") {
            Some(Value::String(named)) => Dialect::named(named),
            _ => default,
        };
        let id = self.add_resource(uri, document, dialect);
        self.scan(document, id);
        id
    }

    /// Add a document under its URI if there is none.
    pub fn add_unless_known(&mut self, uri: &str, document: &'a Value) {
        if !self.by_uri.contains_key(uri) {
            self.add(uri, document, Dialect::Draft2020);
        }
    }

    fn add_resource(&mut self, base: &str, root: &'a Value, dialect: Dialect) -> ResourceId {
        let named = match root.get(dialect.id_keyword()) {
            Some(Value::String(id)) if !id.starts_with('#') => resolve_uri(base, id),
            _ => base.to_owned(),
        };
        let uri = split_fragment(&named).0.to_owned();
        let id = ResourceId(u32::try_from(self.resources.len()).unwrap_or(u32::MAX));
        self.uri_bytes += uri.len();
        self.by_uri
            .entry(split_fragment(base).0.to_owned())
            .or_insert(id);
        let first = *self.by_uri.entry(uri.clone()).or_insert(id);
        let recursive = matches!(root.get("$recursiveAnchor"), Some(Value::Bool(true)));
        self.has_dynamic_scope |= recursive;
        self.resources.push(Resource {
            uri,
            root,
            dialect,
            anchors: HashMap::new(),
            dynamic_anchors: HashMap::new(),
            recursive,
            first,
        });
        id
    }

    /// Whether the URIs take more than they may: not all schemas are known then.
    pub fn is_full(&self) -> bool {
        self.uri_bytes > MAX_URI_BYTES
    }

    /// How long the URI is that references in a resource are resolved against.
    pub fn base_length(&self, resource: ResourceId) -> usize {
        self.resources[resource.0 as usize].uri.len()
    }

    fn scan(&mut self, root: &'a Value, resource: ResourceId) {
        let mut open = vec![(root, resource)];
        while let Some((value, resource)) = open.pop().filter(|_| !self.is_full()) {
            let resource = self.enter(value, resource);
            self.resource_of.insert(value, resource);
            let Value::Object(entries) = value else {
                continue;
            };
            if self.ignores_siblings(value, resource) {
                continue;
            }
            for (keyword, held) in entries {
                let named = HOLD_SCHEMAS_BY_NAME.contains(&keyword.as_str());
                match held {
                    Value::Object(parts) if named => {
                        open.extend(parts.iter().map(|(_, v)| (v, resource)))
                    }
                    Value::Array(parts) if HOLD_SCHEMA.contains(&keyword.as_str()) => {
                        open.extend(parts.iter().map(|v| (v, resource)));
                    }
                    Value::Object(_) if HOLD_SCHEMA.contains(&keyword.as_str()) => {
                        open.push((held, resource))
                    }
                    _ => {}
                }
            }
        }
    }

    /// The resource that a schema belongs to, a new one where it has an id of its own.
    fn enter(&mut self, value: &'a Value, parent: ResourceId) -> ResourceId {
        let dialect = self.dialect(parent);
        let mut resource = parent;
        let own_id = match value.get(dialect.id_keyword()) {
            Some(Value::String(id)) if !self.ignores_siblings(value, parent) => Some(id.as_str()),
            _ => None,
        };
        match own_id {
            Some(id) if id.starts_with('#') => {
                self.resources[parent.0 as usize]
                    .anchors
                    .insert(&id[1..], value);
            }
            Some(_) if !std::ptr::eq(self.resources[parent.0 as usize].root, value) => {
                let dialect = match value.get("$schema") {
                    Some(Value::String(named)) => Dialect::named(named),
                    _ => dialect,
                };
                let base = self.resources[parent.0 as usize].uri.clone();
                resource = self.add_resource(&base, value, dialect);
            }
            _ => {}
        }
        let own = &mut self.resources[resource.0 as usize];
        if let Some(Value::String(anchor)) = value.get("$anchor") {
            own.anchors.insert(anchor, value);
        }
        if let Some(Value::String(anchor)) = value.get("$dynamicAnchor") {
            own.anchors.insert(anchor, value);
            own.dynamic_anchors.insert(anchor, value);
            self.has_dynamic_scope = true;
        }
        resource
    }

    fn ignores_siblings(&self, value: &Value, resource: ResourceId) -> bool {
        self.dialect(resource) <= Dialect::Draft7
            && matches!(value.get("$ref"), Some(Value::String(_)))
    }

    fn dialect(&self, resource: ResourceId) -> Dialect {
        self.resources[resource.0 as usize].dialect
    }

    fn locate(&self, value: &'a Value, otherwise: ResourceId) -> Located<'a> {
        let resource = self
            .resource_of
            .get(&std::ptr::from_ref(value))
            .copied()
            .unwrap_or(otherwise);
        Located {
            value,
            resource,
            dialect: self.dialect(resource),
        }
    }

    /// A part of a schema that is a schema itself.
    pub fn child(&self, of: Located<'a>, value: &'a Value) -> Located<'a> {
        self.locate(value, of.resource)
    }

    /// The whole schema of a resource.
    pub fn root(&self, resource: ResourceId) -> Located<'a> {
        self.locate(self.resources[resource.0 as usize].root, resource)
    }

    /// What a reference in a schema of this resource names.
    pub fn find(&self, from: ResourceId, reference: &str) -> Option<Located<'a>> {
        if let Some(fragment) = reference.strip_prefix('#') {
            return self.find_in(self.resources[from.0 as usize].first, fragment);
        }
        let absolute = resolve_uri(&self.resources[from.0 as usize].uri, reference);
        let (uri, fragment) = split_fragment(&absolute);
        let resource = *self
            .by_uri
            .get(uri)
            .or_else(|| self.by_uri.get(uri.trim_end_matches('#')))?;
        self.find_in(resource, fragment)
    }

    /// What a fragment names in a resource.
    fn find_in(&self, resource: ResourceId, fragment: &str) -> Option<Located<'a>> {
        let fragment = percent_decoded(fragment)?;
        if fragment.is_empty() {
            return Some(self.root(resource));
        }
        if fragment.starts_with('/') {
            return self.follow(resource, &fragment);
        }
        let anchor = *self.resources[resource.0 as usize]
            .anchors
            .get(fragment.as_str())?;
        Some(self.locate(anchor, resource))
    }

    fn follow(&self, resource: ResourceId, pointer: &str) -> Option<Located<'a>> {
        let mut at = self.root(resource);
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let value = match at.value {
                Value::Object(members) if members.len() > MANY_MEMBERS => {
                    self.member(at.value, members, &token)?
                }
                Value::Object(_) => at.value.get(&token)?,
                Value::Array(items) => items.get(token.parse::<usize>().ok()?)?,
                _ => return None,
            };
            at = self.locate(value, at.resource);
        }
        Some(at)
    }

    fn member(
        &self,
        object: &'a Value,
        members: &'a [(String, Value)],
        key: &str,
    ) -> Option<&'a Value> {
        let mut known = self.members.borrow_mut();
        let by_key = known.entry(object).or_insert_with(|| {
            let members = members.iter();
            members.map(|(key, held)| (key.as_str(), held)).collect()
        });
        by_key.get(key).copied()
    }

    /// What a `$dynamicRef` names in a scope of resources entered, the outermost first.
    pub fn find_dynamic(
        &self,
        from: ResourceId,
        reference: &str,
        scope: &[ResourceId],
    ) -> Option<Located<'a>> {
        let first = self.find(from, reference)?;
        let anchor = reference.rsplit_once('#').map_or("", |(_, anchor)| anchor);
        let own = &self.resources[first.resource.0 as usize];
        let is_dynamic = own
            .dynamic_anchors
            .get(anchor)
            .is_some_and(|v| std::ptr::eq(*v, first.value));
        if !is_dynamic {
            return Some(first);
        }
        let outermost = scope.iter().find_map(|resource| {
            let value = *self.resources[resource.0 as usize]
                .dynamic_anchors
                .get(anchor)?;
            Some(self.locate(value, *resource))
        });
        outermost.or(Some(first))
    }

    /// How many parts of a resource dynamic references may name.
    pub fn dynamic_count(&self, resource: ResourceId) -> usize {
        self.resources[resource.0 as usize].dynamic_anchors.len()
    }

    /// Whether a dynamic reference may name a part of a resource that is entered in this scope: not
    /// if those entered before have all that is dynamic in it.
    pub fn widens(&self, scope: &[ResourceId], entered: ResourceId) -> bool {
        if scope.contains(&entered) {
            return false;
        }
        let entered = &self.resources[entered.0 as usize];
        let outer = || scope.iter().map(|r| &self.resources[r.0 as usize]);
        let is_new = |anchor: &&str| outer().all(|r| !r.dynamic_anchors.contains_key(*anchor));
        entered.dynamic_anchors.keys().any(is_new)
            || entered.recursive && !outer().any(|r| r.recursive)
    }

    /// What a `$recursiveRef` (2019-09) names.
    pub fn find_recursive(&self, from: ResourceId, scope: &[ResourceId]) -> Located<'a> {
        if !self.resources[from.0 as usize].recursive {
            return self.root(from);
        }
        let outermost = scope
            .iter()
            .find(|r| self.resources[r.0 as usize].recursive);
        self.root(outermost.copied().unwrap_or(from))
    }
}

/// Split a URI at its fragment.
fn split_fragment(uri: &str) -> (&str, &str) {
    uri.split_once('#').unwrap_or((uri, ""))
}

fn percent_decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (*first, tail) {
            let digit = |b: &u8| (*b as char).to_digit(16);
            bytes.push((digit(high)? * 16 + digit(low)?) as u8);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Resolve a reference against a base (RFC 3986, section 5.2).
fn resolve_uri(base: &str, reference: &str) -> String {
    let base = split_fragment(base).0;
    let (path, _) = split_fragment(reference);
    if path.is_empty() {
        return format!("{base}{reference}");
    }
    if has_scheme(path) {
        return reference.to_owned();
    }
    let (scheme, rest) = match base.split_once(':') {
        Some((scheme, rest)) if has_scheme(base) => (format!("{scheme}:"), rest),
        _ => (String::new(), base),
    };
    if reference.starts_with("//") {
        return format!("{scheme}{reference}");
    }
    let (authority, base_path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (format!("//{}", &rest[..end]), &rest[end..])
        }
        None => (String::new(), rest),
    };
    if reference.starts_with('/') {
        return format!("{scheme}{authority}{reference}");
    }
    let folder = base_path.rfind('/').map_or("", |at| &base_path[..=at]);
    let (path, fragment) = reference
        .split_once('#')
        .map_or((reference, None), |(p, f)| (p, Some(f)));
    let joined = without_dots(&format!("{folder}{path}"));
    let slash = if authority.is_empty() || joined.starts_with('/') {
        ""
    } else {
        "/"
    };
    let fragment = fragment.map_or(String::new(), |f| format!("#{f}"));
    format!("{scheme}{authority}{slash}{joined}{fragment}")
}

fn has_scheme(uri: &str) -> bool {
    let Some((scheme, _)) = uri.split_once(':') else {
        return false;
    };
    let mut letters = scheme.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_against_their_base() {
        assert_eq!(
            resolve_uri("http://a.test/b/c.json", "d.json#x"),
            "http://a.test/b/d.json#x"
        );
        assert_eq!(
            resolve_uri("http://a.test/b/c.json", "../d"),
            "http://a.test/d"
        );
        assert_eq!(
            resolve_uri("http://a.test/b/c.json", "/d"),
            "http://a.test/d"
        );
        assert_eq!(
            resolve_uri("http://a.test/b/c.json", "#/x"),
            "http://a.test/b/c.json#/x"
        );
        assert_eq!(
            resolve_uri("http://a.test", "x.json"),
            "http://a.test/x.json"
        );
        assert_eq!(resolve_uri("urn:a:b", "#c"), "urn:a:b#c");
        assert_eq!(resolve_uri("", "node.json"), "node.json");
    }
}
