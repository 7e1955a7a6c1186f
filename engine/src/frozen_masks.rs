//! Masks put together from tables: closed parts, and tokens that are read.

use std::sync::Arc;

use crate::closed::ClosedMasks;
use crate::frozen::{ENTRY, FrozenReader};
use crate::frozen_keys::KeyPlace;
use crate::frozen_parts::{Part, read_base, read_part};
use crate::frozen_tables::Way;
use crate::grammar::MASK_FUEL;
use crate::machine::{Action, Configuration, NodeId};
use crate::mask::Mask;
use crate::reader::Reader;
use crate::vocabulary::{FreeTokens, Trie, Vocabulary, allow};

impl FrozenReader {
    /// The mask where no undeclared key has been written yet.
    pub(crate) fn mask_of_place(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
    ) -> Option<Arc<Mask>> {
        if let Some(known) = self.masks.get(&at) {
            return Some(Arc::clone(known));
        }
        let mask = match self.find_mask(vocabulary, at) {
            Some(mask) => Arc::new(mask),
            None => self.ask_mask(vocabulary, at)?,
        };
        if self.limit_reached().is_none() {
            self.bytes += ENTRY + mask.bytes();
            self.masks.insert(at, Arc::clone(&mask));
        }
        Some(mask)
    }

    /// The mask as far as the tables tell.
    fn find_mask(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Option<Mask> {
        match self.tables.way(at.top) {
            Way::Ask => None,
            Way::Walk => {
                let mut tokens = Vec::new();
                self.read_tokens((vocabulary.trie(), None), at, &mut tokens);
                Some(Mask::new(None, tokens))
            }
            Way::Alike(part) => self.closed_mask(vocabulary, at, (part, true)),
            Way::Each(part) => self.closed_mask(vocabulary, at, (part, false)),
            Way::Near(other) => self.near_mask(vocabulary, at, other),
        }
    }

    /// Collects the tokens below a node of a trie, or all, that can be read from a place.
    fn read_tokens(
        &mut self,
        (trie, from): (&Trie, Option<usize>),
        at: Configuration,
        tokens: &mut Vec<u32>,
    ) {
        let (tables, mut open) = (Arc::clone(&self.tables), vec![(from, at)]);
        while let Some((from, at)) = open.pop() {
            if let Some(keys) = tables
                .key_place(at.top)
                .filter(|keys| keys.other().is_none())
            {
                for byte in keys.own_bytes() {
                    if let Some(node) = trie.child_by(from, byte)
                        && let Some(next) = self.step(at, byte)
                    {
                        tokens.extend_from_slice(trie.tokens_at(node));
                        open.push((Some(node), next));
                    }
                }
                continue;
            }
            if !tables.is_known(at.top) {
                self.read_live((trie, trie.range_below(from)), at, tokens);
                continue;
            }
            let row = tables.row(at.top);
            for place in trie.children(from) {
                let (node, byte) = trie.child(place);
                if row.is_some_and(|row| row[byte as usize] == 0) {
                    continue;
                }
                if let Some(next) = self.step(at, byte) {
                    tokens.extend_from_slice(trie.tokens_at(node));
                    open.push((Some(node), next));
                }
            }
        }
    }

    // Closed parts.

    /// The mask of a place inside a string: its closed part, and the tokens that leave the string.
    fn closed_mask(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        (number, is_alike): (u32, bool),
    ) -> Option<Mask> {
        let free = self.free_tokens(vocabulary)?;
        let part = self.part(vocabulary, number as usize, &free)?;
        let mut tokens = part.tokens.clone();
        if is_alike {
            self.leave_alike(vocabulary, at, (&part, &free), &mut tokens);
        } else {
            self.leave_each(vocabulary, at, (&part, &free), &mut tokens);
        }
        let (base, forbidden) = (part.base.clone(), part.forbidden.clone());
        Some(Mask::of_parts(base, forbidden, tokens))
    }

    /// The tokens that leave a string, where all ways out lead to one place.
    fn leave_alike(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        (part, free): (&Part, &FreeTokens),
        tokens: &mut Vec<u32>,
    ) {
        let has = |exit: usize| part.exits.has(exit, free.exits[exit].1);
        let Some(first) = (0..free.exits.len()).find(|exit| has(*exit)) else {
            return;
        };
        let Some(after) = self.after_exit(vocabulary, at, free.exits[first].0) else {
            return;
        };
        let open = self.open_suffixes(vocabulary, after);
        let quoted = free
            .quoted
            .iter()
            .filter(|quoted| open[quoted.suffix as usize]);
        let quoted = quoted.filter(|quoted| has(quoted.exit as usize));
        tokens.extend(quoted.map(|quoted| quoted.token));
        for exit in free.late.iter().filter(|exit| has(**exit as usize)) {
            self.read_late(vocabulary, free.exits[*exit as usize].0, after, tokens);
        }
    }

    /// The same where each way has to be followed.
    fn leave_each(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        (part, free): (&Part, &FreeTokens),
        tokens: &mut Vec<u32>,
    ) {
        let mut quoted = &free.quoted[..];
        for (exit, (node, read)) in free.exits.iter().enumerate() {
            let here = quoted
                .iter()
                .take_while(|q| q.exit as usize == exit)
                .count();
            let (here, rest) = quoted.split_at(here);
            quoted = rest;
            let is_exit = part.exits.has(exit, *read);
            let after = is_exit.then(|| self.after_exit(vocabulary, at, *node));
            let Some(after) = after.flatten() else {
                continue;
            };
            if here.is_empty() {
                self.read_late(vocabulary, *node, after, tokens);
                continue;
            }
            let open = self.open_suffixes(vocabulary, after);
            let here = here.iter().filter(|quoted| open[quoted.suffix as usize]);
            tokens.extend(here.map(|quoted| quoted.token));
        }
    }

    /// Where a text leads that is left at a node of the trie.
    fn after_exit(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        node: u32,
    ) -> Option<Configuration> {
        let mut bytes = vocabulary.bytes_to(node).iter();
        bytes.try_fold(at, |at, byte| self.step(at, *byte))
    }

    /// Collects the tokens that read a quote at a node of the trie, which is not their first.
    fn read_late(
        &mut self,
        vocabulary: &Vocabulary,
        node: u32,
        after: Configuration,
        tokens: &mut Vec<u32>,
    ) {
        let (trie, node) = (vocabulary.trie(), node as usize);
        tokens.extend_from_slice(trie.tokens_at(node));
        self.read_tokens((trie, Some(node)), after, tokens);
    }

    /// Which suffixes of tokens can be read from a place.
    fn open_suffixes(&mut self, vocabulary: &Vocabulary, at: Configuration) -> Arc<[bool]> {
        if let Some(known) = self.suffixes.get(&at) {
            return Arc::clone(known);
        }
        let (exits, mut read) = (vocabulary.exits(), Vec::new());
        self.read_tokens((&exits.suffixes, None), at, &mut read);
        let mut open = vec![false; exits.count() + 1];
        read.iter().for_each(|suffix| open[*suffix as usize] = true);
        open[exits.empty as usize] = true;
        let open: Arc<[bool]> = open.into();
        if self.limit_reached().is_none() {
            self.bytes += ENTRY + open.len();
            self.suffixes.insert(at, Arc::clone(&open));
        }
        open
    }

    /// A closed part of the tables; None where it cannot be read.
    fn part(
        &mut self,
        vocabulary: &Vocabulary,
        number: usize,
        free: &FreeTokens,
    ) -> Option<Arc<Part>> {
        if let Some(Some(part)) = self.parts.get(number) {
            return Some(Arc::clone(part));
        }
        let FrozenReader {
            tables,
            bases,
            blank,
            ..
        } = self;
        let bytes = tables.part_bytes(number);
        let read = read_part(bytes, vocabulary, free.exits.len(), |base| {
            if let Some(known) = bases.get(base)? {
                return Some(Arc::clone(known));
            }
            let bytes = tables.base_bytes(base);
            let read = read_base(bytes, vocabulary, blank.writing.all_spellings).ok()?;
            bases[base] = Some(Arc::clone(&read));
            Some(read)
        });
        let part = Arc::new(read.ok()?);
        self.bytes += ENTRY + 4 * (part.tokens.len() + part.forbidden.len());
        *self.parts.get_mut(number)? = Some(Arc::clone(&part));
        Some(part)
    }

    /// What may follow where any text may, worked out once for a vocabulary.
    fn free_tokens(&mut self, vocabulary: &Vocabulary) -> Option<Arc<FreeTokens>> {
        let all_spellings = self.blank.writing.all_spellings;
        if vocabulary.free_tokens(all_spellings).is_none() {
            self.blank.refuel(MASK_FUEL, u64::MAX);
            let free = self.blank.free_shape();
            ClosedMasks::default().get(&mut self.blank, vocabulary, free);
        }
        vocabulary.free_tokens(all_spellings).cloned()
    }

    // Masks near to others.

    /// The mask of a place from that of another, by what bytes do otherwise there.
    fn near_mask(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        other: NodeId,
    ) -> Option<Mask> {
        if matches!(self.tables.way(other), Way::Near(_)) {
            return None; // no filled index has that
        }
        let usual = self.mask_of_place(vocabulary, Configuration { top: other, ..at })?;
        let (tables, trie) = (Arc::clone(&self.tables), vocabulary.trie());
        if let Some(keys) = tables.key_place(at.top) {
            return Some(self.key_mask(vocabulary, at, keys, &usual));
        }
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let mut open = vec![(None, at.top, other)];
        while let Some((from, one, other)) = open.pop() {
            let rows = tables.row(one).zip(tables.row(other));
            let acts_alike = |byte: u8| {
                rows.is_some_and(|(one, other)| {
                    let code = one[byte as usize];
                    code == other[byte as usize] && tables.is_absolute(code)
                })
            };
            for place in trie.children(from) {
                let (node, byte) = trie.child(place);
                if acts_alike(byte) {
                    continue;
                }
                let (mine, usual) = (self.action(one, byte), self.action(other, byte));
                match (stays(mine), stays(usual)) {
                    _ if mine == usual => {}
                    (Some(one), Some(other)) if one == other => {}
                    (Some(one), Some(other)) => open.push((Some(node), one, other)),
                    _ => {
                        removed.extend_from_slice(trie.tokens_below(node));
                        let from = Configuration { top: one, ..at };
                        if let Some(next) = self.step(from, byte) {
                            added.extend_from_slice(trie.tokens_at(node));
                            self.read_tokens((trie, Some(node)), next, &mut added);
                        }
                    }
                }
            }
        }
        Some(self.changed(vocabulary, &usual, removed, added))
    }

    /// The mask of a place inside an object's keys: what ends a declared one is read otherwise than
    /// inside any other key.
    fn key_mask(
        &mut self,
        vocabulary: &Vocabulary,
        at: Configuration,
        keys: KeyPlace,
        usual: &Mask,
    ) -> Mask {
        let (mut removed, mut added, trie) = (Vec::new(), Vec::new(), vocabulary.trie());
        let mut open = vec![(None, keys)];
        while let Some((from, keys)) = open.pop() {
            for (byte, next) in keys.children() {
                if let Some(node) = trie.child_by(from, byte) {
                    open.push((Some(node), next));
                }
            }
            let quote = trie.child_by(from, b'"').filter(|_| keys.ends_key());
            let Some(node) = quote else { continue };
            removed.extend_from_slice(trie.tokens_below(node));
            let top = keys.node();
            if let Some(next) = self.step(Configuration { top, ..at }, b'"') {
                added.extend_from_slice(trie.tokens_at(node));
                self.read_tokens((trie, Some(node)), next, &mut added);
            }
        }
        self.changed(vocabulary, usual, removed, added)
    }

    /// A mask without some tokens, and with others.
    fn changed(
        &mut self,
        vocabulary: &Vocabulary,
        usual: &Mask,
        removed: Vec<u32>,
        mut tokens: Vec<u32>,
    ) -> Mask {
        let mut is_removed = vec![0; vocabulary.words()];
        removed.iter().for_each(|id| allow(&mut is_removed, *id));
        let kept = |id: &u32| is_removed[*id as usize / 32] >> (id % 32) & 1 == 0;
        tokens.extend(usual.tokens().iter().copied().filter(kept));
        let forbidden = [usual.forbidden(), &removed].concat();
        Mask::of_parts(usual.base().cloned(), forbidden, tokens)
    }
}

/// The node after a byte that stays in a string.
fn stays(action: Action) -> Option<NodeId> {
    match action {
        Action::To(to) | Action::Spell { to, .. } => Some(to),
        _ => None,
    }
}
