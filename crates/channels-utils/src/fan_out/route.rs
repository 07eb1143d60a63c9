//! [`Route`]: which of several outputs an item goes to.

use std::fmt;
use std::hash::Hash;

use weirs_runtime::Clock;

use super::{Output, stable_hash};

/// Which of several outputs an item goes to; for [`fan_out`](crate::fan_out()).
///
/// | route | an item goes to | when that one is full |
/// |---|---|---|
/// | [`round_robin`](Self::round_robin) | the next in the ring | it waits |
/// | [`round_robin_skip_full`](Self::round_robin_skip_full) | the next that has room | it waits for any |
/// | [`shortest_queue`](Self::shortest_queue) | the one with the fewest items | it waits for any |
/// | [`random`](Self::random) | any, by the clock's entropy | it waits |
/// | [`by_key`](Self::by_key) | the one that the key belongs to | it waits |
pub struct Route<T>(Kind<T>);

enum Kind<T> {
    RoundRobin,
    SkipFull,
    Shortest,
    Random(Clock),
    ByKey(KeyHash<T>),
}

type KeyHash<T> = Box<dyn FnMut(&T) -> u64 + Send>;

pub(super) enum Choice {
    WaitFor(usize),
    /// From this one on, whichever has room.
    Try(usize),
}

impl<T> Route<T> {
    /// To one after the other; it waits for whose turn it is.
    #[must_use]
    pub fn round_robin() -> Self {
        Self(Kind::RoundRobin)
    }

    /// To one after the other, but those that are full are passed over. When all are, it waits for any.
    #[must_use]
    pub fn round_robin_skip_full() -> Self {
        Self(Kind::SkipFull)
    }

    /// To the one whose channel has the fewest items. When all are full, it waits for any.
    #[must_use]
    pub fn shortest_queue() -> Self {
        Self(Kind::Shortest)
    }

    /// To any, by the clock's entropy.
    #[must_use]
    pub fn random(clock: &Clock) -> Self {
        Self(Kind::Random(clock.clone()))
    }

    /// All items with the same key to the same output, in order.
    ///
    /// Which one is the same on every machine and in every run, for as many outputs: each output's number is
    /// mixed with the key's [`stable_hash`], and the largest result wins. When an output leaves or is added,
    /// only its own keys move.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::stream;
    /// use weirs_channels_utils::{Route, bounded, fan_out};
    /// use weirs_runtime::block_on;
    ///
    /// let orders = stream::iter([("anna", 1), ("ben", 1), ("anna", 2)]);
    /// let (senders, receivers): (Vec<_>, Vec<_>) =
    ///     (0..4).map(|_| bounded(NonZeroUsize::new(4).unwrap())).unzip();
    /// block_on(fan_out(orders, senders, Route::by_key(|order: &(&str, i32)| order.0))).unwrap();
    /// for mut receiver in receivers {
    ///     let numbers = receiver.remaining().filter(|order| order.0 == "anna").collect::<Vec<_>>();
    ///     assert!(numbers.is_empty() || numbers == [("anna", 1), ("anna", 2)]);
    /// }
    /// ```
    #[must_use]
    pub fn by_key<K: Hash>(mut key: impl FnMut(&T) -> K + Send + 'static) -> Self {
        Self(Kind::ByKey(Box::new(move |item| stable_hash(&key(item)))))
    }

    pub(super) fn choose(&mut self, item: &T, next: usize, outputs: &[Output<T>]) -> Choice {
        let number = outputs.len();
        let next = next % number;
        match &mut self.0 {
            Kind::RoundRobin => Choice::WaitFor(next),
            Kind::SkipFull => Choice::Try(next),
            Kind::Shortest => {
                let turns = (0..number).map(|turn| (next + turn) % number);
                let len = |at: &usize| outputs[*at].sink.sender().map_or(usize::MAX, |sender| sender.len());
                Choice::Try(turns.min_by_key(len).unwrap_or(next))
            }
            Kind::Random(clock) => Choice::WaitFor(clock.random_below(number as u64) as usize),
            Kind::ByKey(hash) => {
                let hash = hash(item);
                let largest = (0..number).max_by_key(|at| mix(hash, outputs[*at].id));
                Choice::WaitFor(largest.unwrap_or(next))
            }
        }
    }
}

/// Mixes two numbers so that every bit of either matters (the finalizer of splitmix64).
fn mix(hash: u64, id: u64) -> u64 {
    let mut mixed = hash ^ id.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl<T> fmt::Debug for Route<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::RoundRobin => "RoundRobin",
            Kind::SkipFull => "RoundRobinSkipFull",
            Kind::Shortest => "ShortestQueue",
            Kind::Random(_) => "Random",
            Kind::ByKey(_) => "ByKey",
        })
    }
}
