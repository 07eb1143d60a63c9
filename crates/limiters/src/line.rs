//! [`Line`]: first-in-first-out waiting for a source of cells, with one timer at the head.
// tidy: allow(size): one queue and its five rules; apart they would be harder to hold in mind.
//!
//! 1. `ahead` counts the cells that the queue asks for. While it is not zero, nobody takes cells but through
//!    the queue. It is written under the lock.
//! 2. Only the first in the queue sets a timer, for `due`. Whoever changes `due` wakes the first, if it has
//!    set its timer for another time.
//! 3. Whoever finds that the first may go, grants it: the cells are taken on its behalf, so those who are
//!    due go all at once. A granted wait that is dropped gives its cells back.
//! 4. Whoever brings cells does so first and looks at `ahead` afterwards; whoever joins writes `ahead` first
//!    and looks at the cells afterwards. With a fence between, at least one of the two sees the other.
//! 5. What is reserved while others wait comes after them: the last in the queue carries it, and it is
//!    charged when that one has gone.

mod counts;
mod stats;

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_runtime::waiting::{Ticket, Waiters, Wakes, let_go, wake};
use weirs_runtime::{Clock, Instant};

use crate::credit::Taken;
use crate::sync::{AtomicU64, Mutex, Ordering, fence, lock};
use crate::{Denied, Grant, Waiting};

pub use counts::Counted;
pub(crate) use counts::Counts;
pub use stats::LimiterStats;

/// How many may wait if nothing else is said.
pub(crate) const MAX_WAITERS: usize = 1_024;
/// In `ahead`: it was closed.
const CLOSED: u64 = 1 << 63;
/// More than this is not waited for at once.
const MOST_AHEAD: u64 = 1 << 62;

/// Where the cells come from.
pub(crate) trait Source {
    /// Takes so many, all or none.
    fn take(&self, now: Instant, n: u64) -> Taken;
    /// When so many could be taken after others; none if never.
    fn when(&self, now: Instant, ahead: u64, n: u64) -> Option<Instant>;
    /// How many are there.
    fn left(&self, now: Instant) -> u64;
    /// The most that can be taken at once.
    fn most(&self) -> u64;
    /// Takes back what was taken at that time and not used.
    fn give_back(&self, taken: Instant, n: u64);
    /// What a grant of that time has to say at its release.
    fn note(&self, _taken: Instant) -> u64 {
        0
    }
    /// Takes what is not there yet.
    fn owe(&self, now: Instant, n: u64);
}

/// See the module.
pub(crate) struct Line<S> {
    pub(crate) source: S,
    clock: Clock,
    max_waiters: usize,
    ahead: AtomicU64,
    queue: Mutex<Queue>,
    pub(crate) counts: Counts,
}

struct Queue {
    waiters: Waiters<Item>,
    /// As `ahead`, without the mark.
    ahead: u64,
    /// When the first may go.
    due: Instant,
    /// How many wait with a deadline.
    deadlines: usize,
    /// Numbers waits and reservations in the order in which they came.
    last: u64,
}

#[derive(Clone, Copy)]
struct Item {
    cost: u64,
    /// Reserved behind this one (rule 5).
    reserved: u64,
    number: u64,
    since: Instant,
    deadline: Instant,
    /// For when the timer is set.
    timed_for: Option<Instant>,
    told: Told,
}

#[derive(Clone, Copy)]
enum Told {
    Nothing,
    Granted { left: u64, delayed: Duration },
    Later,
    TooLarge { max: u64 },
    WouldMissDeadline { needed: Duration },
    Closed,
}

/// How a reservation stands in the line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserved {
    pub(crate) at: Instant,
    pub(crate) number: u64,
}

impl<S: Source> Line<S> {
    pub(crate) fn new(source: S, clock: Clock, max_waiters: usize, counts: Counts) -> Self {
        let queue =
            Queue { waiters: Waiters::new(), ahead: 0, due: Instant::FAR_FUTURE, deadlines: 0, last: 0 };
        let (ahead, queue) = (AtomicU64::new(0), Mutex::new(queue));
        Self { source, clock, max_waiters, ahead, queue, counts }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    #[inline]
    pub(crate) fn try_acquire_at(&self, now: Instant, n: u64) -> Result<Grant, Denied> {
        if self.counts.are_on() {
            return self.try_acquire_counted(now, n);
        }
        self.try_acquire_uncounted(now, n)
    }

    /// Nothing looks at the result here, so it is made where the caller wants it.
    #[inline]
    fn try_acquire_uncounted(&self, now: Instant, n: u64) -> Result<Grant, Denied> {
        if self.ahead.load(Ordering::Acquire) != 0 {
            return self.behind_others(now, n);
        }
        match self.source.take(now, n) {
            Taken::Yes { left } => Ok(Grant::new(n, left).with_note(self.source.note(now))),
            Taken::No { at } => Err(later(now, at)),
            Taken::TooLarge { most } => Err(Denied::TooLarge { max: most }),
        }
    }

    #[cold]
    fn try_acquire_counted(&self, now: Instant, n: u64) -> Result<Grant, Denied> {
        let result = self.try_acquire_uncounted(now, n);
        self.counts.count(n, &result);
        result
    }

    pub(crate) fn peek_at(&self, now: Instant, n: u64) -> Result<u64, Denied> {
        let ahead = self.ahead.load(Ordering::Acquire);
        if ahead != 0 {
            return self.behind_others(now, n).map(|grant| grant.remaining());
        }
        let left = self.source.left(now);
        if n <= left {
            return Ok(left - n);
        }
        match self.source.most() {
            most if n > most => Err(Denied::TooLarge { max: most }),
            _ => Err(later(now, self.source.when(now, 0, n))),
        }
    }

    /// What somebody hears who does not want to wait while others do.
    #[cold]
    fn behind_others(&self, now: Instant, n: u64) -> Result<Grant, Denied> {
        let ahead = self.ahead.load(Ordering::Acquire);
        if ahead & CLOSED != 0 {
            return Err(Denied::Closed);
        }
        if n == 0 {
            return Ok(Grant::new(0, 0));
        }
        match self.source.most() {
            most if n > most => Err(Denied::TooLarge { max: most }),
            _ => Err(later(now, self.source.when(now, ahead, n))),
        }
    }

    pub(crate) fn poll(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        let ticket = match waiting.key() {
            Some(place) => Ticket::of(place as usize),
            None => match self.begin(waiting, cx) {
                Ok(ticket) => ticket,
                Err(result) => {
                    self.counts.count(waiting.cost(), &result);
                    return Poll::Ready(result);
                }
            },
        };
        loop {
            match self.look(ticket, cx.waker()) {
                Look::Over(result) => {
                    waiting.set_key(None);
                    waiting.stop_timer();
                    self.counts.count(waiting.cost(), &result);
                    return Poll::Ready(result);
                }
                Look::Behind => return Poll::Pending,
                Look::First { due } => {
                    if waiting.timer() == Some(due) {
                        // It was set before, so it has most likely fired: one look at the clock tells.
                        let now = self.clock.now();
                        if now >= due {
                            self.serve(now, Some(ticket));
                            continue;
                        }
                    }
                    match waiting.poll_until(&self.clock, due, cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(()) => self.serve(self.clock.now(), Some(ticket)),
                    }
                }
            }
        }
    }

    /// The first poll: gets a place in the queue, or is over at once.
    fn begin(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Result<Ticket, Result<Grant, Denied>> {
        let (now, n) = (self.clock.now(), waiting.cost());
        if self.ahead.load(Ordering::Acquire) == 0 {
            match self.source.take(now, n) {
                Taken::Yes { left } => {
                    return Err(Ok(Grant::new(n, left).with_note(self.source.note(now))));
                }
                Taken::TooLarge { most } => return Err(Err(Denied::TooLarge { max: most })),
                Taken::No { .. } => {}
            }
        } else if n == 0 {
            return Err(self.behind_others(now, n));
        }
        let waker = cx.waker().clone();
        let joined = self.join(&mut lock(&self.queue), now, waiting, waker);
        match joined {
            Ok((ticket, is_first)) => {
                waiting.set_key(Some(ticket.place() as u64));
                if is_first {
                    // Rule 4: cells may have come before they could see that somebody waits.
                    fence(Ordering::SeqCst);
                    self.serve(now, Some(ticket));
                }
                Ok(ticket)
            }
            Err((denied, waker)) => {
                drop(waker);
                Err(Err(denied))
            }
        }
    }

    fn join(
        &self,
        queue: &mut Queue,
        now: Instant,
        waiting: &Waiting,
        waker: Waker,
    ) -> Result<(Ticket, bool), (Denied, Waker)> {
        match self.may_join(queue, now, waiting) {
            Err(denied) => Err((denied, waker)),
            Ok(at) => {
                queue.last += 1;
                let item = Item {
                    cost: waiting.cost(),
                    reserved: 0,
                    number: queue.last,
                    since: now,
                    deadline: waiting.deadline(),
                    timed_for: None,
                    told: Told::Nothing,
                };
                let is_first = queue.waiters.is_empty();
                if is_first {
                    queue.due = at;
                }
                queue.deadlines += usize::from(item.has_deadline());
                let ticket = queue.waiters.join(waker, item);
                self.set_ahead(queue, queue.ahead + item.cost);
                Ok((ticket, is_first))
            }
        }
    }

    /// When it would have its turn, if it may wait for it.
    fn may_join(&self, queue: &Queue, now: Instant, waiting: &Waiting) -> Result<Instant, Denied> {
        let (n, most) = (waiting.cost(), self.source.most());
        if self.is_closed() {
            return Err(Denied::Closed);
        }
        if n > most {
            return Err(Denied::TooLarge { max: most });
        }
        let at = self.source.when(now, queue.ahead, n).ok_or(later(now, None))?;
        if at > waiting.deadline() {
            return Err(Denied::WouldMissDeadline { needed: at - now });
        }
        if self.max_waiters == 0 {
            return Err(later(now, Some(at)));
        }
        if queue.waiters.len() >= self.max_waiters || queue.ahead.saturating_add(n) > MOST_AHEAD {
            return Err(Denied::QueueFull { waiting: queue.waiters.len() });
        }
        Ok(at)
    }

    /// How a wait stands; it will be woken by this waker.
    fn look(&self, ticket: Ticket, waker: &Waker) -> Look {
        let mut fresh: Option<Waker> = None;
        loop {
            // Dropped after the lock.
            let _old;
            let mut queue = lock(&self.queue);
            if !queue.waiters.is_queued(ticket) {
                let item = *queue.waiters.get(ticket);
                let old = queue.waiters.leave(ticket);
                drop(queue);
                let_go(old);
                return Look::Over(item.result(&self.source));
            }
            if !queue.waiters.will_wake(ticket, waker) {
                match fresh.take() {
                    Some(waker) => _old = queue.waiters.replace(ticket, waker),
                    None => {
                        drop(queue);
                        fresh = Some(waker.clone());
                        continue;
                    }
                }
            }
            if queue.waiters.first() != Some(ticket) {
                return Look::Behind;
            }
            let due = queue.due;
            queue.waiters.get_mut(ticket).timed_for = Some(due);
            return Look::First { due };
        }
    }

    /// Rule 3: lets go whoever may, and sees to the first of the others (rule 2), unless that is `me`.
    fn serve(&self, now: Instant, me: Option<Ticket>) {
        let rescue = Rescue(self);
        loop {
            let mut wakes = Wakes::default();
            let mut queue = lock(&self.queue);
            if self.serve_some(&mut queue, now, me, &mut wakes) {
                break;
            }
        }
        std::mem::forget(rescue);
    }

    /// Whether all is done; if not, the wakers have to be woken first.
    fn serve_some(&self, queue: &mut Queue, now: Instant, me: Option<Ticket>, wakes: &mut Wakes) -> bool {
        while let Some(first) = queue.waiters.first() {
            if wakes.is_full() {
                return false;
            }
            let item = *queue.waiters.get(first);
            let told = match self.source.take(now, item.cost) {
                Taken::Yes { left } => Told::Granted { left, delayed: now.saturating_since(item.since) },
                Taken::TooLarge { most } => Told::TooLarge { max: most },
                Taken::No { at: None } => Told::Later,
                Taken::No { at: Some(at) } => {
                    queue.due = at;
                    if Some(first) != me && item.timed_for != Some(at) {
                        queue.waiters.take_waker(first).into_iter().for_each(|waker| wakes.add(waker));
                    }
                    return true;
                }
            };
            self.tell(queue, now, first, told);
            if Some(first) != me {
                queue.waiters.take_waker(first).into_iter().for_each(|waker| wakes.add(waker));
            }
        }
        true
    }

    /// Takes one out of the queue, who is to hear this.
    fn tell(&self, queue: &mut Queue, now: Instant, ticket: Ticket, told: Told) {
        self.hand_on_reserved(queue, now, ticket);
        let item = queue.waiters.get_mut(ticket);
        item.told = told;
        let (cost, has_deadline) = (item.cost, item.has_deadline());
        queue.deadlines -= usize::from(has_deadline);
        queue.waiters.dismiss(ticket);
        self.set_ahead(queue, queue.ahead - cost);
    }

    /// Rule 5, when somebody goes.
    fn hand_on_reserved(&self, queue: &mut Queue, now: Instant, ticket: Ticket) {
        let reserved = std::mem::take(&mut queue.waiters.get_mut(ticket).reserved);
        if reserved == 0 {
            return;
        }
        match queue.waiters.before(ticket) {
            Some(before) => queue.waiters.get_mut(before).reserved += reserved,
            None => {
                self.source.owe(now, reserved);
                self.set_ahead(queue, queue.ahead - reserved);
            }
        }
    }

    pub(crate) fn cancel(&self, waiting: &mut Waiting) {
        waiting.stop_timer();
        let Some(ticket) = waiting.key().map(|place| Ticket::of(place as usize)) else { return };
        waiting.set_key(None);
        if self.leave_from_behind(ticket) {
            return;
        }
        let now = self.clock.now();
        let waker = {
            let mut queue = lock(&self.queue);
            if queue.waiters.is_queued(ticket) {
                // As if it had been told something and did not listen.
                self.tell(&mut queue, now, ticket, Told::Closed);
            } else {
                let item = *queue.waiters.get(ticket);
                if let Told::Granted { delayed, .. } = item.told {
                    self.source.give_back(item.since + delayed, item.cost);
                }
            }
            queue.waiters.leave(ticket)
        };
        let_go(waker);
        self.serve(now, None);
    }

    /// One before whom somebody stands leaves, and nobody's turn changes; `false` if it is not such a one.
    fn leave_from_behind(&self, ticket: Ticket) -> bool {
        let waker = {
            let mut queue = lock(&self.queue);
            if !queue.waiters.is_queued(ticket) || queue.waiters.first() == Some(ticket) {
                return false;
            }
            // The time is of no use: what it carries goes to the one before.
            self.tell(&mut queue, Instant::FAR_FUTURE, ticket, Told::Closed);
            queue.waiters.leave(ticket)
        };
        let_go(waker);
        true
    }

    /// Cells that were taken and not used.
    pub(crate) fn give_back(&self, n: u64) {
        self.source.give_back(self.clock.now(), n);
        self.brought();
    }

    /// After cells were brought.
    pub(crate) fn brought(&self) {
        // Rule 4.
        fence(Ordering::SeqCst);
        if self.ahead.load(Ordering::Relaxed) & !CLOSED != 0 {
            self.serve(self.clock.now(), None);
        }
    }

    /// Changes the source so that some may have to wait for longer, or for ever: they hear it now.
    pub(crate) fn change(&self, now: Instant, change: impl FnOnce(&S)) {
        let rescue = Rescue(self);
        let mut woken = Woken::default();
        {
            let mut queue = lock(&self.queue);
            change(&self.source);
            self.review(&mut queue, now, &mut woken);
        }
        drop(woken);
        std::mem::forget(rescue);
        self.serve(now, None);
    }

    fn review(&self, queue: &mut Queue, now: Instant, woken: &mut Woken) {
        let (mut ahead, most) = (0, self.source.most());
        let mut next = queue.waiters.first();
        while let Some(ticket) = next {
            next = queue.waiters.after(ticket);
            let item = *queue.waiters.get(ticket);
            let told = if item.cost > most {
                Some(Told::TooLarge { max: most })
            } else {
                match self.source.when(now, ahead, item.cost) {
                    None => Some(Told::Later),
                    Some(at) if at > item.deadline => Some(Told::WouldMissDeadline { needed: at - now }),
                    Some(_) => None,
                }
            };
            match told {
                Some(told) => {
                    // What the first carries becomes a debt, which `when` knows of.
                    let is_first = queue.waiters.before(ticket).is_none();
                    ahead += if is_first { 0 } else { item.reserved };
                    self.tell(queue, now, ticket, told);
                    woken.0.extend(queue.waiters.take_waker(ticket));
                }
                None => ahead += item.cost + item.reserved,
            }
        }
    }

    /// After a debt was made.
    pub(crate) fn owed(&self, now: Instant) {
        fence(Ordering::SeqCst);
        if self.ahead.load(Ordering::Relaxed) & !CLOSED != 0 {
            let deadlines = lock(&self.queue).deadlines;
            match deadlines {
                0 => self.serve(now, None),
                _ => self.change(now, |_| {}),
            }
        }
    }

    pub(crate) fn close(&self) {
        let now = self.clock.now();
        let mut woken = Vec::new();
        let mut queue = lock(&self.queue);
        self.ahead.fetch_or(CLOSED, Ordering::SeqCst);
        while let Some(first) = queue.waiters.first() {
            self.tell(&mut queue, now, first, Told::Closed);
            woken.extend(queue.waiters.take_waker(first));
        }
        drop(queue);
        woken.into_iter().for_each(wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ahead.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Cells at a time to come, after all who wait.
    pub(crate) fn reserve(
        &self,
        now: Instant,
        n: u64,
        max_wait: Duration,
        reserve_now: impl FnOnce(&S, Instant) -> Result<Instant, Option<Instant>>,
    ) -> Result<Reserved, Denied> {
        let result = self.reserve_last(now, n, max_wait, reserve_now);
        self.counts.count(n, &result);
        result
    }

    fn reserve_last(
        &self,
        now: Instant,
        n: u64,
        max_wait: Duration,
        reserve_now: impl FnOnce(&S, Instant) -> Result<Instant, Option<Instant>>,
    ) -> Result<Reserved, Denied> {
        let latest = now + max_wait;
        let mut queue = lock(&self.queue);
        let most = self.source.most();
        if self.is_closed() {
            return Err(Denied::Closed);
        }
        if n > most {
            return Err(Denied::TooLarge { max: most });
        }
        if !queue.waiters.is_empty() && queue.ahead.saturating_add(n) > MOST_AHEAD {
            return Err(Denied::QueueFull { waiting: queue.waiters.len() });
        }
        queue.last += 1;
        let number = queue.last;
        let last = queue.waiters.last().filter(|_| n > 0);
        let at = match last {
            None => reserve_now(&self.source, latest),
            Some(last) => {
                let at = self.source.when(now, queue.ahead, n).filter(|at| *at <= latest);
                if at.is_some() {
                    queue.waiters.get_mut(last).reserved += n;
                    let ahead = queue.ahead + n;
                    self.set_ahead(&mut queue, ahead);
                }
                at.ok_or_else(|| self.source.when(now, queue.ahead, n))
            }
        };
        match at {
            Ok(at) => Ok(Reserved { at, number }),
            Err(None) => Err(later(now, None)),
            Err(Some(at)) => Err(Denied::WouldMissDeadline { needed: at - now }),
        }
    }

    /// Takes a reservation back.
    pub(crate) fn unreserve(&self, number: u64, n: u64) {
        let now = self.clock.now();
        {
            let mut queue = lock(&self.queue);
            // It is carried by the last of those who came before it, or charged if none of them is left.
            let comes_before = |ticket: &Ticket| queue.waiters.get(*ticket).number <= number;
            let mut carrier = queue.waiters.first().filter(comes_before).and_then(|_| queue.waiters.last());
            while let Some(ticket) = carrier.filter(|ticket| queue.waiters.get(*ticket).number > number) {
                carrier = queue.waiters.before(ticket);
            }
            match carrier {
                Some(ticket) => {
                    queue.waiters.get_mut(ticket).reserved -= n;
                    let ahead = queue.ahead - n;
                    self.set_ahead(&mut queue, ahead);
                }
                None => self.source.give_back(now, n),
            }
        }
        self.brought();
    }

    pub(crate) fn stats(&self) -> LimiterStats {
        let (waiting, since) = self.waiting();
        let oldest_wait = since.map(|since| self.clock.now().saturating_since(since));
        LimiterStats { waiting, oldest_wait: oldest_wait.unwrap_or_default(), counted: self.counts.read() }
    }

    /// How many wait, and since when the first does.
    pub(crate) fn waiting(&self) -> (usize, Option<Instant>) {
        let queue = lock(&self.queue);
        let first = queue.waiters.first().map(|first| queue.waiters.get(first).since);
        (queue.waiters.len(), first)
    }

    /// Rule 1.
    fn set_ahead(&self, queue: &mut Queue, ahead: u64) {
        queue.ahead = ahead;
        let closed = self.ahead.load(Ordering::Relaxed) & CLOSED;
        // Release: whoever sees that nobody is ahead any more sees the cells that were taken.
        self.ahead.store(ahead | closed, Ordering::Release);
    }
}

/// Those who were told something. Dropped after the lock, it wakes them, also on the way of a panic.
#[derive(Default)]
struct Woken(Vec<Waker>);

impl Drop for Woken {
    fn drop(&mut self) {
        self.0.drain(..).for_each(wake);
    }
}

/// The source may compare keys, and those may panic: then the first looks for itself.
struct Rescue<'a, S>(&'a Line<S>);

impl<S> Drop for Rescue<'_, S> {
    fn drop(&mut self) {
        let waker = {
            let mut queue = lock(&self.0.queue);
            queue.waiters.first().and_then(|first| queue.waiters.take_waker(first))
        };
        waker.into_iter().for_each(wake);
    }
}

enum Look {
    Over(Result<Grant, Denied>),
    Behind,
    First { due: Instant },
}

impl Item {
    fn has_deadline(&self) -> bool {
        self.deadline != Instant::FAR_FUTURE
    }

    fn result(&self, source: &impl Source) -> Result<Grant, Denied> {
        match self.told {
            Told::Granted { left, delayed } => {
                let note = source.note(self.since + delayed);
                Ok(Grant::new(self.cost, left).delayed_by(delayed).with_note(note))
            }
            Told::Nothing | Told::Closed => Err(Denied::Closed),
            Told::Later => Err(Denied::Later { retry_after: Duration::MAX }),
            Told::TooLarge { max } => Err(Denied::TooLarge { max }),
            Told::WouldMissDeadline { needed } => Err(Denied::WouldMissDeadline { needed }),
        }
    }
}

/// The refusal of what will be there at `at`.
#[inline]
pub(crate) fn later(now: Instant, at: Option<Instant>) -> Denied {
    let retry_after = match at {
        // Never zero: whoever came before may not have left yet.
        Some(at) => Duration::from_nanos(at.as_nanos().saturating_sub(now.as_nanos()).max(1)),
        None => Duration::MAX,
    };
    Denied::Later { retry_after }
}
