//! [`AllOf`]: several limiters as one, all or nothing.

mod acquire;
mod notes;
mod refused;

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Poll};

use weirs_runtime::{Clock, Instant};

use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::{Denied, Grant, Limit, Outcome, Quota, RateLimiter, Waiting};
use acquire::Wait;
use notes::Notes;

pub use acquire::{AcquireAll, HeldAll};
pub use refused::Refused;

/// Several limiters as one: a request is admitted by all of them, or nothing is charged.
///
/// They are asked in order. When one refuses, those before it take back exactly what they gave, as
/// [`Outcome::Unused`], and the refusal [says](Refused) which one it was. Of several that refuse it is the
/// one with the most to say: one that never admits it, else one that nobody knows the end of, else the
/// longest wait.
///
/// Limiters of several kinds go together as `&dyn Limit` or `Arc<dyn Limit>`; give the cheap ones first. It
/// is a [`Limit`] itself: then each grant is to be released, as [`Held`](crate::Held) does. All have to have
/// the same clock: the first one's is looked at.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{AllOf, Limit, Quota, Rate, RateLimiter, Semaphore, SlidingLog};
///
/// let rate = RateLimiter::new(Quota::new(Rate::per_second(100), 10).unwrap());
/// let daily = SlidingLog::new(5, Duration::from_secs(86_400)).unwrap();
/// let running = Semaphore::new(8);
/// let all = AllOf::<&dyn Limit>::new()
///     .with("rate", &rate)
///     .with("a day", &daily)
///     .with_cost("running", &running, |_| 1);
/// let held = all.try_acquire(3).unwrap();
/// assert_eq!(running.available(), 7);
/// let refused = all.try_acquire(3).unwrap_err();
/// assert_eq!(refused.name(), "a day");
/// assert_eq!((running.available(), daily.available()), (7, 2));
/// held.success();
/// ```
pub struct AllOf<L> {
    parts: Vec<Part<L>>,
    /// What the limiters noted in their grants, for as long as those are held.
    notes: Mutex<Notes>,
    admitted: AtomicU64,
}

/// Several quotas for the same: ten a second, a thousand an hour.
///
/// # Examples
/// ```
/// use weirs_limiters::{Quota, Rate, Tiers};
/// use weirs_runtime::Clock;
///
/// let second = Quota::new(Rate::per_second(10), 10).unwrap();
/// let hour = Quota::new(Rate::per_hour(1_000), 15).unwrap();
/// let tiers = Tiers::tiers([("a second", second), ("an hour", hour)], &Clock::default());
/// tiers.try_acquire(10).unwrap().success();
/// assert!(tiers.try_acquire(10).is_err());
/// ```
pub type Tiers = AllOf<RateLimiter>;

/// After so many turns without a wait, each followed by another's refusal, they stand in each other's way: it
/// is the same limiter twice.
const MOST_TURNS: u32 = 1_000;

struct Part<L> {
    name: Cow<'static, str>,
    limit: L,
    cost: fn(u64) -> u64,
    refused: AtomicU64,
}

/// A look at an [`AllOf`]. The limiters in it have their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllOfStats {
    /// Requests that were admitted.
    pub admitted: u64,
    /// Requests that each of the limiters was the one to refuse, in the order of
    /// [`parts`](AllOf::parts).
    pub refused: Vec<u64>,
}

impl<L> Part<L> {
    fn new(name: Cow<'static, str>, limit: L, cost: fn(u64) -> u64) -> Self {
        Self { name, limit, cost, refused: AtomicU64::new(0) }
    }
}

/// Several limiters as one, named by their places; see [`AllOf`].
///
/// # Examples
/// ```
/// use weirs_limiters::{Limit, Quota, Rate, RateLimiter, Semaphore, all_of};
///
/// let rate = RateLimiter::new(Quota::new(Rate::per_second(100), 10).unwrap());
/// let running = Semaphore::new(1);
/// let all = all_of([&rate as &dyn Limit, &running]);
/// let held = all.try_acquire(1).unwrap();
/// assert_eq!(all.try_acquire(1).unwrap_err().index(), 1);
/// assert_eq!(rate.available(), 9);
/// # drop(held);
/// ```
pub fn all_of<L: Limit>(limits: impl IntoIterator<Item = L>) -> AllOf<L> {
    let name = |number: usize| Cow::Owned(number.to_string());
    let parts = limits.into_iter().enumerate();
    let parts = parts.map(|(number, limit)| Part::new(name(number), limit, |cost| cost));
    AllOf { parts: parts.collect(), ..AllOf::new() }
}

impl<L: Limit> AllOf<L> {
    /// None yet.
    pub fn new() -> Self {
        Self { parts: Vec::new(), notes: Mutex::new(Notes::default()), admitted: AtomicU64::new(0) }
    }

    /// One more, which is asked after those that are there.
    #[must_use = "it is consumed"]
    pub fn with(self, name: impl Into<Cow<'static, str>>, limit: L) -> Self {
        self.with_cost(name, limit, |cost| cost)
    }

    /// One more, to which a request costs something else: always one, or a hundred times as much. The same
    /// cost is to come out the same each time.
    #[must_use = "it is consumed"]
    pub fn with_cost(mut self, name: impl Into<Cow<'static, str>>, limit: L, cost: fn(u64) -> u64) -> Self {
        self.parts.push(Part::new(name.into(), limit, cost));
        self
    }

    /// Takes `cost` of all now, or nothing.
    ///
    /// # Panics
    /// When there is no limiter in it.
    ///
    /// # Errors
    /// [`Refused`] says which one refused, and why. Nothing was charged.
    pub fn try_acquire(&self, cost: u64) -> Result<HeldAll<'_, L>, Refused> {
        self.try_acquire_at(Limit::clock(self).now(), cost)
    }

    /// [`try_acquire`](AllOf::try_acquire) without a look at the clock.
    ///
    /// # Errors
    /// As `try_acquire`.
    pub fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<HeldAll<'_, L>, Refused> {
        match self.take_now(now, cost) {
            Ok(grant) => Ok(HeldAll::new(self, grant)),
            Err((index, denied)) => Err(self.refused(index, denied)),
        }
    }

    /// Takes `cost` of all, and waits for it.
    ///
    /// # Waiting
    /// It waits in the queue of the one that refused, with nothing of the others held meanwhile: so it never
    /// holds what another waits for. When its turn comes there, all are asked anew; if another refuses then,
    /// it gives its turn back and waits for that one. Among those who wait for the same one it is first
    /// come, first served; whoever asks for all of many busy limiters may be overtaken by those who ask for
    /// fewer.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was charged.
    ///
    /// # Panics
    /// When there is no limiter in it.
    ///
    /// # Errors
    /// [`Refused`], with whatever the one limiter says to those who wait. When the same limiter is in it
    /// twice and cannot admit both at once, it is what that one says to those who do not wait.
    pub fn acquire(&self, cost: u64) -> AcquireAll<'_, L> {
        AcquireAll::new(self, Waiting::new(cost))
    }

    /// [`acquire`](AllOf::acquire), but until then.
    ///
    /// # Waiting
    /// As `acquire`.
    ///
    /// # Cancel safety
    /// As `acquire`.
    ///
    /// # Panics
    /// As `acquire`; with debug assertions, when `deadline` comes from another clock.
    ///
    /// # Errors
    /// As `acquire`.
    pub fn acquire_by(&self, cost: u64, deadline: Instant) -> AcquireAll<'_, L> {
        AcquireAll::new(self, Waiting::new(cost).by(deadline))
    }

    /// The limiters with their names, in the order in which they are asked.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &L)> {
        self.parts.iter().map(|part| (&*part.name, &part.limit))
    }

    /// What it looks like now.
    pub fn stats(&self) -> AllOfStats {
        let refused = self.parts.iter().map(|part| part.refused.load(Ordering::Relaxed));
        AllOfStats { admitted: self.admitted.load(Ordering::Relaxed), refused: refused.collect() }
    }

    /// Counts what is told to whoever asked.
    fn told<T>(&self, result: &Result<T, (usize, Denied)>) {
        let counter = match result {
            Ok(_) => &self.admitted,
            Err((index, _)) => &self.parts[*index].refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self, index: usize, denied: Denied) -> Refused {
        Refused::new(index, self.parts[index].name.clone(), denied)
    }

    fn take_now(&self, now: Instant, cost: u64) -> Result<Grant, (usize, Denied)> {
        let result = self.take(now, cost, None);
        self.told(&result);
        result
    }

    /// Takes of all, or of none. Of one the grant may be there already.
    fn take(&self, now: Instant, cost: u64, have: Option<(usize, Grant)>) -> Result<Grant, (usize, Denied)> {
        let admitted = have.as_ref().map(|(at, _)| *at);
        let mut taking = Taking { all: self, grants: Vec::with_capacity(self.parts.len()), have };
        for (index, part) in self.parts.iter().enumerate() {
            let grant = match taking.have.take_if(|(at, _)| *at == index) {
                Some((_, grant)) => grant,
                None => match part.limit.try_acquire_at(now, (part.cost)(cost)) {
                    Ok(grant) => grant,
                    Err(denied) => {
                        drop(taking);
                        return Err(self.worst(now, cost, admitted, index, denied));
                    }
                },
            };
            taking.grants.push(grant);
        }
        let grants = std::mem::take(&mut taking.grants);
        let remaining = grants.iter().map(|grant| grant.remaining()).min().unwrap_or(u64::MAX);
        let delayed = grants.iter().map(|grant| grant.delayed()).max().unwrap_or_default();
        let note = lock(&self.notes).keep(&grants);
        Ok(Grant::new(cost, remaining).delayed_by(delayed).with_note(note))
    }

    /// Of all that refuse the one with the most to say. Those that admitted do not refuse, though they may be
    /// busy by now with whoever got what was given back: two would send each other there without end.
    fn worst(
        &self,
        now: Instant,
        cost: u64,
        admitted: Option<usize>,
        index: usize,
        denied: Denied,
    ) -> (usize, Denied) {
        let weight = |denied: &Denied| match denied {
            Denied::Later { retry_after } if denied.is_temporary() => (0, *retry_after),
            denied if denied.is_temporary() => (1, std::time::Duration::ZERO),
            _ => (2, std::time::Duration::ZERO),
        };
        let mut worst = (index, denied);
        for (at, part) in
            self.parts.iter().enumerate().skip(index + 1).filter(|(at, _)| Some(*at) != admitted)
        {
            if let Err(denied) = part.limit.peek_at(now, (part.cost)(cost)) {
                if weight(&denied) > weight(&worst.1) {
                    worst = (at, denied);
                }
            }
        }
        worst
    }

    fn poll(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, (usize, Denied)>> {
        let polled = self.poll_parts(waiting, cx);
        if let Poll::Ready(result) = &polled {
            self.told(result);
        }
        polled
    }

    fn poll_parts(
        &self,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Grant, (usize, Denied)>> {
        let (cost, deadline) = (waiting.cost(), waiting.deadline());
        let (mut have, mut turns) = (None, 0);
        for _ in 0..=2 * self.parts.len() {
            // The key says whether there is a wait: nothing is boxed for those who go at once.
            if waiting.key().is_some() {
                let Some(wait) = waiting.state::<Option<Wait>>() else { unreachable!("it waits") };
                let (index, part) = (wait.index, &self.parts[wait.index]);
                match part.limit.poll_acquire(&mut wait.waiting, cx) {
                    Poll::Pending => {
                        wait.turns = 0;
                        return Poll::Pending;
                    }
                    Poll::Ready(result) => {
                        turns = wait.turns + 1;
                        *waiting.state::<Option<Wait>>() = None;
                        waiting.set_key(None);
                        match result {
                            Ok(grant) => have = Some((index, grant)),
                            Err(denied) => return Poll::Ready(Err((index, denied))),
                        }
                    }
                }
            }
            let (index, denied) = match self.take(Limit::clock(self).now(), cost, have.take()) {
                Ok(grant) => return Poll::Ready(Ok(grant)),
                Err(refused) => refused,
            };
            let may_wait =
                matches!(denied, Denied::Later { .. } | Denied::Busy { .. }) && denied.is_temporary();
            if !may_wait || turns >= MOST_TURNS {
                return Poll::Ready(Err((index, denied)));
            }
            let inner = Waiting::new((self.parts[index].cost)(cost)).by(deadline);
            *waiting.state::<Option<Wait>>() = Some(Wait { index, waiting: inner, turns });
            waiting.set_key(Some(index as u64));
        }
        // They admit and refuse in turns: others get theirs.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Gives back what was taken, if the rest does not come: after a refusal or a panic of another limiter.
struct Taking<'a, L: Limit> {
    all: &'a AllOf<L>,
    grants: Vec<Grant>,
    have: Option<(usize, Grant)>,
}

impl<L: Limit> Drop for Taking<'_, L> {
    fn drop(&mut self) {
        let have = self.have.take().into_iter();
        // The last first.
        let grants = std::mem::take(&mut self.grants).into_iter().enumerate().rev();
        each(have.chain(grants), |(index, grant)| {
            self.all.parts[index].limit.release(grant, Outcome::Unused);
        });
    }
}

/// Does it with each one. A panic keeps no other from its turn; the first goes on afterwards.
pub(crate) fn each<T>(items: impl Iterator<Item = T>, mut work: impl FnMut(T)) {
    let mut first = None;
    for item in items {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(item))) {
            match first {
                None => first = Some(payload),
                // Its destructor may panic too.
                Some(_) => std::mem::forget(payload),
            }
        }
    }
    match first {
        Some(payload) if std::thread::panicking() => std::mem::forget(payload),
        Some(payload) => resume_unwind(payload),
        None => {}
    }
}

impl AllOf<RateLimiter> {
    /// A rate limiter for each of these quotas, all with one clock.
    pub fn tiers<N: Into<Cow<'static, str>>>(
        quotas: impl IntoIterator<Item = (N, Quota)>,
        clock: &Clock,
    ) -> Self {
        let limiter = |quota| RateLimiter::builder(quota).clock(clock.clone()).build();
        quotas.into_iter().fold(Self::new(), |all, (name, quota)| all.with(name, limiter(quota)))
    }
}

impl<L: Limit> Limit for AllOf<L> {
    fn clock(&self) -> &Clock {
        self.parts.first().expect("there is a limiter in it").limit.clock()
    }

    fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
        self.take_now(now, cost).map_err(|(_, denied)| denied)
    }

    fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
        let mut left = u64::MAX;
        for (index, part) in self.parts.iter().enumerate() {
            match part.limit.peek_at(now, (part.cost)(cost)) {
                Ok(there) => left = left.min(there),
                Err(denied) => return Err(self.worst(now, cost, None, index, denied).1),
            }
        }
        Ok(left)
    }

    fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        self.poll(waiting, cx).map_err(|(_, denied)| denied)
    }

    fn cancel(&self, waiting: &mut Waiting) {
        waiting.set_key(None);
        if let Some(mut wait) = waiting.take_state::<Option<Wait>>().flatten() {
            self.parts[wait.index].limit.cancel(&mut wait.waiting);
        }
    }

    fn release(&self, grant: Grant, outcome: Outcome) {
        let notes = lock(&self.notes).take(grant.note(), self.parts.len());
        each(self.parts.iter().enumerate().rev(), |(index, part)| {
            let note = notes.as_ref().map_or(0, |notes| notes[index]);
            let grant = Grant::new((part.cost)(grant.cost()), grant.remaining()).delayed_by(grant.delayed());
            part.limit.release(grant.with_note(note), outcome);
        });
    }
}

impl<L: Limit> Default for AllOf<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L> fmt::Debug for AllOf<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|part| &part.name)).finish()
    }
}
