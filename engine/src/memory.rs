//! What a text has written that its machine's nodes do not hold: the undeclared keys of the objects
//! that are open, and what has been read of the key that is being written.
//!
//! Nodes are few because they do not tell one undeclared key from another; that no key repeats is
//! seen to here. Memories are interned chains, so that a cursor goes back for nothing.

use crate::formula::{Interner, KeySetId, ids};
use crate::grammar::Grammar;

ids! {
    /// An interned memory.
    MemoryId,
}

impl MemoryId {
    /// Remembers nothing and minds no repetition: what masks are worked out with.
    pub const BLANK: MemoryId = MemoryId(0);
}

/// One link of a memory.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Memory {
    Blank,
    /// Below the outermost value.
    Bottom,
    /// An open value: the undeclared keys that it has, if it is an object.
    Frame {
        below: MemoryId,
        seen: KeySetId,
    },
    /// Inside a key: one more unit of it.
    Reading {
        before: MemoryId,
        unit: Unit,
    },
}

/// A piece of a key: a byte of its UTF-8, or a code point that an escape has spelt.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Unit {
    Byte(u8),
    Character(char),
    /// Nothing yet: the text is inside an escape.
    Pending,
}

/// All memories met so far.
pub struct Memories(Interner<Memory, MemoryId>);

impl Default for Memories {
    fn default() -> Self {
        let mut memories = Interner::default();
        memories.intern(Memory::Blank);
        Memories(memories)
    }
}

impl Memories {
    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        const MEMORY: usize = 96;
        MEMORY * self.0.len()
    }

    fn get(&self, id: MemoryId) -> Memory {
        **self.0.get(id)
    }

    /// The memory with one more unit of a key.
    pub fn spell(&mut self, before: MemoryId, unit: Unit) -> MemoryId {
        if before == MemoryId::BLANK || unit == Unit::Pending {
            return before;
        }
        self.0.intern(Memory::Reading { before, unit })
    }

    /// The memory without what was read of a key.
    pub fn forget_key(&self, mut id: MemoryId) -> MemoryId {
        while let Memory::Reading { before, .. } = self.get(id) {
            id = before;
        }
        id
    }

    /// The memory without the innermost open value.
    pub fn close(&self, id: MemoryId) -> MemoryId {
        match self.get(self.forget_key(id)) {
            Memory::Frame { below, .. } => below,
            _ => id,
        }
    }

    /// What has been read of the key that is being written, as UTF-8 that may not be whole.
    fn read(&self, mut id: MemoryId) -> Vec<u8> {
        let mut units = Vec::new();
        while let Memory::Reading { before, unit } = self.get(id) {
            units.push(unit);
            id = before;
        }
        let mut read = Vec::with_capacity(units.len());
        for unit in units.into_iter().rev() {
            match unit {
                Unit::Byte(byte) => read.push(byte),
                Unit::Character(c) => read.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Unit::Pending => {}
            }
        }
        read
    }
}

impl Grammar {
    /// The memory of a text that has not begun.
    pub(crate) fn first_memory(&mut self) -> MemoryId {
        let bottom = self.machine.memories.0.intern(Memory::Bottom);
        self.open_memory(bottom)
    }

    /// The memory with one more open value.
    pub(crate) fn open_memory(&mut self, below: MemoryId) -> MemoryId {
        if below == MemoryId::BLANK {
            return below;
        }
        let seen = self.formulas.key_sets.intern(Vec::new());
        self.machine
            .memories
            .0
            .intern(Memory::Frame { below, seen })
    }

    /// The memory after the end of an undeclared key; None if the object has it already.
    pub(crate) fn name_key(&mut self, id: MemoryId) -> Option<MemoryId> {
        let frame = self.machine.memories.forget_key(id);
        let Memory::Frame { below, seen } = self.machine.memories.get(frame) else {
            return Some(id);
        };
        let key = String::from_utf8(self.machine.memories.read(id)).ok()?;
        let key = self.formulas.texts.intern(key);
        let mut keys = (**self.formulas.key_sets.get(seen)).clone();
        let at = keys.binary_search(&key).err()?;
        keys.insert(at, key);
        let seen = self.formulas.key_sets.intern(keys);
        Some(
            self.machine
                .memories
                .0
                .intern(Memory::Frame { below, seen }),
        )
    }

    /// The memory here that remembers what one of another grammar does.
    pub(crate) fn copy_memory(&mut self, from: &Grammar, id: MemoryId) -> MemoryId {
        let (mut links, mut next) = (Vec::new(), id);
        let mut copied = loop {
            let link = from.machine.memories.get(next);
            match link {
                Memory::Blank => break MemoryId::BLANK,
                Memory::Bottom => break self.machine.memories.0.intern(Memory::Bottom),
                Memory::Frame { below, .. } => next = below,
                Memory::Reading { before, .. } => next = before,
            }
            links.push(link);
        };
        for link in links.into_iter().rev() {
            let link = match link {
                Memory::Frame { seen, .. } => Memory::Frame {
                    below: copied,
                    seen: self.copy_keys(from, seen),
                },
                Memory::Reading { unit, .. } => Memory::Reading {
                    before: copied,
                    unit,
                },
                other => other,
            };
            copied = self.machine.memories.0.intern(link);
        }
        copied
    }

    fn copy_keys(&mut self, from: &Grammar, keys: KeySetId) -> KeySetId {
        let keys = from.formulas.key_sets.get(keys).iter();
        let texts = keys.map(|key| (**from.formulas.texts.get(*key)).clone());
        let mut keys: Vec<_> = texts.map(|text| self.formulas.texts.intern(text)).collect();
        keys.sort_unstable();
        self.formulas.key_sets.intern(keys)
    }

    /// Whether some open value has undeclared keys.
    pub(crate) fn has_remembered(&self, id: MemoryId) -> bool {
        let mut frame = self.machine.memories.forget_key(id);
        while let Memory::Frame { below, seen } = self.machine.memories.get(frame) {
            if !self.formulas.key_sets.get(seen).is_empty() {
                return true;
            }
            frame = below;
        }
        false
    }

    /// Meets the undeclared keys of the innermost `depth` open values.
    pub(crate) fn each_undeclared(&self, id: MemoryId, depth: usize, mut meet: impl FnMut(&[u8])) {
        let mut frame = self.machine.memories.forget_key(id);
        for _ in 0..depth {
            let Memory::Frame { below, seen } = self.machine.memories.get(frame) else {
                break;
            };
            for key in self.formulas.key_sets.get(seen).iter() {
                meet(self.formulas.texts.get(*key).as_bytes());
            }
            frame = below;
        }
    }

    /// Whether all of these can be spelt without an escape.
    pub(crate) fn are_plain(&self, id: MemoryId, depth: usize) -> bool {
        let mut are_plain = true;
        let is_plain = |b: &u8| *b >= 0x20 && !matches!(b, b'"' | b'\\');
        self.each_undeclared(id, depth, |key| are_plain &= key.iter().all(is_plain));
        are_plain
    }

    /// The undeclared keys of the innermost open value.
    pub(crate) fn undeclared_keys(&self, id: MemoryId) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        self.each_undeclared(id, 1, |key| keys.push(key.to_vec()));
        keys
    }

    /// What is still to be read of each of these that begins with what was read of a key.
    pub(crate) fn key_endings(&self, id: MemoryId) -> Vec<Vec<u8>> {
        let (read, mut endings) = (self.machine.memories.read(id), Vec::new());
        self.each_undeclared(id, 1, |key| {
            let rest = key.strip_prefix(&read[..]);
            endings.extend(rest.map(<[u8]>::to_vec));
        });
        endings
    }
}
