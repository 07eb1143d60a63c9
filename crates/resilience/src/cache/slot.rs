//! [`CacheSlot`]: a cache for one answer, as a policy.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;

use super::flight::Kept;
use super::seat::{Home, Seat, Tally, Turns, unpack};
use super::state::State;
use super::{CacheStats, CacheTerms};
use crate::sync::{Mutex, lock};
use crate::{
    Attempt, Chain, Error, EventKind, Inner, Invalid, Part, Plan, Policy, Role, Scene, SingleShot,
    StackBuilder, Turn,
};

/// Keeps the answer of a stack that has one resource: `Stack::builder().cache(&slot)`.
///
/// It is shared by all stacks that are given it. Callers at the same time make one call: the others wait for
/// it. See [`Cache`](crate::Cache) for many keys; what is said of leaders there holds here.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{CacheSlot, CacheTerms, Stack};
/// use weirs_runtime::block_on;
///
/// let slot = CacheSlot::<u32, &str>::new(CacheTerms::ttl(Duration::from_secs(60))).unwrap();
/// let stack = Stack::builder().cache(&slot).timeout(Duration::from_secs(1)).build().unwrap();
/// let first = block_on(stack.call(async |_| Ok(42)));
/// let second = block_on(stack.call(async |_| Err("not called")));
/// assert_eq!((first, second), (Ok(42), Ok(42)));
/// ```
pub struct CacheSlot<T, E> {
    terms: CacheTerms<T, E>,
    state: Mutex<State<T, E>>,
    tally: Tally,
}

impl<T, E> CacheSlot<T, E> {
    /// An empty one.
    ///
    /// # Errors
    /// Terms that make no sense.
    pub fn new(terms: CacheTerms<T, E>) -> Result<Arc<Self>, Invalid> {
        terms.check()?;
        Ok(Arc::new(Self { terms, state: Mutex::new(State::default()), tally: Tally::default() }))
    }

    /// The answer, if it is there and good.
    pub fn peek(&self) -> Option<T>
    where
        T: Clone,
    {
        let now = self.terms.clock.now();
        let kept = lock(&self.state).peek(now, &self.terms);
        kept.map(|kept| kept.value.clone())
    }

    /// Puts an answer in, as if it had just come.
    pub fn put(&self, value: T) {
        let kept = Arc::new(Kept { value, since: self.terms.clock.now() });
        let old = lock(&self.state).put(kept);
        drop(old);
    }

    /// Forgets the answer. A call that runs goes on for those who wait for it, and its answer is not kept.
    pub fn invalidate(&self) {
        let old = lock(&self.state).forget();
        drop(old);
    }

    /// What it looks like now.
    pub fn stats(&self) -> CacheStats {
        let is_kept = lock(&self.state).is_kept();
        self.tally.stats(usize::from(is_kept))
    }
}

impl<T, E> fmt::Debug for CacheSlot<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheSlot").field("terms", &self.terms).field("stats", &self.stats()).finish()
    }
}

impl<T, E> Home for Arc<CacheSlot<T, E>> {
    type Value = T;
    type Error = E;

    fn terms(&self) -> &CacheTerms<T, E> {
        &self.terms
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn change<R>(&self, _: u32, change: impl FnOnce(&mut State<T, E>) -> R) -> R {
        change(&mut lock(&self.state))
    }
}

/// A [`CacheSlot`] in a stack.
pub struct Cached<T, E>(Arc<CacheSlot<T, E>>);

impl<T, E> Cached<T, E> {
    /// With the answer that is in this slot.
    pub fn new(slot: &Arc<CacheSlot<T, E>>) -> Self {
        Self(Arc::clone(slot))
    }
}

impl<T, E> Clone for Cached<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, E> fmt::Debug for Cached<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cached").field(&self.0).finish()
    }
}

impl<T, E> SingleShot for Cached<T, E> {}

impl<T, E> Part for Cached<T, E> {
    fn explain(&self, plan: &mut Plan) {
        let terms = &self.0.terms;
        let mut words = format!("an answer is good for {:?}", terms.ttl);
        if !terms.stale_for.is_zero() {
            words += &format!(", and better than an error for {:?} more", terms.stale_for);
        }
        plan.part(Role::Cache, "cache").says(words);
    }
}

/// What a [`Cached`] remembers of one call.
pub struct CachedState<T, E>(Seat<Arc<CacheSlot<T, E>>>, PhantomData<(T, E)>);

impl<T, E> fmt::Debug for CachedState<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Clone, E> Policy<T, E> for Cached<T, E> {
    type State = CachedState<T, E>;

    #[inline]
    fn begin(&self) -> CachedState<T, E> {
        CachedState(Seat::default(), PhantomData)
    }

    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        CachedState(seat, _): &mut CachedState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let slot = &self.0;
        if !seat.is_taken() {
            let now = slot.terms.clock.now();
            let entered = lock(&slot.state).enter(now, &slot.terms);
            if let Some(hit) = seat.take(Arc::clone(slot), 0, entered) {
                Tally::count(&slot.tally.hits);
                return Poll::Ready(unpack(&slot.terms, &slot.tally, &hit).0);
            }
        }
        let (result, old) = match seat.poll(turn.context().waker()) {
            Turns::Wait => return Poll::Pending,
            Turns::End(settled) => settled,
            Turns::Lead => match inner.poll(turn, at) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(result) => seat.finish(result),
            },
        };
        if let Some(age) = old {
            turn.tell(EventKind::ServedStale { age });
        }
        Poll::Ready(result)
    }

    fn abandon(&self, CachedState(seat, _): &mut CachedState<T, E>, _: Scene<'_>) {
        seat.leave();
    }
}

impl<P: Part> StackBuilder<P> {
    /// The answer of before for as long as it is good, and one call for all who come at the same time.
    pub fn cache<T, E>(self, slot: &Arc<CacheSlot<T, E>>) -> StackBuilder<Chain<P, Cached<T, E>>> {
        self.policy(Cached::new(slot))
    }
}
