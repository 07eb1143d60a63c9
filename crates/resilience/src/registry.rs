//! [`Breakers`]: a breaker for each key, in bounded memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use weirs_runtime::Clock;

use crate::attempt::nanos;
use crate::{Breaker, BreakerBuilder, Invalid};

/// A breaker for each key, such as a server or a tenant; at most so many of them.
///
/// When there is no room for a new key, a breaker that knows nothing against its other side is forgotten:
/// closed, no failure in its window, held by nobody. A breaker with a guilty record is not, for a key that
/// fails could otherwise clear its name by being crowded out. What happens when none can be forgotten says
/// [`WhenFull`].
///
/// The keys' `Hash` and `Eq` run under a lock of the registry: they must not call it.
///
/// # Examples
/// ```
/// use weirs_resilience::{Breaker, Breakers, Stack};
/// use weirs_runtime::block_on;
///
/// let breakers = Breakers::<String>::builder(Breaker::consecutive(5)).max_keys(1_000).build().unwrap();
/// let stack = Stack::builder().breaker(breakers.get("eu-1")).build().unwrap();
/// assert_eq!(block_on(stack.call(async |_| Ok::<_, ()>(1))), Ok(1));
/// ```
pub struct Breakers<K> {
    settings: BreakerBuilder,
    settings_for: Option<SettingsFor<K>>,
    clock: Clock,
    max_keys: usize,
    idle_for: u64,
    when_full: WhenFull,
    shared: Arc<Breaker>,
    table: RwLock<Table<K>>,
    counted: Counted,
}

type SettingsFor<K> = Box<dyn Fn(&K) -> Option<BreakerBuilder> + Send + Sync>;

/// What a registry does with a new key when all its breakers are guilty or held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// Keys without a place share one breaker, with the settings for all. Nobody who has a place notices.
    #[default]
    Share,
    /// A guilty breaker that nobody holds is forgotten all the same. If all are held, keys share one.
    Forget,
}

/// A look at a [`Breakers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakersStats {
    /// How many keys have a breaker of their own.
    pub keys: usize,
    /// How many breakers were made for keys so far.
    pub made: u64,
    /// How many were forgotten that knew nothing.
    pub evicted: u64,
    /// How many were forgotten that knew something: see [`WhenFull::Forget`].
    pub forgotten: u64,
    /// How often a key had to share a breaker.
    pub shared: u64,
}

/// Makes a [`Breakers`]; made by [`Breakers::builder`].
#[must_use = "it makes nothing until `build`"]
pub struct BreakersBuilder<K> {
    settings: BreakerBuilder,
    settings_for: Option<SettingsFor<K>>,
    max_keys: usize,
    idle_for: Option<Duration>,
    when_full: WhenFull,
}

struct Table<K> {
    places: HashMap<K, usize>,
    entries: Vec<Entry<K>>,
    /// Where the search for an idle one goes on.
    hand: usize,
}

struct Entry<K> {
    key: K,
    breaker: Arc<Breaker>,
    used_at: AtomicU64,
}

struct Counted {
    made: AtomicU64,
    evicted: AtomicU64,
    forgotten: AtomicU64,
    shared: AtomicU64,
}

/// How many breakers are looked at for one that can be forgotten. A registry full of guilty ones would
/// otherwise cost each new key a look at all of them.
const LOOKS: usize = 64;

impl<K: Clone + Eq + Hash> Breakers<K> {
    /// Breakers with these settings.
    pub fn builder(settings: BreakerBuilder) -> BreakersBuilder<K> {
        let when_full = WhenFull::default();
        BreakersBuilder { settings, settings_for: None, max_keys: 10_000, idle_for: None, when_full }
    }

    /// The breaker of that key. It keeps its place as long as it is held, by a stack for one.
    ///
    /// # Panics
    /// When the [settings for this key](BreakersBuilder::settings_for) make no sense.
    pub fn get<Q>(&self, key: &Q) -> Arc<Breaker>
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
    {
        let now = self.clock.now().as_nanos();
        if let Some(known) = self.known(key, now) {
            return known;
        }
        let key = key.to_owned();
        let own = self.settings_for.as_ref().and_then(|settings_for| settings_for(&key));
        let settings = own.unwrap_or_else(|| self.settings.clone());
        let breaker = settings.build().unwrap_or_else(|invalid| panic!("settings for a key: {invalid}"));
        self.insert(key, breaker, now)
    }

    fn known<Q>(&self, key: &Q, now: u64) -> Option<Arc<Breaker>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq + Hash,
    {
        let table = self.read();
        let entry = &table.entries[*table.places.get(key)?];
        entry.used_at.store(now, Ordering::Relaxed);
        Some(Arc::clone(&entry.breaker))
    }

    fn insert(&self, key: K, breaker: Arc<Breaker>, now: u64) -> Arc<Breaker> {
        let mut table = self.write();
        if let Some(&place) = table.places.get(&key) {
            // Somebody was faster.
            let known = Arc::clone(&table.entries[place].breaker);
            drop(table);
            return known;
        }
        let gone = if table.entries.len() >= self.max_keys {
            let Some(gone) = self.make_room(&mut table) else {
                drop(table);
                self.counted.shared.fetch_add(1, Ordering::Relaxed);
                return Arc::clone(&self.shared);
            };
            Some(gone)
        } else {
            self.take_expired(&mut table, now)
        };
        let place = table.entries.len();
        table.places.insert(key.clone(), place);
        table.entries.push(Entry { key, breaker: Arc::clone(&breaker), used_at: AtomicU64::new(now) });
        drop(table);
        // Keys and observers are dropped outside the lock.
        drop(gone);
        self.counted.made.fetch_add(1, Ordering::Relaxed);
        breaker
    }

    /// Looks at some, and takes out one that can be forgotten.
    fn make_room(&self, table: &mut Table<K>) -> Option<(K, Entry<K>)> {
        let mut guilty = None;
        for _ in 0..LOOKS.min(table.entries.len()) {
            let place = table.next_place();
            let entry = &table.entries[place];
            if !entry.is_held() {
                if entry.breaker.is_idle() {
                    self.counted.evicted.fetch_add(1, Ordering::Relaxed);
                    return table.remove(place);
                }
                let used = entry.used_at.load(Ordering::Relaxed);
                if guilty.is_none_or(|(before, _)| used < before) {
                    guilty = Some((used, place));
                }
            }
        }
        let (_, place) = guilty.filter(|_| self.when_full == WhenFull::Forget)?;
        self.counted.forgotten.fetch_add(1, Ordering::Relaxed);
        table.remove(place)
    }

    /// Each new key looks at two others, so that what nobody uses goes away by and by: the search has to go
    /// round faster than the table grows.
    fn take_expired(&self, table: &mut Table<K>, now: u64) -> Option<(K, Entry<K>)> {
        if self.idle_for == u64::MAX || table.entries.is_empty() {
            return None;
        }
        for _ in 0..2 {
            let place = table.next_place();
            if table.entries[place].is_expired(now, self.idle_for) {
                self.counted.evicted.fetch_add(1, Ordering::Relaxed);
                return table.remove(place);
            }
        }
        None
    }

    /// Forgets all that nobody has asked for since the [time to live](BreakersBuilder::idle_for), and that
    /// know nothing. Gives how many.
    pub fn sweep(&self) -> usize {
        let now = self.clock.now().as_nanos();
        let mut gone = Vec::new();
        let mut table = self.write();
        let mut place = 0;
        while place < table.entries.len() {
            if table.entries[place].is_expired(now, self.idle_for) {
                gone.extend(table.remove(place));
            } else {
                place += 1;
            }
        }
        drop(table);
        self.counted.evicted.fetch_add(gone.len() as u64, Ordering::Relaxed);
        gone.len()
    }

    /// All keys with their breakers, for people and dashboards.
    pub fn list(&self) -> Vec<(K, Arc<Breaker>)> {
        // The keys' `Clone` runs under the lock, as their `Hash` does.
        self.read().entries.iter().map(|entry| (entry.key.clone(), Arc::clone(&entry.breaker))).collect()
    }
}

impl<K> Breakers<K> {
    /// What it looks like now.
    pub fn stats(&self) -> BreakersStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counted { made, evicted, forgotten, shared } = &self.counted;
        BreakersStats {
            keys: self.read().entries.len(),
            made: load(made),
            evicted: load(evicted),
            forgotten: load(forgotten),
            shared: load(shared),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table<K>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<K>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Table<K> {
    fn next_place(&mut self) -> usize {
        self.hand = (self.hand + 1) % self.entries.len();
        self.hand
    }

    fn remove(&mut self, place: usize) -> Option<(K, Entry<K>)> {
        let (key, _) = self.places.remove_entry(&self.entries[place].key)?;
        let entry = self.entries.swap_remove(place);
        if let Some(moved) = self.entries.get(place) {
            if let Some(moved) = self.places.get_mut(&moved.key) {
                *moved = place;
            }
        }
        Some((key, entry))
    }
}

impl<K> Entry<K> {
    /// Whoever has a permit has the breaker as well.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.breaker) > 1
    }

    fn is_expired(&self, now: u64, idle_for: u64) -> bool {
        let unused = now.saturating_sub(self.used_at.load(Ordering::Relaxed));
        unused >= idle_for && !self.is_held() && self.breaker.is_idle()
    }
}

impl<K> BreakersBuilder<K> {
    /// How many keys have a breaker of their own: 10,000 without it.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// A breaker that knows nothing is forgotten when nobody has asked for it for so long: by and by as new
    /// keys come, and by [`sweep`](Breakers::sweep).
    pub fn idle_for(mut self, time: Duration) -> Self {
        self.idle_for = Some(time);
        self
    }

    /// Other settings for some keys; `None` means those for all.
    pub fn settings_for(
        mut self,
        settings_for: impl Fn(&K) -> Option<BreakerBuilder> + Send + Sync + 'static,
    ) -> Self {
        self.settings_for = Some(Box::new(settings_for));
        self
    }

    /// What happens when there is no room and none can be forgotten.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// The registry, empty.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn build(self) -> Result<Breakers<K>, Invalid> {
        if self.max_keys == 0 {
            return Err(Invalid::new("breakers.max_keys", "no key would have a breaker"));
        }
        let shared = self.settings.clone().build()?;
        Ok(Breakers {
            clock: shared.clock().clone(),
            settings: self.settings,
            settings_for: self.settings_for,
            max_keys: self.max_keys,
            idle_for: self.idle_for.map_or(u64::MAX, nanos),
            when_full: self.when_full,
            shared,
            table: RwLock::new(Table { places: HashMap::new(), entries: Vec::new(), hand: 0 }),
            counted: Counted {
                made: AtomicU64::new(0),
                evicted: AtomicU64::new(0),
                forgotten: AtomicU64::new(0),
                shared: AtomicU64::new(0),
            },
        })
    }
}

impl<K> fmt::Debug for Breakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<K> fmt::Debug for BreakersBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakersBuilder")
            .field("max_keys", &self.max_keys)
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}
