//! [`Bits`]: a set of small numbers of which the next one is found without a walk over those that are not in
//! it.

const WORD: usize = u64::BITS as usize;

/// A set of numbers: a bit each, and a bit for each word that has any.
#[derive(Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    any: Vec<u64>,
}

impl Bits {
    pub(super) fn is_empty(&self) -> bool {
        self.any.iter().all(|any| *any == 0)
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.words.get(number / WORD).is_some_and(|word| word >> (number % WORD) & 1 == 1)
    }

    pub(super) fn insert(&mut self, number: usize) {
        self.insert_word(number / WORD, 1 << (number % WORD));
    }

    /// Adds the numbers of a word.
    pub(super) fn insert_word(&mut self, at: usize, mask: u64) {
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
            self.any.resize(at / WORD + 1, 0);
        }
        self.words[at] |= mask;
        self.any[at / WORD] |= 1 << (at % WORD);
    }

    pub(super) fn remove(&mut self, number: usize) {
        let at = number / WORD;
        if let Some(word) = self.words.get_mut(at) {
            *word &= !(1 << (number % WORD));
            if *word == 0 {
                self.any[at / WORD] &= !(1 << (at % WORD));
            }
        }
    }

    /// The first number that is not below `from`, else the first of all.
    pub(super) fn next_from(&self, from: usize) -> Option<usize> {
        self.at_least(from).or_else(|| self.at_least(0))
    }

    fn at_least(&self, from: usize) -> Option<usize> {
        let at = from / WORD;
        let here = self.words.get(at)? & (u64::MAX << (from % WORD));
        if here != 0 {
            return Some(at * WORD + here.trailing_zeros() as usize);
        }
        let next = at + 1;
        let mut mask = u64::MAX << (next % WORD);
        for (group, any) in self.any.iter().enumerate().skip(next / WORD) {
            let any = any & mask;
            if any != 0 {
                let at = group * WORD + any.trailing_zeros() as usize;
                return Some(at * WORD + self.words[at].trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(script in proptest::collection::vec((0..9000_usize, any::<bool>()), 0..200)) {
            let (mut bits, mut model) = (Bits::default(), BTreeSet::new());
            for (number, add) in script {
                if add {
                    bits.insert(number);
                    model.insert(number);
                } else {
                    let known = model.range(number..).next().or(model.first()).copied();
                    prop_assert_eq!(bits.next_from(number), known);
                    if let Some(known) = known {
                        prop_assert!(bits.contains(known));
                        bits.remove(known);
                        model.remove(&known);
                    }
                }
                prop_assert_eq!(bits.is_empty(), model.is_empty());
            }
        }
    }
}
