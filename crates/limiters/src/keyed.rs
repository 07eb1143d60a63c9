//! [`Keyed`]: a limit for each key, in memory that does not grow.

mod acquire;
mod builder;
mod exact;
mod hasher;
mod limit;
mod lines;
mod quotas;
mod table;
mod terms;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use crate::credit::Taken;
use crate::line::Counts;
use crate::{Counted, Denied, Grant, Quota, Waiting};
use exact::ExactTable;
use hasher::KeyHasher;
use lines::Lines;
use table::Table;
use terms::Terms;

pub use acquire::AcquireKey;
pub use builder::KeyedBuilder;
pub use limit::KeyLimit;

/// A limit for each key: each user, address or tenant has its own cells, in a table whose size is set once.
///
/// The table has 22 bytes for each of its `max_keys`, whatever the keys are: a key is known by a hash of 64
/// bits with a secret in it. Two of a million keys have the same with a chance of one in thirty million, and
/// would share their cells; where that is not acceptable there is [`exact`](KeyedBuilder::exact). Keys that
/// have all their cells need no place: they are as good as new. What happens when all places are taken by
/// others says [`OnFull`].
///
/// A request for a key that is known takes no lock. Nothing ever goes over the whole table at once.
///
/// # Examples
/// ```
/// use weirs_limiters::{Keyed, Quota, Rate};
///
/// let users = Keyed::<str>::new(Quota::new(Rate::per_second(10), 2).unwrap(), 10_000);
/// users.try_acquire("anna", 2).unwrap();
/// assert!(users.try_acquire("anna", 1).is_err());
/// users.try_acquire("berta", 1).unwrap();
/// ```
///
/// Some pay for more:
/// ```
/// use weirs_limiters::{Keyed, Quota, QuotaId, Rate};
///
/// let free = Quota::new(Rate::per_minute(60), 1).unwrap();
/// let paid = Quota::new(Rate::per_second(100), 50).unwrap();
/// let users = Keyed::<str>::builder(free)
///     .quotas([free, paid], |user: &str| QuotaId(u8::from(user.starts_with("paid-"))))
///     .build();
/// users.try_acquire("paid-anna", 50).unwrap();
/// assert!(users.try_acquire("berta", 50).is_err());
/// ```
pub struct Keyed<K: ?Sized> {
    shared: Arc<Shared<K>>,
}

/// Which of the quotas of [`KeyedBuilder::quotas`] a key has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QuotaId(
    /// Its place in the list.
    pub u8,
);

/// What happens to a new key when the places for it are taken by keys that do not have all their cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFull {
    /// The key that will have all its cells the soonest loses its place, and with it what it spent: somebody
    /// gets cells early, and of all it is the one with the least use of that. An attacker with many keys is
    /// never refused for being new.
    #[default]
    EvictFullest,
    /// The new key is refused until a place is free. Nobody gets a cell early; a flood of keys locks out
    /// those who come new.
    DenyNew,
    /// All such keys share the cells of one, for each quota. Nobody who has a place notices a flood.
    ///
    /// Cells that come [back unused](crate::Outcome::Unused) go where the key stands by then: to its own
    /// place, or to the shared cells if it has none, unless it is so late that as many came by themselves, or
    /// the quota has changed. A key that got a place in between may so have a few more of its own, which the
    /// others then have fewer of: together it is never more.
    SharedOverflow,
}

/// A look at a [`Keyed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedStats {
    /// How many places are taken.
    pub keys: usize,
    /// How many places there are: more than `max_keys`, so that so many find one.
    pub places: usize,
    /// Keys that lost their place although they did not have all their cells.
    pub evicted: u64,
    /// Requests of new keys that were refused for the lack of a place.
    pub denied_new: u64,
    /// Requests that took of the shared cells.
    pub overflowed: u64,
    /// How many wait, for all keys together.
    pub waiting: usize,
    /// How long the one who has waited longest of them has waited.
    pub oldest_wait: Duration,
    /// How often it said what, if it was [built](KeyedBuilder::counted) to know.
    pub counted: Option<Counted>,
}

struct Shared<K: ?Sized> {
    table: Arc<Places<K>>,
    lines: Lines<K>,
    hasher: KeyHasher,
    rule: Option<Box<Rule<K>>>,
    clock: Clock,
    max_waiters: usize,
    counts: Counts,
}

type Rule<K> = dyn Fn(&K) -> QuotaId + Send + Sync;
/// A key that is owned, in the exact mode.
type Owned<K> = Arc<dyn Borrow<K> + Send + Sync>;

/// How a key stands.
struct Standing {
    terms: Terms,
    /// What is spent, by these terms; zero if it has all.
    spent: u64,
    /// Before then, in nanoseconds, it is refused for the lack of a place.
    refused_until: u64,
}

enum Places<K: ?Sized> {
    Hashed(Table),
    Exact(Box<dyn ExactTable<K>>),
}

/// A key as the tables know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    hash: u64,
    quota: u8,
}

impl<K: Hash + ?Sized + 'static> Keyed<K> {
    /// Each key with this quota, in real time, with places for so many keys.
    ///
    /// # Panics
    /// When `max_keys` is zero or above 2^40.
    pub fn new(quota: Quota, max_keys: usize) -> Self {
        Self::builder(quota).max_keys(max_keys).build()
    }

    /// Sets all that can be set.
    pub fn builder(quota: Quota) -> KeyedBuilder<K> {
        KeyedBuilder::new(quota)
    }

    /// Takes `n` cells of this key now, all or none, without overtaking those who wait for it.
    ///
    /// # Panics
    /// When the rule of [`quotas`](KeyedBuilder::quotas) names a quota that is not in its list.
    ///
    /// # Errors
    /// [`Denied::Later`], [`Denied::TooLarge`], [`Denied::Closed`]. Nothing was taken.
    #[inline]
    pub fn try_acquire(&self, key: &K, n: u64) -> Result<Grant, Denied> {
        self.try_acquire_at(self.shared.clock.now(), key, n)
    }

    /// [`try_acquire`](Keyed::try_acquire) without a look at the clock.
    ///
    /// # Panics
    /// As `try_acquire`.
    ///
    /// # Errors
    /// As `try_acquire`.
    #[inline]
    pub fn try_acquire_at(&self, now: Instant, key: &K, n: u64) -> Result<Grant, Denied> {
        let name = self.shared.name(key);
        self.shared.try_acquire_at(now, Some(key), name, n)
    }

    /// Takes `n` cells of this key, and waits for them.
    ///
    /// # Waiting
    /// First come, first served among those who wait for this key, with one timer for them all. It holds for
    /// as long as they wait: who comes with [`try_acquire`](Keyed::try_acquire) does not overtake them
    /// either. With [`OnFull::SharedOverflow`] a key without a place takes of the shared cells as they come,
    /// and keys do not queue behind each other there: between keys nothing is promised.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was taken, and the next has its turn.
    ///
    /// # Panics
    /// As `try_acquire`, here and not in the poll.
    ///
    /// # Errors
    /// [`Denied::TooLarge`], [`Denied::Closed`], and [`Denied::QueueFull`] when too many wait, for all keys
    /// together.
    pub fn acquire<'a>(&'a self, key: &'a K, n: u64) -> AcquireKey<'a, K> {
        AcquireKey::new(&self.shared, key, Waiting::new(n))
    }

    /// [`acquire`](Keyed::acquire), but until then.
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
    /// [`Denied::WouldMissDeadline`], [`Denied::DeadlinePassed`], and those of `acquire`.
    pub fn acquire_by<'a>(&'a self, key: &'a K, n: u64, deadline: Instant) -> AcquireKey<'a, K> {
        AcquireKey::new(&self.shared, key, Waiting::new(n).by(deadline))
    }

    /// The limit of one key, for whoever takes any [`Limit`](crate::Limit).
    ///
    /// # Panics
    /// As `try_acquire`.
    pub fn limit_of(&self, key: &K) -> KeyLimit<K> {
        let owned = match &*self.shared.table {
            Places::Hashed(_) => None,
            Places::Exact(table) => Some(table.own(key)),
        };
        KeyLimit::new(Arc::clone(&self.shared), self.shared.name(key), owned)
    }

    /// How many cells of this key are there now.
    ///
    /// # Panics
    /// As `try_acquire`.
    pub fn available(&self, key: &K) -> u64 {
        let name = self.shared.name(key);
        self.shared.table.left(self.shared.clock.now(), Some(key), name)
    }

    /// Looks at the next `budget` places and frees those whose keys have all their cells; gives how many.
    ///
    /// It is not needed for the limits nor for the bound: places are used again anyway. It spares new keys
    /// the choice of a place, and drops keys early in the exact mode.
    pub fn sweep(&self, budget: usize) -> usize {
        let now = self.shared.clock.now();
        match &*self.shared.table {
            Places::Hashed(table) => table.sweep(now, budget),
            Places::Exact(table) => table.sweep(now, budget),
        }
    }

    /// What it looks like now.
    pub fn stats(&self) -> KeyedStats {
        let stats = match &*self.shared.table {
            Places::Hashed(table) => table.stats(),
            Places::Exact(table) => table.stats(),
        };
        let lines = &self.shared.lines;
        let oldest_wait = lines.oldest().map(|since| self.shared.clock.now().saturating_since(since));
        KeyedStats {
            waiting: lines.waiting(),
            oldest_wait: oldest_wait.unwrap_or_default(),
            counted: self.shared.counts.read(),
            ..stats
        }
    }

    /// From now on one of the quotas is another: that of all keys is `QuotaId(0)` or `QuotaId::default()`,
    /// others are those of [`quotas`](KeyedBuilder::quotas).
    ///
    /// Each key keeps the same part of its cells: who had all has all, who had none has none. Those who wait
    /// are timed anew at once; whom it makes wait for ever, too long, or for more than the burst, hears it at
    /// once. It goes over the whole table, a few places at a time, and holds nobody up meanwhile.
    ///
    /// To give one key another quota, have the rule say so: that key, too, keeps the same part of its cells.
    ///
    /// # Panics
    /// When there is no such quota.
    ///
    /// # Examples
    /// ```
    /// use weirs_limiters::{Keyed, Quota, QuotaId, Rate};
    ///
    /// let users = Keyed::<str>::new(Quota::new(Rate::per_hour(1), 4).unwrap(), 1_000);
    /// users.try_acquire("anna", 2).unwrap();
    /// users.set_quota(QuotaId::default(), Quota::new(Rate::per_hour(1), 10).unwrap());
    /// assert_eq!((users.available("anna"), users.available("berta")), (5, 10));
    /// ```
    #[track_caller]
    pub fn set_quota(&self, which: QuotaId, quota: Quota) {
        let quotas = self.shared.table.quotas();
        assert!(usize::from(which.0) < quotas, "there is no quota {} of {quotas}", which.0);
        let now = self.shared.clock.now();
        self.shared.table.set_quota(now, which.0, quota);
        self.shared.lines.review(now);
    }

    /// Admits nobody any more: everybody who waits or asks, for whichever key, hears [`Denied::Closed`].
    pub fn close(&self) {
        self.shared.lines.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lines.is_closed()
    }

    /// The clock whose time counts.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }
}

impl<K: Hash + ?Sized + 'static> Shared<K> {
    #[inline]
    fn name(&self, key: &K) -> Name {
        let quota = self.rule.as_ref().map_or(0, |rule| rule(key).0);
        let quotas = self.table.quotas();
        assert!(usize::from(quota) < quotas, "the rule named quota {quota} of {quotas}");
        Name { hash: self.hasher.hash_one(key), quota }
    }
}

impl<K: ?Sized + 'static> Shared<K> {
    #[inline]
    fn try_acquire_at(&self, now: Instant, key: Option<&K>, name: Name, n: u64) -> Result<Grant, Denied> {
        if self.counts.are_on() || self.lines.anybody(name) {
            return self.try_acquire_counted(now, key, name, n);
        }
        // Nothing looks at the result here, so it is made where the caller wants it.
        self.table.told(now, n, self.table.take(now, key, name, n))
    }

    #[cold]
    fn try_acquire_counted(
        &self,
        now: Instant,
        key: Option<&K>,
        name: Name,
        n: u64,
    ) -> Result<Grant, Denied> {
        let result = match self.lines.anybody(name) {
            true => self.behind_others(now, key, name, n),
            false => self.table.told(now, n, self.table.take(now, key, name, n)),
        };
        self.counts.count(n, &result);
        result
    }

    fn behind_others(&self, now: Instant, key: Option<&K>, name: Name, n: u64) -> Result<Grant, Denied> {
        if self.lines.is_closed() {
            return Err(Denied::Closed);
        }
        match self.lines.find(&self.table, key, name) {
            Some(line) => line.try_acquire_at(now, n),
            None => self.table.told(now, n, self.table.take(now, key, name, n)),
        }
    }
}

impl<K: ?Sized> Places<K> {
    fn quotas(&self) -> usize {
        match self {
            Self::Hashed(table) => table.quotas(),
            Self::Exact(table) => table.quotas(),
        }
    }

    fn terms(&self, quota: u8) -> Terms {
        match self {
            Self::Hashed(table) => table.terms(quota),
            Self::Exact(table) => table.terms(quota),
        }
    }

    fn set_quota(&self, now: Instant, quota: u8, new: Quota) {
        match self {
            Self::Hashed(table) => table.set_quota(now, quota, new),
            Self::Exact(table) => table.set_quota(now, quota, new),
        }
    }

    /// The key is needed in the exact mode only.
    #[inline]
    fn take(&self, now: Instant, key: Option<&K>, name: Name, n: u64) -> Taken {
        match (self, key) {
            (Self::Hashed(table), _) => table.take(now, name, n),
            (Self::Exact(table), Some(key)) => table.take(now, key, name, n),
            (Self::Exact(_), None) => unreachable!("the exact mode knows its keys"),
        }
    }

    fn standing(&self, now: Instant, key: Option<&K>, name: Name) -> Standing {
        match (self, key) {
            (Self::Hashed(table), _) => table.standing(now, name),
            (Self::Exact(table), Some(key)) => table.standing(now, key, name),
            (Self::Exact(_), None) => unreachable!("the exact mode knows its keys"),
        }
    }

    #[inline]
    fn told(&self, now: Instant, n: u64, taken: Taken) -> Result<Grant, Denied> {
        match taken {
            Taken::Yes { left } => Ok(Grant::new(n, left).with_note(self.note(now))),
            Taken::No { at } => Err(crate::line::later(now, at)),
            Taken::TooLarge { most } => Err(Denied::TooLarge { max: most }),
        }
    }

    fn on_full(&self) -> OnFull {
        match self {
            Self::Hashed(table) => table.on_full(),
            Self::Exact(table) => table.on_full(),
        }
    }

    /// What a grant of that time has to say at its release.
    #[inline]
    fn note(&self, taken: Instant) -> u64 {
        if self.on_full() == OnFull::SharedOverflow { taken.as_nanos() } else { 0 }
    }

    fn give_back(&self, now: Instant, taken: Instant, key: Option<&K>, name: Name, n: u64) {
        match (self, key) {
            (Self::Hashed(table), _) => table.give_back(now, taken, name, n),
            (Self::Exact(table), Some(key)) => table.give_back(now, taken, key, name, n),
            (Self::Exact(_), None) => unreachable!("the exact mode knows its keys"),
        }
    }

    fn left(&self, now: Instant, key: Option<&K>, name: Name) -> u64 {
        let Standing { terms, spent, refused_until } = self.standing(now, key, name);
        if refused_until > now.as_nanos() { 0 } else { terms.left(now, spent) }
    }

    fn when(&self, now: Instant, key: Option<&K>, name: Name, n: u64) -> Option<Instant> {
        let Standing { terms, spent, refused_until } = self.standing(now, key, name);
        if refused_until == u64::MAX {
            return None;
        }
        terms.when(now, spent, n).map(|at| at.max(Instant::from_nanos(refused_until)))
    }
}

impl<K: ?Sized> fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("quotas", &self.shared.table.quotas())
            .field("waiting", &self.shared.lines.waiting())
            .field("closed", &self.shared.lines.is_closed())
            .finish_non_exhaustive()
    }
}
