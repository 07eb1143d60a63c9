//! [`KeyedBuilder`]: everything that can be set of a keyed limiter.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use weirs_runtime::Clock;

use super::exact::{Exact, ExactTable};
use super::{KeyHasher, Keyed, Lines, OnFull, Places, QuotaId, Rule, Shared, Table, Terms};
use crate::Quota;
use crate::line::{Counts, MAX_WAITERS};

/// Makes a [`Keyed`]; made by [`Keyed::builder`].
///
/// # Examples
/// ```
/// use weirs_limiters::{Keyed, OnFull, Quota, Rate};
///
/// let keyed = Keyed::<String>::builder(Quota::new(Rate::per_minute(600), 10).unwrap())
///     .max_keys(1_000)
///     .on_full(OnFull::DenyNew)
///     .exact()
///     .build();
/// keyed.try_acquire(&"anna".to_owned(), 1).unwrap();
/// assert_eq!(keyed.stats().keys, 1);
/// ```
#[must_use = "it makes nothing until `build`"]
pub struct KeyedBuilder<K: ?Sized> {
    quotas: Vec<Quota>,
    rule: Option<Box<Rule<K>>>,
    max_keys: usize,
    on_full: OnFull,
    exact: Option<MakeExact<K>>,
    max_waiters: usize,
    clock: Option<Clock>,
    counts: bool,
}

type MakeExact<K> = fn(usize, Box<[Terms]>, OnFull) -> Box<dyn ExactTable<K>>;

impl<K: Hash + ?Sized + 'static> KeyedBuilder<K> {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quotas: vec![quota],
            rule: None,
            max_keys: 65_536,
            on_full: OnFull::default(),
            exact: None,
            max_waiters: MAX_WAITERS,
            clock: None,
            counts: false,
        }
    }

    /// For how many keys there are places: 65,536 without it.
    ///
    /// A key may stand in some of the places only, so there are more: four for three keys, and eight at
    /// least. Then one key in two thousand finds none of its own free when so many have spent something. In
    /// the exact mode it is an eighth more at most, and none for less than 2,048.
    /// [`KeyedStats::places`](super::KeyedStats) tells how many there are: with [`OnFull::DenyNew`] so many
    /// keys at most are below their burst at once, and all others are refused.
    ///
    /// # Panics
    /// When it is zero or above 2^40.
    pub fn max_keys(mut self, most: usize) -> Self {
        assert!(most > 0 && most as u64 <= 1 << 40, "there are places for one key or more, up to 2^40");
        self.max_keys = most;
        self
    }

    /// What happens to a new key when the places for it are taken.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Several quotas, and the rule that says which a key has. They take the place of the one before.
    ///
    /// The rule is asked at each request, so it is to be quick. When it names another quota for a key than
    /// before, the key keeps the same part of its cells; those who wait for it stay with the one by which
    /// they came.
    ///
    /// # Panics
    /// Without a quota, and with more than 256.
    pub fn quotas(
        mut self,
        quotas: impl IntoIterator<Item = Quota>,
        rule: impl Fn(&K) -> QuotaId + Send + Sync + 'static,
    ) -> Self {
        self.quotas = quotas.into_iter().collect();
        assert!((1..=256).contains(&self.quotas.len()), "there are 1 to 256 quotas");
        self.rule = Some(Box::new(rule));
        self
    }

    /// Keeps the keys and compares them, so that no two ever share their cells. It needs memory for the
    /// keys, and a lock for each request, under which they are compared: so `Eq` must not use this `Keyed`,
    /// or it waits for itself. From 2,048 keys on there are several locks with a share of the places each;
    /// one may be full a little before the others, so the shares are an eighth larger: never more than nine
    /// eighths of `max_keys` are kept.
    pub fn exact(mut self) -> Self
    where
        K: Eq + Clone + Send + Sync,
    {
        self.exact = Some(|most, terms, on_full| Box::new(Exact::<K>::new(most, terms, on_full)));
        self
    }

    /// How many may wait, for all keys together: 1024 without it. With zero nobody waits.
    pub fn max_waiters(mut self, most: usize) -> Self {
        self.max_waiters = most;
        self
    }

    /// The clock whose time counts: real time without it.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether [`Keyed::stats`] tells how often it said what. Each answer then writes a counter that all keys
    /// share.
    pub fn counted(mut self, counted: bool) -> Self {
        self.counts = counted;
        self
    }

    /// Makes it: all memory is taken here (but for the exact mode, which takes it as keys come).
    pub fn build(self) -> Keyed<K> {
        let clock = self.clock.unwrap_or_default();
        let now = clock.now();
        let terms = self.quotas.iter().map(|quota| Terms::new(*quota, now)).collect();
        let table = match self.exact {
            None => Places::Hashed(Table::new(self.max_keys, terms, self.on_full)),
            Some(make) => Places::Exact(make(self.max_keys, terms, self.on_full)),
        };
        let shared = Shared {
            table: Arc::new(table),
            lines: Lines::new(),
            hasher: KeyHasher::new(&clock),
            rule: self.rule,
            counts: Counts::new(self.counts),
            clock,
            max_waiters: self.max_waiters,
        };
        Keyed { shared: Arc::new(shared) }
    }
}

impl<K: ?Sized> fmt::Debug for KeyedBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuilder")
            .field("quotas", &self.quotas)
            .field("max_keys", &self.max_keys)
            .field("on_full", &self.on_full)
            .field("exact", &self.exact.is_some())
            .finish_non_exhaustive()
    }
}
