//! [`Table`]: places for keys, known by their hashes.
//!
//! A bucket of 64 bytes has four places; a key may stand in the two buckets of a pair, and if all their
//! places are taken, in those of another pair. Each place has a name (a hash, and the number of the quota in
//! its low bits) and a counter.
//!
//! 1. Names are written under the locks of the key's pairs, so no key has two places.
//! 2. Whoever takes a place for another key writes `FROZEN` into the counter first, then the name, then the
//!    counter.
//! 3. Whoever charges a key without a lock reads name, counter, and name again, and exchanges the counter:
//!    if it was frozen since, the exchange fails; if it was written anew before it was read, the name shows
//!    it.

use std::sync::atomic::AtomicUsize;

use weirs_runtime::Instant;

use super::terms::{Step, Terms};
use super::{KeyedStats, Name, OnFull};
use crate::credit::Taken;
use crate::sync::{AtomicU64, Mutex, Ordering, fence, lock};

const PLACES: usize = 4;
const LOCKS: usize = 64;
/// No counter is ever so large.
const FROZEN: u64 = u64::MAX;

pub(super) struct Table {
    buckets: Box<[Bucket]>,
    terms: Box<[Terms]>,
    /// The low bits of a name that are the quota's number.
    quota_mask: u64,
    on_full: OnFull,
    locks: Box<[Mutex<()>]>,
    overflow: Box<[AtomicU64]>,
    hand: AtomicUsize,
    keys: AtomicUsize,
    evicted: AtomicU64,
    denied_new: AtomicU64,
    overflowed: AtomicU64,
}

#[derive(Default)]
#[repr(align(64))]
struct Bucket([Place; PLACES]);

#[derive(Default)]
struct Place {
    /// Zero if it is free.
    name: AtomicU64,
    spent: AtomicU64,
}

enum Charged {
    Told(Taken),
    /// It is somebody else's place by now.
    Gone,
}

impl Table {
    pub(super) fn new(max_keys: usize, terms: Box<[Terms]>, on_full: OnFull) -> Self {
        // Twice as many places as keys, in pairs of buckets.
        let pairs = max_keys.div_ceil(PLACES);
        let quota_mask = (terms.len() as u64).next_power_of_two() - 1;
        Self {
            buckets: (0..2 * pairs).map(|_| Bucket::default()).collect(),
            quota_mask,
            on_full,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            overflow: terms.iter().map(|_| AtomicU64::new(0)).collect(),
            terms,
            hand: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            denied_new: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn terms(&self) -> &[Terms] {
        &self.terms
    }

    #[inline]
    pub(super) fn take(&self, now: Instant, name: Name, n: u64) -> Taken {
        let terms = &self.terms[usize::from(name.quota)];
        let word = self.word(name);
        if let Some(place) = self.find(word) {
            if let Charged::Told(taken) = place.charge(terms, now, word, n) {
                return taken;
            }
        }
        self.take_slowly(now, word, terms, name.quota, n)
    }

    #[cold]
    fn take_slowly(&self, now: Instant, word: u64, terms: &Terms, quota: u8, n: u64) -> Taken {
        // A new key has all its cells: what is refused or costs nothing needs no place.
        let (spent, left) = match terms.step(now, 0, n) {
            Step::No(taken) => match self.lock_and_find(word) {
                (_locks, Some(place)) => return place.charge_locked(terms, now, n),
                _ => return taken,
            },
            Step::Spend { spent, left } => (spent, left),
        };
        let (_locks, found) = self.lock_and_find(word);
        if let Some(place) = found {
            return place.charge_locked(terms, now, n);
        }
        if n == 0 || terms.is_unlimited() {
            return Taken::Yes { left };
        }
        loop {
            let Victim { place, name, spent: before, full } = self.victim(word, now);
            if full > now.as_nanos() {
                match self.on_full {
                    OnFull::EvictFullest => self.evicted.fetch_add(1, Ordering::Relaxed),
                    OnFull::DenyNew => {
                        self.denied_new.fetch_add(1, Ordering::Relaxed);
                        let at = (full != u64::MAX).then_some(Instant::from_nanos(full));
                        return Taken::No { at };
                    }
                    OnFull::SharedOverflow => {
                        self.overflowed.fetch_add(1, Ordering::Relaxed);
                        return charge(&self.overflow[usize::from(quota)], terms, now, n);
                    }
                };
            }
            if place.give_to(before, word, spent) {
                self.keys.fetch_add(usize::from(name == 0), Ordering::Relaxed);
                return Taken::Yes { left };
            }
            // Its key was charged just now: it is not the one to go, or not for nothing.
        }
    }

    pub(super) fn spent(&self, now: Instant, name: Name) -> Option<u64> {
        let word = self.word(name);
        if let Some(spent) = self.find(word).and_then(|place| place.read(word)) {
            return Some(spent);
        }
        let (_locks, place) = self.lock_and_find(word);
        if let Some(place) = place {
            return Some(place.spent.load(Ordering::Relaxed));
        }
        // It takes of the shared cells if there is no place for it.
        let is_shared =
            self.on_full == OnFull::SharedOverflow && self.victim(word, now).full > now.as_nanos();
        is_shared.then(|| self.overflow[usize::from(name.quota)].load(Ordering::Relaxed))
    }

    pub(super) fn give_back(&self, name: Name, n: u64) {
        let (word, parts) = (self.word(name), self.terms[usize::from(name.quota)].parts(n));
        let (_locks, place) = self.lock_and_find(word);
        // Without a place there is nothing to come back to: it has all, or took of the shared cells.
        if let Some(place) = place {
            let _ = place
                .spent
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |spent| Some(spent.saturating_sub(parts)));
        }
    }

    pub(super) fn sweep(&self, now: Instant, budget: usize) -> usize {
        let mut freed = 0;
        let all = self.buckets.len() * PLACES;
        for _ in 0..budget.min(all) {
            let at = self.hand.fetch_add(1, Ordering::Relaxed) % all;
            let place = &self.buckets[at / PLACES].0[at % PLACES];
            if !self.is_full(place, now) {
                continue;
            }
            let _lock = lock(&self.locks[at / PLACES / 2 % LOCKS]);
            let name = place.name.load(Ordering::Relaxed);
            let spent = place.spent.load(Ordering::Relaxed);
            if name != 0 && self.full(name, spent) <= now.as_nanos() {
                // Whoever charges it at this moment, wins.
                let frozen = place.spent.compare_exchange(spent, FROZEN, Ordering::AcqRel, Ordering::Relaxed);
                if frozen.is_ok() {
                    place.name.store(0, Ordering::Release);
                    self.keys.fetch_sub(1, Ordering::Relaxed);
                    freed += 1;
                }
            }
        }
        freed
    }

    pub(super) fn stats(&self) -> KeyedStats {
        KeyedStats {
            keys: self.keys.load(Ordering::Relaxed),
            places: self.buckets.len() * PLACES,
            evicted: self.evicted.load(Ordering::Relaxed),
            denied_new: self.denied_new.load(Ordering::Relaxed),
            overflowed: self.overflowed.load(Ordering::Relaxed),
            waiting: 0,
        }
    }

    #[inline]
    fn word(&self, name: Name) -> u64 {
        let word = (name.hash & !self.quota_mask) | u64::from(name.quota);
        if word == 0 { self.quota_mask + 1 } else { word }
    }

    /// The numbers of the first buckets of its two pairs.
    #[inline]
    fn pairs(&self, word: u64) -> [usize; 2] {
        let number = (self.buckets.len() / 2) as u128;
        let pair = |hash: u64| ((u128::from(hash) * number) >> 64) as usize * 2;
        // The quota's number is in the low bits, which count for little.
        [pair(word), pair(word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32))]
    }

    #[inline]
    fn find(&self, word: u64) -> Option<&Place> {
        let [first, second] = self.pairs(word);
        for at in [first, first + 1, second, second + 1] {
            for place in &self.buckets[at].0 {
                if place.name.load(Ordering::Acquire) == word {
                    return Some(place);
                }
            }
        }
        None
    }

    #[allow(clippy::type_complexity, reason = "the locks of two pairs, or of one")]
    fn lock_and_find(&self, word: u64) -> ([Option<crate::sync::MutexGuard<'_, ()>>; 2], Option<&Place>) {
        let mut locks = self.pairs(word).map(|pair| pair / 2 % LOCKS);
        locks.sort_unstable();
        let first = lock(&self.locks[locks[0]]);
        let second = (locks[0] != locks[1]).then(|| lock(&self.locks[locks[1]]));
        ([Some(first), second], self.find(word))
    }

    /// The place that a new key gets. The locks are held.
    fn victim(&self, word: u64, now: Instant) -> Victim<'_> {
        let [first, second] = self.pairs(word);
        let mut best: Option<Victim<'_>> = None;
        for at in [first, first + 1, second, second + 1] {
            for place in &self.buckets[at].0 {
                let (name, spent) = (place.name.load(Ordering::Relaxed), place.spent.load(Ordering::Relaxed));
                let full = if name == 0 { 0 } else { self.full(name, spent) };
                let victim = Victim { place, name, spent, full };
                // One that has all is as good as any other.
                if full <= now.as_nanos() {
                    return victim;
                }
                if best.as_ref().is_none_or(|best| best.full > full) {
                    best = Some(victim);
                }
            }
        }
        match best {
            Some(best) => best,
            None => unreachable!("a bucket has places"),
        }
    }

    fn full(&self, name: u64, spent: u64) -> u64 {
        let quota = (name & self.quota_mask) as usize;
        self.terms.get(quota).map_or(0, |terms| terms.full(spent))
    }

    fn is_full(&self, place: &Place, now: Instant) -> bool {
        let name = place.name.load(Ordering::Acquire);
        name != 0 && self.full(name, place.spent.load(Ordering::Relaxed)) <= now.as_nanos()
    }
}

/// A place for a new key.
struct Victim<'a> {
    place: &'a Place,
    /// Who has it: zero for nobody.
    name: u64,
    spent: u64,
    /// When its key has all its cells.
    full: u64,
}

impl Place {
    /// Rule 3.
    #[inline]
    fn charge(&self, terms: &Terms, now: Instant, name: u64, n: u64) -> Charged {
        let mut word = self.spent.load(Ordering::Acquire);
        loop {
            if word == FROZEN || self.name.load(Ordering::Acquire) != name {
                return Charged::Gone;
            }
            let (spent, left) = match terms.step(now, word, n) {
                Step::Spend { spent, left } if spent == word => return Charged::Told(Taken::Yes { left }),
                Step::Spend { spent, left } => (spent, left),
                Step::No(taken) => return Charged::Told(taken),
            };
            match self.spent.compare_exchange_weak(word, spent, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Charged::Told(Taken::Yes { left }),
                Err(changed) => word = changed,
            }
        }
    }

    /// Nobody gives the place to another meanwhile.
    fn charge_locked(&self, terms: &Terms, now: Instant, n: u64) -> Taken {
        charge(&self.spent, terms, now, n)
    }

    fn read(&self, name: u64) -> Option<u64> {
        let spent = self.spent.load(Ordering::Acquire);
        (spent != FROZEN && self.name.load(Ordering::Acquire) == name).then_some(spent)
    }

    /// Rule 2. The locks are held. It fails if the place was charged since.
    fn give_to(&self, before: u64, name: u64, spent: u64) -> bool {
        if self.spent.compare_exchange(before, FROZEN, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return false;
        }
        fence(Ordering::Release);
        self.name.store(name, Ordering::Relaxed);
        self.spent.store(spent, Ordering::Release);
        true
    }
}

fn charge(counter: &AtomicU64, terms: &Terms, now: Instant, n: u64) -> Taken {
    let mut word = counter.load(Ordering::Acquire);
    loop {
        let (spent, left) = match terms.step(now, word, n) {
            Step::Spend { spent, left } => (spent, left),
            Step::No(taken) => return taken,
        };
        match counter.compare_exchange_weak(word, spent, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Taken::Yes { left },
            Err(changed) => word = changed,
        }
    }
}
