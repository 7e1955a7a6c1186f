//! Which tokens may come next: a walk over the token trie, and what is remembered of past walks.
//!
//! Inside a string a mask has two parts. The *closed* one, all tokens that stay in the string,
//! depends on the shape alone and is shared by every place that has it. *Exits* are the trie's
//! nodes at which the closing quote is read; what may follow them depends on the stack.

use std::sync::Arc;

use crate::grammar::Grammar;
use crate::hashing::IdMap;
use crate::machine::{Configuration, Node};
use crate::shape::{ShapeId, ShapeStep, Usual};
use crate::vocabulary::{ALL_PLAIN, Trie, Vocabulary, allow, forbid, signature_bit};

/// Allowed tokens: all of a base that is shared, and some others.
#[derive(Default)]
pub struct Mask {
    base: Option<Arc<[u32]>>,
    tokens: Vec<u32>,
}

impl Mask {
    /// The tokens of a base and some others.
    pub fn new(base: Option<Arc<[u32]>>, tokens: Vec<u32>) -> Self {
        Mask { base, tokens }
    }

    /// About how many bytes it takes, but for a base that others may share.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 4 * self.tokens.len()
    }

    /// The tokens of any of some masks, and others.
    pub fn union(masks: &[Arc<Mask>], mut tokens: Vec<u32>) -> Self {
        let mut base: Option<Arc<[u32]>> = None;
        for mask in masks {
            tokens.extend_from_slice(&mask.tokens);
            base = match (base, &mask.base) {
                (Some(one), Some(other)) => {
                    Some(one.iter().zip(&other[..]).map(|(a, b)| a | b).collect())
                }
                (one, other) => one.or_else(|| other.clone()),
            };
        }
        Mask { base, tokens }
    }

    /// Write the mask over a buffer that holds the vocabulary's words.
    pub fn write(&self, out: &mut [u32]) {
        match &self.base {
            Some(base) => out[..base.len()].copy_from_slice(base),
            None => out.fill(0),
        }
        self.tokens.iter().for_each(|token| allow(out, *token));
    }
}

/// The part of a mask that a shape alone decides.
#[derive(Default)]
struct Closed {
    base: Option<Arc<[u32]>>,
    tokens: Vec<u32>,
    exits: Vec<Exit>,
    /// Of the free shape: its tokens that are not plain, with the code points that each begins.
    special: Vec<(u32, u32)>,
}

/// A node of the trie that reads the closing quote.
#[derive(Copy, Clone)]
struct Exit {
    node: u32,
    /// The shape before the quote.
    before: ShapeId,
    /// Code points before the quote.
    read: u32,
}

/// Masks worked out so far.
#[derive(Default)]
pub struct Masks {
    known: IdMap<Configuration, Arc<Mask>>,
    closed: IdMap<ShapeId, Arc<Closed>>,
    suffixes: IdMap<Configuration, Arc<[bool]>>,
    /// About how many bytes all of these take.
    bytes: usize,
}

/// What an entry of a map of masks takes besides its contents.
const ENTRY: usize = 96;

impl Masks {
    /// The mask of a place, if it has been worked out before.
    pub fn remembered(&self, at: Configuration) -> Option<Arc<Mask>> {
        self.known.get(&at).cloned()
    }

    /// About how many bytes the masks take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The tokens that may come next; whether the text may end is not part of it.
    pub fn mask(
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
            Node::Text { .. } => self.text_mask(grammar, vocabulary, at),
            _ => {
                let (mut tokens, trie) = (Vec::new(), vocabulary.trie());
                let mut child = 0;
                while child < trie.len() {
                    let end = trie.ends[child] as usize;
                    if node.may_begin_with(trie.bytes[child]) {
                        walk(grammar, trie, (child, end), at, &mut tokens);
                    }
                    child = end;
                }
                Mask { base: None, tokens }
            }
        };
        let mask = Arc::new(mask);
        if !grammar.is_void() {
            self.bytes += ENTRY + 4 * mask.tokens.len();
            self.known.insert(at, Arc::clone(&mask));
        }
        mask
    }

    fn closed(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
    ) -> Arc<Closed> {
        let near = grammar.within_reach(shape, vocabulary.trie().height() as u32);
        if let Some(known) = self.closed.get(&near) {
            return Arc::clone(known);
        }
        let free = grammar.free_shape();
        let closed = if let Some(bounds) = grammar.length_only(near) {
            let free = self.closed(grammar, vocabulary, free);
            Closed::of_length(&free, vocabulary, bounds)
        } else if near != free && grammar.is_undying(near) {
            let free = self.closed(grammar, vocabulary, free);
            Closed::of_undying(&free, grammar, vocabulary, near)
        } else {
            ShapeWalk::new(grammar, vocabulary, near).run()
        };
        let closed = Arc::new(closed);
        if !grammar.is_void() {
            self.bytes += closed.bytes();
            self.closed.insert(near, Arc::clone(&closed));
        }
        closed
    }
}

impl Closed {
    fn bytes(&self) -> usize {
        let base = self.base.as_ref().map_or(0, |base| base.len());
        let exits = size_of::<Exit>() * self.exits.len();
        ENTRY + 4 * (base + self.tokens.len()) + 8 * self.special.len() + exits
    }

    /// What may follow where only the number of code points matters, from what may follow anywhere.
    fn of_length(free: &Closed, vocabulary: &Vocabulary, (low, high): (u32, u32)) -> Self {
        let mut base = vec![0; vocabulary.words()];
        let length = usize::try_from(high).unwrap_or(usize::MAX);
        vocabulary
            .plain()
            .allow_within(ALL_PLAIN, length, &mut base);
        let short = free.special.iter().filter(|(_, read)| *read <= high);
        short.for_each(|(token, _)| allow(&mut base, *token));
        let fits = |exit: &&Exit| (low..=high).contains(&exit.read);
        Closed {
            base: Some(base.into()),
            exits: free.exits.iter().filter(fits).copied().collect(),
            ..Closed::default()
        }
    }
}

impl Closed {
    /// What may follow where any text can still become right: all that may follow anywhere; only
    /// where the text may end has to be looked up.
    fn of_undying(
        free: &Closed,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
    ) -> Self {
        let mut exits = Vec::new();
        for exit in &free.exits {
            let read = exit.bytes(vocabulary).iter();
            let mut before = Some(shape);
            for byte in read {
                before = before.and_then(|shape| grammar.shape_after(shape, *byte));
            }
            let closing = before.filter(|b| grammar.shape_step(*b, b'"') == ShapeStep::Close);
            exits.extend(closing.map(|before| Exit { before, ..*exit }));
        }
        Closed {
            base: free.base.clone(),
            tokens: free.tokens.clone(),
            exits,
            special: Vec::new(),
        }
    }
}

impl Exit {
    /// The bytes before the quote.
    fn bytes<'a>(&self, vocabulary: &'a Vocabulary) -> &'a [u8] {
        let (trie, node) = (vocabulary.trie(), self.node as usize);
        let token = trie.tokens_below(node).first();
        token.map_or(&[], |id| {
            &vocabulary.token_bytes(*id)[..trie.depths[node] as usize]
        })
    }
}

/// A walk of the whole trie inside a string.
///
/// Most strings soon reach a *usual* shape that a large set of characters, the *idle* ones, does
/// not change. All plain tokens of idle characters are taken for granted from a ready mask. The
/// walk corrects that where they cannot be read, adds what other characters allow, and passes over
/// the parts of the trie in which the usual shape meets idle characters only.
struct ShapeWalk<'a> {
    grammar: &'a mut Grammar,
    vocabulary: &'a Vocabulary,
    start: ShapeId,
    usual: Usual,
    base: Option<Vec<u32>>,
    closed: Closed,
}

/// What a walk knows of a node of the trie on its way.
#[derive(Copy, Clone)]
struct Way {
    shape: ShapeId,
    /// All characters so far are idle ones: the ready mask speaks of the token.
    granted: bool,
    /// The usual shape is reached, and whatever comes of idle characters is right in that mask.
    idling: bool,
    /// Code points begun.
    read: u32,
}

impl<'a> ShapeWalk<'a> {
    fn new(grammar: &'a mut Grammar, vocabulary: &'a Vocabulary, start: ShapeId) -> Self {
        let usual = grammar.usual_shape(start);
        let base = (usual.idle != 0).then(|| {
            let mut base = vec![0; vocabulary.words()];
            vocabulary
                .plain()
                .allow_within(usual.idle, usize::MAX, &mut base);
            base
        });
        ShapeWalk {
            grammar,
            vocabulary,
            start,
            usual,
            base,
            closed: Closed::default(),
        }
    }

    fn run(mut self) -> Closed {
        let trie = self.vocabulary.trie();
        let granted = self.usual.idle != 0;
        let idling = granted && self.is_usual(self.start);
        let mut ways = vec![
            Way {
                shape: self.start,
                granted,
                idling,
                read: 0
            };
            trie.height() + 1
        ];
        // Where the outermost idling node ends, or ended.
        let mut idle_end = if idling { trie.len() } else { 0 };
        let mut node = 0;
        while node < trie.len() {
            if self.usual.idle == ALL_PLAIN && ways[trie.depths[node] as usize].idling {
                node = (trie.next_special[node] as usize).min(idle_end);
                if node >= trie.len() {
                    break;
                }
            }
            let depth = trie.depths[node] as usize;
            let (way, step) = self.follow(ways[depth], trie.bytes[node]);
            ways[depth + 1] = way;
            match step {
                ShapeStep::To(shape) => {
                    if !(way.granted && self.grammar.is_between_characters(shape)) {
                        let tokens = trie.tokens_at(node).iter();
                        self.closed
                            .special
                            .extend(tokens.map(|token| (*token, way.read)));
                    }
                    if way.idling && node >= idle_end {
                        idle_end = trie.ends[node] as usize;
                    }
                    let nothing_new = way.idling && trie.below[node] & !self.usual.idle == 0;
                    node = if nothing_new {
                        trie.ends[node] as usize
                    } else {
                        node + 1
                    };
                    continue;
                }
                ShapeStep::Close => {
                    let (before, read) = (ways[depth].shape, ways[depth].read);
                    self.closed.exits.push(Exit {
                        node: node as u32,
                        before,
                        read,
                    });
                }
                ShapeStep::Dead | ShapeStep::Unknown => {}
            }
            if let (true, Some(base)) = (way.granted, &mut self.base) {
                trie.tokens_below(node)
                    .iter()
                    .for_each(|token| forbid(base, *token));
            }
            node = trie.ends[node] as usize;
        }
        self.settle()
    }

    fn follow(&mut self, from: Way, byte: u8) -> (Way, ShapeStep) {
        let step = self.grammar.shape_step(from.shape, byte);
        let ShapeStep::To(shape) = step else {
            return (
                Way {
                    idling: false,
                    ..from
                },
                step,
            );
        };
        let granted = from.granted && self.usual.idle >> signature_bit(byte) & 1 == 1;
        let idling = granted
            && (from.idling
                || self.is_usual(shape)
                || byte >= 0x80 && self.grammar.others_lead_to(from.shape, self.usual.shape));
        let read = from.read + u32::from(self.grammar.is_between_characters(from.shape));
        (
            Way {
                shape,
                granted,
                idling,
                read,
            },
            step,
        )
    }

    fn is_usual(&self, shape: ShapeId) -> bool {
        shape == self.usual.shape
    }

    /// Many tokens become a base, so that each use copies words instead of setting bits.
    fn settle(self) -> Closed {
        let is_free = self.start == self.grammar.free_shape();
        let ShapeWalk {
            mut closed,
            mut base,
            vocabulary,
            ..
        } = self;
        closed.tokens = closed.special.iter().map(|(token, _)| *token).collect();
        if !is_free {
            closed.special = Vec::new();
        }
        if base.is_none() && closed.tokens.len() > vocabulary.words() / 2 {
            base = Some(vec![0; vocabulary.words()]);
        }
        if let Some(mut base) = base {
            closed
                .tokens
                .drain(..)
                .for_each(|token| allow(&mut base, token));
            closed.base = Some(base.into());
        }
        closed
    }
}

impl Masks {
    /// What a shape allows, and what its exits lead to here.
    fn text_mask(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        at: Configuration,
    ) -> Mask {
        let node = Arc::clone(grammar.machine.node(at.top));
        let Node::Text { shape, .. } = &*node else {
            return Mask::default();
        };
        let closed = self.closed(grammar, vocabulary, *shape);
        let mut tokens = closed.tokens.clone();
        for exit in &closed.exits {
            let Some(after) = after_exit(grammar, vocabulary, at, *exit) else {
                continue;
            };
            if let Some(pairs) = vocabulary.exits().at(exit.node) {
                let open = self.suffixes(grammar, vocabulary, after);
                let read = pairs.iter().filter(|(suffix, _)| open[*suffix as usize]);
                tokens.extend(read.map(|(_, token)| *token));
            } else {
                let (trie, exit) = (vocabulary.trie(), exit.node as usize);
                tokens.extend_from_slice(trie.tokens_at(exit));
                walk(
                    grammar,
                    trie,
                    (exit + 1, trie.ends[exit] as usize),
                    after,
                    &mut tokens,
                );
            }
        }
        Mask {
            base: closed.base.clone(),
            tokens,
        }
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
        let mut read = Vec::new();
        walk(
            grammar,
            &exits.suffixes,
            (0, exits.suffixes.len()),
            at,
            &mut read,
        );
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

/// Collect the tokens among a range of sibling subtrees that can be read from a configuration.
fn walk(
    grammar: &mut Grammar,
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
        match grammar.step(places[depth], trie.bytes[node]) {
            Some(next) => {
                places.push(next);
                tokens.extend_from_slice(trie.tokens_at(node));
                node += 1;
            }
            None => node = trie.ends[node] as usize,
        }
    }
}
