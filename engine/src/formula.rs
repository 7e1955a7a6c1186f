//! Formulas: Boolean combinations of assertions about one JSON value, hash-consed.
//!
//! Every assertion speaks of one JSON type and holds of values of all others, as the keywords of
//! JSON Schema do. Negation is pushed to the leaves, where each assertion has a dual, so that a
//! formula is built of conjunction and disjunction alone and can be read by derivatives
//! (alternating automata; Owens et al., "Regular-expression derivatives re-examined", 2009).

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, RandomState};
use std::sync::Arc;

use crate::hashing::{IdHasher, IdMap, IdSet};
use crate::json::Value;
use crate::number::{Bound, NumberGoal};
use crate::regex::{RegexId, Regexes};

/// A JSON type, `true` and `false` apart.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::Null,
        Kind::True,
        Kind::False,
        Kind::Number,
        Kind::String,
        Kind::Array,
        Kind::Object,
    ];

    /// The kind of a value.
    pub fn of(value: &Value) -> Kind {
        match value {
            Value::Null => Kind::Null,
            Value::Bool(true) => Kind::True,
            Value::Bool(false) => Kind::False,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }
}

/// A set of kinds.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kinds(u8);

impl Kinds {
    /// The empty set.
    pub const NONE: Kinds = Kinds(0);
    /// Every kind.
    pub const ALL: Kinds = Kinds(127);
    /// `true` and `false`.
    pub const BOOLEAN: Kinds = Kinds(1 << Kind::True as u8 | 1 << Kind::False as u8);

    /// The set of one kind.
    pub fn one(kind: Kind) -> Kinds {
        Kinds(1 << kind as u8)
    }

    /// The union.
    pub fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// All other kinds.
    pub fn complement(self) -> Kinds {
        Kinds(!self.0 & Kinds::ALL.0)
    }

    /// Whether a kind is a member.
    pub fn contains(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

/// Declares a newtyped index into an interner.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
        impl From<usize> for $name {
            fn from(index: usize) -> Self { $name(u32::try_from(index).unwrap_or(u32::MAX)) }
        }
        impl From<$name> for usize {
            fn from(id: $name) -> usize { id.0 as usize }
        }
    )*};
}
pub(crate) use ids;

ids! {
    /// A hash-consed formula.
    FormulaId,
    /// An interned text: a property name or a decoded string.
    TextId,
    /// An interned sorted set of property names.
    KeySetId,
    /// An interned constraint on numbers.
    GoalId,
    /// What an object schema says of its properties.
    PropertyTableId,
    /// What an array schema says of its items.
    ItemTableId,
    /// A schema that a reference names, translated once.
    SchemaId,
    /// An interned set of values, for `uniqueItems`.
    ValueSetId,
    /// An interned JSON value.
    ValueId,
}

/// Values seen once each, numbered in order of appearance.
pub struct Interner<T, Id, Hashing = BuildHasherDefault<IdHasher>> {
    ids: HashMap<Arc<T>, Id, Hashing>,
    values: Vec<Arc<T>>,
}

/// An interner of what a caller chooses, with the standard, keyed hash.
pub type KeyedInterner<T, Id> = Interner<T, Id, RandomState>;

impl<T: Hash + Eq, Id, Hashing: BuildHasher + Default> Default for Interner<T, Id, Hashing> {
    fn default() -> Self {
        Interner {
            ids: HashMap::default(),
            values: Vec::new(),
        }
    }
}

impl<T: Hash + Eq, Id: Copy + From<usize> + Into<usize>, Hashing: BuildHasher>
    Interner<T, Id, Hashing>
{
    /// The id of a value, old or new.
    pub fn intern(&mut self, value: T) -> Id {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let (value, id) = (Arc::new(value), Id::from(self.values.len()));
        self.values.push(Arc::clone(&value));
        self.ids.insert(value, id);
        id
    }

    /// The id of a value that was seen before.
    pub fn find<Q: Hash + Eq + ?Sized>(&self, value: &Q) -> Option<Id>
    where
        Arc<T>: Borrow<Q>,
    {
        self.ids.get(value).copied()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The value with an id.
    pub fn get(&self, id: Id) -> &Arc<T> {
        &self.values[id.into()]
    }
}

/// What one value must fulfil.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Formula {
    True,
    False,
    And(Box<[FormulaId]>),
    Or(Box<[FormulaId]>),
    /// Exactly one of these holds.
    ExactlyOne(Box<[FormulaId]>),
    /// The value is of one of these kinds.
    Types(Kinds),
    /// A string is in the language.
    Text(RegexId),
    /// A number fulfils the goal, which is a single constraint.
    Number(GoalId),
    /// Every property of an object (with `violated`: not every one) fulfils the table.
    Properties {
        table: PropertyTableId,
        violated: bool,
    },
    /// An object still needs all of these properties.
    Required(KeySetId),
    /// An object never has this property.
    Lacks(TextId),
    /// An object has so many more properties.
    PropertyCount {
        low: u32,
        high: Option<u32>,
    },
    /// Every item from `from` on (with `violated`: not every one) fulfils the table.
    Items {
        table: ItemTableId,
        from: u32,
        violated: bool,
    },
    /// An array has so many more items.
    ItemCount {
        low: u32,
        high: Option<u32>,
    },
    /// So many of the items to come fulfil the goal.
    Contains {
        goal: FormulaId,
        low: u32,
        high: Option<u32>,
    },
    /// The items to come differ from these and from each other.
    Unique(ValueSetId),
    /// The opposite of `Unique`: an item to come equals one of these or another.
    Repeats(ValueSetId),
    /// What a reference names (or its negation), looked up when it is needed.
    Reference {
        schema: SchemaId,
        negated: bool,
    },
}

/// What an object schema says of its properties: by name, by pattern, and of all others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PropertyTable {
    pub named: Vec<(TextId, FormulaId)>,
    pub patterns: Vec<(RegexId, FormulaId)>,
    pub additional: FormulaId,
}

/// What an array schema says of its items: the first ones by place, then all others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ItemTable {
    pub prefix: Vec<FormulaId>,
    pub rest: FormulaId,
}

/// Steps that a part of a new formula takes: to be compared, hashed and kept.
const PART_STEPS: usize = 4;
/// The same for a key of a set of keys.
const KEY_STEPS: usize = 2;

/// The arena of all formulas of a grammar and what they speak of.
pub struct Formulas {
    pub regexes: Regexes,
    formulas: Interner<Formula, FormulaId>,
    pub texts: KeyedInterner<String, TextId>,
    pub key_sets: Interner<Vec<TextId>, KeySetId>,
    pub goals: KeyedInterner<NumberGoal, GoalId>,
    pub property_tables: Interner<PropertyTable, PropertyTableId>,
    pub item_tables: Interner<ItemTable, ItemTableId>,
    pub values: KeyedInterner<Value, ValueId>,
    pub value_sets: Interner<Vec<ValueId>, ValueSetId>,
    schemas: Vec<Option<FormulaId>>,
    negations: IdMap<FormulaId, FormulaId>,
    restrictions: IdMap<(FormulaId, Kind), FormulaId>,
    texts_of: IdMap<FormulaId, RegexId>,
    named_positions: IdMap<PropertyTableId, Arc<IdMap<TextId, FormulaId>>>,
}

impl FormulaId {
    /// Holds of every value.
    pub const TRUE: FormulaId = FormulaId(0);
    /// Holds of none.
    pub const FALSE: FormulaId = FormulaId(1);
}

impl Formulas {
    /// An arena that knows the constants alone.
    pub fn new() -> Self {
        let mut made = Formulas {
            regexes: Regexes::new(),
            formulas: Interner::default(),
            texts: Interner::default(),
            key_sets: Interner::default(),
            goals: Interner::default(),
            property_tables: Interner::default(),
            item_tables: Interner::default(),
            values: Interner::default(),
            value_sets: Interner::default(),
            schemas: Vec::new(),
            negations: IdMap::default(),
            restrictions: IdMap::default(),
            texts_of: IdMap::default(),
            named_positions: IdMap::default(),
        };
        made.formulas.intern(Formula::True);
        made.formulas.intern(Formula::False);
        made
    }

    /// How many formulas, texts and values there are.
    pub fn count(&self) -> usize {
        self.formulas.len() + self.texts.len() + self.values.len() + self.value_sets.len()
    }

    /// The formula with an id.
    pub fn get(&self, id: FormulaId) -> &Arc<Formula> {
        self.formulas.get(id)
    }

    /// A conjunction: flattened, without repetitions, in order of appearance.
    pub fn and(&mut self, parts: impl IntoIterator<Item = FormulaId>) -> FormulaId {
        let mut kept = Distinct::default();
        for part in parts {
            match &**self.get(part) {
                Formula::True => {}
                Formula::False => return FormulaId::FALSE,
                Formula::And(inner) => inner.iter().for_each(|p| kept.push(*p)),
                _ => kept.push(part),
            }
        }
        match self.charged(kept)[..] {
            [] => FormulaId::TRUE,
            [only] => only,
            ref parts => self.formulas.intern(Formula::And(parts.into())),
        }
    }

    /// The parts of a new formula, charged for; none where that took the last fuel.
    fn charged(&mut self, kept: Distinct) -> Vec<FormulaId> {
        let steps = kept.pushed * PART_STEPS;
        if self.regexes.spend_steps(steps) {
            kept.parts
        } else {
            Vec::new()
        }
    }

    /// A disjunction: flattened, without repetitions, in order of appearance.
    pub fn or(&mut self, parts: impl IntoIterator<Item = FormulaId>) -> FormulaId {
        let mut kept = Distinct::default();
        for part in parts {
            match &**self.get(part) {
                Formula::False => {}
                Formula::True => return FormulaId::TRUE,
                Formula::Or(inner) => inner.iter().for_each(|p| kept.push(*p)),
                _ => kept.push(part),
            }
        }
        match self.charged(kept)[..] {
            [] => FormulaId::FALSE,
            [only] => only,
            ref parts => self.formulas.intern(Formula::Or(parts.into())),
        }
    }

    /// The formula of values for which exactly one of these holds.
    pub fn exactly_one(&mut self, parts: Vec<FormulaId>) -> FormulaId {
        match parts.as_slice() {
            [only] => *only,
            _ => self.formulas.intern(Formula::ExactlyOne(parts.into())),
        }
    }

    /// The value is of one of these kinds.
    pub fn types(&mut self, kinds: Kinds) -> FormulaId {
        match kinds {
            Kinds::ALL => FormulaId::TRUE,
            Kinds::NONE => FormulaId::FALSE,
            _ => self.formulas.intern(Formula::Types(kinds)),
        }
    }

    /// A string is in the language.
    pub fn text(&mut self, language: RegexId) -> FormulaId {
        match language {
            Regexes::ALWAYS => FormulaId::TRUE,
            Regexes::NEVER => self.types(Kinds::one(Kind::String).complement()),
            _ => self.formulas.intern(Formula::Text(language)),
        }
    }

    /// A number fulfils the goal.
    pub fn number(&mut self, goal: NumberGoal) -> FormulaId {
        let goal = self.goals.intern(goal);
        self.formulas.intern(Formula::Number(goal))
    }

    /// Every property of an object fulfils the table.
    pub fn properties(&mut self, table: PropertyTable) -> FormulaId {
        let open = table.additional == FormulaId::TRUE
            && table.named.iter().all(|(_, f)| *f == FormulaId::TRUE)
            && table.patterns.iter().all(|(_, f)| *f == FormulaId::TRUE);
        let named = !table.named.is_empty();
        if open && !named {
            return FormulaId::TRUE;
        }
        let table = self.property_tables.intern(table);
        self.formulas.intern(Formula::Properties {
            table,
            violated: false,
        })
    }

    /// An object has all of these properties.
    pub fn required(&mut self, mut keys: Vec<TextId>) -> FormulaId {
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() || !self.regexes.spend_steps(KEY_STEPS * keys.len()) {
            return FormulaId::TRUE;
        }
        let set = self.key_sets.intern(keys);
        self.formulas.intern(Formula::Required(set))
    }

    /// An object does not have this property.
    pub fn lacks(&mut self, key: TextId) -> FormulaId {
        self.formulas.intern(Formula::Lacks(key))
    }

    /// An object has so many properties.
    pub fn property_count(&mut self, low: u32, high: Option<u32>) -> FormulaId {
        match range(low, high) {
            Range::All => FormulaId::TRUE,
            Range::Nothing => FormulaId::FALSE,
            Range::Some => self.formulas.intern(Formula::PropertyCount { low, high }),
        }
    }

    /// Every item of an array fulfils the table.
    pub fn items(&mut self, table: ItemTable) -> FormulaId {
        if table.rest == FormulaId::TRUE && table.prefix.iter().all(|f| *f == FormulaId::TRUE) {
            return FormulaId::TRUE;
        }
        let table = self.item_tables.intern(table);
        self.formulas.intern(Formula::Items {
            table,
            from: 0,
            violated: false,
        })
    }

    /// Every item from a place on (with `violated`: not every one) fulfils the table.
    pub fn items_from(&mut self, table: ItemTableId, from: u32, violated: bool) -> FormulaId {
        self.formulas.intern(Formula::Items {
            table,
            from,
            violated,
        })
    }

    /// An array has so many items.
    pub fn item_count(&mut self, low: u32, high: Option<u32>) -> FormulaId {
        match range(low, high) {
            Range::All => FormulaId::TRUE,
            Range::Nothing => FormulaId::FALSE,
            Range::Some => self.formulas.intern(Formula::ItemCount { low, high }),
        }
    }

    /// So many items of an array fulfil the goal.
    pub fn contains(&mut self, goal: FormulaId, low: u32, high: Option<u32>) -> FormulaId {
        match range(low, high) {
            Range::All => FormulaId::TRUE,
            Range::Nothing => FormulaId::FALSE,
            Range::Some => self.formulas.intern(Formula::Contains { goal, low, high }),
        }
    }

    /// The items differ from these and from each other.
    pub fn unique(&mut self, seen: Vec<ValueId>) -> FormulaId {
        let seen = self.value_sets.intern(seen);
        self.formulas.intern(Formula::Unique(seen))
    }

    /// An item equals one of these or another item.
    pub fn repeats(&mut self, seen: Vec<ValueId>) -> FormulaId {
        let seen = self.value_sets.intern(seen);
        self.formulas.intern(Formula::Repeats(seen))
    }

    /// A place for a schema that is being translated; references may name it already.
    pub fn declare_schema(&mut self) -> SchemaId {
        self.schemas.push(None);
        SchemaId::from(self.schemas.len() - 1)
    }

    /// Says what a declared schema is.
    pub fn define_schema(&mut self, schema: SchemaId, formula: FormulaId) {
        self.schemas[usize::from(schema)] = Some(formula);
    }

    /// What a schema says, looked up when it is needed.
    pub fn reference(&mut self, schema: SchemaId) -> FormulaId {
        self.formulas.intern(Formula::Reference {
            schema,
            negated: false,
        })
    }

    /// What a reference stands for.
    pub fn resolve(&mut self, schema: SchemaId, negated: bool) -> FormulaId {
        let formula = self.schemas[usize::from(schema)].unwrap_or(FormulaId::FALSE);
        if negated {
            self.negate(formula)
        } else {
            formula
        }
    }

    /// The negation, pushed to the leaves.
    pub fn negate(&mut self, id: FormulaId) -> FormulaId {
        if let Some(known) = self.negations.get(&id) {
            return *known;
        }
        if !self.regexes.spend(1) {
            return FormulaId::FALSE;
        }
        let formula = Arc::clone(self.get(id));
        let negated = match &*formula {
            Formula::True => FormulaId::FALSE,
            Formula::False => FormulaId::TRUE,
            Formula::And(parts) => {
                let parts: Vec<_> = parts.iter().map(|p| self.negate(*p)).collect();
                self.or(parts)
            }
            Formula::Or(parts) => {
                let parts: Vec<_> = parts.iter().map(|p| self.negate(*p)).collect();
                self.and(parts)
            }
            Formula::ExactlyOne(parts) => self.not_exactly_one(parts),
            Formula::Types(kinds) => self.types(kinds.complement()),
            Formula::Reference { schema, negated } => self.formulas.intern(Formula::Reference {
                schema: *schema,
                negated: !negated,
            }),
            Formula::Text(_) => self.dual(Kind::String, &formula),
            Formula::Number(_) => self.dual(Kind::Number, &formula),
            Formula::Items { .. }
            | Formula::ItemCount { .. }
            | Formula::Contains { .. }
            | Formula::Unique(_)
            | Formula::Repeats(_) => self.dual(Kind::Array, &formula),
            Formula::Properties { .. }
            | Formula::Required(_)
            | Formula::Lacks(_)
            | Formula::PropertyCount { .. } => self.dual(Kind::Object, &formula),
        };
        if !self.regexes.is_void() {
            self.negations.insert(id, negated);
        }
        negated
    }

    fn dual(&mut self, kind: Kind, formula: &Formula) -> FormulaId {
        let own = self.types(Kinds::one(kind));
        let dual = match formula {
            Formula::Number(goal) => {
                let goal = negated_constraint(self.goals.get(*goal));
                self.number(goal)
            }
            Formula::Text(language) => {
                let language = self.regexes.complement(*language);
                self.text(language)
            }
            Formula::Properties { table, violated } => self.formulas.intern(Formula::Properties {
                table: *table,
                violated: !violated,
            }),
            Formula::Required(keys) => {
                let keys = Arc::clone(self.key_sets.get(*keys));
                let lacking: Vec<_> = keys.iter().map(|k| self.lacks(*k)).collect();
                self.or(lacking)
            }
            Formula::Lacks(key) => self.required(vec![*key]),
            Formula::PropertyCount { low, high } => {
                let below = low.checked_sub(1).map(|n| self.property_count(0, Some(n)));
                let above = high.map(|n| self.property_count(n.saturating_add(1), None));
                self.or(below.into_iter().chain(above))
            }
            Formula::Items {
                table,
                from,
                violated,
            } => self.items_from(*table, *from, !violated),
            Formula::ItemCount { low, high } => {
                let below = low.checked_sub(1).map(|n| self.item_count(0, Some(n)));
                let above = high.map(|n| self.item_count(n.saturating_add(1), None));
                self.or(below.into_iter().chain(above))
            }
            Formula::Contains { goal, low, high } => {
                let below = low.checked_sub(1).map(|n| self.contains(*goal, 0, Some(n)));
                let above = high.map(|n| self.contains(*goal, n.saturating_add(1), None));
                self.or(below.into_iter().chain(above))
            }
            Formula::Unique(seen) => self.formulas.intern(Formula::Repeats(*seen)),
            Formula::Repeats(seen) => self.formulas.intern(Formula::Unique(*seen)),
            _ => FormulaId::TRUE,
        };
        self.and([own, dual])
    }

    /// What is left of a formula for a value of this kind.
    pub fn restrict(&mut self, id: FormulaId, kind: Kind) -> FormulaId {
        if let Some(known) = self.restrictions.get(&(id, kind)) {
            return *known;
        }
        if !self.regexes.spend(1) {
            return FormulaId::FALSE;
        }
        // A reference that leads back here without a value between them has no finite meaning.
        self.restrictions.insert((id, kind), FormulaId::FALSE);
        let formula = Arc::clone(self.get(id));
        let left = match &*formula {
            Formula::And(parts) => self.restrict_together(parts, kind),
            Formula::Or(parts) => {
                let parts: Vec<_> = parts.iter().map(|p| self.restrict(*p, kind)).collect();
                self.or(parts)
            }
            Formula::ExactlyOne(parts) => self.spell_out_one(parts, kind, FormulaId::TRUE),
            Formula::Types(kinds) if kinds.contains(kind) => FormulaId::TRUE,
            Formula::Types(_) => FormulaId::FALSE,
            Formula::Reference { schema, negated } => {
                let target = self.resolve(*schema, *negated);
                self.restrict(target, kind)
            }
            other if other.speaks_of(kind) => id,
            _ => FormulaId::TRUE,
        };
        if self.regexes.is_void() {
            self.restrictions.remove(&(id, kind));
        } else {
            self.restrictions.insert((id, kind), left);
        }
        left
    }

    /// The language of the strings that fulfil a formula restricted to strings.
    pub fn text_language(&mut self, id: FormulaId) -> RegexId {
        if let Some(known) = self.texts_of.get(&id) {
            return *known;
        }
        let formula = Arc::clone(self.get(id));
        if !self.regexes.spend(1) {
            return Regexes::NEVER;
        }
        let language = match &*formula {
            Formula::True => Regexes::ALWAYS,
            Formula::Text(language) => *language,
            Formula::And(parts) => {
                let parts = parts.iter().map(|p| self.text_language(*p)).collect();
                self.regexes.intersection_all(parts)
            }
            Formula::Or(parts) => {
                let parts = parts.iter().map(|p| self.text_language(*p)).collect();
                self.regexes.union_all(parts)
            }
            _ => Regexes::NEVER,
        };
        if !self.regexes.is_void() {
            self.texts_of.insert(id, language);
        }
        language
    }

    /// What a table says of the property of this name.
    pub fn property_goal(&mut self, table: PropertyTableId, key: TextId) -> FormulaId {
        let contents = Arc::clone(self.property_tables.get(table));
        let named = Arc::clone(
            self.named_positions
                .entry(table)
                .or_insert_with(|| Arc::new(contents.named.iter().copied().collect())),
        );
        let text = Arc::clone(self.texts.get(key));
        let steps = contents.patterns.len().saturating_mul(text.len() + 1);
        if !self.regexes.spend_steps(steps) {
            return FormulaId::FALSE;
        }
        let mut goals: Vec<FormulaId> = named.get(&key).copied().into_iter().collect();
        let matching = contents
            .patterns
            .iter()
            .filter(|(p, _)| self.regexes.matches(*p, &text));
        goals.extend(matching.map(|(_, goal)| *goal));
        if goals.is_empty() {
            contents.additional
        } else {
            self.and(goals)
        }
    }

    /// What the item at a place must fulfil.
    pub fn item_goal(&self, table: ItemTableId, place: u32) -> FormulaId {
        let table = self.item_tables.get(table);
        table
            .prefix
            .get(place as usize)
            .copied()
            .unwrap_or(table.rest)
    }
}

impl Formula {
    fn speaks_of(&self, kind: Kind) -> bool {
        match self {
            Formula::True | Formula::False => true,
            Formula::Text(_) => kind == Kind::String,
            Formula::Number(_) => kind == Kind::Number,
            Formula::Properties { .. }
            | Formula::Required(_)
            | Formula::Lacks(_)
            | Formula::PropertyCount { .. } => kind == Kind::Object,
            Formula::Items { .. }
            | Formula::ItemCount { .. }
            | Formula::Contains { .. }
            | Formula::Unique(_)
            | Formula::Repeats(_) => kind == Kind::Array,
            _ => false,
        }
    }
}

enum Range {
    All,
    Some,
    Nothing,
}

fn range(low: u32, high: Option<u32>) -> Range {
    match (low, high) {
        (0, None) => Range::All,
        (low, Some(high)) if low > high => Range::Nothing,
        _ => Range::Some,
    }
}

/// Formulas in order of first appearance; a set beside them once they are many.
#[derive(Default)]
struct Distinct {
    parts: Vec<FormulaId>,
    known: IdSet<FormulaId>,
    /// How many there were, repetitions counted.
    pushed: usize,
}

impl Distinct {
    const FEW: usize = 24;

    fn push(&mut self, part: FormulaId) {
        self.pushed += 1;
        let known = if self.parts.len() < Self::FEW {
            self.parts.contains(&part)
        } else {
            if self.known.is_empty() {
                self.known.extend(self.parts.iter().copied());
            }
            !self.known.insert(part)
        };
        if !known {
            self.parts.push(part);
        }
    }
}

/// The opposite of a goal that is a single constraint.
fn negated_constraint(goal: &NumberGoal) -> NumberGoal {
    let flipped = |bound: &Bound| Bound {
        value: bound.value.clone(),
        exclusive: !bound.exclusive,
    };
    NumberGoal {
        integer: goal.integer.map(|integer| !integer),
        plain: goal.plain.map(|plain| !plain),
        lower: goal.upper.as_ref().map(flipped),
        upper: goal.lower.as_ref().map(flipped),
        multiple_of: goal.not_multiple_of.clone(),
        not_multiple_of: goal.multiple_of.clone(),
        equal: goal.not_equal.first().cloned(),
        not_equal: goal.equal.iter().cloned().collect(),
    }
}
