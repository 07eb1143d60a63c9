//! [`Core`]: one source, a queue for each consumer, and whoever needs the next item polls the source.
//!
//! The rules:
//! 1. The source is never polled under a lock: whoever polls takes it out and puts it back. Others wait.
//! 2. A consumer that finds nothing joins the bell before it looks again. Whoever puts items into queues,
//!    makes room for somebody who was blocked, or ends the source, rings. So does whoever puts the source
//!    back when the bell rang meanwhile: those who came for it found it away.
//! 3. A queue and what its consumer has in hand never hold more than the bound.
//! 4. No user code runs under the lock: items, sources and payloads go out of it to be dropped.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use weirs_runtime::{Clock, Instant, Sleep};

use super::bell::{Bell, Rope};
use crate::Slow;
use crate::sync::{Arc, Mutex, lock};

/// So many items at most are taken from the source at once, or out of a queue.
const BATCH: usize = 32;

/// Who gets which item.
pub(super) trait Rule<T> {
    /// Puts the items into the batches. A batch may end early, with the panic that ended it. Gives a panic
    /// that is for whoever polls.
    fn share(&mut self, items: &mut Vec<T>, batches: &mut [Batch<T>]) -> Option<Payload>;
}

pub(super) type Payload = Box<dyn Any + Send>;

/// What one consumer gets.
pub(super) struct Batch<T> {
    pub(super) consumer: usize,
    generation: u64,
    pub(super) items: Vec<T>,
    pub(super) panic: Option<Payload>,
}

pub(super) struct Core<S: Stream, R> {
    state: Mutex<State<S, R>>,
    bell: Arc<Bell>,
    /// The bell as the source's waker.
    waker: Waker,
    bound: usize,
}

struct State<S: Stream, R> {
    source: Source<S, R>,
    consumers: Vec<Option<Consumer<S::Item>>>,
    /// The places among them that nobody has.
    free: Vec<usize>,
    live: usize,
    /// How many of them the others have to wait for.
    full: usize,
    /// Whether more consumers may come.
    hub: bool,
    /// Somebody waits for room.
    blocked: bool,
    clock: Clock,
    generation: u64,
}

enum Source<S: Stream, R> {
    Here(Box<Puller<S, R>>),
    /// Somebody polls it.
    Out,
    Ended,
}

/// The source, and what whoever polls it needs.
struct Puller<S: Stream, R> {
    source: Pin<Box<S>>,
    rule: R,
    items: Vec<S::Item>,
    batches: Vec<Batch<S::Item>>,
    spare: Vec<Vec<S::Item>>,
    /// Until when a slow consumer may be over the bound.
    sleep: Option<Sleep>,
}

struct Consumer<T> {
    generation: u64,
    slow: Slow,
    /// The others wait for it only so long.
    grace: Option<Duration>,
    /// Each item, and how many are missing before it.
    queue: VecDeque<(u64, T)>,
    in_hand: usize,
    missing: u64,
    missed: u64,
    full_since: Option<Instant>,
    /// The others wait for it: it counts in `full`.
    is_full: bool,
    end: Option<End>,
}

/// Why a consumer gets nothing more, when its queue is empty.
enum End {
    Panicked(Payload),
    Disconnected,
    Over,
}

/// What a consumer gets.
pub(super) enum Next<T> {
    Item(T),
    Missed(u64),
    Disconnected,
    Ended,
}

impl<S: Stream, R: Rule<S::Item>> Core<S, R> {
    pub(super) fn new(source: S, rule: R, bound: NonZeroUsize) -> Arc<Self> {
        let puller = Puller {
            source: Box::pin(source),
            rule,
            items: Vec::new(),
            batches: Vec::new(),
            spare: Vec::new(),
            sleep: None,
        };
        let bell = Arc::new(Bell::default());
        let state = State {
            source: Source::Here(Box::new(puller)),
            consumers: Vec::new(),
            free: Vec::new(),
            live: 0,
            full: 0,
            hub: true,
            blocked: false,
            clock: Clock::default(),
            generation: 0,
        };
        let waker = Waker::from(std::sync::Arc::new(Rope(Arc::clone(&bell))));
        Arc::new(Self { state: Mutex::new(state), bell, waker, bound: bound.get() })
    }

    /// Waits for an item. `hand` holds what was taken out of the queue and not given yet.
    pub(super) fn poll_next(
        &self,
        number: usize,
        hand: &mut VecDeque<S::Item>,
        cx: &mut Context<'_>,
    ) -> Poll<Next<S::Item>> {
        if let Some(item) = hand.pop_front() {
            if hand.is_empty() {
                self.used_up(number);
            }
            return Poll::Ready(Next::Item(item));
        }
        let mut joined = false;
        let mut turns = 0;
        loop {
            let mut state = lock(&self.state);
            if let Some(next) = state.take(number, hand) {
                // With more in hand the others go on when that is used up.
                let rings = hand.is_empty() && state.makes_room(number, self.bound);
                drop(state);
                if joined {
                    self.bell.leave(number);
                }
                if rings {
                    self.bell.ring();
                }
                return Poll::Ready(match next {
                    Taken::Next(next) => next,
                    Taken::Panic(payload) => resume_unwind(payload),
                });
            }
            if !joined {
                drop(state);
                self.bell.join(number, cx.waker());
                joined = true;
                continue;
            }
            if self.bell.is_asleep() {
                return Poll::Pending;
            }
            let room = state.room(self.bound);
            let patience = if room == 0 { state.patience() } else { None };
            if room == 0 {
                state.blocked = true;
                if patience.is_none() {
                    return Poll::Pending;
                }
            }
            if turns == 2 {
                drop(state);
                // Nothing of what the source gave was for this one.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            turns += 1;
            let Source::Here(puller) = mem::replace(&mut state.source, Source::Out) else {
                // Somebody else polls, and rings.
                return Poll::Pending;
            };
            drop(state);
            let mut pull = Pull { core: self, puller: Some(puller), rings: self.bell.rings(), done: false };
            let polled = match patience {
                Some((until, clock)) => pull.wait(until, &clock),
                None => pull.pull(number, room),
            };
            if polled.is_pending() {
                return Poll::Pending;
            }
            joined = false;
        }
    }

    /// What was in hand is used up, and counts no more.
    fn used_up(&self, number: usize) {
        let rings = {
            let mut state = lock(&self.state);
            if let Some(consumer) = &mut state.consumers[number] {
                consumer.in_hand = 0;
            }
            state.makes_room(number, self.bound)
        };
        if rings {
            self.bell.ring();
        }
    }

    /// A new consumer, that gets what comes from now on.
    pub(super) fn subscribe(&self, slow: Slow, grace: Option<Duration>) -> usize {
        let mut state = lock(&self.state);
        let number = state.free.pop().unwrap_or(state.consumers.len());
        if number == state.consumers.len() {
            state.consumers.push(None);
        }
        state.generation += 1;
        let end = matches!(state.source, Source::Ended).then_some(End::Over);
        state.consumers[number] = Some(Consumer {
            generation: state.generation,
            slow,
            grace,
            queue: VecDeque::new(),
            in_hand: 0,
            missing: 0,
            missed: 0,
            full_since: None,
            is_full: false,
            end,
        });
        state.live += 1;
        number
    }

    /// A consumer is gone, and counts no more.
    pub(super) fn leave(&self, number: usize) {
        self.bell.leave(number);
        let mut state = lock(&self.state);
        let consumer = state.consumers[number].take();
        state.free.push(number);
        state.live -= 1;
        state.full -= usize::from(consumer.as_ref().is_some_and(|consumer| consumer.is_full));
        let source = state.abandoned();
        // It may have been the one that the others waited for.
        let rings = state.full == 0 && mem::take(&mut state.blocked);
        drop(state);
        if rings {
            self.bell.ring();
        }
        drop(consumer);
        drop(source);
    }

    /// No more consumers will come.
    pub(super) fn close_hub(&self) {
        let mut state = lock(&self.state);
        state.hub = false;
        let source = state.abandoned();
        drop(state);
        drop(source);
    }

    pub(super) fn set_clock(&self, clock: &Clock) {
        let clock = clock.clone();
        let before = mem::replace(&mut lock(&self.state).clock, clock);
        drop(before);
    }

    pub(super) fn consumers(&self) -> usize {
        lock(&self.state).live
    }

    /// How many items a consumer has missed.
    pub(super) fn missed(&self, number: usize) -> u64 {
        lock(&self.state).consumers[number].as_ref().map_or(0, |consumer| consumer.missed)
    }

    /// How many items wait in a consumer's queue.
    pub(super) fn queued(&self, number: usize) -> usize {
        lock(&self.state).consumers[number].as_ref().map_or(0, |consumer| consumer.queue.len())
    }
}

enum Taken<T> {
    Next(Next<T>),
    Panic(Payload),
}

impl<S: Stream, R> State<S, R> {
    fn take(&mut self, number: usize, hand: &mut VecDeque<S::Item>) -> Option<Taken<S::Item>> {
        let over = matches!(self.source, Source::Ended);
        let consumer = self.consumers[number].as_mut()?;
        match consumer.queue.front_mut() {
            Some((missing @ 1.., _)) => return Some(Taken::Next(Next::Missed(mem::take(missing)))),
            Some(_) => {}
            None => {
                if consumer.missing > 0 && (over || consumer.end.is_some()) {
                    return Some(Taken::Next(Next::Missed(mem::take(&mut consumer.missing))));
                }
                return match consumer.end.replace(End::Over) {
                    Some(End::Panicked(payload)) => Some(Taken::Panic(payload)),
                    Some(End::Disconnected) => Some(Taken::Next(Next::Disconnected)),
                    Some(End::Over) => Some(Taken::Next(Next::Ended)),
                    None if over => Some(Taken::Next(Next::Ended)),
                    None => {
                        consumer.end = None;
                        None
                    }
                };
            }
        }
        let (_, item) = consumer.queue.pop_front()?;
        consumer.full_since = None;
        if consumer.waits() && consumer.grace.is_none() {
            // Half of what is there for one lock; it counts until it is used up.
            let more = (consumer.queue.len() / 2).min(BATCH);
            hand.extend(consumer.queue.drain(..more).map(|(_, item)| item));
            consumer.in_hand = hand.len();
        }
        Some(Taken::Next(Next::Item(item)))
    }

    /// Counts a consumer among those that are waited for, or no more.
    fn recount(&mut self, number: usize, bound: usize) {
        let Some(consumer) = &mut self.consumers[number] else { return };
        let is_full = consumer.end.is_none() && consumer.waits() && consumer.len() >= bound;
        self.full -= usize::from(consumer.is_full);
        self.full += usize::from(is_full);
        consumer.is_full = is_full;
    }

    /// A consumer has taken something: whether those who wait for room have some now.
    fn makes_room(&mut self, number: usize, bound: usize) -> bool {
        self.recount(number, bound);
        self.full == 0 && mem::take(&mut self.blocked)
    }

    /// How many items there is room for before anybody waits, misses something or goes; zero when somebody
    /// has to be waited for.
    fn room(&self, bound: usize) -> usize {
        if self.full > 0 {
            return 0;
        }
        let mut room = BATCH;
        for consumer in self.consumers.iter().flatten().filter(|consumer| consumer.end.is_none()) {
            room = room.min(bound.saturating_sub(consumer.len()).max(1));
        }
        room
    }

    /// Nothing goes on for slow consumers: until when the first may be waited for. None if some always are.
    fn patience(&self) -> Option<(Instant, Clock)> {
        let mut first = None::<Instant>;
        for consumer in self.consumers.iter().flatten().filter(|consumer| consumer.is_full) {
            let until = consumer.until()?;
            first = Some(first.map_or(until, |first| first.min(until)));
        }
        first.map(|first| (first, self.clock.clone()))
    }

    /// The source, if nobody will ever ask for it.
    fn abandoned(&mut self) -> Option<Source<S, R>> {
        let abandoned = self.live == 0 && !self.hub && matches!(self.source, Source::Here(_));
        abandoned.then(|| mem::replace(&mut self.source, Source::Ended))
    }
}

impl<T> Consumer<T> {
    fn len(&self) -> usize {
        self.queue.len() + self.in_hand
    }

    /// Whether the others wait for it.
    fn waits(&self) -> bool {
        self.slow == Slow::Wait
    }

    /// Until when it may be over the bound.
    fn until(&self) -> Option<Instant> {
        Some(self.full_since? + self.grace?)
    }

    /// Takes an item as the policy says; what has to go is put aside.
    fn accept(&mut self, item: T, bound: usize, dropped: &mut Vec<T>) {
        if self.end.is_some() {
            dropped.push(item);
            return;
        }
        if self.len() >= bound {
            match self.slow {
                // There was room when the items were taken, but for a batch that was taken before this one.
                Slow::Wait => {}
                Slow::DropOldest => {
                    if let Some((missing, oldest)) = self.queue.pop_front() {
                        dropped.push(oldest);
                        let now_missing = match self.queue.front_mut() {
                            Some((now_missing, _)) => now_missing,
                            None => &mut self.missing,
                        };
                        *now_missing += missing + 1;
                        self.missed += 1;
                    }
                }
                Slow::DropNewest => {
                    dropped.push(item);
                    self.missing += 1;
                    self.missed += 1;
                    return;
                }
                Slow::Disconnect => {
                    dropped.push(item);
                    self.end = Some(End::Disconnected);
                    return;
                }
            }
        }
        self.queue.push_back((mem::take(&mut self.missing), item));
    }
}

/// A poll of the source. Dropped without being done, it panicked: the source has ended.
struct Pull<'a, S: Stream, R> {
    core: &'a Core<S, R>,
    puller: Option<Box<Puller<S, R>>>,
    /// How often the bell had rung before.
    rings: u64,
    done: bool,
}

impl<S: Stream, R: Rule<S::Item>> Pull<'_, S, R> {
    /// Takes up to `room` items from the source and shares them out.
    fn pull(&mut self, number: usize, room: usize) -> Poll<()> {
        let Some(puller) = &mut self.puller else { return Poll::Pending };
        let mut cx = Context::from_waker(&self.core.waker);
        let (mut ended, mut panic) = (false, None);
        let mut more = true;
        // A wake during the poll counts.
        self.core.bell.set_asleep(true);
        while puller.items.len() < room && !ended {
            // What it gave before a panic is for all.
            match catch_unwind(AssertUnwindSafe(|| puller.source.as_mut().poll_next(&mut cx))) {
                Ok(Poll::Ready(Some(item))) => puller.items.push(item),
                Ok(Poll::Ready(None)) => ended = true,
                Ok(Poll::Pending) => {
                    more = false;
                    break;
                }
                Err(payload) => {
                    ended = true;
                    panic = Some(payload);
                }
            }
        }
        if more {
            self.core.bell.set_asleep(false);
        }
        let got = !puller.items.is_empty();
        if got {
            panic = panic.or(self.share());
        }
        self.put_back(ended);
        if !got && !ended {
            return Poll::Pending;
        }
        self.core.bell.leave(number);
        self.core.bell.ring();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        Poll::Ready(())
    }

    fn share(&mut self) -> Option<Payload> {
        let Puller { rule, items, batches, spare, .. } = &mut **self.puller.as_mut()?;
        let clock = {
            let state = lock(&self.core.state);
            for (consumer, entry) in state.consumers.iter().enumerate() {
                let Some(entry) = entry else { continue };
                let items = spare.pop().unwrap_or_default();
                batches.push(Batch { consumer, generation: entry.generation, items, panic: None });
            }
            let timed = |consumer: &Consumer<_>| consumer.grace.is_some();
            state.consumers.iter().flatten().any(timed).then(|| state.clock.clone())
        };
        let panic = rule.share(items, batches);
        let now = clock.map(|clock| clock.now());
        let bound = self.core.bound;
        let mut payloads = Vec::new();
        let mut state = lock(&self.core.state);
        for Batch { consumer, generation, items: batch, panic } in batches.iter_mut() {
            let entry = state.consumers[*consumer].as_mut();
            let Some(entry) = entry.filter(|entry| entry.generation == *generation) else {
                items.append(batch);
                payloads.extend(panic.take());
                continue;
            };
            for item in batch.drain(..) {
                entry.accept(item, bound, items);
            }
            if let Some(payload) = panic.take() {
                match entry.end {
                    None => entry.end = Some(End::Panicked(payload)),
                    Some(_) => payloads.push(payload),
                }
            }
            if entry.len() >= bound && entry.full_since.is_none() {
                entry.full_since = now;
            }
            state.recount(*consumer, bound);
        }
        drop(state);
        spare.extend(batches.drain(..).map(|batch| batch.items));
        // What has to go is dropped outside the lock.
        items.clear();
        panic
    }

    /// Waits until a slow consumer has had its time, and lets go of it.
    fn wait(&mut self, until: Instant, clock: &Clock) -> Poll<()> {
        let Some(puller) = &mut self.puller else { return Poll::Pending };
        let now = clock.now();
        let mut polled = Poll::Ready(());
        if now < until {
            let sleep = match &mut puller.sleep {
                Some(sleep) if sleep.deadline() == until => sleep,
                other => other.insert(clock.sleep_until(until)),
            };
            polled = Pin::new(sleep).poll(&mut Context::from_waker(&self.core.waker));
        } else {
            puller.sleep = None;
            let mut state = lock(&self.core.state);
            for number in 0..state.consumers.len() {
                let Some(consumer) = &mut state.consumers[number] else { continue };
                if consumer.is_full && consumer.until().is_some_and(|until| until <= now) {
                    consumer.end = Some(End::Disconnected);
                    state.recount(number, self.core.bound);
                }
            }
            drop(state);
            self.core.bell.ring();
        }
        self.put_back(false);
        polled
    }
}

impl<S: Stream, R> Pull<'_, S, R> {
    fn put_back(&mut self, ended: bool) {
        self.done = true;
        let puller = self.puller.take();
        let mut state = lock(&self.core.state);
        let (source, left) = match puller {
            Some(puller) if !ended => (Source::Here(puller), None),
            puller => (Source::Ended, puller),
        };
        state.source = source;
        let abandoned = state.abandoned();
        drop(state);
        if self.core.bell.rings() != self.rings {
            self.core.bell.ring();
        }
        drop(abandoned);
        drop(left);
    }
}

impl<S: Stream, R> Drop for Pull<'_, S, R> {
    fn drop(&mut self) {
        if !self.done {
            self.puller = None;
            self.core.bell.set_asleep(false);
            lock(&self.core.state).source = Source::Ended;
            self.core.bell.ring();
        }
    }
}
