//! [`Exact`]: places for keys that are kept themselves, and compared.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use weirs_runtime::Instant;

use super::terms::{Step, Terms};
use super::{KeyedStats, Name, OnFull, Owned, Standing};
use crate::Quota;
use crate::credit::Taken;
use crate::sync::{Mutex, lock};

const NONE: u32 = u32::MAX;
/// Among so many it looks for one that may go.
const LOOKS: usize = 16;

/// What [`Keyed`](super::Keyed) needs of it; it knows no bounds on keys.
pub(super) trait ExactTable<K: ?Sized>: Send + Sync {
    fn quotas(&self) -> usize;
    fn terms(&self, quota: u8) -> Terms;
    fn take(&self, now: Instant, key: &K, name: Name, n: u64) -> Taken;
    fn standing(&self, now: Instant, key: &K, name: Name) -> Standing;
    fn on_full(&self) -> OnFull;
    fn give_back(&self, now: Instant, taken: Instant, key: &K, name: Name, n: u64);
    fn set_quota(&self, now: Instant, quota: u8, new: Quota);
    fn own(&self, key: &K) -> Owned<K>;
    fn same(&self, one: &K, other: &K) -> bool;
    fn sweep(&self, now: Instant, budget: usize) -> usize;
    fn stats(&self) -> KeyedStats;
}

pub(super) struct Exact<K> {
    shards: Box<[Mutex<Shard<K>>]>,
    quotas: usize,
    /// One change of a quota at a time, so that all shards end with the same.
    change: Mutex<()>,
    most: usize,
    on_full: OnFull,
    hand: std::sync::atomic::AtomicUsize,
}

struct Shard<K> {
    /// The first place of each hash.
    index: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    places: Vec<Place<K>>,
    free: Vec<u32>,
    hand: usize,
    terms: Box<[Terms]>,
    overflow: Box<[u64]>,
    stats: KeyedStats,
}

struct Place<K> {
    /// None if it is free.
    key: Option<K>,
    name: Name,
    spent: u64,
    /// The next place of this hash.
    next: u32,
}

/// The hash is one already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("hashes are words");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl<K> Exact<K> {
    pub(super) fn new(max_keys: usize, terms: Box<[Terms]>, on_full: OnFull) -> Self {
        let shards = (max_keys / 1_024).clamp(1, 64).next_power_of_two();
        // With several, some have more keys than others.
        let slack = if shards == 1 { 0 } else { max_keys / 8 };
        let shard = || Shard {
            index: HashMap::default(),
            places: Vec::new(),
            free: Vec::new(),
            hand: 0,
            terms: terms.clone(),
            overflow: vec![0; terms.len()].into_boxed_slice(),
            stats: KeyedStats::default(),
        };
        Self {
            shards: (0..shards).map(|_| Mutex::new(shard())).collect(),
            most: (max_keys + slack) / shards,
            quotas: terms.len(),
            change: Mutex::new(()),
            on_full,
            hand: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    fn shard(&self, name: Name) -> &Mutex<Shard<K>> {
        // The index uses the low and the highest bits.
        &self.shards[(name.hash >> 40) as usize % self.shards.len()]
    }
}

impl<K: Eq> Shard<K> {
    /// The place of a key, with what it has spent by the quota that it has now.
    fn find(&mut self, now: Instant, key: &K, name: Name) -> Option<u32> {
        let mut at = *self.index.get(&name.hash)?;
        while at != NONE {
            let place = &mut self.places[at as usize];
            if place.name.hash == name.hash && place.key.as_ref() == Some(key) {
                if place.name != name {
                    let [old, new] = [place.name, name].map(|name| &self.terms[usize::from(name.quota)]);
                    (place.spent, place.name) = (new.carried_over(old, place.spent, now), name);
                }
                return Some(at);
            }
            at = place.next;
        }
        None
    }

    fn insert(&mut self, key: K, name: Name, spent: u64) {
        let next = self.index.get(&name.hash).copied().unwrap_or(NONE);
        let place = Place { key: Some(key), name, spent, next };
        let at = match self.free.pop() {
            Some(at) => {
                self.places[at as usize] = place;
                at
            }
            None => {
                self.places.push(place);
                (self.places.len() - 1) as u32
            }
        };
        self.index.insert(name.hash, at);
        self.stats.keys += 1;
    }

    /// Frees a place; the key is to be dropped outside the lock.
    fn remove(&mut self, at: u32) -> Option<K> {
        let Place { name, next, .. } = self.places[at as usize];
        match self.index.get_mut(&name.hash) {
            Some(first) if *first == at && next == NONE => {
                self.index.remove(&name.hash);
            }
            Some(first) if *first == at => *first = next,
            Some(first) => {
                let mut before = *first;
                while self.places[before as usize].next != at {
                    before = self.places[before as usize].next;
                }
                self.places[before as usize].next = next;
            }
            None => unreachable!("each key is in the index"),
        }
        self.free.push(at);
        self.stats.keys -= 1;
        self.places[at as usize].key.take()
    }

    /// Of some places the one whose key has all its cells the soonest, and when.
    fn victim(&mut self) -> Option<(u32, u64)> {
        let mut best: Option<(u32, u64)> = None;
        for _ in 0..LOOKS.min(self.places.len()) {
            let at = self.hand % self.places.len();
            self.hand = at + 1;
            let place = &self.places[at];
            if place.key.is_some() {
                let full = self.terms[usize::from(place.name.quota)].full(place.spent);
                if best.is_none_or(|(_, best)| best > full) {
                    best = Some((at as u32, full));
                }
            }
        }
        best
    }
}

impl<K: Eq + Clone + Send + Sync + 'static> ExactTable<K> for Exact<K> {
    fn quotas(&self) -> usize {
        self.quotas
    }

    fn terms(&self, quota: u8) -> Terms {
        // All shards have the same.
        lock(&self.shards[0]).terms[usize::from(quota)]
    }

    fn take(&self, now: Instant, key: &K, name: Name, n: u64) -> Taken {
        {
            let mut shard = lock(self.shard(name));
            let terms = shard.terms[usize::from(name.quota)];
            if let Some(at) = shard.find(now, key, name) {
                return spend(&terms, &mut shard.places[at as usize].spent, now, n);
            }
            // A new key has all its cells: what is refused or costs nothing needs no place.
            match terms.step(now, 0, n) {
                Step::No(taken) => return taken,
                Step::Spend { left, .. } if n == 0 || terms.is_unlimited() => return Taken::Yes { left },
                Step::Spend { .. } => {}
            }
        }
        let key = key.clone();
        // Dropped after the lock.
        let _gone;
        let mut shard = lock(self.shard(name));
        let shard = &mut *shard;
        let terms = shard.terms[usize::from(name.quota)];
        if let Some(at) = shard.find(now, &key, name) {
            return spend(&terms, &mut shard.places[at as usize].spent, now, n);
        }
        let (spent, left) = match terms.step(now, 0, n) {
            Step::No(taken) => return taken,
            Step::Spend { spent, left } => (spent, left),
        };
        if shard.stats.keys >= self.most {
            let Some((at, full)) = shard.victim() else { return Taken::No { at: None } };
            if full > now.as_nanos() {
                match self.on_full {
                    OnFull::EvictFullest => shard.stats.evicted += 1,
                    OnFull::DenyNew => {
                        shard.stats.denied_new += 1;
                        let at = (full != u64::MAX).then_some(Instant::from_nanos(full));
                        return Taken::No { at };
                    }
                    OnFull::SharedOverflow => {
                        shard.stats.overflowed += 1;
                        return spend(&terms, &mut shard.overflow[usize::from(name.quota)], now, n);
                    }
                }
            }
            _gone = shard.remove(at);
        }
        shard.insert(key, name, spent);
        Taken::Yes { left }
    }

    fn standing(&self, now: Instant, key: &K, name: Name) -> Standing {
        let mut shard = lock(self.shard(name));
        let terms = shard.terms[usize::from(name.quota)];
        if let Some(at) = shard.find(now, key, name) {
            return Standing { terms, spent: shard.places[at as usize].spent, refused_until: 0 };
        }
        let mut full = 0;
        if shard.stats.keys >= self.most && !terms.is_unlimited() {
            // Whoever asks next is told of the same one.
            let hand = shard.hand;
            full = shard.victim().map_or(u64::MAX, |(_, full)| full);
            shard.hand = hand;
        }
        match self.on_full {
            OnFull::SharedOverflow if full > now.as_nanos() => {
                Standing { terms, spent: shard.overflow[usize::from(name.quota)], refused_until: 0 }
            }
            OnFull::DenyNew => Standing { terms, spent: 0, refused_until: full },
            _ => Standing { terms, spent: 0, refused_until: 0 },
        }
    }

    fn on_full(&self) -> OnFull {
        self.on_full
    }

    fn give_back(&self, now: Instant, taken: Instant, key: &K, name: Name, n: u64) {
        let mut shard = lock(self.shard(name));
        let terms = shard.terms[usize::from(name.quota)];
        let spent = match shard.find(now, key, name) {
            Some(at) => &mut shard.places[at as usize].spent,
            None if self.on_full == OnFull::SharedOverflow && terms.still_lacks(now, taken, n) => {
                &mut shard.overflow[usize::from(name.quota)]
            }
            // There is nothing to come back to: it has all.
            None => return,
        };
        *spent = spent.saturating_sub(terms.parts(n));
    }

    fn set_quota(&self, now: Instant, quota: u8, new: Quota) {
        let new = Terms::new(new, now);
        let _changing = lock(&self.change);
        for shard in &self.shards {
            let mut shard = lock(shard);
            let old = std::mem::replace(&mut shard.terms[usize::from(quota)], new);
            let spent = &mut shard.overflow[usize::from(quota)];
            *spent = new.carried_over(&old, *spent, now);
            for place in shard.places.iter_mut().filter(|place| place.name.quota == quota) {
                place.spent = new.carried_over(&old, place.spent, now);
            }
        }
    }

    fn own(&self, key: &K) -> Owned<K> {
        Arc::new(key.clone())
    }

    fn same(&self, one: &K, other: &K) -> bool {
        one == other
    }

    fn sweep(&self, now: Instant, budget: usize) -> usize {
        let mut freed = 0;
        let budget = budget.min(self.most * self.shards.len() + LOOKS * self.shards.len());
        let mut left = budget;
        // A lock is held for some places only.
        for _ in 0..budget.div_ceil(LOOKS).max(1) {
            let number = self.hand.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut gone = Vec::new();
            let mut shard = lock(&self.shards[number % self.shards.len()]);
            for _ in 0..LOOKS.min(shard.places.len()).min(left) {
                let at = shard.hand % shard.places.len();
                shard.hand = at + 1;
                let place = &shard.places[at];
                let full = shard.terms[usize::from(place.name.quota)].full(place.spent);
                if place.key.is_some() && full <= now.as_nanos() {
                    gone.push(shard.remove(at as u32));
                }
            }
            drop(shard);
            left = left.saturating_sub(LOOKS);
            freed += gone.len();
        }
        freed
    }

    fn stats(&self) -> KeyedStats {
        let mut all = KeyedStats { places: self.most * self.shards.len(), ..KeyedStats::default() };
        for shard in &self.shards {
            let stats = lock(shard).stats;
            all.keys += stats.keys;
            all.evicted += stats.evicted;
            all.denied_new += stats.denied_new;
            all.overflowed += stats.overflowed;
        }
        all
    }
}

fn spend(terms: &Terms, word: &mut u64, now: Instant, n: u64) -> Taken {
    match terms.step(now, *word, n) {
        Step::Spend { spent, left } => {
            *word = spent;
            Taken::Yes { left }
        }
        Step::No(taken) => taken,
    }
}
