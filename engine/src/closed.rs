//! The closed part of a string's mask: the tokens that stay in the string, and where others leave.
//!
//! It depends on the shape alone, so that every place with that shape shares it. There are four ways
//! to it: from the bounds on the length where nothing else matters, from the free shape where no
//! text can go wrong, along a list of characters where all others lead to the same shape, and by a
//! walk of the whole trie.

use std::sync::Arc;

use crate::class_trie::ClassTrie;
use crate::grammar::Grammar;
use crate::hashing::IdMap;
use crate::shape::{ShapeId, ShapeStep};
use crate::vocabulary::{
    FreeTokens, Quoted, Special, Trie, Vocabulary, allow, count_of, forbid, tokens_of,
};

/// The part of a mask that a shape alone decides.
#[derive(Default)]
pub(crate) struct Closed {
    pub base: Option<Arc<[u32]>>,
    /// Tokens of the base that are not allowed.
    pub forbidden: Vec<u32>,
    pub tokens: Vec<u32>,
    /// By node, ascending.
    pub exits: Vec<Exit>,
    /// Where the other exits are found.
    pub elsewhere: Option<Elsewhere>,
    /// Of the free shape: its tokens that are not plain.
    special: Arc<[Special]>,
    /// How the base comes from what the vocabulary knows, if it nearly does.
    recipe: Option<Recipe>,
}

/// A base that the vocabulary knows, or that others are like.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Recipe {
    /// Where any text may follow.
    Free,
    /// Where any text of at most so many code points may follow.
    Length(u32),
    /// The plain tokens of at most so many of the characters of a signature.
    Within(u128, u32),
}

/// What leaves a string as it leaves one of another shape.
pub(crate) struct Elsewhere {
    pub shape: ShapeId,
    pub closed: Arc<Closed>,
    /// Ranges of nodes whose exits are not meant, ascending.
    pub except: Vec<(u32, u32)>,
}

impl Elsewhere {
    /// The exits that are meant.
    fn exits(&self) -> impl Iterator<Item = Exit> {
        let is_meant = |exit: &&Exit| {
            let after = self.except.partition_point(|range| range.1 <= exit.node);
            self.except
                .get(after)
                .is_none_or(|range| exit.node < range.0)
        };
        self.closed.exits.iter().filter(is_meant).copied()
    }
}

/// A node of the trie that reads the closing quote.
#[derive(Copy, Clone)]
pub(crate) struct Exit {
    pub node: u32,
    /// The shape before the quote.
    pub before: ShapeId,
    /// Code points before the quote.
    pub read: u32,
}

/// Closed parts worked out so far.
#[derive(Default)]
pub(crate) struct ClosedMasks {
    known: IdMap<ShapeId, Arc<Closed>>,
    recipes: Vec<(Arc<[u32]>, Recipe)>,
    /// About how many bytes they take.
    bytes: usize,
}

impl ClosedMasks {
    /// The closed part of a shape's masks.
    pub fn get(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
    ) -> Arc<Closed> {
        let near = grammar.within_reach(shape, vocabulary.trie().height() as u32);
        if let Some(known) = self.known.get(&near) {
            return Arc::clone(known);
        }
        let closed = Arc::new(self.work_out(grammar, vocabulary, near));
        if !grammar.is_void() {
            self.bytes += closed.bytes();
            if let (Some(base), Some(recipe)) = (&closed.base, closed.recipe) {
                self.recipes.push((Arc::clone(base), recipe));
            }
            self.known.insert(near, Arc::clone(&closed));
        }
        closed
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a base that was made here is like.
    pub fn recipe(&self, base: &Arc<[u32]>) -> Option<Recipe> {
        let made = self
            .recipes
            .iter()
            .find(|(made, _)| Arc::ptr_eq(made, base));
        made.map(|(_, recipe)| *recipe)
    }

    fn work_out(
        &mut self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        near: ShapeId,
    ) -> Closed {
        let free_shape = grammar.free_shape();
        if near == free_shape {
            return Closed::of_free(grammar, vocabulary);
        }
        let free = self.get(grammar, vocabulary, free_shape);
        if let Some(bounds) = grammar.length_only(near) {
            let all_spellings = grammar.writing.all_spellings;
            return Closed::of_length(&free, vocabulary, bounds, all_spellings);
        }
        if let Some(listed) = grammar.listed(near) {
            let others = listed.others.filter(|others| *others != near);
            let are_few = listed.characters.len() <= MAX_WALKED_CHARACTERS;
            if are_few && others.is_some_and(|others| grammar.is_settled(others)) {
                let usual = others.map(|others| (others, self.get(grammar, vocabulary, others)));
                return ListWalk::run(grammar, vocabulary, near, usual);
            }
            if are_few && listed.others.is_none() {
                return ListWalk::run(grammar, vocabulary, near, None);
            }
        }
        if grammar.is_undying(near) {
            return Closed::of_undying(&free, grammar, vocabulary, near);
        }
        Closed::of_characters(&free, grammar, vocabulary, near)
            .unwrap_or_else(|| Closed::of_tokens(&free, grammar, vocabulary, near))
    }
}

/// Steps that it takes to read a token from its start.
const TOKEN_STEPS: usize = 4;

/// Tokens from which on it is quicker to read them by classes than one by one.
const MANY_TOKENS: usize = 6_000;

/// Characters that are followed one by one; more of them are met by signatures.
const MAX_WALKED_CHARACTERS: usize = 16;

/// A walk along the characters that a shape tells apart.
///
/// All others lead to one shape, or nowhere: there, everything is as in that shape.
struct ListWalk<'a> {
    grammar: &'a mut Grammar,
    vocabulary: &'a Vocabulary,
    others: Option<ShapeId>,
    closed: Closed,
    except: Vec<(u32, u32)>,
}

impl ListWalk<'_> {
    fn run(
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        start: ShapeId,
        others: Option<(ShapeId, Arc<Closed>)>,
    ) -> Closed {
        let mut walk = ListWalk {
            grammar,
            vocabulary,
            others: others.as_ref().map(|(shape, _)| *shape),
            closed: Closed::default(),
            except: Vec::new(),
        };
        walk.descend((0, vocabulary.trie().len()), start, 0);
        let ListWalk {
            mut closed, except, ..
        } = walk;
        if let Some((shape, usual)) = others {
            closed.base.clone_from(&usual.base);
            let is_left = |id: &&u32| !closed.forbidden.contains(id);
            closed.tokens = usual.tokens.iter().filter(is_left).copied().collect();
            closed.elsewhere = Some(Elsewhere {
                shape,
                closed: usual,
                except,
            });
        }
        closed
    }

    /// Walk the siblings in a range of nodes.
    fn descend(&mut self, (mut node, end): (usize, usize), shape: ShapeId, read: u32) {
        let trie = self.vocabulary.trie();
        let bytes = self.grammar.listed_bytes(shape, self.others);
        let begins = self.grammar.is_between_characters(shape);
        while node < end {
            let after = trie.ends[node] as usize;
            if bytes.contains(trie.bytes[node]) {
                let step = self.grammar.shape_step(shape, trie.bytes[node]);
                self.take((node, after), step, shape, read + u32::from(begins));
            }
            node = after;
        }
    }

    fn take(&mut self, range: (usize, usize), step: ShapeStep, shape: ShapeId, read: u32) {
        let (node, end) = range;
        let trie = self.vocabulary.trie();
        match step {
            ShapeStep::To(next) if Some(next) == self.others => {}
            ShapeStep::To(next) => {
                if self.others.is_none() {
                    self.closed.tokens.extend_from_slice(trie.tokens_at(node));
                }
                self.descend((node + 1, end), next, read);
            }
            ShapeStep::Close => {
                self.except.push((node as u32, end as u32));
                self.closed.exits.push(Exit {
                    node: node as u32,
                    before: shape,
                    read: read - 1,
                });
            }
            ShapeStep::Dead | ShapeStep::Unknown => {
                self.except.push((node as u32, end as u32));
                if self.others.is_some() {
                    let below = trie.tokens_below(node);
                    self.closed.forbidden.extend_from_slice(below);
                }
            }
        }
    }
}

impl Closed {
    /// The same with the exits that are found elsewhere among its own.
    pub fn in_one(self: Arc<Self>) -> Arc<Self> {
        let Some(usual) = &self.elsewhere else {
            return self;
        };
        let mut exits = self.exits.clone();
        exits.extend(usual.exits());
        exits.sort_unstable_by_key(|exit| exit.node);
        Arc::new(Closed {
            base: self.base.clone(),
            forbidden: self.forbidden.clone(),
            tokens: self.tokens.clone(),
            exits,
            ..Closed::default()
        })
    }

    fn bytes(&self) -> usize {
        let base = self.base.as_ref().map_or(0, |base| base.len());
        let exits = size_of::<Exit>() * self.exits.len();
        size_of::<Self>() + 4 * (base + self.forbidden.len() + self.tokens.len()) + exits
    }

    /// What may follow where any text may: the vocabulary keeps it for all indexes.
    fn of_free(grammar: &mut Grammar, vocabulary: &Vocabulary) -> Self {
        let shape = grammar.free_shape();
        let all_spellings = grammar.writing.all_spellings;
        let known = vocabulary.free_tokens(all_spellings).cloned();
        let free = known.unwrap_or_else(|| {
            let free = Arc::new(walk_free(grammar, vocabulary, shape));
            if !grammar.is_void() {
                vocabulary.keep_free_tokens(all_spellings, &free);
            }
            free
        });
        let exit = |(node, read): &(u32, u32)| Exit {
            node: *node,
            before: shape,
            read: *read,
        };
        Closed {
            base: Some(Arc::clone(&free.base)),
            exits: free.exits.iter().map(exit).collect(),
            special: Arc::clone(&free.special),
            recipe: Some(Recipe::Free),
            ..Closed::default()
        }
    }

    /// What may follow where only the number of code points matters, from what may follow anywhere.
    fn of_length(
        free: &Closed,
        vocabulary: &Vocabulary,
        (low, high): (u32, u32),
        all_spellings: bool,
    ) -> Self {
        let fits = |exit: &&Exit| (low..=high).contains(&exit.read);
        Closed {
            base: Some(vocabulary.short_texts(&free.special, (high, all_spellings))),
            exits: free.exits.iter().filter(fits).copied().collect(),
            recipe: Some(Recipe::Length(high)),
            ..Closed::default()
        }
    }

    /// What may follow where any text can still become right: all that may follow anywhere; only
    /// where the text may end has to be looked up.
    fn of_undying(
        free: &Closed,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
    ) -> Self {
        Closed {
            base: free.base.clone(),
            exits: free.exits_from(grammar, vocabulary, shape),
            ..Closed::default()
        }
    }

    /// What may follow where most characters change nothing, or nothing but the length.
    ///
    /// Tokens of such characters alone are found by their signatures. Others are read one by one:
    /// those with a character that leads on to another shape, those that begin otherwise, and those
    /// that are not plain.
    fn of_characters(
        free: &Closed,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
    ) -> Option<Self> {
        let usual = grammar.usual_text(shape)?;
        let recipe = Recipe::Within(usual.idle, usual.length);
        let length = usize::try_from(usual.length).unwrap_or(usize::MAX);
        let doubtful = if usual.shape == shape {
            Vec::new()
        } else {
            grammar.unusual_beginnings(shape, &usual)
        };
        let mut unusual = vocabulary
            .plain()
            .containing(grammar.leading_signature(&usual) | usual.strays.signature());
        let strays = vocabulary.plain().with_characters(usual.strays.listed());
        strays.iter().for_each(|id| allow(&mut unusual, *id));
        let beginning = |byte: &u8| vocabulary.trie().beginning_with(&[*byte]).len();
        let begun: usize = doubtful.iter().map(beginning).sum();
        let many = count_of(&unusual) + begun;
        if many > MANY_TOKENS
            && let Some(alphabet) = grammar.alphabet(shape)
        {
            match vocabulary.class_trie(&alphabet) {
                Some(trie) => {
                    let mut closed = Self::of_classes(free, grammar, vocabulary, shape, &trie);
                    closed.recipe = Some(recipe);
                    return Some(closed);
                }
                None => vocabulary.miss_class_trie(&alphabet, many),
            }
        }
        let mut base = vocabulary.plain_within(usual.idle, length).to_vec();
        let mut read_tokens = 0;
        let mut reads = |id: &u32| {
            read_tokens += 1;
            let mut bytes = vocabulary.token_bytes(*id).iter();
            let read = bytes.try_fold(shape, |shape, byte| grammar.shape_after(shape, *byte));
            read.is_some()
        };
        for byte in doubtful {
            for id in vocabulary.trie().beginning_with(&[byte]) {
                forbid(&mut base, *id);
                if vocabulary.plain().is_plain(*id) && reads(id) {
                    allow(&mut base, *id);
                }
            }
        }
        let words = base.iter_mut().zip(&unusual);
        words.for_each(|(word, unusual)| *word &= !unusual);
        let unusual = tokens_of(&unusual).filter(|id| reads(id));
        unusual.for_each(|id| allow(&mut base, id));
        let special = free.special.iter().map(|token| &token.id);
        special
            .filter(|id| reads(id))
            .for_each(|id| allow(&mut base, *id));
        grammar.spend_on_known(TOKEN_STEPS * read_tokens);
        Some(Closed {
            base: Some(base.into()),
            exits: free.exits_from(grammar, vocabulary, shape),
            recipe: Some(recipe),
            ..Closed::default()
        })
    }

    /// What may follow where nothing is known of most characters.
    fn of_tokens(
        free: &Closed,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
    ) -> Self {
        let alphabet = grammar.alphabet(shape);
        let trie = alphabet.as_ref().and_then(|a| vocabulary.class_trie(a));
        if let Some(trie) = trie {
            return Self::of_classes(free, grammar, vocabulary, shape, &trie);
        }
        let (closed, steps) = walk_all(grammar, vocabulary, shape);
        if let Some(alphabet) = &alphabet {
            vocabulary.miss_class_trie(alphabet, steps / TOKEN_STEPS);
        }
        closed
    }

    /// What may follow where a language tells few classes of characters apart: tokens that are alike
    /// in these are read at once, those with escapes one by one.
    fn of_classes(
        free: &Closed,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
        trie: &ClassTrie,
    ) -> Self {
        let mut base = vec![0; vocabulary.words()];
        let mut walk = ClassWalk::new(grammar, &trie.samples);
        walk.run(trie, shape, &mut base);
        let special = free.special.iter().map(|token| token.id);
        for id in special {
            let bytes = vocabulary.token_bytes(id);
            let mut read = bytes.iter();
            let reads = |shape, byte: &u8| grammar.shape_after(shape, *byte);
            if bytes.contains(&b'\\') && read.try_fold(shape, reads).is_some() {
                allow(&mut base, id);
            }
        }
        grammar.spend_on_known(TOKEN_STEPS * free.special.len());
        Closed {
            base: Some(base.into()),
            exits: free.exits_from(grammar, vocabulary, shape),
            ..Closed::default()
        }
    }

    /// The exits of a shape: of those of the free one, the ones at which its text may end.
    fn exits_from(
        &self,
        grammar: &mut Grammar,
        vocabulary: &Vocabulary,
        shape: ShapeId,
    ) -> Vec<Exit> {
        let closing = |exit: &Exit| {
            let mut bytes = exit.bytes(vocabulary).iter();
            let before = bytes.try_fold(shape, |shape, byte| grammar.shape_after(shape, *byte))?;
            let may_end = grammar.shape_step(before, b'"') == ShapeStep::Close;
            may_end.then_some(Exit { before, ..*exit })
        };
        let exits = self.exits.iter().filter_map(closing).collect();
        grammar.spend_on_known(TOKEN_STEPS * self.exits.len());
        exits
    }
}

/// A walk over texts of classes. The shapes that it meets have numbers of their own.
struct ClassWalk<'a> {
    grammar: &'a mut Grammar,
    /// A character of each class.
    samples: &'a [u32],
    shapes: Vec<ShapeId>,
    numbers: IdMap<ShapeId, u32>,
    /// By shape and class: where that leads.
    known: Vec<Known>,
}

/// A step that may be known.
#[derive(Copy, Clone)]
enum Known {
    Not,
    Dead,
    To(u32),
}

impl<'a> ClassWalk<'a> {
    fn new(grammar: &'a mut Grammar, samples: &'a [u32]) -> Self {
        ClassWalk {
            grammar,
            samples,
            shapes: Vec::new(),
            numbers: IdMap::default(),
            known: Vec::new(),
        }
    }

    fn run(&mut self, trie: &ClassTrie, start: ShapeId, base: &mut [u32]) {
        let start = self.number(start);
        let mut ways = vec![start; trie.height + 1];
        let (mut node, mut steps) = (0, 0);
        self.begin_characters(trie.partial_after(None), start, base);
        while node < trie.classes.len() {
            steps += 1;
            let depth = trie.depths[node] as usize;
            match self.step(ways[depth], trie.classes[node] as usize) {
                Some(next) => {
                    ways[depth + 1] = next;
                    trie.allow_at(node, base);
                    self.begin_characters(trie.partial_after(Some(node)), next, base);
                    node += 1;
                }
                None => node = trie.ends[node] as usize,
            }
        }
        self.grammar.spend_on_known(steps);
    }

    /// Allows tokens that begin a character that may follow a text.
    fn begin_characters(&mut self, tokens: &[(u32, u32)], from: u32, base: &mut [u32]) {
        if tokens.is_empty() {
            return;
        }
        let live = (0..self.samples.len()).filter(|class| self.step(from, *class).is_some());
        let live = live.fold(0u32, |all, class| all | 1 << class);
        let may_follow = tokens.iter().filter(|(_, classes)| classes & live != 0);
        may_follow.for_each(|(id, _)| allow(base, *id));
    }

    #[inline]
    fn step(&mut self, from: u32, class: usize) -> Option<u32> {
        let place = from as usize * self.samples.len() + class;
        if let Known::Not = self.known[place] {
            self.known[place] = self.work_out(from, class);
        }
        match self.known[place] {
            Known::To(next) => Some(next),
            _ => None,
        }
    }

    fn work_out(&mut self, from: u32, class: usize) -> Known {
        let shape = self.shapes[from as usize];
        let shape = Arc::clone(self.grammar.machine.shapes.get(shape));
        match self.grammar.complete(&shape, self.samples[class]) {
            ShapeStep::To(next) => Known::To(self.number(next)),
            _ => Known::Dead,
        }
    }

    fn number(&mut self, shape: ShapeId) -> u32 {
        let next = self.shapes.len() as u32;
        *self.numbers.entry(shape).or_insert_with(|| {
            self.shapes.push(shape);
            let known = self.known.len() + self.samples.len();
            self.known.resize(known, Known::Not);
            next
        })
    }
}

impl Exit {
    /// The bytes before the quote.
    pub fn bytes<'a>(&self, vocabulary: &'a Vocabulary) -> &'a [u8] {
        let bytes = vocabulary.bytes_to(self.node);
        &bytes[..bytes.len().saturating_sub(1)]
    }
}

impl Recipe {
    /// The base, or what it is like; None where it takes work that was not done for free text yet.
    pub fn follow(self, vocabulary: &Vocabulary, all_spellings: bool) -> Option<Arc<[u32]>> {
        let free = vocabulary.free_tokens(all_spellings);
        Some(match self {
            Recipe::Free => Arc::clone(&free?.base),
            Recipe::Length(high) => vocabulary.short_texts(&free?.special, (high, all_spellings)),
            Recipe::Within(characters, length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                vocabulary.plain_within(characters, length)
            }
        })
    }
}

/// Walk the whole trie inside a string; return also how many steps that took.
fn walk_all(grammar: &mut Grammar, vocabulary: &Vocabulary, start: ShapeId) -> (Closed, usize) {
    let mut closed = Closed::default();
    let mut tokens = Vec::new();
    let trie = vocabulary.trie();
    let steps = walk_text(grammar, trie, start, |node, step| match step {
        Walked::Inside { .. } => tokens.extend_from_slice(trie.tokens_at(node)),
        Walked::Exit { before, read } => closed.exits.push(Exit {
            node: node as u32,
            before,
            read,
        }),
    });
    if tokens.len() > vocabulary.words() / 2 {
        // So many become a base, so that each use copies words instead of setting bits.
        let mut base = vec![0; vocabulary.words()];
        tokens.drain(..).for_each(|id| allow(&mut base, id));
        closed.base = Some(base.into());
    }
    closed.tokens = tokens;
    (closed, steps)
}

/// Walk the whole trie from the free shape, for all indexes.
fn walk_free(grammar: &mut Grammar, vocabulary: &Vocabulary, shape: ShapeId) -> FreeTokens {
    let (mut special, mut exits) = (Vec::new(), Vec::new());
    let trie = vocabulary.trie();
    walk_text(grammar, trie, shape, |node, step| match step {
        Walked::Inside { read } => {
            let ids = trie.tokens_at(node).iter();
            let others = ids.filter(|id| !vocabulary.plain().is_plain(**id));
            special.extend(others.map(|id| Special { id: *id, read }));
        }
        Walked::Exit { read, .. } => exits.push((node as u32, read)),
    });
    let mut base = vocabulary.plain().mask().to_vec();
    special.iter().for_each(|token| allow(&mut base, token.id));
    let (quoted, late) = quoted_tokens(vocabulary, &exits);
    FreeTokens {
        base: base.into(),
        special: special.into(),
        exits,
        quoted,
        late,
    }
}

/// The tokens of some exits, and the exits whose tokens have another quote before.
fn quoted_tokens(vocabulary: &Vocabulary, exits: &[(u32, u32)]) -> (Vec<Quoted>, Vec<u32>) {
    let (mut quoted, mut late) = (Vec::new(), Vec::new());
    for (exit, (node, _)) in (0..).zip(exits) {
        let Some(pairs) = vocabulary.exits().at(*node) else {
            late.push(exit);
            continue;
        };
        quoted.extend(pairs.iter().map(|&(suffix, token)| Quoted {
            exit,
            suffix,
            token,
        }));
    }
    (quoted, late)
}

/// What a walk meets at a node of the trie.
enum Walked {
    /// The string goes on, with so many code points begun.
    Inside { read: u32 },
    /// The closing quote, after so many code points.
    Exit { before: ShapeId, read: u32 },
}

fn walk_text(
    grammar: &mut Grammar,
    trie: &Trie,
    start: ShapeId,
    mut meet: impl FnMut(usize, Walked),
) -> usize {
    let mut ways = vec![(start, 0u32); trie.height() + 1];
    let (mut node, mut steps) = (0, 0);
    while node < trie.len() {
        steps += 1;
        let depth = trie.depths[node] as usize;
        let (shape, read) = ways[depth];
        match grammar.shape_step(shape, trie.bytes[node]) {
            ShapeStep::To(next) => {
                let read = read + u32::from(grammar.is_between_characters(shape));
                ways[depth + 1] = (next, read);
                meet(node, Walked::Inside { read });
                node += 1;
                continue;
            }
            ShapeStep::Close => meet(
                node,
                Walked::Exit {
                    before: shape,
                    read,
                },
            ),
            ShapeStep::Dead | ShapeStep::Unknown => {}
        }
        node = trie.ends[node] as usize;
    }
    grammar.spend_on_known(steps);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Input, Options, json_grammar};
    use crate::machine::Node;
    use crate::reader::{JsonReader, Reader};

    const PATTERNS: [&str; 7] = [
        r"^(\\S+\\s+){0,9}\\S+$",
        "^[a-z]{2,5}[0-9]*$",
        "^[^a]+é?$",
        "^.{3}$",
        "^(日|本|[à-ü])*x$",
        "^[€-₯b]*$",
        r"^[\\u{1F600}-\\u{1F64F}a\\n]+$",
    ];

    /// All bytes, and tokens that hold or begin characters beyond ASCII.
    fn vocabulary() -> Vocabulary {
        let texts = [
            "ab",
            "a b",
            "  ",
            "x1",
            "é",
            "日本",
            "a\u{20ac}",
            "b\u{1f600}",
            "\\n",
            "a\\\"",
            "ab\"",
        ];
        let halves: [&[u8]; 9] = [
            b"a\xc3",
            b"\xe2\x82",
            b"b\xe2\x82",
            b"\xe0\x80",
            b"\xed\xa0",
            b"\xf0\x9f\x98",
            b"\xf4\x90",
            b"x\xe6",
            b"\xf0\x80",
        ];
        let bytes = (0..=255u8).map(|byte| vec![byte]);
        let texts = texts.iter().map(|text| text.as_bytes().to_vec());
        let halves = halves.iter().map(|half| half.to_vec());
        let tokens = bytes.chain(texts).chain(halves).chain([Vec::new()]);
        let tokens: Vec<_> = tokens.collect();
        Vocabulary::new(&tokens, &[], &[tokens.len() as u32 - 1]).unwrap()
    }

    fn settled(closed: &Closed, vocabulary: &Vocabulary) -> Vec<u32> {
        let empty = || vec![0; vocabulary.words()].into();
        let mut mask = closed.base.clone().unwrap_or_else(empty).to_vec();
        closed.tokens.iter().for_each(|id| allow(&mut mask, *id));
        mask
    }

    /// A grammar of a pattern, and the shape after some text, if it may begin so.
    fn shape_after(pattern: &str, text: &str) -> Option<(JsonReader, ShapeId)> {
        let schema = format!(r#"{{"type": "string", "pattern": "{pattern}"}}"#);
        let input = Input::JsonSchema(schema.as_bytes());
        let mut reader = JsonReader::new(json_grammar(input, &Options::default()).unwrap());
        let mut bytes = format!("\"{text}").into_bytes().into_iter();
        let start = reader.start();
        let at = bytes.try_fold(start, |at, byte| reader.step(at, byte))?;
        match **reader.grammar.machine.node(at.top) {
            Node::Text { shape, .. } => Some((reader, shape)),
            _ => panic!("{pattern} is a string"),
        }
    }

    /// Compares the two ways to a closed part: by a trie of classes that is there, and by all tokens.
    fn compare((mut reader, shape): (JsonReader, ShapeId), vocabulary: &Vocabulary, about: &str) {
        let grammar = &mut reader.grammar;
        let free_shape = grammar.free_shape();
        let free = ClosedMasks::default().get(grammar, vocabulary, free_shape);
        let (walked, _) = walk_all(grammar, vocabulary, shape);
        let alphabet = grammar.alphabet(shape).unwrap();
        let trie = vocabulary.class_trie(&alphabet).unwrap();
        let by_classes = Closed::of_classes(&free, grammar, vocabulary, shape, &trie);
        let (one, other) = (
            settled(&by_classes, vocabulary),
            settled(&walked, vocabulary),
        );
        assert_eq!(one, other, "{about}");
    }

    #[test]
    fn tokens_read_by_classes_are_those_that_are_read_one_by_one() {
        let vocabulary = vocabulary();
        for (pattern, text) in PATTERNS
            .iter()
            .flat_map(|p| [(p, ""), (p, "a"), (p, "ab 1")])
        {
            let Some((mut reader, shape)) = shape_after(pattern, text) else {
                continue;
            };
            let alphabet = reader.grammar.alphabet(shape).unwrap();
            vocabulary.miss_class_trie(&alphabet, usize::MAX);
            compare((reader, shape), &vocabulary, pattern);
        }
    }

    #[test]
    fn a_trie_serves_partitions_that_tell_less_apart() {
        let vocabulary = vocabulary();
        let (mut fine, start) = shape_after("^[a-w]+(é|[0-9x-z])*$", "").unwrap();
        let alphabet = fine.grammar.alphabet(start).unwrap();
        vocabulary.miss_class_trie(&alphabet, usize::MAX);
        assert!(vocabulary.class_trie(&alphabet).is_some());
        let coarse = shape_after("^[a-w]+$", "a").unwrap();
        compare(coarse, &vocabulary, "letters alone");
        let (mut other, start) = shape_after("^[a-m]+$", "").unwrap();
        let alphabet = other.grammar.alphabet(start).unwrap();
        assert!(vocabulary.class_trie(&alphabet).is_none());
    }
}
