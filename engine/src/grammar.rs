//! A grammar: the arena of its formulas, how its answers are written, and what has been worked out.

use std::sync::Arc;

use crate::formula::{Formula, FormulaId, Formulas, Interner, KeySetId, TextId, ids};
use crate::hashing::IdMap;
use crate::machine::Machine;
use crate::number::{NumberGoal, NumberLanguage, Spellings};
use crate::regex::RegexId;
use crate::satisfy::Question;

ids! {
    /// The order in which an object's declared properties are written.
    OrderId,
    /// A language of number texts.
    NumberLanguageId,
}

/// Where whitespace may stand between the tokens of JSON.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Whitespace {
    /// Nowhere but what the separators hold.
    Compact,
    /// At most so many characters at each place.
    Bounded(u8),
}

/// How answers are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Writing {
    pub whitespace: Whitespace,
    /// Spaces that follow each comma and each colon; read with `Compact` only.
    pub item_spaces: u8,
    pub key_spaces: u8,
    pub any_order: bool,
    pub all_spellings: bool,
}

/// Limits of the work for one grammar, counted in steps of its own, not in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    pub max_branches: usize,
    pub max_classes: usize,
    pub regex_fuel: u64,
    /// Nodes of all regular expressions together.
    pub max_regex_nodes: usize,
    pub search_fuel: u64,
    /// Questions of the search that rest on each other: it goes as deep as a value has parts.
    pub max_search_depth: usize,
}

/// Stack of the threads that this crate starts: what the deepest search needs, several times over.
pub const STACK_BYTES: usize = 16 << 20;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_branches: 4_096,
            max_classes: 256,
            regex_fuel: 2_000_000,
            max_regex_nodes: 1_000_000,
            search_fuel: 2_000_000,
            max_search_depth: 4_000,
        }
    }
}

/// Small steps that a step of a mask takes whose outcome is known.
const KNOWN_STEPS: usize = 2;

/// The limit of the fuel that a mask or a step may burn.
pub(crate) const MASK_FUEL: &str = "mask_fuel";

/// Which limit a computation ran into: its answer does not count, and nothing of it is kept.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Exhausted {
    pub limit: &'static str,
    pub maximum: u64,
}

/// One way to go on after a key or in an array: what the child must fulfil, and what is left then.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Branch {
    pub child: FormulaId,
    pub rest: FormulaId,
}

/// Where an object stands besides its formula: the next declared key, and the keys already written.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    pub order: OrderId,
    /// Declared keys before this one are past; always 0 where any order is allowed.
    pub position: u32,
    /// Declared keys written so far, where any order is allowed; undeclared ones where they could
    /// run out.
    pub seen: KeySetId,
    /// Undeclared keys could run out: which are gone decides what may still be begun.
    pub is_frugal: bool,
}

/// Declared keys in order, with the place of each.
#[derive(PartialEq, Eq)]
pub struct Order {
    pub keys: Vec<TextId>,
}

impl std::hash::Hash for Order {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.keys.hash(state);
    }
}

/// Languages of undeclared keys that are treated alike, each with one key of it.
pub(crate) type KeyClasses = Arc<[(RegexId, TextId)]>;

/// A grammar and everything that has been derived from it so far.
pub struct Grammar {
    pub formulas: Formulas,
    pub writing: Writing,
    pub limits: Limits,
    pub exhausted: Option<Exhausted>,
    pub root: FormulaId,
    pub machine: Machine,
    pub(crate) orders: Interner<Order, OrderId>,
    pub(crate) order_positions: IdMap<OrderId, Arc<IdMap<TextId, u32>>>,
    pub(crate) orders_of: IdMap<Vec<FormulaId>, (OrderId, bool)>,
    pub(crate) number_goals: Interner<Vec<NumberGoal>, NumberLanguageId>,
    /// By `NumberLanguageId`, as the goals are.
    pub(crate) number_languages: Vec<NumberLanguage>,
    pub(crate) numbers_of: IdMap<FormulaId, NumberLanguageId>,
    pub(crate) property_branches: IdMap<(FormulaId, TextId), Arc<[Branch]>>,
    pub(crate) item_branches: IdMap<FormulaId, Arc<[Branch]>>,
    pub(crate) extra_classes: IdMap<(OrderId, Vec<RegexId>), KeyClasses>,
    pub(crate) patterns_of: IdMap<FormulaId, Arc<[RegexId]>>,
    /// Of conjunctions and disjunctions: whether an object or array may end with them left, and
    /// whether they compare an array's items.
    pub(crate) may_end: IdMap<FormulaId, bool>,
    pub(crate) compares: IdMap<FormulaId, bool>,
    pub(crate) answers: IdMap<Question, bool>,
    pub(crate) open_questions: IdMap<Question, usize>,
    pub(crate) lowest_assumed: usize,
    /// Which limit it is that fuel runs out of, and what it gives.
    fuel: Exhausted,
}

impl Grammar {
    /// A grammar of values that fulfil `root`; it goes on with the fuel that `formulas` have left.
    pub fn new(formulas: Formulas, root: FormulaId, writing: Writing, limits: Limits) -> Self {
        let mut grammar = Grammar {
            formulas,
            writing,
            limits,
            exhausted: None,
            root,
            machine: Machine::default(),
            orders: Interner::default(),
            order_positions: IdMap::default(),
            orders_of: IdMap::default(),
            number_goals: Interner::default(),
            number_languages: Vec::new(),
            numbers_of: IdMap::default(),
            property_branches: IdMap::default(),
            item_branches: IdMap::default(),
            extra_classes: IdMap::default(),
            patterns_of: IdMap::default(),
            may_end: IdMap::default(),
            compares: IdMap::default(),
            answers: IdMap::default(),
            open_questions: IdMap::default(),
            lowest_assumed: usize::MAX,
            fuel: Exhausted {
                limit: "compile_fuel",
                maximum: 0,
            },
        };
        grammar.fuel.maximum = grammar.limits.search_fuel;
        grammar.formulas.regexes.max_nodes = grammar.limits.max_regex_nodes;
        grammar.start();
        grammar
    }

    /// Which texts of a number are written.
    pub(crate) fn spellings(&self) -> Spellings {
        if self.writing.all_spellings {
            Spellings::All
        } else {
            Spellings::Canonical
        }
    }

    /// Begins a piece of work that may use so much fuel, whatever limit the last one reached.
    pub(crate) fn refuel(&mut self, limit: &'static str, maximum: u64) {
        self.fuel = Exhausted { limit, maximum };
        self.exhausted = None;
        self.formulas.regexes.refuel(maximum);
    }

    /// Does something beside a piece of work, with fuel of its own; nothing once a limit was reached.
    pub(crate) fn beside<T>(
        &mut self,
        fuel: u64,
        job: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        if self.limit_reached().is_some() {
            return None;
        }
        let (before, left) = (self.fuel, self.formulas.regexes.fuel());
        self.refuel(before.limit, fuel);
        let done = job(self).filter(|_| !self.is_void());
        self.refuel(before.limit, left);
        self.fuel = before;
        done
    }

    /// Burns fuel; false once a limit was reached.
    #[inline]
    pub(crate) fn spend(&mut self, units: u64) -> bool {
        self.formulas.regexes.spend(units) && !self.is_void()
    }

    /// Burns fuel for small steps; false once a limit was reached.
    #[inline]
    pub(crate) fn spend_steps(&mut self, steps: usize) -> bool {
        self.formulas.regexes.spend_steps(steps) && !self.is_void()
    }

    /// Burns fuel for steps whose outcome is known, which cost little.
    pub(crate) fn spend_on_known(&mut self, steps: usize) {
        self.formulas
            .regexes
            .spend_steps(steps.saturating_mul(KNOWN_STEPS));
    }

    /// Whether a limit was reached in this piece of work: what is answered since may be wrong, and
    /// must not be remembered.
    #[inline]
    pub(crate) fn is_void(&self) -> bool {
        self.exhausted.is_some() || self.formulas.regexes.is_void()
    }

    /// The limit that was reached in this piece of work, if one was.
    pub(crate) fn limit_reached(&mut self) -> Option<Exhausted> {
        if self.formulas.regexes.starved() {
            self.exhaust(self.fuel.limit, self.fuel.maximum);
        }
        if self.formulas.regexes.overflowed() {
            self.exhaust("max_regex_nodes", self.limits.max_regex_nodes as u64);
        }
        self.exhausted
    }

    /// About how many bytes all that was made and learnt take.
    pub(crate) fn learnt_bytes(&self) -> usize {
        const FORMULA: usize = 128;
        const BRANCHES: usize = 96;
        let branches = self.property_branches.len() + self.item_branches.len();
        self.machine.learnt_bytes()
            + self.formulas.regexes.bytes()
            + FORMULA * self.formulas.count()
            + BRANCHES * (branches + self.answers.len())
    }

    /// Whether it can do no more work at all: its arena of expressions is full.
    pub(crate) fn is_full(&self) -> bool {
        self.formulas.regexes.overflowed()
    }

    /// Fails the piece of work for a limit, unless it has failed already.
    pub(crate) fn exhaust(&mut self, limit: &'static str, maximum: u64) {
        self.exhausted.get_or_insert(Exhausted { limit, maximum });
    }

    /// The formula's parts if it is a conjunction, else itself.
    pub(crate) fn conjuncts(&self, id: FormulaId) -> Vec<FormulaId> {
        match &**self.formulas.get(id) {
            Formula::And(parts) => parts.to_vec(),
            Formula::True => Vec::new(),
            _ => vec![id],
        }
    }
}
