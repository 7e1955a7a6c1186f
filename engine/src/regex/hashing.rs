//! Hashing for small keys that are made by the engine itself.

use std::hash::{BuildHasherDefault, Hasher};

/// A multiplicative hasher for integers.
#[derive(Default)]
pub(super) struct FastHasher(u64);

pub(super) type FastHash = BuildHasherDefault<FastHasher>;

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|&byte| self.write_u64(u64::from(byte)));
    }
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// A hash table of the numbers 0, 1, 2, ... in the order in which they came; the keys lie
/// elsewhere.
#[derive(Default)]
pub(super) struct Slots {
    hashes: Vec<u64>,
    /// Numbers at the places that their hashes say, or behind them; at most half are taken.
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Slots {
    /// The number with this hash whose key is the wanted one.
    pub(super) fn find(&self, hash: u64, is_wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.table.len().checked_sub(1)?;
        let mut place = hash as usize & mask;
        while self.table[place] != FREE {
            let number = self.table[place];
            if self.hashes[number as usize] == hash && is_wanted(number) {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
        None
    }

    /// Enters the next number.
    pub(super) fn push(&mut self, hash: u64) {
        self.hashes.push(hash);
        if self.hashes.len() * 2 > self.table.len() {
            self.table = vec![FREE; (self.hashes.len() * 4).next_power_of_two()];
            (0..self.hashes.len()).for_each(|number| self.place(number));
        } else {
            self.place(self.hashes.len() - 1);
        }
    }

    fn place(&mut self, number: usize) {
        let mask = self.table.len() - 1;
        let mut place = self.hashes[number] as usize & mask;
        while self.table[place] != FREE {
            place = (place + 1) & mask;
        }
        self.table[place] = number as u32;
    }
}
