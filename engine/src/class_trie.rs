//! Plain tokens by the classes of their characters.
//!
//! What a language makes of a text depends on the classes of its characters alone, and most
//! languages tell few apart: letters and spaces, digits and the rest. So all tokens that are alike
//! in this are read at once, as one text of classes. The trie of these texts is made once for a
//! partition, for all indexes of a vocabulary, and is small.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::formats::format;
use crate::hashing::IdMap;
use crate::regex::{Alphabet, RegexId, Regexes};
use crate::vocabulary::{Trie, Vocabulary, allow};

/// Classes that a partition may have.
pub(crate) const MAX_CLASSES: usize = 32;
/// Nodes that a trie may have.
const MAX_NODES: usize = 60_000;
/// Tries that are kept, and partitions with the trie that serves them.
const MAX_TRIES: usize = 12;
const MAX_SERVED: usize = 64;
/// Runs of code points in one class that a partition may have: how long it takes to compare two.
const MAX_RUNS: usize = 4096;
/// Partitions that are kept in mind.
const MAX_WANTED: usize = 256;
/// Tokens from which on those of a text are kept as words too.
const MANY: usize = 512;
/// Tokens that are read one by one before a trie is made: somewhat more than what making it takes,
/// so that partitions that are seldom met cost no more than without.
const WORTHWHILE: usize = 150_000;

/// Texts of classes in depth-first order, with the tokens that are spelt so.
#[derive(Debug, Default)]
pub(crate) struct ClassTrie {
    /// A character of each class.
    pub samples: Vec<u32>,
    /// The last class of each text.
    pub classes: Vec<u8>,
    /// How long it is, less one.
    pub depths: Vec<u16>,
    /// The first node after it that is not below it.
    pub ends: Vec<u32>,
    tokens: Lists<u32>,
    /// The same as words, of nodes that have many.
    words: IdMap<u32, Box<[u32]>>,
    /// Tokens that end inside a character, with the classes that it may be of, by bit; the first
    /// list is that of the empty text.
    partial: Lists<(u32, u32)>,
    pub height: usize,
}

/// A list for each node, one behind the other.
#[derive(Debug, Default)]
struct Lists<T> {
    starts: Vec<u32>,
    all: Vec<T>,
}

impl<T: Copy + Default> Lists<T> {
    /// Those of so many nodes, from items with their nodes.
    fn of(nodes: usize, items: &[(usize, T)]) -> Self {
        let mut starts = vec![0u32; nodes + 1];
        items.iter().for_each(|(node, _)| starts[node + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let (mut next, mut all) = (starts.clone(), vec![T::default(); items.len()]);
        for (node, item) in items {
            all[next[*node] as usize] = *item;
            next[*node] += 1;
        }
        Lists { starts, all }
    }

    fn at(&self, node: usize) -> &[T] {
        &self.all[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

/// Formats whose strings are often met: of what they and few others tell apart there is a trie from
/// the beginning.
const COMMON_FORMATS: [&str; 2] = ["email", "hostname"];
/// Characters that many patterns tell apart.
const COMMON_CHARACTERS: &str = "_ /#%+";

/// The tries that were made; None where there would be too many nodes.
#[derive(Debug, Default)]
pub(crate) struct ClassTries {
    common: Option<(Alphabet, Arc<ClassTrie>)>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By the partition that they serve.
    tries: HashMap<Alphabet, Option<Arc<ClassTrie>>>,
    /// Partitions of which a trie was made.
    made: Vec<Alphabet>,
    wanted: HashMap<Alphabet, Wanted>,
}

/// A partition that no trie serves.
#[derive(Copy, Clone, Debug)]
struct Wanted {
    /// How many tokens were read for want of one.
    tokens: usize,
    /// How many there were when that was looked at.
    made: usize,
}

impl ClassTries {
    /// Makes the trie of what many languages tell apart, from the tokens of so many words.
    pub fn new(trie: &Trie, words: usize) -> Self {
        let common = common_alphabet().and_then(|alphabet| {
            let made = Making::of((trie, words), &alphabet)?;
            Some((alphabet, Arc::new(made)))
        });
        Self {
            common,
            known: Mutex::default(),
        }
    }

    /// The trie of a partition; None where it is no shorter way, or not yet.
    pub fn get(&self, vocabulary: &Vocabulary, alphabet: &Alphabet) -> Option<Arc<ClassTrie>> {
        if alphabet.run_count() > MAX_RUNS {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = known.tries.get(alphabet) {
            return old.clone();
        }
        let wanted = known.wanted.get(alphabet).copied();
        if wanted.is_none_or(|wanted| wanted.made != known.made.len())
            && let Some(finer) = self.common(alphabet).or_else(|| known.finer(alphabet))
        {
            known.keep(alphabet, Some(finer.clone()));
            return Some(finer);
        }
        if wanted.is_none_or(|wanted| wanted.tokens < WORTHWHILE) {
            return None;
        }
        let new = Making::of((vocabulary.trie(), vocabulary.words()), alphabet).map(Arc::new);
        if known.made.len() >= MAX_TRIES {
            *known = Known::default();
        }
        known.keep(alphabet, new.clone());
        known.made.extend(new.is_some().then(|| alphabet.clone()));
        new
    }

    /// The trie that is there from the beginning, if it serves a partition.
    fn common(&self, alphabet: &Alphabet) -> Option<Arc<ClassTrie>> {
        let (common, trie) = self.common.as_ref()?;
        common.refines(alphabet).then(|| Arc::clone(trie))
    }

    /// Notes that so many tokens were read for want of a trie.
    pub fn miss(&self, alphabet: &Alphabet, tokens: usize) {
        if alphabet.run_count() > MAX_RUNS {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.wanted.len() >= MAX_WANTED {
            known.wanted.clear();
        }
        let made = known.made.len();
        let wanted = known.wanted.entry(alphabet.clone());
        let wanted = wanted.or_insert(Wanted { tokens: 0, made });
        wanted.tokens = wanted.tokens.saturating_add(tokens);
        wanted.made = made;
    }
}

impl Known {
    /// A trie that serves a partition as one that tells more apart.
    fn finer(&self, alphabet: &Alphabet) -> Option<Arc<ClassTrie>> {
        let finer = self.made.iter().find(|made| made.refines(alphabet))?;
        self.tries.get(finer)?.clone()
    }

    /// Keeps what serves a partition; all that was known before is forgotten where it is too much.
    fn keep(&mut self, alphabet: &Alphabet, trie: Option<Arc<ClassTrie>>) {
        if self.tries.len() >= MAX_SERVED {
            *self = Known::default();
        }
        self.tries.insert(alphabet.clone(), trie);
    }
}

impl ClassTrie {
    /// Allows the tokens that a text of classes stands for.
    pub fn allow_at(&self, node: usize, mask: &mut [u32]) {
        let tokens = self.tokens.at(node);
        if tokens.len() < MANY {
            return tokens.iter().for_each(|id| allow(mask, *id));
        }
        if let Some(words) = self.words.get(&(node as u32)) {
            let words = mask.iter_mut().zip(&words[..]);
            words.for_each(|(to, word)| *to |= word);
        }
    }

    fn keep_words(&mut self, words: usize) {
        for node in 0..self.classes.len() {
            let tokens = self.tokens.at(node);
            if tokens.len() >= MANY {
                let mut mask = vec![0; words];
                tokens.iter().for_each(|id| allow(&mut mask, *id));
                self.words.insert(node as u32, mask.into());
            }
        }
    }

    /// The tokens that go on from a text, or from none, into a character that they do not end, each
    /// with the classes that it may be of.
    pub fn partial_after(&self, node: Option<usize>) -> &[(u32, u32)] {
        self.partial.at(node.map_or(0, |node| node + 1))
    }
}

/// A trie that is being made: nodes in the order in which they are met, 0 before all.
struct Making {
    classes: usize,
    ascii: [u32; 128],
    /// By node and class; 0 for none.
    children: Vec<u32>,
    /// Tokens, each with its node.
    tokens: Vec<(u32, u32)>,
    /// Tokens that end inside a character, each with its node and that character's classes.
    partial: Vec<(u32, (u32, u32))>,
}

/// Where a walk over the bytes of tokens stands.
#[derive(Copy, Clone, Default)]
struct Place {
    node: u32,
    /// The code point that has begun, and how many of its bytes are to come.
    bits: u32,
    left: u8,
    /// The first code point of so many bytes: what is below is spelt with too many.
    least: u32,
}

impl Making {
    fn of((trie, words): (&Trie, usize), alphabet: &Alphabet) -> Option<ClassTrie> {
        let classes = alphabet.samples().len();
        if classes > MAX_CLASSES {
            return None;
        }
        let mut making = Making {
            classes,
            ascii: std::array::from_fn(|c| alphabet.class(c as u32)),
            children: vec![0; classes],
            tokens: Vec::new(),
            partial: Vec::new(),
        };
        making.walk(trie, alphabet)?;
        let mut trie = making.finish();
        trie.samples = alphabet.samples().to_vec();
        trie.keep_words(words);
        Some(trie)
    }

    /// Reads all plain tokens.
    fn walk(&mut self, trie: &Trie, alphabet: &Alphabet) -> Option<()> {
        let mut places = vec![Place::default(); trie.height() + 1];
        let mut at = 0;
        while at < trie.len() {
            let depth = trie.depths[at] as usize;
            match self.step(places[depth], trie.bytes[at], alphabet) {
                None => at = trie.ends[at] as usize,
                Some(place) => {
                    places[depth + 1] = place;
                    let tokens = trie.tokens_at(at).iter();
                    if place.left == 0 {
                        self.tokens.extend(tokens.map(|id| (place.node, *id)));
                    } else if !tokens.as_slice().is_empty() {
                        let classes = classes_of(place, alphabet);
                        let partial = tokens.map(|id| (place.node, (*id, classes)));
                        self.partial.extend(partial);
                    }
                    at += 1;
                }
            }
            if self.children.len() > MAX_NODES * self.classes {
                return None;
            }
        }
        Some(())
    }

    fn step(&mut self, at: Place, byte: u8, alphabet: &Alphabet) -> Option<Place> {
        let begun = |bits: u8, left, least| Place {
            bits: u32::from(bits),
            left,
            least,
            ..at
        };
        match (at.left, byte) {
            (0, b'"' | b'\\' | 0..0x20) => None,
            (0, 0..0x80) => Some(self.child(at.node, self.ascii[usize::from(byte)])),
            (0, 0xC2..0xE0) => Some(begun(byte & 0x1F, 1, 0x80)),
            (0, 0xE0..0xF0) => Some(begun(byte & 0x0F, 2, 0x800)),
            (0, 0xF0..0xF5) => Some(begun(byte & 0x07, 3, 0x1_0000)),
            (1.., 0x80..0xC0) => {
                let (bits, left) = (at.bits << 6 | u32::from(byte & 0x3F), at.left - 1);
                if left > 0 {
                    return Some(Place { bits, left, ..at });
                }
                let c = char::from_u32(bits).filter(|c| u32::from(*c) >= at.least)?;
                Some(self.child(at.node, alphabet.class(c.into())))
            }
            _ => None,
        }
    }

    fn child(&mut self, node: u32, class: u32) -> Place {
        let at = node as usize * self.classes + class as usize;
        if self.children[at] == 0 {
            self.children[at] = (self.children.len() / self.classes) as u32;
            self.children.resize(self.children.len() + self.classes, 0);
        }
        Place {
            node: self.children[at],
            ..Place::default()
        }
    }

    /// The same in depth-first order.
    fn finish(self) -> ClassTrie {
        let count = self.children.len() / self.classes;
        let (mut trie, mut numbers) = (ClassTrie::default(), vec![0; count]);
        let mut open = vec![(0usize, 0usize)];
        while let Some((node, class)) = open.last_mut() {
            if *class == self.classes {
                if *node != 0 {
                    let number = numbers[*node] as usize;
                    trie.ends[number] = trie.classes.len() as u32;
                }
                open.pop();
                continue;
            }
            let child = self.children[*node * self.classes + *class] as usize;
            *class += 1;
            if child != 0 {
                let class = *class - 1;
                numbers[child] = trie.classes.len() as u32;
                trie.classes.push(class as u8);
                trie.depths.push(open.len() as u16 - 1);
                trie.ends.push(0); // until it is left
                trie.height = trie.height.max(open.len());
                open.push((child, 0));
            }
        }
        let number = |node: &u32| numbers[*node as usize] as usize;
        let tokens = self.tokens.iter().map(|(node, id)| (number(node), *id));
        trie.tokens = Lists::of(trie.classes.len(), &tokens.collect::<Vec<_>>());
        let after = |node: &u32| if *node == 0 { 0 } else { number(node) + 1 };
        let partial = self.partial.iter().map(|(node, item)| (after(node), *item));
        trie.partial = Lists::of(trie.classes.len() + 1, &partial.collect::<Vec<_>>());
        trie
    }
}

/// What formats that are often met tell apart, and some characters.
fn common_alphabet() -> Option<Alphabet> {
    let mut regexes = Regexes::default();
    let formats = COMMON_FORMATS
        .iter()
        .filter_map(|name| format(&mut regexes, name));
    let mut languages: Vec<RegexId> = formats.collect();
    let characters = COMMON_CHARACTERS
        .chars()
        .map(|c| regexes.literal(&c.to_string()));
    languages.extend(characters);
    regexes.alphabet(&languages)
}

/// The classes that a character may be of whose first bytes were read, by bit.
fn classes_of(at: Place, alphabet: &Alphabet) -> u32 {
    let shift = 6 * u32::from(at.left);
    let low = at.bits << shift;
    alphabet.classes_within((low.max(at.least), low | ((1 << shift) - 1)))
}
