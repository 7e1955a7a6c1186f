//! The token bytes of one tokenizer, and what is known of them before any grammar: a trie of all
//! tokens, and which of them are plain inside a JSON string.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::class_trie::{ClassTrie, ClassTries};
use crate::crossings::Crossings;
use crate::error::EngineError;
use crate::forced::OpenPieces;
use crate::free_text::FreeMasks;
use crate::regex::Alphabet;
use crate::sha256::{Digest, Sha256};
use crate::tokenisation::{Rules, Tokenisation};

/// Bits of one word of a mask: token i is bit i % 32 of word i / 32.
pub const WORD_BITS: usize = 32;
/// Ids that a vocabulary may have at most.
pub const MAX_TOKENS: usize = 1 << 22;
/// Bytes that one token may have at most: depths of the trie are 16 bits.
pub const MAX_TOKEN_BYTES: usize = u16::MAX as usize;
/// The bit of a signature that says "some character is not ASCII".
pub const NON_ASCII: u128 = 1;
/// The longest length, in code points, that has a mask of its own in `PlainTokens`.
pub const MAX_MASKED_LENGTH: usize = 32;

/// The bytes that each token id stands for, and which ids end a sequence. Immutable.
#[derive(Debug)]
pub struct Vocabulary {
    tokens: Tokens,
    end_ids: Vec<u32>,
    fingerprint: Digest,
    trie: Trie,
    plain: PlainTokens,
    exits: Exits,
    crossings: Crossings,
    free_masks: FreeMasks,
    /// What may follow where any text may, with one spelling and with all.
    free_tokens: [OnceLock<Arc<FreeTokens>>; 2],
    /// Masks that were asked for, for all indexes.
    masks: Mutex<HashMap<MaskOf, Arc<[u32]>>>,
    /// How texts are cut to tokens, if that is known.
    tokenisation: Option<Tokenisation>,
    open_pieces: OpenPieces,
    class_tries: ClassTries,
}

/// What a mask that is kept is of.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
enum MaskOf {
    /// Plain tokens, by the signature of their characters and the greatest length.
    Plain(u128, usize),
    /// Tokens inside texts of at most so many code points, with one spelling or with all.
    Short(u32, bool),
}

/// What may follow in a JSON string where any text may: the same for all indexes.
#[derive(Debug, Default)]
pub struct FreeTokens {
    /// All of them that stay in the string.
    pub base: Arc<[u32]>,
    /// The tokens of the base that are not plain.
    pub special: Arc<[Special]>,
    /// The trie's nodes that read the closing quote, each with the code points before it.
    pub exits: Vec<(u32, u32)>,
    /// The tokens of these, exit by exit.
    pub quoted: Vec<Quoted>,
    /// The exits that are not at the first quote of their tokens: none of those is quoted.
    pub late: Vec<u32>,
}

/// A token that leaves a string.
#[derive(Copy, Clone, Debug)]
pub struct Quoted {
    /// The place of its exit among all.
    pub exit: u32,
    /// Which suffix follows the quote.
    pub suffix: u32,
    /// The token.
    pub token: u32,
}

/// A token that is not plain, and how many code points it begins.
#[derive(Copy, Clone, Debug)]
pub struct Special {
    /// The token.
    pub id: u32,
    /// The code points.
    pub read: u32,
}

/// Masks that are kept at most.
const MAX_MASKS: usize = 256;
/// So few characters are quicker looked for in the trie than all others ruled out.
const FEW_CHARACTERS: u32 = 24;

impl Vocabulary {
    /// Returns the vocabulary of some tokens, by id.
    ///
    /// Special ids stand for no text, whatever their bytes; end ids are special by themselves.
    /// Ids that stand for no text are in no trie.
    ///
    /// # Errors
    ///
    /// `Vocabulary`: no end id, or an id outside the tokens; `TooLarge`: too many or too long ones.
    pub fn new<T: AsRef<[u8]>>(
        tokens: impl IntoIterator<Item = T>,
        special_ids: &[u32],
        end_ids: &[u32],
    ) -> Result<Self, EngineError> {
        let mut tokens = Tokens::copy(tokens)?;
        let mut end_ids = end_ids.to_vec();
        end_ids.sort_unstable();
        end_ids.dedup();
        if end_ids.is_empty() {
            return Err(EngineError::Vocabulary("no end id".into()));
        }
        let is_special = flags_of([special_ids, &end_ids].concat(), tokens.len())?;
        tokens.clear(&is_special);
        let text_ids = || (0..tokens.len() as u32).filter(|&id| !tokens.get(id).is_empty());
        let trie = Trie::new(&tokens, text_ids());
        let words = tokens.len().div_ceil(WORD_BITS);
        Ok(Self {
            exits: Exits::new(&tokens, &trie)?,
            class_tries: ClassTries::new(&trie, words),
            crossings: Crossings::new(&trie),
            free_masks: FreeMasks::default(),
            fingerprint: fingerprint(&tokens, &is_special, &end_ids),
            trie,
            plain: PlainTokens::new(&tokens, text_ids()),
            tokens,
            end_ids,
            free_tokens: Default::default(),
            masks: Mutex::default(),
            tokenisation: None,
            open_pieces: OpenPieces::default(),
        })
    }

    /// Returns the same vocabulary of a tokenizer that cuts texts by some rules. Nothing that an
    /// index holds depends on them, so that they are no part of the fingerprint.
    ///
    /// # Errors
    ///
    /// `Vocabulary`: rules that name ids outside the tokens, or atoms that are none.
    pub fn cut_by(self, rules: &Rules) -> Result<Self, EngineError> {
        Ok(Self {
            tokenisation: Tokenisation::new(rules, &self)?,
            ..self
        })
    }

    /// Returns how texts are cut to tokens; None where that is not known.
    pub fn tokenisation(&self) -> Option<&Tokenisation> {
        self.tokenisation.as_ref()
    }

    /// Returns what is remembered of tokens that reach beyond a text.
    pub(crate) fn open_pieces(&self) -> &OpenPieces {
        &self.open_pieces
    }

    /// Returns the bytes of a run of tokens.
    pub fn bytes_of(&self, tokens: &[u32]) -> Vec<u8> {
        let bytes = tokens.iter().flat_map(|id| self.token_bytes(*id));
        bytes.copied().collect()
    }

    /// Returns the plain tokens by the classes of their characters, made where that is worth while.
    pub(crate) fn class_trie(&self, alphabet: &Alphabet) -> Option<Arc<ClassTrie>> {
        self.class_tries.get(self, alphabet)
    }

    /// Notes that so many tokens were read for want of these.
    pub(crate) fn miss_class_trie(&self, alphabet: &Alphabet, tokens: usize) {
        self.class_tries.miss(alphabet, tokens);
    }

    /// Returns what may follow where any text may, if some index has worked it out.
    pub fn free_tokens(&self, all_spellings: bool) -> Option<&Arc<FreeTokens>> {
        self.free_tokens[usize::from(all_spellings)].get()
    }

    /// Keeps for all indexes what one has worked out.
    pub fn keep_free_tokens(&self, all_spellings: bool, free: &Arc<FreeTokens>) {
        let _ = self.free_tokens[usize::from(all_spellings)].set(Arc::clone(free));
    }

    /// Returns the mask of the plain tokens of at most so many code points that have only the
    /// characters of a signature.
    pub fn plain_within(&self, characters: u128, length: usize) -> Arc<[u32]> {
        let length = length.min(usize::from(u16::MAX));
        self.kept_mask(MaskOf::Plain(characters, length), || {
            let mut mask = vec![0; self.words()];
            let characters = characters & ALL_PLAIN;
            if characters & NON_ASCII == 0 && characters.count_ones() <= FEW_CHARACTERS {
                self.allow_few(characters, length, &mut mask);
            } else {
                self.plain.allow_within(characters, length, &mut mask);
            }
            mask
        })
    }

    /// Returns the mask of the tokens inside texts of at most so many code points, of which some are
    /// not plain.
    pub(crate) fn short_texts(
        &self,
        special: &[Special],
        (high, all_spellings): (u32, bool),
    ) -> Arc<[u32]> {
        self.kept_mask(MaskOf::Short(high, all_spellings), || {
            let length = usize::try_from(high).unwrap_or(usize::MAX);
            let mut mask = self.plain_within(ALL_PLAIN, length).to_vec();
            let short = special.iter().filter(|token| token.read <= high);
            short.for_each(|token| allow(&mut mask, token.id));
            mask
        })
    }

    fn kept_mask(&self, of: MaskOf, make: impl FnOnce() -> Vec<u32>) -> Arc<[u32]> {
        let known = || self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mask) = known().get(&of) {
            return Arc::clone(mask);
        }
        let mask: Arc<[u32]> = make().into();
        let mut known = known();
        if known.len() < MAX_MASKS {
            known.insert(of, Arc::clone(&mask));
        }
        mask
    }

    /// Adds to a mask the plain tokens of at most so many characters, all of a few of ASCII.
    fn allow_few(&self, characters: u128, length: usize, mask: &mut [u32]) {
        let (trie, mut node) = (&self.trie, 0);
        while node < trie.len() {
            let (byte, depth) = (trie.bytes[node], usize::from(trie.depths[node]));
            if byte >= 0x80 || characters >> byte & 1 == 0 || depth >= length {
                node = trie.ends[node] as usize;
                continue;
            }
            let ids = trie.tokens_at(node).iter();
            ids.filter(|id| self.plain.is_plain(**id))
                .for_each(|id| allow(mask, *id));
            node += 1;
        }
    }

    /// Returns the bytes that lead to a node of the trie, its own included.
    pub fn bytes_to(&self, node: u32) -> &[u8] {
        let node = node as usize;
        let token = self.trie.tokens_below(node).first();
        token.map_or(&[], |id| {
            &self.token_bytes(*id)[..=self.trie.depths[node] as usize]
        })
    }

    /// Returns the number of ids, holes and special ones included.
    pub fn size(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the number of 32-bit words of a mask.
    pub fn words(&self) -> usize {
        self.size().div_ceil(WORD_BITS)
    }

    /// Returns the bytes of a token: empty for special ids and for those outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.tokens.get(id)
    }

    /// Returns the ids that end a sequence, ascending.
    pub fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    /// Returns the SHA-256 of everything that an index or a decoded text depends on; the Python
    /// face's `Vocabulary.fingerprint` is the same.
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// Returns the trie of all tokens that stand for text.
    pub fn trie(&self) -> &Trie {
        &self.trie
    }

    /// Returns the tokens that can leave a JSON string.
    pub fn exits(&self) -> &Exits {
        &self.exits
    }

    /// Returns where tokens can run out of one text and into another.
    pub fn crossings(&self) -> &Crossings {
        &self.crossings
    }

    /// Returns what is remembered of free text.
    pub fn free_masks(&self) -> &FreeMasks {
        &self.free_masks
    }

    /// Returns what the states inside a JSON string need.
    pub fn plain(&self) -> &PlainTokens {
        &self.plain
    }
}

/// Token bytes, one after the other.
#[derive(Debug)]
struct Tokens {
    bytes: Vec<u8>,
    /// Token i is `bytes[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
}

impl Tokens {
    fn copy<T: AsRef<[u8]>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, EngineError> {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for token in tokens {
            let token = token.as_ref();
            EngineError::check_limit("max_tokens", MAX_TOKENS, starts.len())?;
            EngineError::check_limit("max_token_bytes", MAX_TOKEN_BYTES, token.len())?;
            bytes.extend_from_slice(token);
            EngineError::check_limit("max_vocabulary_bytes", u32::MAX as usize, bytes.len())?;
            starts.push(bytes.len() as u32);
        }
        Ok(Self { bytes, starts })
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn get(&self, id: u32) -> &[u8] {
        match self.starts.get(id as usize..id as usize + 2) {
            Some(&[start, end]) => &self.bytes[start as usize..end as usize],
            _ => &[],
        }
    }

    /// Makes some tokens empty.
    fn clear(&mut self, is_cleared: &[bool]) {
        let (mut bytes, mut starts) = (Vec::with_capacity(self.bytes.len()), vec![0]);
        for (id, is_cleared) in is_cleared.iter().enumerate() {
            if !is_cleared {
                bytes.extend_from_slice(self.get(id as u32));
            }
            starts.push(bytes.len() as u32);
        }
        *self = Self { bytes, starts };
    }
}

fn flags_of(ids: Vec<u32>, size: usize) -> Result<Vec<bool>, EngineError> {
    let mut flags = vec![false; size];
    for id in ids {
        *flags
            .get_mut(id as usize)
            .ok_or_else(|| EngineError::Vocabulary(format!("id {id} of {size} tokens")))? = true;
    }
    Ok(flags)
}

fn fingerprint(tokens: &Tokens, is_special: &[bool], end_ids: &[u32]) -> Digest {
    let size = tokens.len();
    let mut ends: Vec<String> = end_ids.iter().map(u32::to_string).collect();
    if let [only] = &mut ends[..] {
        only.push(','); // as Python writes a tuple of one
    }
    let ends = ends.join(", ");
    let mut hash = Sha256::new();
    hash.update(format!("formwork vocabulary 1\n{size}\n({ends})\n").as_bytes());
    for (id, is_special) in is_special.iter().enumerate() {
        let token = tokens.get(id as u32);
        hash.update(if *is_special { b"s" } else { b"t" });
        hash.update(&(token.len() as u32).to_le_bytes());
        hash.update(token);
    }
    hash.finish()
}

/// The tokens that hold a quote, by where they read the first one and by what follows it: many
/// tokens share what follows, so that it is read once for all of them.
#[derive(Debug, Default)]
pub struct Exits {
    /// What follows the first quote of some token, by number; the empty text is none of its tokens.
    pub suffixes: Trie,
    /// The number of the empty suffix, which is that of all suffixes otherwise.
    pub empty: u32,
    /// By the trie's node of the quote: its part of `pairs`.
    places: HashMap<u32, (u32, u32)>,
    /// Suffixes, and the tokens that end with them.
    pairs: Vec<(u32, u32)>,
    /// By number: the suffix holds another whole string.
    holds_string: Vec<bool>,
    /// The tokens that hold a text between two quotes.
    named: HashMap<Box<[u8]>, Vec<u32>>,
}

impl Exits {
    fn new(tokens: &Tokens, trie: &Trie) -> Result<Self, EngineError> {
        let mut exits = Self::default();
        let mut numbers: HashMap<&[u8], u32> = HashMap::new();
        let mut node = 0;
        while node < trie.len() {
            if trie.bytes[node] != b'"' {
                node += 1;
                continue;
            }
            let start = exits.pairs.len() as u32;
            for &id in trie.tokens_below(node) {
                let suffix = &tokens.get(id)[trie.depths[node] as usize + 1..];
                let parts: Vec<&[u8]> = suffix.split(|byte| *byte == b'"').collect();
                for name in &parts[..parts.len() - 1] {
                    exits.named.entry((*name).into()).or_default().push(id);
                }
                let next = numbers.len() as u32;
                exits
                    .pairs
                    .push((*numbers.entry(suffix).or_insert(next), id));
            }
            exits
                .places
                .insert(node as u32, (start, exits.pairs.len() as u32));
            node = trie.ends[node] as usize;
        }
        let mut by_number: Vec<(u32, &[u8])> =
            numbers.iter().map(|(text, n)| (*n, *text)).collect();
        by_number.sort_unstable();
        let quotes = |text: &[u8]| text.iter().filter(|byte| **byte == b'"').count();
        exits.holds_string = by_number.iter().map(|(_, text)| quotes(text) > 1).collect();
        let suffixes = Tokens::copy(by_number.iter().map(|(_, text)| text))?;
        let ids = (0..suffixes.len() as u32).filter(|&n| !suffixes.get(n).is_empty());
        exits.suffixes = Trie::new(&suffixes, ids);
        exits.empty = numbers
            .get(&[][..])
            .copied()
            .unwrap_or(suffixes.len() as u32);
        Ok(exits)
    }

    /// Returns how many suffixes there are, the empty one included.
    pub fn count(&self) -> usize {
        self.pairs
            .iter()
            .map(|(suffix, _)| *suffix as usize + 1)
            .max()
            .unwrap_or(0)
    }

    /// Returns whether a suffix holds another whole string.
    pub fn holds_string(&self, suffix: u32) -> bool {
        self.holds_string.get(suffix as usize) == Some(&true)
    }

    /// Returns the tokens that hold a text between two quotes.
    pub fn named(&self, text: &[u8]) -> Option<&[u32]> {
        self.named.get(text).map(Vec::as_slice)
    }

    /// Returns all tokens that hold a quote.
    pub fn tokens(&self) -> impl Iterator<Item = u32> {
        self.pairs.iter().map(|(_, token)| *token)
    }

    /// Returns the suffixes after the quote that a node reads, each with its token; None where it
    /// is not the first quote of its tokens.
    pub fn at(&self, node: u32) -> Option<&[(u32, u32)]> {
        let (start, end) = *self.places.get(&node)?;
        Some(&self.pairs[start as usize..end as usize])
    }
}

/// Tokens by their bytes, in depth-first order: a walk is a loop over the nodes, where `i + 1`
/// descends and `ends[i]` skips the node with all below it.
///
/// A node is a byte in the place `depths[i]` of every token at or below it; there is no root. A
/// walker that keeps a state per depth steps from `states[depths[i]]` to `states[depths[i] + 1]`.
#[derive(Debug, Default)]
pub struct Trie {
    /// The byte of each node; of siblings, ascending.
    pub bytes: Vec<u8>,
    /// The place of that byte: 0 for the first of a token.
    pub depths: Vec<u16>,
    /// The first node after it that is not below it.
    pub ends: Vec<u32>,
    height: usize,
    /// The signature of all bytes below each node, `SPECIAL` where one is not plain in a string.
    pub below: Vec<u128>,
    /// Tokens of nodes before each one, and of all.
    starts: Vec<u32>,
    ids: Vec<u32>,
    /// The nodes right below each one, side by side; the first are those below none.
    children: Vec<u32>,
    /// Their bytes.
    child_bytes: Vec<u8>,
    /// Where the children of each node begin, after those of none.
    child_starts: Vec<u32>,
}

impl Trie {
    fn new(tokens: &Tokens, ids: impl Iterator<Item = u32>) -> Self {
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable_by_key(|&id| (tokens.get(id), id));
        let mut trie = Self::default();
        let mut open: Vec<usize> = Vec::new(); // nodes of the token before, by depth
        let mut before: &[u8] = &[];
        for (place, &id) in ids.iter().enumerate() {
            let token = tokens.get(id);
            let shared = token.iter().zip(before).take_while(|(a, b)| a == b).count();
            trie.close(open.drain(shared..));
            for (depth, &byte) in token.iter().enumerate().skip(shared) {
                open.push(trie.bytes.len());
                trie.bytes.push(byte);
                trie.depths.push(depth as u16);
                trie.ends.push(0); // until it is closed
                trie.starts.push(place as u32);
            }
            before = token;
        }
        trie.close(open.drain(..));
        trie.starts.push(ids.len() as u32);
        trie.ids = ids;
        trie.height = trie
            .depths
            .iter()
            .max()
            .map_or(0, |&depth| depth as usize + 1);
        trie.sign();
        trie.list_children();
        trie
    }

    fn list_children(&mut self) {
        let end = self.len();
        self.list_siblings(0, end);
        for node in 0..end {
            self.child_starts.push(self.children.len() as u32);
            self.list_siblings(node + 1, self.ends[node] as usize);
        }
        self.child_starts.push(self.children.len() as u32);
    }

    fn list_siblings(&mut self, mut node: usize, end: usize) {
        while node < end {
            self.children.push(node as u32);
            self.child_bytes.push(self.bytes[node]);
            node = self.ends[node] as usize;
        }
    }

    /// Returns the nodes below one, or all of them.
    pub fn range_below(&self, node: Option<usize>) -> (usize, usize) {
        match node {
            Some(node) => (node + 1, self.ends[node] as usize),
            None => (0, self.len()),
        }
    }

    /// Returns where the nodes right below one are listed, or those below none.
    pub fn children(&self, node: Option<usize>) -> Range<usize> {
        let (start, end) = match node {
            Some(node) => (self.child_starts[node], self.child_starts[node + 1]),
            None => (0, self.child_starts.first().copied().unwrap_or(0)),
        };
        start as usize..end as usize
    }

    /// Returns a listed node and its byte.
    pub fn child(&self, place: usize) -> (usize, u8) {
        (self.children[place] as usize, self.child_bytes[place])
    }

    /// Returns the node with a byte right below one, or below none.
    pub fn child_by(&self, node: Option<usize>, byte: u8) -> Option<usize> {
        let below = self.children(node);
        let place = self.child_bytes[below.clone()].binary_search(&byte).ok()?;
        Some(self.children[below.start + place] as usize)
    }

    /// Work out the signatures: a node's byte counts for all above it, a token that ends inside a
    /// code point as special.
    fn sign(&mut self) {
        self.below = vec![0; self.len()];
        let partial = self.ends_inside_characters();
        for node in (0..self.len()).rev() {
            let mut child = node + 1;
            while child < self.ends[node] as usize {
                let own = 1 << signature_bit(self.bytes[child])
                    | if partial[child] { SPECIAL } else { 0 };
                self.below[node] |= self.below[child] | own;
                child = self.ends[child] as usize;
            }
        }
    }

    /// Which nodes end a token that is not whole code points.
    fn ends_inside_characters(&self) -> Vec<bool> {
        let mut pending = vec![Some(0u8); self.height() + 1];
        (0..self.len())
            .map(|node| {
                let depth = self.depths[node] as usize;
                pending[depth + 1] =
                    pending[depth].and_then(|left| bytes_left(left, self.bytes[node]));
                pending[depth + 1] != Some(0) && !self.tokens_at(node).is_empty()
            })
            .collect()
    }

    fn close(&mut self, nodes: impl Iterator<Item = usize>) {
        for node in nodes {
            self.ends[node] = self.bytes.len() as u32;
        }
    }

    /// Returns the number of nodes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the number of bytes of the longest token.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the ids of the tokens that end at a node, ascending: several of the same bytes.
    pub fn tokens_at(&self, node: usize) -> &[u32] {
        // the first below begins where these end
        &self.ids[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// Returns the ids of the tokens that begin with some bytes.
    pub fn beginning_with(&self, bytes: &[u8]) -> &[u32] {
        match self.node_of(bytes) {
            Some(node) => self.tokens_below(node),
            None if bytes.is_empty() => &self.ids,
            None => &[],
        }
    }

    /// Returns the node that some bytes lead to; None where no token begins so, and for no bytes.
    pub fn node_of(&self, bytes: &[u8]) -> Option<usize> {
        let (first, rest) = bytes.split_first()?;
        let node = self.child_by(None, *first)?;
        rest.iter()
            .try_fold(node, |node, byte| self.child_by(Some(node), *byte))
    }

    /// Returns how many tokens come before those at or below a node.
    pub fn tokens_before(&self, node: usize) -> usize {
        self.starts[node] as usize
    }

    /// Returns the ids of the tokens that end at a node or below it.
    pub fn tokens_below(&self, node: usize) -> &[u32] {
        let end = self.ends[node] as usize;
        &self.ids[self.starts[node] as usize..self.starts[end] as usize]
    }
}

/// The tokens that may stand inside a JSON string as they are: complete UTF-8 without quote,
/// backslash and control character.
#[derive(Debug)]
pub struct PlainTokens {
    /// Their ids, ascending.
    pub ids: Vec<u32>,
    /// The number of code points of each.
    pub lengths: Vec<u16>,
    /// Which characters occur in each: bit c for the ASCII character c, `NON_ASCII` for any other.
    pub signatures: Vec<u128>,
    /// Of the tokens up to each length, and of all.
    masks: Vec<Vec<u32>>,
    /// By the bit of a signature: the tokens that have it.
    containing: Vec<Vec<u32>>,
    /// Places in `ids` of the tokens longer than `MAX_MASKED_LENGTH`.
    long: Vec<usize>,
    /// The texts of the tokens that are not all ASCII.
    beyond_ascii: Vec<(u32, Box<str>)>,
    /// The tokens that have each character beyond ASCII; made when it is first needed.
    characters: OnceLock<HashMap<u32, Vec<u32>>>,
}

impl PlainTokens {
    fn new(tokens: &Tokens, text_ids: impl Iterator<Item = u32>) -> Self {
        let (mut ids, mut lengths, mut signatures) = (Vec::new(), Vec::new(), Vec::new());
        let mut beyond_ascii = Vec::new();
        for id in text_ids {
            let Some(text) = plain_text(tokens.get(id)) else {
                continue;
            };
            ids.push(id);
            lengths.push(text.chars().count() as u16);
            if !text.is_ascii() {
                beyond_ascii.push((id, text.into()));
            }
            signatures.push(signature(text));
        }
        let words = tokens.len().div_ceil(WORD_BITS);
        let is_long = |&place: &usize| usize::from(lengths[place]) > MAX_MASKED_LENGTH;
        Self {
            masks: masks_by_length(words, &ids, &lengths),
            containing: masks_by_character(words, &ids, &signatures),
            long: (0..ids.len()).filter(is_long).collect(),
            beyond_ascii,
            characters: OnceLock::new(),
            ids,
            lengths,
            signatures,
        }
    }

    /// Returns the mask of all plain tokens.
    pub fn mask(&self) -> &[u32] {
        &self.masks[MAX_MASKED_LENGTH + 1]
    }

    /// Returns whether a token is plain.
    pub fn is_plain(&self, id: u32) -> bool {
        self.mask()[id as usize / WORD_BITS] >> (id as usize % WORD_BITS) & 1 == 1
    }

    /// Returns the ids of the tokens with some of these characters beyond ASCII.
    pub fn with_characters(&self, characters: &[u32]) -> Vec<u32> {
        if characters.is_empty() {
            return Vec::new();
        }
        let places = self.characters.get_or_init(|| self.index_characters());
        let found = characters.iter().filter_map(|c| places.get(c)).flatten();
        let mut ids: Vec<u32> = found.copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn index_characters(&self) -> HashMap<u32, Vec<u32>> {
        let mut places: HashMap<u32, Vec<u32>> = HashMap::new();
        for (id, text) in &self.beyond_ascii {
            for c in text.chars().filter(|c| !c.is_ascii()) {
                places.entry(u32::from(c)).or_default().push(*id);
            }
        }
        places
    }

    /// Returns the mask of the tokens with some character of a signature.
    pub fn containing(&self, characters: u128) -> Vec<u32> {
        let mut found = vec![0u32; self.mask().len()];
        let bits = (0..128).filter(|bit| characters >> bit & 1 == 1);
        for mask in bits.map(|bit| &self.containing[bit]) {
            found
                .iter_mut()
                .zip(mask)
                .for_each(|(word, other)| *word |= other);
        }
        found
    }

    /// Adds to a mask the plain tokens of at most so many code points that have only the
    /// characters of a signature.
    pub fn allow_within(&self, characters: u128, length: usize, mask: &mut [u32]) {
        let base = &self.masks[length.min(MAX_MASKED_LENGTH)];
        let others = |bit: &usize| characters >> bit & 1 == 0 && !self.containing[*bit].is_empty();
        let others: Vec<&[u32]> = (0..128)
            .filter(others)
            .map(|bit| &self.containing[bit][..])
            .collect();
        for start in (0..base.len()).step_by(BLOCK_WORDS) {
            let end = base.len().min(start + BLOCK_WORDS);
            let mut excluded = [0; BLOCK_WORDS];
            for other in &others {
                for (word, other) in excluded.iter_mut().zip(&other[start..end]) {
                    *word |= other;
                }
            }
            for (i, excluded) in (start..end).zip(excluded) {
                mask[i] |= base[i] & !excluded;
            }
        }
        for &place in &self.long {
            let is_short = usize::from(self.lengths[place]) <= length;
            if is_short && self.signatures[place] & !characters == 0 {
                allow(mask, self.ids[place]);
            }
        }
    }
}

/// Words that `allow_within` works on at a time: short enough to stay in the nearest cache.
const BLOCK_WORDS: usize = 256;

/// How many bytes of a code point are left after one more; None where it is not UTF-8.
fn bytes_left(left: u8, byte: u8) -> Option<u8> {
    match (left, byte) {
        (0, 0..0x80) => Some(0),
        (0, 0xC2..0xE0) => Some(1),
        (0, 0xE0..0xF0) => Some(2),
        (0, 0xF0..0xF5) => Some(3),
        (1.., 0x80..0xC0) => Some(left - 1),
        _ => None,
    }
}

/// The bit of a signature for bytes that are not plain in a JSON string.
pub const SPECIAL: u128 = 2;

/// The signature of all characters that are plain in a JSON string.
pub const ALL_PLAIN: u128 = (!0u128 << 0x20) & !(1 << b'"') & !(1 << b'\\') | NON_ASCII;

/// The bit of a byte in a signature: `NON_ASCII` for those beyond it, `SPECIAL` for quote,
/// backslash and control characters.
pub fn signature_bit(byte: u8) -> u32 {
    match byte {
        b'"' | b'\\' | 0..0x20 => 1,
        0x80.. => 0,
        _ => u32::from(byte),
    }
}

/// The tokens of a mask, ascending.
pub fn tokens_of(mask: &[u32]) -> impl Iterator<Item = u32> {
    let places = mask.iter().enumerate().filter(|(_, word)| **word != 0);
    places.flat_map(|(at, word)| {
        let left = std::iter::successors(Some(*word), |left| Some(left & left.wrapping_sub(1)));
        let left = left.take_while(|left| *left != 0);
        left.map(move |left| (at * WORD_BITS) as u32 + left.trailing_zeros())
    })
}

/// How many tokens a mask has.
pub fn count_of(mask: &[u32]) -> usize {
    mask.iter().map(|word| word.count_ones() as usize).sum()
}

/// Takes a token out of a mask that covers it.
pub fn forbid(mask: &mut [u32], id: u32) {
    mask[id as usize / WORD_BITS] &= !(1 << (id as usize % WORD_BITS));
}

/// Adds a token to a mask that covers it.
pub fn allow(mask: &mut [u32], id: u32) {
    mask[id as usize / WORD_BITS] |= 1 << (id as usize % WORD_BITS);
}

fn plain_text(token: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    let text = std::str::from_utf8(token).ok()?;
    token.iter().all(is_plain).then_some(text)
}

fn signature(text: &str) -> u128 {
    let bit = |c: char| {
        if c.is_ascii() {
            1 << u32::from(c)
        } else {
            NON_ASCII
        }
    };
    text.chars().map(bit).fold(0, |all, bit| all | bit)
}

/// Returns the masks of the tokens of at most 0, 1, ... code points, the last one of all.
fn masks_by_length(words: usize, ids: &[u32], lengths: &[u16]) -> Vec<Vec<u32>> {
    let mut masks = vec![vec![0; words]; MAX_MASKED_LENGTH + 2];
    for (&id, &length) in ids.iter().zip(lengths) {
        allow(
            &mut masks[usize::from(length).min(MAX_MASKED_LENGTH + 1)],
            id,
        );
    }
    for i in 1..masks.len() {
        let (before, after) = masks.split_at_mut(i);
        for (word, below) in after[0].iter_mut().zip(&before[i - 1]) {
            *word |= below;
        }
    }
    masks
}

/// Returns, by the bit of a signature, the mask of the tokens that have it; empty for no token.
fn masks_by_character(words: usize, ids: &[u32], signatures: &[u128]) -> Vec<Vec<u32>> {
    let mut masks = vec![Vec::new(); 128];
    for (&id, &signature) in ids.iter().zip(signatures) {
        let mut bits = signature;
        while bits != 0 {
            let mask = &mut masks[bits.trailing_zeros() as usize];
            mask.resize(words, 0);
            allow(mask, id);
            bits &= bits - 1;
        }
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: [&[u8]; 10] = [
        b"<s>",
        b"ab",
        b"a",
        b"\"",
        b"abc",
        b"",
        b"b",
        b"a",
        b"\xc3",
        b"\xc3\xa9a",
    ];

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(TOKENS, &[0], &[0]).unwrap()
    }

    fn ids(mask: &[u32]) -> Vec<u32> {
        let is_in =
            |id: &u32| mask[*id as usize / WORD_BITS] >> (*id as usize % WORD_BITS) & 1 == 1;
        (0..(mask.len() * WORD_BITS) as u32).filter(is_in).collect()
    }

    /// Every token of a trie with the bytes that lead to it.
    fn spelled(trie: &Trie) -> Vec<(u32, Vec<u8>)> {
        let (mut found, mut path) = (Vec::new(), Vec::new());
        for node in 0..trie.len() {
            path.truncate(trie.depths[node] as usize);
            path.push(trie.bytes[node]);
            found.extend(trie.tokens_at(node).iter().map(|&id| (id, path.clone())));
        }
        found.sort();
        found
    }

    #[test]
    fn special_ids_stand_for_no_text() {
        let vocabulary = vocabulary();
        assert_eq!((vocabulary.size(), vocabulary.words()), (10, 1));
        assert_eq!(vocabulary.token_bytes(0), b"");
        assert_eq!(vocabulary.token_bytes(4), b"abc");
        assert_eq!(vocabulary.token_bytes(u32::MAX), b"");
        assert_eq!(vocabulary.end_ids(), [0]);
    }

    #[test]
    fn the_trie_spells_every_token_that_stands_for_text() {
        let all: Vec<(u32, Vec<u8>)> = (1..10)
            .filter(|&id| id != 5)
            .map(|id| (id, TOKENS[id as usize].to_vec()))
            .collect();
        assert_eq!(spelled(vocabulary().trie()), all);
    }

    #[test]
    fn the_trie_skips_what_is_below_a_node() {
        let vocabulary = vocabulary();
        let trie = vocabulary.trie();
        let a = trie.bytes.iter().position(|&byte| byte == b'a').unwrap();
        assert_eq!(trie.tokens_at(a), [2, 7]);
        assert_eq!(trie.tokens_below(a), [2, 7, 1, 4]);
        assert_eq!(trie.bytes[trie.ends[a] as usize], b'b');
        assert_eq!(trie.depths[trie.ends[a] as usize], 0);
        assert_eq!(trie.height(), 3);
    }

    #[test]
    fn tokens_of_whole_characters_are_plain() {
        let vocabulary = vocabulary();
        let plain = vocabulary.plain();
        assert_eq!(plain.ids, [1, 2, 4, 6, 7, 9]);
        assert_eq!(plain.lengths, [2, 1, 3, 1, 1, 2]);
        assert_eq!(plain.signatures[1], 1 << b'a');
        assert_eq!(plain.signatures[5], NON_ASCII | 1 << b'a');
        assert_eq!(ids(plain.mask()), plain.ids);
    }

    #[test]
    fn plain_masks_are_by_length_and_by_characters() {
        let vocabulary = vocabulary();
        let plain = vocabulary.plain();
        let mut mask = [0];
        plain.allow_within(1 << b'a' | 1 << b'b', 2, &mut mask);
        assert_eq!(ids(&mask), [1, 2, 6, 7]);
    }

    #[test]
    fn a_few_characters_are_found_in_the_trie_as_all_others_are_ruled_out() {
        let tokens = [
            "a", "ab", "ba", "b\"", "bb\\", "abc", "é", "aé", "\u{1}", "aab", "end",
        ];
        let vocabulary = Vocabulary::new(tokens, &[], &[10]).unwrap();
        for characters in [1 << b'a' | 1 << b'b', 1 << b'a', ALL_PLAIN & !NON_ASCII] {
            for length in 0..4 {
                let (mut few, mut ruled_out) = ([0], [0]);
                vocabulary.allow_few(characters, length, &mut few);
                let plain = vocabulary.plain();
                plain.allow_within(characters, length, &mut ruled_out);
                assert_eq!(few, ruled_out, "{characters:x} {length}");
            }
        }
    }

    #[test]
    fn tokens_longer_than_any_mask_are_allowed_one_by_one() {
        let lengths = 1..100;
        let tokens: Vec<String> = lengths
            .map(|n| "é".repeat(n - n / 3) + &"z".repeat(n / 3))
            .collect();
        let vocabulary = Vocabulary::new(&tokens, &[], &[98]).unwrap();
        for length in [0, 1, 31, 32, 33, 64, 97, 98, 99] {
            for characters in [NON_ASCII | 1 << b'z', NON_ASCII, 1 << b'z'] {
                let fits = |&i: &u32| {
                    i < 98
                        && (i as usize) < length
                        && signature(&tokens[i as usize]) & !characters == 0
                };
                let mut mask = [0; 4];
                vocabulary
                    .plain()
                    .allow_within(characters, length, &mut mask);
                assert_eq!(ids(&mask), (0..99).filter(fits).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_is_not_a_vocabulary_is_refused() {
        let refused = |special: &[u32], end: &[u32]| Vocabulary::new(TOKENS, special, end).is_err();
        assert!(refused(&[], &[]));
        assert!(refused(&[], &[10]));
        assert!(refused(&[u32::MAX], &[0]));
        let long = Vocabulary::new([vec![b'a'; MAX_TOKEN_BYTES + 1]], &[], &[0]);
        assert!(matches!(
            long,
            Err(EngineError::TooLarge { asked: 65_536, .. })
        ));
        let none: [&[u8]; 0] = [];
        assert!(Vocabulary::new(none, &[], &[]).is_err());
    }

    #[test]
    fn the_fingerprint_is_that_of_the_python_face() {
        let text = |digest: Digest| digest.map(|byte| format!("{byte:02x}")).concat();
        let one = Vocabulary::new(["a", "bc", "</s>"], &[], &[2]).unwrap();
        assert_eq!(
            text(one.fingerprint()),
            "cbc35d99b304fe6a14ad8dda9b9909594d7d7ccd88f924c29d4f33544861c454"
        );
        let two = Vocabulary::new(["a", "bc", "</s>"], &[], &[2, 1]).unwrap();
        assert_eq!(
            text(two.fingerprint()),
            "47f60e1948b5cd0f3058ac64ccb1f557b41f30111eb7150a276b9d9c4ec76686"
        );
    }
}
