//! [`Cache`]: answers of before, and one call for all who ask at the same time.

mod flight;
mod get;
mod seat;
mod slot;
mod state;
mod table;
mod terms;

use std::borrow::{Borrow, ToOwned};
use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use weirs_runtime::Instant;

pub use get::GetCached;
pub use slot::{CacheSlot, Cached, CachedState};
pub use terms::CacheTerms;

use crate::observe::Around;
use crate::sync::{Mutex, lock};
use crate::{Error, Invalid, Observer};
use flight::{Kept, Landed};
use seat::{Home, Seat, Tally};
use state::State;
use table::Table;

/// Keeps the answers of calls, each under a key, and makes one call for all who ask for a key at the same
/// time.
///
/// It has room for so many answers; beyond that, the one that was used the longest ago goes. Calls that run
/// do not count. How long an answer is good, and when an old one is better than an error, is said by
/// [`CacheTerms`].
///
/// It is made for answers of calls that may fail, where a look under a lock costs nothing beside the call. A
/// cache of what is computed, with millions of looks a second, is better served by moka.
///
/// # Leaders
/// The first who asks for a key makes the call; whoever comes meanwhile waits for that. Dropped or in a
/// panic, the leader is followed by the one who has waited for longest. So nobody hangs as long as the leader
/// is polled or dropped: a leader that is kept and not polled keeps the others waiting. A call must not ask
/// for its own key: it would wait for itself.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Cache, CacheTerms, Error, timeout};
/// use weirs_runtime::block_on;
///
/// let cache = Cache::<String, usize, &str>::new(100, CacheTerms::ttl(Duration::from_secs(60))).unwrap();
/// let stack = timeout(Duration::from_secs(1));
/// block_on(async {
///     let answer = cache.get("anna", || stack.call(async |_| Ok(4))).await;
///     assert_eq!(answer, Ok(4));
///     let again = cache.get("anna", || stack.call(async |_| Err("not called"))).await;
///     assert_eq!(again, Ok(4));
///     let other = cache.get("boris", || stack.call(async |_| Err("no"))).await;
///     assert_eq!(other, Err(Error::Inner("no")));
/// });
/// assert_eq!(cache.stats().hits, 1);
/// ```
pub struct Cache<K, T, E> {
    table: Mutex<Table<K, T, E>>,
    // What it gives decides nothing that one could see: places are found by it, and no more.
    hasher: RandomState,
    terms: CacheTerms<T, E>,
    tally: Tally,
    around: Around,
}

/// A look at a [`Cache`] or a [`CacheSlot`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// How many keys have an answer, good or old, or an error that is kept.
    pub kept: usize,
    /// Answered by what was there and good.
    pub hits: u64,
    /// Calls that were begun.
    pub misses: u64,
    /// Answered by somebody else's call.
    pub coalesced: u64,
    /// Answered by what was old, in place of an error.
    pub stale: u64,
    /// Answers that went for lack of room.
    pub evicted: u64,
}

impl<K, T, E> Cache<K, T, E> {
    /// With room for so many answers.
    ///
    /// # Errors
    /// No capacity, or terms that make no sense.
    pub fn new(capacity: usize, terms: CacheTerms<T, E>) -> Result<Self, Invalid> {
        if capacity == 0 {
            return Err(Invalid::new("cache.capacity", "room for nothing"));
        }
        terms.check()?;
        Ok(Self {
            table: Mutex::new(Table::new(capacity)),
            hasher: RandomState::new(),
            around: Around::new(String::new(), terms.clock.clone(), None, false),
            terms,
            tally: Tally::default(),
        })
    }

    /// The same with somebody who is told, under that name, of old answers that are given in place of errors.
    #[must_use = "the cache is given back"]
    pub fn observed(mut self, name: &str, observer: impl Observer + 'static) -> Self {
        self.around = Around::new(name.into(), self.terms.clock.clone(), Some(Arc::new(observer)), false);
        self
    }

    /// The answer for this key: the one that is there, or else that of `fetch`.
    ///
    /// # Waiting
    /// For the call, one's own or somebody else's. A limit of time within `fetch` is the leader's; who has
    /// one of their own puts it around this. Lazy: nothing happens before the first poll.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, its call is dropped; then the one who has waited for longest makes its
    /// own. Nothing of what is kept is lost.
    ///
    /// # Panics
    /// A panic of `fetch` is passed on to the one whose it is; the next makes a call of its own once this
    /// future is dropped.
    ///
    /// # Errors
    /// Of `fetch`, when no old answer is good enough. Who gets the error of somebody else's call says
    /// [`share_errors`](CacheTerms::share_errors).
    pub fn get<'c, Q, F, Fut>(&'c self, key: &'c Q, fetch: F) -> GetCached<'c, K, Q, T, E, F, Fut>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        T: Clone,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, Error<E>>>,
    {
        GetCached::new(self, key, fetch)
    }

    /// The answer for this key, if it is there and good. That is no use of it.
    pub fn peek<Q>(&self, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        T: Clone,
    {
        let (at, known) = self.find(self.hasher.hash_one(key), key).ok()?;
        let now = self.terms.clock.now();
        let kept = {
            let mut table = lock(&self.table);
            if !is_at(&table, at, &known) {
                return None;
            }
            table.state(at)?.peek(now, &self.terms)
        };
        kept.map(|kept| kept.value.clone())
    }

    /// Puts an answer in, as if it had just come.
    pub fn insert(&self, key: K, value: T)
    where
        K: Hash + Eq,
    {
        let hash = self.hasher.hash_one(&key);
        let key = Arc::new(key);
        let mut kept = Some(Arc::new(Kept { value, since: self.terms.clock.now() }));
        loop {
            let found = self.find::<K>(hash, &key);
            let mut table = lock(&self.table);
            let at = match &found {
                Ok((at, known)) if is_at(&table, *at, known) => *at,
                Err(first) if is_first(&table, hash, first.as_ref()) => table.insert(hash, Arc::clone(&key)),
                _ => continue,
            };
            let (Some(state), Some(kept)) = (table.state(at), kept.take()) else {
                unreachable!("the place is there, and it comes by once")
            };
            let old = state.put(kept);
            let settled = table.settle(at);
            table.touch(at);
            drop(table);
            if settled.evicted {
                Tally::count(&self.tally.evicted);
            }
            drop((old, settled));
            return;
        }
    }

    /// Forgets what is kept for this key. A call that runs goes on for those who wait for it already, and its
    /// answer is not kept; who comes from now on begins another.
    pub fn invalidate<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Ok((at, known)) = self.find(self.hasher.hash_one(key), key) {
            let mut table = lock(&self.table);
            // If it is another's place by now, there is nothing left to forget.
            if is_at(&table, at, &known) {
                let old = table.state(at).map(State::forget);
                let settled = table.settle(at);
                drop(table);
                drop((old, settled));
            }
        }
    }

    /// Forgets all, as [`invalidate`](Cache::invalidate) does.
    pub fn clear(&self) {
        let old = {
            let mut table = lock(&self.table);
            let empty = Table::new(table.capacity());
            std::mem::replace(&mut *table, empty)
        };
        drop(old);
    }

    /// What it looks like now.
    pub fn stats(&self) -> CacheStats {
        let kept = lock(&self.table).kept();
        self.tally.stats(kept)
    }

    /// Takes a seat, or gives what is there already.
    fn enter<'c, Q>(&'c self, key: &Q, seat: &mut Seat<&'c Self>) -> Option<Landed<T, E>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let now = self.terms.clock.now();
        if let Some((known, hit)) = self.hit(hash, now) {
            if (*known).borrow() == key {
                return Some(hit);
            }
        }
        let mut own = None;
        loop {
            let found = self.find(hash, key);
            if found.is_err() && own.is_none() {
                own = Some(Arc::new(key.to_owned()));
            }
            let mut table = lock(&self.table);
            let at = match (&found, &own) {
                (Ok((at, known)), _) if is_at(&table, *at, known) => *at,
                (Err(first), Some(own)) if is_first(&table, hash, first.as_ref()) => {
                    table.insert(hash, Arc::clone(own))
                }
                _ => continue,
            };
            table.touch(at);
            let Some(state) = table.state(at) else { unreachable!("the place is there") };
            let entered = state.enter(now, &self.terms);
            // It has its seat before any key is dropped, which might panic.
            return seat.take(self, at, entered);
        }
    }

    /// What is good at the first place of this hash, whose key is still to be compared.
    #[inline]
    fn hit(&self, hash: u64, now: Instant) -> Option<(Arc<K>, Landed<T, E>)> {
        let mut table = lock(&self.table);
        let at = table.first(hash)?;
        let hit = table.state(at)?.hit(now, &self.terms)?;
        table.touch(at);
        Some((Arc::clone(table.key(at)?), hit))
    }

    /// The place of a key, or the first key of the same hash. Keys are compared outside the lock.
    fn find<Q>(&self, hash: u64, key: &Q) -> Result<(u32, Arc<K>), Option<Arc<K>>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (first, more) = {
            let table = lock(&self.table);
            let Some(at) = table.first(hash) else { return Err(None) };
            let known = |at| table.key(at).map(|key| (at, Arc::clone(key)));
            let more: Vec<_> =
                std::iter::successors(table.after(at), |at| table.after(*at)).filter_map(known).collect();
            (known(at), more)
        };
        let Some(first) = first else { return Err(None) };
        if (*first.1).borrow() == key {
            return Ok(first);
        }
        match more.into_iter().find(|(_, known)| (**known).borrow() == key) {
            Some(found) => Ok(found),
            None => Err(Some(first.1)),
        }
    }
}

/// Whether that key still has this place.
fn is_at<K, T, E>(table: &Table<K, T, E>, at: u32, key: &Arc<K>) -> bool {
    table.key(at).is_some_and(|known| Arc::ptr_eq(known, key))
}

/// Whether no key of this hash came since that one was the first.
fn is_first<K, T, E>(table: &Table<K, T, E>, hash: u64, first: Option<&Arc<K>>) -> bool {
    match (table.first(hash), first) {
        (None, _) => true,
        (Some(at), Some(first)) => is_at(table, at, first),
        (Some(_), None) => false,
    }
}

impl<K, T, E> Home for &Cache<K, T, E> {
    type Value = T;
    type Error = E;

    fn terms(&self) -> &CacheTerms<T, E> {
        &self.terms
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn change<R>(&self, at: u32, change: impl FnOnce(&mut State<T, E>) -> R) -> R {
        let mut table = lock(&self.table);
        let Some(state) = table.state(at) else {
            // All was cleared: there is nothing but the flight itself.
            drop(table);
            return change(&mut State::default());
        };
        let changed = change(state);
        let settled = table.settle(at);
        drop(table);
        if settled.evicted {
            Tally::count(&self.tally.evicted);
        }
        drop(settled);
        changed
    }
}

impl<K, T, E> fmt::Debug for Cache<K, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("capacity", &lock(&self.table).capacity())
            .field("terms", &self.terms)
            .field("stats", &self.stats())
            .finish()
    }
}
