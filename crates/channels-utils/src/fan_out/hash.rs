//! [`stable_hash`]: the same on every machine.

use std::hash::{Hash, Hasher};

/// A hash that is the same in every process and on every machine: FNV-1a with 64 bits, integers in
/// little-endian order and `usize` as 64 bits.
///
/// How a type feeds the hasher is the type's own: that of integers, strings, tuples and arrays has not
/// changed since Rust 1.0. It does not withstand keys that were made to collide.
///
/// # Examples
/// ```
/// assert_eq!(weirs_channels_utils::stable_hash(&7_u8), 0xaf63_ba4c_8601_b2c6);
/// ```
pub fn stable_hash<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = StableHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The hasher of [`stable_hash`].
#[derive(Clone, Debug)]
pub struct StableHasher(u64);

impl Default for StableHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

macro_rules! little_endian {
    ($($write:ident $Number:ty as $Wide:ty),+) => {$(
        fn $write(&mut self, number: $Number) {
            self.write(&(number as $Wide).to_le_bytes());
        }
    )+};
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    little_endian! {
        write_u16 u16 as u16, write_u32 u32 as u32, write_u64 u64 as u64, write_u128 u128 as u128,
        write_usize usize as u64, write_i16 i16 as i16, write_i32 i32 as i32, write_i64 i64 as i64,
        write_i128 i128 as i128, write_isize isize as i64
    }
}
