//! [`KeyHasher`]: hashes of 64 bits with a secret in them, so that nobody can choose keys that meet in one
//! place.
//!
//! It is SipHash with one round a word and three at the end, as the standard library's maps have it. The
//! secret comes from the clock's source of chance, so the simulator replays what keys meet.

use std::hash::{BuildHasher, Hasher};

use weirs_runtime::Clock;

#[derive(Clone, Copy)]
pub(super) struct KeyHasher {
    secret: [u64; 2],
}

pub(super) struct State {
    v: [u64; 4],
    /// Bytes that do not make a word yet.
    tail: u64,
    length: u64,
}

impl KeyHasher {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { secret: [clock.random_u64(), clock.random_u64()] }
    }
}

impl BuildHasher for KeyHasher {
    type Hasher = State;

    #[inline]
    fn build_hasher(&self) -> State {
        let [a, b] = self.secret;
        let v = [
            a ^ 0x736f_6d65_7073_6575,
            b ^ 0x646f_7261_6e64_6f6d,
            a ^ 0x6c79_6765_6e65_7261,
            b ^ 0x7465_6462_7974_6573,
        ];
        State { v, tail: 0, length: 0 }
    }
}

impl State {
    #[inline]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.v;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    /// Up to eight bytes, as the low ones of a word whose others are zero.
    #[inline]
    fn short(&mut self, bytes: u64, number: u64) {
        let have = (self.length % 8) as u32;
        self.length = self.length.wrapping_add(number);
        self.tail |= bytes << (8 * have);
        if u64::from(have) + number >= 8 {
            self.word(self.tail);
            self.tail = if have == 0 { 0 } else { bytes >> (64 - 8 * have) };
        }
    }
}

impl Hasher for State {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut eight = [0; 8];
            eight.copy_from_slice(word);
            self.short(u64::from_le_bytes(eight), 8);
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.short(word, rest.len() as u64);
        }
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.short(byte.into(), 1);
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.short(word.into(), 4);
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.short(word, 8);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.short(word as u64, 8);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mut end = Self { v: self.v, tail: 0, length: 0 };
        end.word(self.length << 56 | self.tail);
        end.v[2] ^= 0xff;
        for _ in 0..3 {
            end.round();
        }
        end.v[0] ^ end.v[1] ^ end.v[2] ^ end.v[3]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Against the standard library's, which is the same with another number of rounds: so against values of
    /// the paper's shape, by properties.
    #[test]
    fn every_bit_and_every_split_counts() {
        let hasher = KeyHasher { secret: [1, 2] };
        let hash = |parts: &[&[u8]]| {
            let mut state = hasher.build_hasher();
            parts.iter().for_each(|part| state.write(part));
            state.finish()
        };
        let text: Vec<u8> = (0..40).collect();
        let whole = hash(&[&text]);
        for at in 0..=text.len() {
            assert_eq!(hash(&[&text[..at], &text[at..]]), whole, "split at {at}");
        }
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let differing = (hash(&[&changed]) ^ whole).count_ones();
            assert!((10..55).contains(&differing), "{bit}: {differing}");
        }
    }
}
