//! [`State`]: which keys wait, which are worked on, and whose time has not come.
//!
//! A key that is dropped is the last handle to it: it is given to the caller, who lets the lock go first.
//! Only the key's `Hash` and `Eq` run under the lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use weirs_runtime::Instant;
use weirs_runtime::waiting::{Serve, Wakes};

use crate::line::Line;

pub(super) struct State<K> {
    keys: HashMap<Arc<K>, Key>,
    queue: VecDeque<Arc<K>>,
    /// Those to be added later, by the time and the order in which they came.
    later: BTreeMap<(Instant, u64), Arc<K>>,
    came: u64,
    running: usize,
    /// How many of those were added meanwhile.
    again: usize,
    shut_down: bool,
    /// A key's time comes sooner than those who wait know.
    sooner: bool,
    pub(super) takers: Line,
    pub(super) drainers: Line,
}

/// What is known of a key.
#[derive(Default)]
struct Key {
    queued: bool,
    runs: bool,
    /// Added while somebody works on it.
    again: bool,
    /// Its place among those to be added later.
    later: Option<(Instant, u64)>,
    failures: u32,
}

impl Key {
    fn is_idle(&self) -> bool {
        !self.queued && !self.runs && self.later.is_none() && self.failures == 0
    }
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            queue: VecDeque::new(),
            later: BTreeMap::new(),
            came: 0,
            running: 0,
            again: 0,
            shut_down: false,
            sooner: false,
            takers: Line::default(),
            drainers: Line::default(),
        }
    }
}

impl<K> State<K> {
    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn ready(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn first_due(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((due, _), _)| *due)
    }

    /// Whether there will be no more keys. One that is worked on may have been added again.
    pub(super) fn is_over(&self) -> bool {
        self.shut_down && self.queue.is_empty() && self.again == 0
    }

    pub(super) fn is_drained(&self) -> bool {
        self.shut_down && self.queue.is_empty() && self.running == 0
    }
}

impl<K: Hash + Eq> State<K> {
    /// False says that it takes no more.
    pub(super) fn add(&mut self, key: &Arc<K>) -> bool {
        if self.shut_down {
            return false;
        }
        self.enqueue(key);
        true
    }

    fn enqueue(&mut self, key: &Arc<K>) {
        let known = self.known(key);
        if known.runs {
            let before = std::mem::replace(&mut known.again, true);
            self.again += usize::from(!before);
        } else if !known.queued {
            known.queued = true;
            let key = self.same(key);
            self.queue.push_back(key);
        }
    }

    /// False says that it takes no more.
    pub(super) fn add_at(&mut self, key: &Arc<K>, due: Instant) -> bool {
        if self.shut_down {
            return false;
        }
        self.came += 1;
        let place = (due, self.came);
        let known = self.known(key);
        match known.later {
            Some(sooner) if sooner.0 <= due => return true,
            before => {
                known.later = Some(place);
                if let Some(before) = before {
                    // Not the last handle: the map has one.
                    self.later.remove(&before);
                }
            }
        }
        self.sooner |= self.first_due().is_none_or(|first| due < first);
        let key = self.same(key);
        self.later.insert(place, key);
        true
    }

    /// Adds those whose time has come.
    pub(super) fn bring_due(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = entry.remove();
            self.known(&key).later = None;
            self.enqueue(&key);
        }
    }

    pub(super) fn queued(&mut self, now: Instant) -> usize {
        self.bring_due(now);
        self.queue.len()
    }

    pub(super) fn take(&mut self) -> Option<Arc<K>> {
        let key = self.queue.pop_front()?;
        let known = self.known(&key);
        (known.queued, known.runs) = (false, true);
        self.running += 1;
        Some(key)
    }

    /// The key's work is done. Gives what is to be dropped outside the lock.
    pub(super) fn done(&mut self, key: &Arc<K>) -> Option<Arc<K>> {
        self.running -= 1;
        let known = self.known(key);
        known.runs = false;
        if std::mem::take(&mut known.again) {
            self.again -= 1;
            self.enqueue(key);
        }
        self.tidy(key)
    }

    /// How often it has failed before.
    pub(super) fn fails(&mut self, key: &Arc<K>) -> u32 {
        let known = self.known(key);
        known.failures = known.failures.saturating_add(1);
        known.failures - 1
    }

    pub(super) fn failures(&self, key: &K) -> u32 {
        self.keys.get(key).map_or(0, |known| known.failures)
    }

    /// Gives what is to be dropped outside the lock.
    pub(super) fn forget(&mut self, key: &K) -> Option<Arc<K>> {
        self.keys.get_mut(key)?.failures = 0;
        self.tidy(key)
    }

    /// Gives those whose time has not come.
    pub(super) fn shut_down(&mut self, now: Instant) -> Vec<Arc<K>> {
        self.bring_due(now);
        self.shut_down = true;
        let late = std::mem::take(&mut self.later);
        for key in late.values() {
            self.known(key).later = None;
            // Not the last handle: that goes to the caller.
            drop(self.tidy(key));
        }
        late.into_values().collect()
    }

    fn known(&mut self, key: &Arc<K>) -> &mut Key {
        self.keys.entry(Arc::clone(key)).or_default()
    }

    /// The handle under which the key is known already.
    fn same(&self, key: &Arc<K>) -> Arc<K> {
        self.keys.get_key_value(key).map_or_else(|| Arc::clone(key), |(known, _)| Arc::clone(known))
    }

    /// Lets a key go of which there is nothing to be known.
    fn tidy(&mut self, key: &K) -> Option<Arc<K>> {
        let is_idle = self.keys.get(key).is_some_and(Key::is_idle);
        is_idle.then(|| self.keys.remove_entry(key).map(|(key, _)| key)).flatten()
    }
}

impl<K> Serve for State<K> {
    fn somebody_waits(&self) -> bool {
        !self.takers.is_empty() || !self.drainers.is_empty()
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        let everybody = self.is_over() || std::mem::take(&mut self.sooner);
        self.takers.call(if everybody { usize::MAX } else { self.queue.len() }, wakes);
        // It comes again if there was no room for all of them.
        self.sooner = everybody && wakes.is_full();
        if self.is_drained() {
            self.drainers.call(usize::MAX, wakes);
        }
    }
}
