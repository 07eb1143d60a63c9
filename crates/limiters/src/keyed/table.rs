//! [`Table`]: places for keys, known by their hashes.
//!
//! A bucket of 128 bytes has eight places; a key may stand in either of two buckets. It stands in its first
//! as long as some places are free there, and then in the one that has more of them. So a table whose places
//! are taken to three quarters has turned away one key in two thousand. Each place has a name (a hash, and
//! the number of the quota's slot in its low bits) and a counter.
//!
//! 1. Names are written under the locks of the key's buckets, so no key has two places.
//! 2. Whoever takes a place for another key freezes the counter first, then writes the name, then the
//!    counter. The counter carries a number of four bits that is then another one, so no exchange takes the
//!    new key's for the old one's because as much is spent of both.
//! 3. Whoever charges a key without a lock reads the counter, then the name, and exchanges the counter: if it
//!    was frozen since, the exchange fails; if it was written anew before it was read, the name shows it, or
//!    the quota, which is looked at last.
//! 4. A key whose name has the slot of another quota, or of the same before it changed, is given its new name
//!    and what it has spent by the new quota, under the lock of its place.

use std::sync::atomic::AtomicUsize;

use weirs_runtime::Instant;

use super::quotas::Quotas;
use super::terms::{END, Step, Terms};
use super::{KeyedStats, Name, OnFull, Standing};
use crate::Quota;
use crate::credit::Taken;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, fence, lock};

/// Of a bucket. (Few in the models, which would look at each.)
const PLACES: usize = if cfg!(loom) { 2 } else { 8 };
/// A key stands in its first bucket if so many places are free there.
const ENOUGH: usize = 3;
const LOCKS: usize = if cfg!(loom) { 2 } else { 64 };
/// The bits of a counter that say what is spent; the others number its keys. It is frozen if all are set.
const SPENT: u64 = END;
const NEXT_KEY: u64 = SPENT + 1;

pub(super) struct Table {
    buckets: Box<[Bucket]>,
    quotas: Quotas,
    /// The low bits of a name that are the number of the slot.
    slot_mask: u64,
    on_full: OnFull,
    locks: Box<[Mutex<()>]>,
    /// What is spent of the shared cells, for each quota.
    overflow: Box<[Mutex<u64>]>,
    hand: AtomicUsize,
    keys: AtomicUsize,
    evicted: AtomicU64,
    denied_new: AtomicU64,
    overflowed: AtomicU64,
}

#[derive(Default)]
#[repr(align(128))]
struct Bucket([Place; PLACES]);

#[derive(Default)]
struct Place {
    /// Zero if it is free.
    name: AtomicU64,
    counter: AtomicU64,
}

enum Charged {
    Told(Taken),
    /// It is somebody else's place by now.
    Gone,
}

impl Table {
    pub(super) fn new(max_keys: usize, terms: Box<[Terms]>, on_full: OnFull) -> Self {
        // Four places for three keys.
        let buckets = max_keys.div_ceil(PLACES * 3 / 4);
        // Each quota has two slots.
        let slot_mask = (2 * terms.len() as u64).next_power_of_two() - 1;
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            slot_mask,
            on_full,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            overflow: terms.iter().map(|_| Mutex::new(0)).collect(),
            quotas: Quotas::new(&terms),
            hand: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            denied_new: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn quotas(&self) -> usize {
        self.quotas.len()
    }

    pub(super) fn terms(&self, quota: u8) -> Terms {
        self.quotas.current(quota).1
    }

    #[inline]
    pub(super) fn take(&self, now: Instant, name: Name, n: u64) -> Taken {
        let glance = self.quotas.glance(name.quota);
        let word = self.word(name, glance.slot);
        if let Some(place) = self.find(word) {
            let are_still = || self.quotas.is_still(&glance);
            if let Charged::Told(taken) = place.charge(&glance.terms, now, word, n, are_still) {
                return taken;
            }
        }
        self.take_slowly(now, name, n)
    }

    #[cold]
    fn take_slowly(&self, now: Instant, name: Name, n: u64) -> Taken {
        let _locks = self.lock(name);
        let (word, terms, found) = self.settle(now, name);
        if let Some(place) = found {
            return place.charge_locked(&terms, now, n);
        }
        // A new key has all its cells: what is refused or costs nothing needs no place.
        let (spent, left) = match terms.step(now, 0, n) {
            Step::No(taken) => return taken,
            Step::Spend { spent, left } => (spent, left),
        };
        if n == 0 || terms.is_unlimited() {
            return Taken::Yes { left };
        }
        loop {
            let Victim { place, name: victim, counter, full } = self.victim(word, now);
            let is_evicted = full > now.as_nanos();
            if is_evicted {
                match self.on_full {
                    OnFull::EvictFullest => {}
                    OnFull::DenyNew => {
                        self.denied_new.fetch_add(1, Ordering::Relaxed);
                        let at = (full != u64::MAX).then_some(Instant::from_nanos(full));
                        return Taken::No { at };
                    }
                    OnFull::SharedOverflow => {
                        self.overflowed.fetch_add(1, Ordering::Relaxed);
                        return self.take_shared(now, name.quota, n);
                    }
                }
            }
            if place.give_to(counter, word, spent) {
                self.keys.fetch_add(usize::from(victim == 0), Ordering::Relaxed);
                self.evicted.fetch_add(u64::from(is_evicted), Ordering::Relaxed);
                return Taken::Yes { left };
            }
            // Its key was charged just now: it is not the one to go, or not for nothing.
        }
    }

    fn take_shared(&self, now: Instant, quota: u8, n: u64) -> Taken {
        let mut shared = lock(&self.overflow[usize::from(quota)]);
        // It changes under this lock.
        let (_, terms) = self.quotas.current(quota);
        match terms.step(now, *shared, n) {
            Step::Spend { spent, left } => {
                *shared = spent;
                Taken::Yes { left }
            }
            Step::No(taken) => taken,
        }
    }

    pub(super) fn standing(&self, now: Instant, name: Name) -> Standing {
        let glance = self.quotas.glance(name.quota);
        let word = self.word(name, glance.slot);
        let spent = self.find(word).and_then(|place| place.read(word));
        if let Some(spent) = spent.filter(|_| self.quotas.is_still(&glance)) {
            return Standing { terms: glance.terms, spent, refused_until: 0 };
        }
        let _locks = self.lock(name);
        let (word, terms, place) = self.settle(now, name);
        if let Some(place) = place {
            let spent = place.counter.load(Ordering::Relaxed) & SPENT;
            return Standing { terms, spent, refused_until: 0 };
        }
        let full = self.victim(word, now).full;
        match self.on_full {
            OnFull::SharedOverflow if full > now.as_nanos() && !terms.is_unlimited() => {
                let shared = lock(&self.overflow[usize::from(name.quota)]);
                Standing { terms: self.quotas.current(name.quota).1, spent: *shared, refused_until: 0 }
            }
            OnFull::DenyNew if !terms.is_unlimited() => Standing { terms, spent: 0, refused_until: full },
            _ => Standing { terms, spent: 0, refused_until: 0 },
        }
    }

    pub(super) fn on_full(&self) -> OnFull {
        self.on_full
    }

    pub(super) fn give_back(&self, now: Instant, taken: Instant, name: Name, n: u64) {
        let _locks = self.lock(name);
        let (_, terms, place) = self.settle(now, name);
        match place {
            Some(place) => {
                let parts = terms.parts(n);
                let less = |counter: u64| Some(counter - parts.min(counter & SPENT));
                let _ = place.counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
            }
            None if self.on_full == OnFull::SharedOverflow => {
                let mut shared = lock(&self.overflow[usize::from(name.quota)]);
                // It changes under this lock.
                let (_, terms) = self.quotas.current(name.quota);
                if terms.still_lacks(now, taken, n) {
                    *shared = shared.saturating_sub(terms.parts(n));
                }
            }
            // There is nothing to come back to: it has all.
            None => {}
        }
    }

    /// From now on this quota is another. Keys go over as they are asked for, and all others before this is
    /// done.
    pub(super) fn set_quota(&self, now: Instant, quota: u8, new: Quota) {
        let _changing = self.quotas.changing();
        {
            let mut shared = lock(&self.overflow[usize::from(quota)]);
            let (_, old) = self.quotas.current(quota);
            let terms = self.quotas.set(quota, new, now);
            *shared = terms.carried_over(&old, *shared, now);
        }
        let (slot, terms) = self.quotas.current(quota);
        for (number, bucket) in self.buckets.iter().enumerate() {
            let _lock = lock(&self.locks[number % LOCKS]);
            for place in &bucket.0 {
                let name = place.name.load(Ordering::Relaxed);
                if name != 0 && name & self.slot_mask == slot ^ 1 {
                    self.carry_over(place, name, (name & !self.slot_mask) | slot, &terms, terms.since());
                }
            }
        }
    }

    /// The name, the terms and the place of a key, by the quota that it has now (rule 4). The locks are held.
    fn settle(&self, now: Instant, name: Name) -> (u64, Terms, Option<&Place>) {
        // Under the lock: whoever changes a quota has not been here yet, or its change is seen.
        let (slot, terms) = self.quotas.current(name.quota);
        let word = self.word(name, slot);
        let place = self.find(word).or_else(|| {
            let (place, other) = self.find_masked(word)?;
            let changed = (other ^ word) & self.slot_mask == 1;
            self.carry_over(place, other, word, &terms, if changed { terms.since() } else { now });
            Some(place)
        });
        (word, terms, place)
    }

    fn carry_over(&self, place: &Place, name: u64, new: u64, terms: &Terms, at: Instant) {
        let old = self.quotas.of_slot(name & self.slot_mask);
        loop {
            let counter = place.counter.load(Ordering::Relaxed);
            let spent = counter & SPENT;
            let carried = old.map_or(spent, |old| terms.carried_over(&old, spent, at));
            // Who charges it at this moment is heard.
            if place.give_to(counter, new, carried) {
                return;
            }
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
            let _lock = lock(&self.locks[at / PLACES % LOCKS]);
            let name = place.name.load(Ordering::Relaxed);
            let counter = place.counter.load(Ordering::Relaxed);
            // Whoever charges it at this moment, wins.
            if name != 0 && self.full(name, counter) <= now.as_nanos() && place.freeze(counter) {
                place.name.store(0, Ordering::Release);
                self.keys.fetch_sub(1, Ordering::Relaxed);
                freed += 1;
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
            ..KeyedStats::default()
        }
    }

    #[inline]
    fn word(&self, name: Name, slot: u64) -> u64 {
        let hash = name.hash & !self.slot_mask;
        // Zero is nobody.
        (if hash == 0 { self.slot_mask + 1 } else { hash }) | slot
    }

    /// The numbers of its two buckets, whichever slot it has.
    #[inline]
    fn numbers(&self, word: u64) -> [usize; 2] {
        let hash = word & !self.slot_mask;
        let number = |hash: u64| ((u128::from(hash) * self.buckets.len() as u128) >> 64) as usize;
        [number(hash), number(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32))]
    }

    #[inline]
    fn find(&self, word: u64) -> Option<&Place> {
        let [first, second] = self.numbers(word);
        self.buckets[first].find(word).or_else(|| self.buckets[second].find(word))
    }

    /// The same key with another slot, and its name.
    fn find_masked(&self, word: u64) -> Option<(&Place, u64)> {
        let places = self.numbers(word).into_iter().flat_map(|number| &self.buckets[number].0);
        let mut named = places.map(|place| (place, place.name.load(Ordering::Relaxed)));
        named.find(|(_, name)| (name ^ word) & !self.slot_mask == 0)
    }

    #[allow(clippy::type_complexity, reason = "the locks of two buckets, or of one")]
    fn lock(&self, name: Name) -> [Option<MutexGuard<'_, ()>>; 2] {
        let mut locks = self.numbers(self.word(name, 0)).map(|number| number % LOCKS);
        locks.sort_unstable();
        let first = lock(&self.locks[locks[0]]);
        let second = (locks[0] != locks[1]).then(|| lock(&self.locks[locks[1]]));
        [Some(first), second]
    }

    /// The place that a new key gets. The locks are held.
    fn victim(&self, word: u64, now: Instant) -> Victim<'_> {
        let [first, second] = self.numbers(word);
        // Where places are nobody's, nobody has to be asked when its key has all.
        if let Some(free) = self.buckets[first].free() {
            return free;
        }
        let (one, free) = self.victim_in(first, now);
        if free >= ENOUGH {
            return one;
        }
        let (other, more) = self.victim_in(second, now);
        let is_better = if free == 0 && more == 0 { other.full < one.full } else { more > free };
        if is_better { other } else { one }
    }

    /// The best place of a bucket, and how many are as good as free.
    fn victim_in(&self, number: usize, now: Instant) -> (Victim<'_>, usize) {
        let mut free = 0;
        let places = self.buckets[number].0.iter().map(|place| {
            let name = place.name.load(Ordering::Relaxed);
            let counter = place.counter.load(Ordering::Relaxed);
            let full = if name == 0 { 0 } else { self.full(name, counter) };
            // One that has all is as good as any other.
            let full = if full <= now.as_nanos() { 0 } else { full };
            free += usize::from(full == 0);
            Victim { place, name, counter, full }
        });
        match places.min_by_key(|victim| victim.full) {
            Some(best) => (best, free),
            None => unreachable!("a bucket has places"),
        }
    }

    fn full(&self, name: u64, counter: u64) -> u64 {
        self.quotas.of_slot(name & self.slot_mask).map_or(0, |terms| terms.full(counter & SPENT))
    }

    fn is_full(&self, place: &Place, now: Instant) -> bool {
        let name = place.name.load(Ordering::Acquire);
        name != 0 && self.full(name, place.counter.load(Ordering::Relaxed)) <= now.as_nanos()
    }
}

/// A place for a new key.
struct Victim<'a> {
    place: &'a Place,
    /// Who has it: zero for nobody.
    name: u64,
    counter: u64,
    /// When its key has all its cells.
    full: u64,
}

impl Bucket {
    /// All names are compared before it is asked which was the one: their memory comes at once, and there is
    /// nothing to guess.
    #[inline]
    fn find(&self, word: u64) -> Option<&Place> {
        let mut found = 0_u32;
        for (at, place) in self.0.iter().enumerate() {
            found |= u32::from(place.name.load(Ordering::Acquire) == word) << at;
        }
        self.0.get(found.trailing_zeros() as usize)
    }

    /// A place that is nobody's, if enough are.
    fn free(&self) -> Option<Victim<'_>> {
        let mut free = self.0.iter().filter(|place| place.name.load(Ordering::Relaxed) == 0);
        let place = free.next()?;
        let counter = place.counter.load(Ordering::Relaxed);
        (1 + free.count() >= ENOUGH).then_some(Victim { place, name: 0, counter, full: 0 })
    }
}

impl Place {
    /// Rule 3.
    #[inline]
    fn charge(
        &self,
        terms: &Terms,
        now: Instant,
        name: u64,
        n: u64,
        are_still: impl Fn() -> bool,
    ) -> Charged {
        let mut counter = self.counter.load(Ordering::Acquire);
        loop {
            // The terms last: if the quota changed twice, the name may be as it was, and they are not.
            if is_frozen(counter) || self.name.load(Ordering::Acquire) != name || !are_still() {
                return Charged::Gone;
            }
            counter = match charge_once(&self.counter, counter, terms, now, n) {
                Ok(taken) => return Charged::Told(taken),
                Err(changed) => changed,
            };
        }
    }

    /// Nobody gives the place to another meanwhile.
    fn charge_locked(&self, terms: &Terms, now: Instant, n: u64) -> Taken {
        charge(&self.counter, terms, now, n)
    }

    /// What is spent, if it is this key's.
    fn read(&self, name: u64) -> Option<u64> {
        let counter = self.counter.load(Ordering::Acquire);
        (!is_frozen(counter) && self.name.load(Ordering::Acquire) == name).then_some(counter & SPENT)
    }

    /// Rule 2. The locks are held. It fails if the place was charged since.
    fn give_to(&self, before: u64, name: u64, spent: u64) -> bool {
        if !self.freeze(before) {
            return false;
        }
        fence(Ordering::Release);
        self.name.store(name, Ordering::Relaxed);
        let number = (before & !SPENT).wrapping_add(NEXT_KEY);
        self.counter.store(number | spent, Ordering::Release);
        true
    }

    fn freeze(&self, counter: u64) -> bool {
        let frozen = counter | SPENT;
        self.counter.compare_exchange(counter, frozen, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[inline]
fn is_frozen(counter: u64) -> bool {
    counter & SPENT == SPENT
}

fn charge(counter: &AtomicU64, terms: &Terms, now: Instant, n: u64) -> Taken {
    let mut seen = counter.load(Ordering::Acquire);
    loop {
        match charge_once(counter, seen, terms, now, n) {
            Ok(taken) => return taken,
            Err(changed) => seen = changed,
        }
    }
}

/// The counter as it is if it is not as it was seen.
#[inline]
fn charge_once(counter: &AtomicU64, seen: u64, terms: &Terms, now: Instant, n: u64) -> Result<Taken, u64> {
    match terms.step(now, seen & SPENT, n) {
        Step::No(taken) => Ok(taken),
        Step::Spend { spent, left } if spent == seen & SPENT => Ok(Taken::Yes { left }),
        Step::Spend { spent, left } => {
            let next = (seen & !SPENT) | spent;
            counter.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire)?;
            Ok(Taken::Yes { left })
        }
    }
}
