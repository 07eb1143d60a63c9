//! [`race`] and [`race_biased`]: the first of several futures.

pub(crate) mod many;
mod one_of;
pub(crate) mod tuples;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::Clock;

use crate::many::BUDGET;
pub use one_of::{OneOf2, OneOf3, OneOf4, OneOf5, OneOf6, OneOf7, OneOf8};

/// Waits for the first of several futures, and drops the others.
///
/// It takes a tuple of two to eight futures of any types and gives [`OneOf2`] to [`OneOf8`]; or an array of
/// one type, and gives the number of the winner and its value; or a `Vec`, and gives `None` if it is empty.
/// (A race of an array without elements does not compile.)
///
/// When several are ready at the same time, each is as likely to win as any other. The choice is made by the
/// clock's entropy, with one number that is drawn in this call, so that the simulator can replay it.
///
/// Use [`race_biased`] when the order shall decide: a deadline should not beat work that is done in the same
/// instant. In a loop use [`Select`](crate::Select): it remembers whose turn it is.
///
/// # Cancel safety
/// Dropping it drops all the futures. When it is ready, the losers were dropped before: nothing is polled
/// after another future gave a value, so no value is lost, only what an unfinished future had begun. To keep
/// one, pass `&mut future`.
///
/// # Fairness
/// Even among those that are ready at the same time. In an array or a `Vec` of more than 32, only those
/// are polled that were woken, at most 64 in a turn, and nobody twice before all of them once.
///
/// # Panics
/// With the panic of a future; the others are dropped together with the race. If destructors of the losers
/// panic, all the others are dropped first, then the first of the panics goes on and the value is lost.
///
/// # Examples
/// ```
/// use weirs_runtime::{Clock, block_on};
/// use weirs_scopes::{OneOf2, race};
///
/// let clock = Clock::default();
/// let (sender, numbers) = async_channel::bounded::<u32>(1);
/// let (_open, words) = async_channel::bounded::<String>(1);
/// block_on(async {
///     sender.send(7).await.unwrap();
///     match race(&clock, (numbers.recv(), words.recv())).await {
///         OneOf2::First(number) => assert_eq!(number, Ok(7)),
///         OneOf2::Second(word) => panic!("nobody sent {word:?}"),
///     }
///
///     // Of one type: which one it was, and what it gave.
///     let mirrors = ["a", "b", "c"].map(|name| async move { name });
///     let (number, name) = race(&clock, mirrors).await;
///     assert_eq!(["a", "b", "c"][number], name);
/// });
/// ```
pub fn race<B: Branches>(clock: &Clock, branches: B) -> Race<B> {
    Race::new(branches, Order::Shuffled(clock.random_u64()))
}

/// Waits for the first of several futures, asking them in the order given, and drops the others.
///
/// It takes and gives what [`race`] does. When several are ready at the same time, the first of them wins:
/// put what must not be missed before what may wait, and a deadline last.
///
/// # Cancel safety
/// As [`race`].
///
/// # Fairness
/// None: while the first is always ready, the second never wins.
///
/// # Panics
/// As [`race`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Clock, block_on};
/// use weirs_scopes::{OneOf2, race_biased};
///
/// let clock = Clock::default();
/// let work = async { "done" };
/// // Both are ready: the work counts.
/// let first = block_on(race_biased((work, clock.sleep(Duration::ZERO))));
/// assert_eq!(first, OneOf2::First("done"));
/// ```
pub fn race_biased<B: Branches>(branches: B) -> Race<B> {
    Race::new(branches, Order::Given)
}

/// What can be raced: tuples of two to eight futures, and arrays and `Vec`s of one type.
///
/// Whatever can be turned into a future will do. The trait is sealed.
pub trait Branches: sealed::Sealed {
    /// What the first of them gives.
    type Output;

    #[doc(hidden)]
    type Contest: Contest<Output = Self::Output>;

    #[doc(hidden)]
    fn into_contest(self, order: Order) -> Self::Contest;
}

pin_project! {
    /// The future of [`race`] and [`race_biased`].
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Race<B>
    where
        B: Branches,
    {
        #[pin]
        contest: B::Contest,
        over: bool,
    }
}

impl<B: Branches> Race<B> {
    fn new(branches: B, order: Order) -> Self {
        Self { contest: branches.into_contest(order), over: false }
    }
}

impl<B: Branches> Future for Race<B> {
    type Output = B::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        assert!(!*this.over, "a race was polled after it was over");
        let poll = this.contest.poll_contest(cx, BUDGET);
        *this.over = poll.is_ready();
        poll.map(|(_, output)| output)
    }
}

impl<B: Branches> fmt::Debug for Race<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").field("over", &self.over).finish_non_exhaustive()
    }
}

/// Futures of which the first to be ready wins.
#[doc(hidden)]
pub trait Contest {
    /// What the winner gives.
    type Output;

    /// Polls them, where they are many no more than `budget`; when one is ready, drops them all and gives
    /// the number of the winner with its value.
    fn poll_contest(self: Pin<&mut Self>, cx: &mut Context<'_>, budget: usize)
    -> Poll<(usize, Self::Output)>;
}

/// In which order futures are asked.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// As they were given.
    Given,
    /// As they were given, but beginning here.
    From(usize),
    /// In any order, by this random number.
    Shuffled(u64),
}

impl Order {
    /// Brings the items into this order.
    pub(crate) fn arrange<T>(self, items: &mut [T]) {
        match self {
            Self::Given => {}
            Self::From(first) => items.rotate_left(first.checked_rem(items.len()).unwrap_or(0)),
            Self::Shuffled(seed) => shuffle(items, seed),
        }
    }
}

/// Fisher and Yates, by numbers that follow from the one.
fn shuffle<T>(items: &mut [T], mut state: u64) {
    for last in (1..items.len()).rev() {
        // The high half of a product is even enough: it is off by `items.len()` in 2^64. The state is a
        // random number and an odd step; the multiplier mixes it (SplitMix64 with one round less).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let chosen = (u128::from(mixed) * (last as u128 + 1)) >> 64;
        items.swap(last, chosen as usize);
    }
}

pub(crate) mod sealed {
    #[allow(unnameable_types, reason = "that nobody can name it is what seals the others")]
    pub trait Sealed {}

    impl<T, const N: usize> Sealed for [T; N] {}
    impl<T> Sealed for Vec<T> {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..24_000_u64 {
            let mut items = [0, 1, 2, 3];
            // The numbers of a real generator: small seeds in a row are not.
            Order::Shuffled(seed.wrapping_mul(0xd134_2543_de82_ef95)).arrange(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|&count| (850..1_150).contains(&count)), "{counts:?}");
    }

    #[test]
    fn beginning_somewhere() {
        let arranged = |order: Order| {
            let mut items = [0, 1, 2, 3];
            order.arrange(&mut items);
            items
        };
        assert_eq!(arranged(Order::Given), [0, 1, 2, 3]);
        assert_eq!(arranged(Order::From(3)), [3, 0, 1, 2]);
        assert_eq!(arranged(Order::From(6)), [2, 3, 0, 1]);
        Order::From(1).arrange::<u8>(&mut []);
    }
}
