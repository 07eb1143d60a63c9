//! [`merge`] and [`Merge`]: many streams of one type as one, fairly; [`merge_tuple`]: a few of different
//! types.

mod bits;
mod keyed;
mod tuples;
mod woken;

use std::fmt;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use self::bits::Bits;
use self::woken::{BLOCK, Woken};

pub use keyed::KeyedMerge;
pub use tuples::*;

/// So many polls in a row before others of the executor, and inputs that were woken meanwhile, get their
/// turn.
const ROUND: u32 = 64;

/// So many items in a row are taken from one input, if nothing else is said.
const BURST: NonZeroU32 = NonZeroU32::new(16).unwrap();

/// Some streams as one.
///
/// In Go this is the fan-in: a goroutine for each input, a shared output, and a wait group that closes it.
/// Here nothing is spawned; whoever polls the merge polls the inputs.
///
/// # Examples
/// ```
/// use futures_lite::{StreamExt, stream};
/// use weirs_channels_utils::merge;
/// use weirs_runtime::block_on;
///
/// let workers = [stream::iter(1..=3), stream::iter(4..=6)];
/// assert_eq!(block_on(merge(workers).fold(0, |sum, n| sum + n)), 21);
/// ```
pub fn merge<S: Stream>(inputs: impl IntoIterator<Item = S>) -> Merge<S> {
    inputs.into_iter().collect()
}

/// Many streams of one type as one; made by [`merge`].
///
/// Only inputs that were woken are polled: a thousand that wait cost nothing. Inputs may come and go at any
/// time; an input that has ended is dropped at once.
///
/// The merge ends when it has no input left, so one without inputs ends at once. If more inputs are
/// [pushed](Self::push), it goes on: a merge that has ended may be polled again.
///
/// # Fairness
/// Inputs that are ready take turns, each with a burst of at most `b` items, 16 if nothing else is
/// [said](Self::burst). An input that is ready waits for at most `64 + b * (n - 1)` items of others, where
/// `n` is how many inputs are ready. With [weights](Share::weight) each other input counts with its own
/// burst, `b * weight`. With [priorities](Share::priority) see [`aging`](Self::aging).
///
/// # Waiting
/// It waits until an input is ready. Inputs are polled on demand only, when the merge is.
///
/// # Cancel safety
/// It holds no item: whatever was not given out is still in its input.
///
/// # Panics
/// A panic of an input goes to whoever polls. That input has ended then; the others are as they were.
///
/// # Examples
/// Inputs that come later:
/// ```
/// use std::num::NonZeroUsize;
/// use futures_lite::StreamExt;
/// use weirs_channels_utils::{Merge, bounded};
/// use weirs_runtime::block_on;
///
/// block_on(async {
///     let (sender, receiver) = bounded(NonZeroUsize::MIN);
///     let mut connections = Merge::new();
///     let key = connections.push(receiver);
///     sender.send("hello").await.unwrap();
///     assert_eq!(connections.next().await, Some("hello"));
///
///     // Taken out, it is a receiver as before.
///     sender.send("still here").await.unwrap();
///     let mut receiver = connections.remove(key).unwrap();
///     assert_eq!(receiver.recv().await, Some("still here"));
///     assert_eq!(connections.next().await, None);
/// });
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Merge<S> {
    slots: Vec<Slot<S>>,
    free: Vec<u32>,
    live: usize,
    /// The inputs to poll, for each priority.
    levels: Vec<Level>,
    woken: Woken,
    burst: NonZeroU32,
    aging: NonZeroU32,
    /// Polls since the wakers' bits were looked at.
    polls: u32,
    /// The input that is in a poll; after it only when that panicked.
    polled: Option<usize>,
}

struct Slot<S> {
    // A box each: without `unsafe` nothing else can be pinned within a list.
    input: Option<Pin<Box<S>>>,
    generation: u32,
    /// Made once for each slot.
    waker: Option<Waker>,
    share: Share,
}

#[derive(Default)]
struct Level {
    hot: Bits,
    /// Whose turn it is, or where to look for the next.
    cursor: usize,
    /// How many items that one may still give in a row.
    left: u32,
    /// Items that other levels gave while this one was ready.
    waited: u32,
}

/// Names an input of a [`Merge`]. Keys are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// How much of a [`Merge`] an input gets when more are ready than can be served.
///
/// # Examples
/// ```
/// use std::num::NonZeroU32;
/// use futures_lite::{StreamExt, stream};
/// use weirs_channels_utils::{Merge, Share};
/// use weirs_runtime::block_on;
///
/// let mut merge = Merge::new().burst(NonZeroU32::MIN);
/// merge.push(stream::repeat("one"));
/// merge.push_with(stream::repeat("three"), Share::new().weight(NonZeroU32::new(3).unwrap()));
/// let items = block_on(merge.take(8).collect::<Vec<_>>());
/// assert_eq!(items.iter().filter(|item| **item == "three").count(), 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    weight: NonZeroU32,
    priority: u8,
}

impl Share {
    /// Weight one, priority zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { weight: NonZeroU32::MIN, priority: 0 }
    }

    /// Its bursts are so many times as long as those of others.
    #[must_use]
    pub const fn weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// Before inputs of lower priority, up to the [aging](Merge::aging) of those. Zero is the lowest. A turn
    /// looks at every level up to the highest in use, so small numbers are best.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Merge<S> {
    /// Without inputs.
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
            levels: vec![Level::default()],
            woken: Woken::default(),
            burst: BURST,
            aging: NonZeroU32::new(64).unwrap(),
            polls: 0,
            polled: None,
        }
    }

    /// At most so many items in a row from one input while others are ready; 16 if nothing else is said. One
    /// is strict rotation; more is faster.
    pub fn burst(mut self, burst: NonZeroU32) -> Self {
        self.burst = burst;
        self
    }

    /// With priorities: a level that is ready and was passed over for so many items gives the next one; 64 if
    /// nothing else is said.
    ///
    /// So no level starves: of `l` levels each that is ready waits for at most `aging + l` items of others
    /// between two of its own. Within a level inputs take turns as they do without priorities.
    pub fn aging(mut self, aging: NonZeroU32) -> Self {
        self.aging = aging;
        self
    }

    /// Adds an input. It is polled with the next poll of the merge, and wakes whoever waits for the merge.
    pub fn push(&mut self, input: S) -> Key {
        self.push_with(input, Share::new())
    }

    /// Adds an input with a weight or a priority.
    pub fn push_with(&mut self, input: S, share: Share) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len()).expect("less than four thousand million inputs");
            self.slots.push(Slot { input: None, generation: 0, waker: None, share });
            index
        });
        let level = usize::from(share.priority);
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Level::default);
        }
        let at = index as usize;
        let slot = &mut self.slots[at];
        slot.input = Some(Box::pin(input));
        slot.share = share;
        let generation = slot.generation;
        slot.waker.get_or_insert_with(|| self.woken.waker(at));
        self.levels[level].hot.insert(at);
        self.live += 1;
        self.woken.wake();
        Key { index, generation }
    }

    /// Takes an input out, with all items that it has not given. Nothing if it has ended.
    pub fn remove(&mut self, key: Key) -> Option<S>
    where
        S: Unpin,
    {
        let at = self.find(key)?;
        Some(*Pin::into_inner(self.take(at)?))
    }

    /// Drops an input; says whether it was there.
    pub fn discard(&mut self, key: Key) -> bool {
        let input = self.find(key).and_then(|at| self.take(at));
        input.is_some()
    }

    /// An input, unless it has ended.
    pub fn get_mut(&mut self, key: Key) -> Option<Pin<&mut S>> {
        let at = self.find(key)?;
        self.slots[at].input.as_mut().map(Pin::as_mut)
    }

    /// Whether the input is there and has not ended.
    pub fn contains(&self, key: Key) -> bool {
        self.find(key).is_some()
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no input: the merge has ended, until one is pushed.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The same, with the key of the input beside each item, and word of each input that ends.
    pub fn keyed(self) -> KeyedMerge<S> {
        KeyedMerge::new(self)
    }

    fn find(&self, key: Key) -> Option<usize> {
        let at = key.index as usize;
        let slot = self.slots.get(at)?;
        (slot.generation == key.generation && slot.input.is_some()).then_some(at)
    }

    fn key(&self, at: usize) -> Key {
        Key { index: at as u32, generation: self.slots[at].generation }
    }

    fn take(&mut self, at: usize) -> Option<Pin<Box<S>>> {
        // Its place may be another's by the next poll.
        self.polled.take_if(|polled| *polled == at);
        let slot = &mut self.slots[at];
        let input = slot.input.take()?;
        let level = &mut self.levels[usize::from(slot.share.priority)];
        level.hot.remove(at);
        if level.cursor == at {
            level.next_turn();
        }
        self.live -= 1;
        // A slot whose keys are used up is left alone.
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            self.free.push(at as u32);
        }
        Some(input)
    }

    /// Has those polled that were woken.
    fn fold(&mut self) {
        self.polls = 0;
        let Self { slots, levels, woken, .. } = self;
        if let [level] = &mut levels[..] {
            // Those that are gone are found out when it is their turn.
            woken.take(|block, inputs| level.hot.insert_word(block, inputs));
            return;
        }
        woken.take(|block, mut inputs| {
            while inputs != 0 {
                let at = block * BLOCK + inputs.trailing_zeros() as usize;
                inputs &= inputs - 1;
                levels[usize::from(slots[at].share.priority)].hot.insert(at);
            }
        });
    }

    /// Whose turn it is: a level and an input.
    fn choose(&mut self) -> Option<(usize, usize)> {
        let Self { levels, slots, burst, aging, .. } = self;
        let level = match levels.len() {
            1 => 0,
            number => {
                let ready = |level: &usize| !levels[*level].hot.is_empty();
                let due = |level: &usize| ready(level) && levels[*level].waited >= aging.get();
                let longest = (0..number).filter(due).max_by_key(|level| levels[*level].waited);
                longest.or_else(|| (0..number).rev().find(ready))?
            }
        };
        let Level { hot, cursor, left, .. } = &mut levels[level];
        if *left == 0 || !hot.contains(*cursor) {
            *cursor = hot.next_from(*cursor)?;
            *left = burst.get().saturating_mul(slots[*cursor].share.weight.get());
        }
        Some((level, *cursor))
    }

    /// A level gave an item.
    fn gave(&mut self, given: usize) {
        let level = &mut self.levels[given];
        level.left -= 1;
        if level.left == 0 {
            level.next_turn();
        }
        if self.levels.len() > 1 {
            for (number, level) in self.levels.iter_mut().enumerate() {
                let passed = number != given && !level.hot.is_empty();
                level.waited = if passed { level.waited.saturating_add(1) } else { 0 };
            }
        }
    }
}

impl Level {
    fn next_turn(&mut self) {
        self.left = 0;
        self.cursor += 1;
    }
}

impl<S: Stream> Merge<S> {
    /// The next item and whose it is, or who has ended.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<S>>> {
        if let Some(at) = self.polled.take() {
            // It panicked.
            let key = self.key(at);
            if let Some(input) = self.take(at) {
                return Poll::Ready(Some(Event::Ended(key, input)));
            }
        }
        let mut in_vain = 0;
        loop {
            if self.polls >= ROUND {
                self.fold();
            }
            let Some((level, at)) = self.choose() else {
                if self.live == 0 {
                    return Poll::Ready(None);
                }
                self.fold();
                if self.levels.iter().all(|level| level.hot.is_empty()) && self.woken.wait(cx.waker()) {
                    return Poll::Pending;
                }
                continue;
            };
            if in_vain == ROUND {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Slot { input, waker, .. } = &mut self.slots[at];
            let (Some(input), Some(waker)) = (input, waker) else {
                // A late wake of an input that is gone.
                self.levels[level].hot.remove(at);
                continue;
            };
            self.polls += 1;
            self.polled = Some(at);
            let polled = input.as_mut().poll_next(&mut Context::from_waker(waker));
            self.polled = None;
            match polled {
                Poll::Ready(Some(item)) => {
                    self.gave(level);
                    return Poll::Ready(Some(Event::Item(self.key(at), item)));
                }
                Poll::Ready(None) => {
                    let key = self.key(at);
                    if let Some(input) = self.take(at) {
                        return Poll::Ready(Some(Event::Ended(key, input)));
                    }
                }
                Poll::Pending => {
                    in_vain += 1;
                    self.levels[level].next_turn();
                    self.levels[level].hot.remove(at);
                }
            }
        }
    }
}

enum Event<S: Stream> {
    Item(Key, S::Item),
    /// The input is dropped by whoever gets it.
    Ended(Key, Pin<Box<S>>),
}

impl<S: Stream> Stream for Merge<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        // Ended inputs count: many that end at once are not dropped in one poll.
        for _ in 0..ROUND {
            match self.poll_event(cx) {
                Poll::Ready(Some(Event::Item(_, item))) => return Poll::Ready(Some(item)),
                Poll::Ready(Some(Event::Ended(_, input))) => drop(input),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> Unpin for Merge<S> {}

impl<S> Default for Merge<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> FromIterator<S> for Merge<S> {
    fn from_iter<I: IntoIterator<Item = S>>(inputs: I) -> Self {
        let mut merge = Self::new();
        merge.extend(inputs);
        merge
    }
}

impl<S> Extend<S> for Merge<S> {
    fn extend<I: IntoIterator<Item = S>>(&mut self, inputs: I) {
        for input in inputs {
            self.push(input);
        }
    }
}

impl<S> fmt::Debug for Merge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge")
            .field("inputs", &self.live)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}
