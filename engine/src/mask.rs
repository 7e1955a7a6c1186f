//! Which tokens may come next: a walk over the token trie, and what is remembered of past walks.
//!
//! Inside a string a mask has two parts. The *closed* one, all tokens that stay in the string,
//! depends on the shape alone and is shared by every place that has it. *Exits* are the trie's
//! nodes at which the closing quote is read; what may follow them depends on the stack.

use std::sync::Arc;

use crate::closed::{ClosedMasks, Elsewhere, Exit};
use crate::grammar::Grammar;
use crate::hashing::IdMap;
use crate::machine::{Configuration, Node};
use crate::repeats::{Repeats, without_unread};
use crate::shape::ShapeId;
use crate::vocabulary::{Trie, Vocabulary, allow, forbid};

/// Allowed tokens: all of a base that is shared but some, and some others.
#[derive(Default)]
pub struct Mask {
    base: Option<Arc<[u32]>>,
    forbidden: Vec<u32>,
    tokens: Vec<u32>,
}

impl Mask {
    /// The tokens of a base and some others.
    pub fn new(base: Option<Arc<[u32]>>, tokens: Vec<u32>) -> Self {
        Mask {
            base,
            forbidden: Vec::new(),
            tokens,
        }
    }

    /// The tokens of a base but some, and others.
    pub fn of_parts(base: Option<Arc<[u32]>>, forbidden: Vec<u32>, tokens: Vec<u32>) -> Self {
        Mask {
            base,
            forbidden,
            tokens,
        }
    }

    /// The base that most of the tokens come from.
    pub fn base(&self) -> Option<&Arc<[u32]>> {
        self.base.as_ref()
    }

    /// Tokens of the base that are not allowed.
    pub fn forbidden(&self) -> &[u32] {
        &self.forbidden
    }

    /// The tokens that are not of the base.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// About how many bytes it takes, but for a base that others may share.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 4 * (self.tokens.len() + self.forbidden.len())
    }

    /// The tokens of any of some masks, and others.
    pub fn union(masks: &[Arc<Mask>], mut tokens: Vec<u32>) -> Self {
        let mut base: Option<Arc<[u32]>> = None;
        for mask in masks {
            tokens.extend_from_slice(&mask.tokens);
            base = match (base, mask.settled_base()) {
                (Some(one), Some(other)) => {
                    Some(one.iter().zip(&other[..]).map(|(a, b)| a | b).collect())
                }
                (one, other) => one.or(other),
            };
        }
        Mask::new(base, tokens)
    }

    /// The base without what is forbidden.
    fn settled_base(&self) -> Option<Arc<[u32]>> {
        let base = self.base.as_ref()?;
        if self.forbidden.is_empty() {
            return Some(Arc::clone(base));
        }
        let mut base = base.to_vec();
        self.forbidden.iter().for_each(|id| forbid(&mut base, *id));
        Some(base.into())
    }

    /// The same mask without some tokens.
    pub fn without(&self, ids: &[u32]) -> Self {
        let kept = self.tokens.iter().filter(|id| !ids.contains(id));
        Mask {
            base: self.base.clone(),
            forbidden: [&self.forbidden, ids].concat(),
            tokens: kept.copied().collect(),
        }
    }

    /// Write the mask over a buffer that holds the vocabulary's words.
    pub fn write(&self, out: &mut [u32]) {
        match &self.base {
            Some(base) => out[..base.len()].copy_from_slice(base),
            None => out.fill(0),
        }
        self.forbidden.iter().for_each(|token| forbid(out, *token));
        self.tokens.iter().for_each(|token| allow(out, *token));
    }
}

/// Masks worked out so far.
#[derive(Default)]
pub struct Masks {
    known: IdMap<Configuration, Arc<Mask>>,
    closed: ClosedMasks,
    leaving: IdMap<Configuration, Arc<Leaving>>,
    suffixes: IdMap<Configuration, Arc<[bool]>>,
    repeats: Repeats,
    /// About how many bytes all of these take.
    bytes: usize,
}

/// What an entry of a map of masks takes besides its contents.
const ENTRY: usize = 96;

/// The tokens that leave a string, by the trie's node at which they read the quote, ascending.
#[derive(Default)]
struct Leaving {
    /// Nodes, and where their tokens end in `tokens`.
    spans: Vec<(u32, u32)>,
    tokens: Vec<u32>,
}

impl Masks {
    /// The mask of a place, if it has been worked out before.
    pub fn remembered(&self, grammar: &Grammar, at: Configuration) -> Option<Arc<Mask>> {
        match grammar.has_remembered(at.memory) {
            true => self.repeats.known(at),
            false => self.known.get(&at.without_memory()).cloned(),
        }
    }

    /// About how many bytes the masks take.
    pub fn bytes(&self) -> usize {
        self.bytes + self.closed.bytes() + self.repeats.bytes()
    }

    /// The tokens that may come next; whether the text may end is not part of it.
    pub fn mask(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        at: Configuration,
    ) -> Arc<Mask> {
        let mask = self.mask_of_place(grammar, vocabulary, at.without_memory());
        if !grammar.has_remembered(at.memory) {
            return mask;
        }
        if let Some(known) = self.repeats.known(at) {
            return known;
        }
        let suspects = self.repeats.suspects(grammar, vocabulary, at.memory);
        let is_read = |bytes: &[u8]| read(grammar, at, bytes).is_some();
        let mask = without_unread(vocabulary, &mask, &suspects, is_read);
        if !grammar.is_void() {
            self.repeats.keep(at, &mask);
        }
        mask
    }

    /// The mask where no undeclared key has been written yet.
    fn mask_of_place(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        at: Configuration,
    ) -> Arc<Mask> {
        if let Some(known) = self.known.get(&at) {
            return Arc::clone(known);
        }
        let node = Arc::clone(grammar.machine.node(at.top));
        let mask = match &*node {
            Node::Text { shape, .. } => self.text_mask(grammar, vocabulary, at, *shape),
            _ => {
                let (mut tokens, trie) = (Vec::new(), vocabulary.trie());
                let mut child = 0;
                while child < trie.len() {
                    let end = trie.ends[child] as usize;
                    if node.may_begin_with(trie.bytes[child]) {
                        walk_json(grammar, trie, (child, end), at, &mut tokens);
                    }
                    child = end;
                }
                Mask::new(None, tokens)
            }
        };
        let mask = Arc::new(mask);
        if !grammar.is_void() {
            self.bytes += ENTRY + 4 * mask.tokens.len();
            self.known.insert(at, Arc::clone(&mask));
        }
        mask
    }

    /// What a shape allows, and what its exits lead to here.
    fn text_mask(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        at: Configuration,
        shape: ShapeId,
    ) -> Mask {
        let closed = self.closed.get(grammar, vocabulary, shape);
        let mut tokens = closed.tokens.clone();
        let leaving = self.leave(grammar, vocabulary, at, &closed.exits);
        tokens.extend_from_slice(&leaving.tokens);
        if let Some(usual) = &closed.elsewhere {
            let leaving = self.leave_elsewhere(grammar, vocabulary, at, usual);
            leaving.copy_without(&usual.except, &mut tokens);
        }
        Mask {
            base: closed.base.clone(),
            forbidden: closed.forbidden.clone(),
            tokens,
        }
    }

    /// How the same text is left once its shape has become the usual one.
    fn leave_elsewhere(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        at: Configuration,
        usual: &Elsewhere,
    ) -> Arc<Leaving> {
        let top = grammar.with_shape(at.top, usual.shape);
        let at = Configuration { top, ..at };
        if let Some(known) = self.leaving.get(&at) {
            return Arc::clone(known);
        }
        let leaving = Arc::new(self.leave(grammar, vocabulary, at, &usual.closed.exits));
        if !grammar.is_void() {
            self.bytes += ENTRY + 8 * leaving.spans.len() + 4 * leaving.tokens.len();
            self.leaving.insert(at, Arc::clone(&leaving));
        }
        leaving
    }

    fn leave(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        at: Configuration,
        exits: &[Exit],
    ) -> Leaving {
        let mut leaving = Leaving::default();
        let mut last: Option<(ShapeId, Configuration)> = None;
        let is_fresh = grammar.ends_fresh_item(at);
        grammar.spend_on_known(EXIT_STEPS * exits.len());
        for exit in exits {
            let after = match last {
                Some((before, after)) if before == exit.before => Some(after),
                _ => after_exit(grammar, vocabulary, at, *exit),
            };
            let Some(after) = after else { continue };
            last = (is_fresh || grammar.leaves_alike(at.top, exit.before))
                .then_some((exit.before, after));
            self.read_exit(grammar, vocabulary, (exit.node, after), &mut leaving.tokens);
            leaving.spans.push((exit.node, leaving.tokens.len() as u32));
        }
        if is_fresh {
            drop_repeated_items(grammar, vocabulary, at, &mut leaving);
        }
        leaving
    }

    /// Collect the tokens that read a quote at a node of the trie and go on from a configuration.
    fn read_exit(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        (node, after): (u32, Configuration),
        tokens: &mut Vec<u32>,
    ) {
        if let Some(pairs) = vocabulary.exits().at(node) {
            let open = self.suffixes(grammar, vocabulary, after);
            let read = pairs.iter().filter(|(suffix, _)| open[*suffix as usize]);
            tokens.extend(read.map(|(_, token)| *token));
            return;
        }
        let (trie, exit) = (vocabulary.trie(), node as usize);
        tokens.extend_from_slice(trie.tokens_at(exit));
        let inside = (exit + 1, trie.ends[exit] as usize);
        walk_json(grammar, trie, inside, after, tokens);
    }

    /// Which suffixes of tokens can be read from a configuration.
    fn suffixes(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        at: Configuration,
    ) -> Arc<[bool]> {
        if let Some(known) = self.suffixes.get(&at) {
            return Arc::clone(known);
        }
        let exits = vocabulary.exits();
        let (mut read, suffixes) = (Vec::new(), &exits.suffixes);
        walk_json(grammar, suffixes, (0, suffixes.len()), at, &mut read);
        let mut open = vec![false; exits.count() + 1];
        read.iter().for_each(|suffix| open[*suffix as usize] = true);
        open[exits.empty as usize] = true;
        let open: Arc<[bool]> = open.into();
        if !grammar.is_void() {
            self.bytes += ENTRY + open.len();
            self.suffixes.insert(at, Arc::clone(&open));
        }
        open
    }
}

/// Steps that an exit takes, where they are known.
const EXIT_STEPS: usize = 8;

/// Drop the tokens that write an item and the same one again: one item stood for all of them.
fn drop_repeated_items(
    grammar: &mut Grammar,
    vocabulary: &Vocabulary,
    at: Configuration,
    leaving: &mut Leaving,
) {
    let exits = vocabulary.exits();
    let mut kept = Leaving::default();
    let mut start = 0;
    for (node, end) in &leaving.spans {
        let pairs = exits.at(*node);
        let mut repeats = |id: &u32| {
            let suffix = pairs.and_then(|pairs| pairs.iter().find(|(_, token)| token == id));
            suffix.is_none_or(|(suffix, _)| exits.holds_string(*suffix))
                && read(grammar, at, vocabulary.token_bytes(*id)).is_none()
        };
        let tokens = leaving.tokens[start as usize..*end as usize].iter();
        let tokens: Vec<u32> = tokens.copied().filter(|id| !repeats(id)).collect();
        kept.tokens.extend(tokens);
        kept.spans.push((*node, kept.tokens.len() as u32));
        start = *end;
    }
    *leaving = kept;
}

fn read(grammar: &mut Grammar, at: Configuration, bytes: &[u8]) -> Option<Configuration> {
    bytes
        .iter()
        .try_fold(at, |at, byte| grammar.step(at, *byte))
}

impl Leaving {
    /// Add the tokens to others, but for those at some ranges of nodes, ascending.
    fn copy_without(&self, except: &[(u32, u32)], tokens: &mut Vec<u32>) {
        let (mut start, mut next) = (0, 0);
        for (node, end) in &self.spans {
            while except.get(next).is_some_and(|range| range.1 <= *node) {
                next += 1;
            }
            let is_kept = except.get(next).is_none_or(|range| *node < range.0);
            if is_kept {
                tokens.extend_from_slice(&self.tokens[start as usize..*end as usize]);
            }
            start = *end;
        }
    }
}

/// Where a text leads when it is left at a node of the trie, its shape before the quote known.
fn after_exit(
    grammar: &mut Grammar,
    vocabulary: &Vocabulary,
    at: Configuration,
    exit: Exit,
) -> Option<Configuration> {
    let read = exit.bytes(vocabulary);
    if let Some(after) = grammar.leave_text(at, exit.before, read) {
        return Some(after);
    }
    let before = read
        .iter()
        .try_fold(at, |at, byte| grammar.step(at, *byte))?;
    grammar.step(before, b'"')
}

/// The same as `walk` in JSON, on fuel.
pub(crate) fn walk_json(
    grammar: &mut Grammar,
    trie: &Trie,
    range: (usize, usize),
    at: Configuration,
    tokens: &mut Vec<u32>,
) {
    let mut steps = 0;
    let step = &mut |at, byte| {
        steps += 1;
        grammar.step(at, byte)
    };
    walk(step, trie, range, at, tokens);
    grammar.spend_on_known(steps);
}

/// Collect the tokens among a range of sibling subtrees that can be read from a configuration.
pub(crate) fn walk(
    step: &mut impl FnMut(Configuration, u8) -> Option<Configuration>,
    trie: &Trie,
    range: (usize, usize),
    at: Configuration,
    tokens: &mut Vec<u32>,
) {
    let (mut node, end) = range;
    if node >= end {
        return;
    }
    let top = trie.depths[node] as usize;
    let mut places = vec![at];
    while node < end {
        let depth = trie.depths[node] as usize - top;
        places.truncate(depth + 1);
        match step(places[depth], trie.bytes[node]) {
            Some(next) => {
                places.push(next);
                tokens.extend_from_slice(trie.tokens_at(node));
                node += 1;
            }
            None => node = trie.ends[node] as usize,
        }
    }
}
