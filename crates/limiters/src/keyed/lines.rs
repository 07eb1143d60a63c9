//! [`Lines`]: a queue for each key for which somebody waits, for as long as somebody does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use weirs_runtime::{Clock, Instant};

use super::{Name, Owned, Places, Shared};
use crate::compose::each;
use crate::credit::Taken;
use crate::line::{self, Counts, Line};
use crate::sync::{Mutex, lock};
use crate::{Denied, Grant, Waiting};

const STRIPES: usize = 16;

pub(super) struct Lines<K: ?Sized> {
    stripes: [Stripe<K>; STRIPES],
    waiting: AtomicUsize,
    closed: AtomicBool,
}

struct Stripe<K: ?Sized> {
    /// How many lines there are, to be seen without the lock.
    lines: AtomicUsize,
    map: Mutex<HashMap<Name, Vec<Entry<K>>>>,
}

struct Entry<K: ?Sized> {
    line: Arc<Line<Source<K>>>,
    /// Tells the lines of one name apart. Whoever waits has it in the upper half of the wait's key, so the
    /// keys are not compared anew, which is the user's code.
    number: u32,
    users: usize,
}

/// A line, and its number among those of its name.
type Numbered<K> = (Arc<Line<Source<K>>>, u32);

/// The cells of one key.
pub(super) struct Source<K: ?Sized> {
    table: Arc<Places<K>>,
    clock: Clock,
    name: Name,
    owned: Option<Owned<K>>,
}

impl<K: ?Sized> Source<K> {
    fn key(&self) -> Option<&K> {
        self.owned.as_ref().map(|key| (**key).borrow())
    }
}

impl<K: ?Sized> line::Source for Source<K> {
    fn take(&self, now: Instant, n: u64) -> Taken {
        self.table.take(now, self.key(), self.name, n)
    }

    fn when(&self, now: Instant, ahead: u64, n: u64) -> Option<Instant> {
        self.table.when(now, self.key(), self.name, ahead.saturating_add(n))
    }

    fn left(&self, now: Instant) -> u64 {
        self.table.left(now, self.key(), self.name)
    }

    fn most(&self) -> u64 {
        self.table.terms(self.name.quota).most()
    }

    fn give_back(&self, taken: Instant, n: u64) {
        self.table.give_back(self.clock.now(), taken, self.key(), self.name, n);
    }

    fn note(&self, taken: Instant) -> u64 {
        self.table.note(taken)
    }

    fn owe(&self, _: Instant, _: u64) {}
}

impl<K: ?Sized> Lines<K> {
    pub(super) fn new() -> Self {
        let stripe = || Stripe { lines: AtomicUsize::new(0), map: Mutex::new(HashMap::new()) };
        Self {
            stripes: std::array::from_fn(|_| stripe()),
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Since when somebody waits, of all.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.all().iter().filter_map(|line| line.waiting().1).min()
    }

    /// Those who wait are timed anew. A key that panics when it is compared keeps no other from it.
    pub(super) fn review(&self, now: Instant) {
        each(self.all().iter(), |line| line.change(now, |_| {}));
    }

    pub(super) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        // Whoever asks looks whether somebody waits; from now on that looks so for all, so they look here.
        self.stripes.iter().for_each(|stripe| _ = stripe.lines.fetch_add(1, Ordering::Release));
        self.all().iter().for_each(|line| line.close());
    }

    /// Only where [`anybody`](Self::anybody) says so.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// All lines. They have keys in them, so they are dropped outside the locks.
    fn all(&self) -> Vec<Arc<Line<Source<K>>>> {
        let mut all = Vec::new();
        for stripe in &self.stripes {
            let map = lock(&stripe.map);
            all.extend(map.values().flatten().map(|entry| Arc::clone(&entry.line)));
        }
        all
    }

    /// Whether somebody may wait for this key.
    #[inline]
    pub(super) fn anybody(&self, name: Name) -> bool {
        self.stripe(name).lines.load(Ordering::Acquire) != 0
    }

    pub(super) fn find(
        &self,
        table: &Places<K>,
        key: Option<&K>,
        name: Name,
    ) -> Option<Arc<Line<Source<K>>>> {
        let map = lock(&self.stripe(name).map);
        let entry = map.get(&name)?.iter().find(|entry| entry.is_of(table, key))?;
        Some(Arc::clone(&entry.line))
    }

    /// The line of a wait.
    fn of(&self, name: Name, wait: u64) -> Option<Numbered<K>> {
        let map = lock(&self.stripe(name).map);
        let number = (wait >> 32) as u32;
        let entry = map.get(&name)?.iter().find(|entry| entry.number == number)?;
        Some((Arc::clone(&entry.line), number))
    }

    fn leave(&self, name: Name, line: &Arc<Line<Source<K>>>) {
        let stripe = self.stripe(name);
        // It has a key in it: dropped after the lock.
        let mut _gone = None;
        let mut map = lock(&stripe.map);
        let Some(entries) = map.get_mut(&name) else { return };
        if let Some(at) = entries.iter().position(|entry| Arc::ptr_eq(&entry.line, line)) {
            entries[at].users -= 1;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if entries[at].users == 0 {
                _gone = Some(entries.swap_remove(at));
                stripe.lines.fetch_sub(1, Ordering::Release);
                if entries.is_empty() {
                    map.remove(&name);
                }
            }
        }
        drop(map);
    }

    fn stripe(&self, name: Name) -> &Stripe<K> {
        &self.stripes[(name.hash >> 32) as usize % STRIPES]
    }
}

impl<K: ?Sized> Entry<K> {
    fn is_of(&self, table: &Places<K>, key: Option<&K>) -> bool {
        match (table, key, self.line.source.key()) {
            (Places::Exact(table), Some(key), Some(own)) => table.same(key, own),
            _ => true,
        }
    }
}

/// Leaves the line unless there is a place in it; that remembers the line then.
struct Visit<'a, K: ?Sized> {
    lines: &'a Lines<K>,
    line: &'a Arc<Line<Source<K>>>,
    number: u32,
    name: Name,
    waiting: &'a mut Waiting,
}

impl<K: ?Sized> Drop for Visit<'_, K> {
    fn drop(&mut self) {
        match self.waiting.key() {
            // A place has 32 bits.
            Some(place) => {
                self.waiting.set_key(Some(place & u64::from(u32::MAX) | u64::from(self.number) << 32));
            }
            None => self.lines.leave(self.name, self.line),
        }
    }
}

/// One who waits, as counted. Dropped, it does not.
struct Joined<'a>(&'a AtomicUsize);

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<K: ?Sized> Shared<K> {
    pub(super) fn poll(
        &self,
        key: Option<&K>,
        name: Name,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Grant, Denied>> {
        let polled = self.poll_line(key, name, waiting, cx);
        if let Poll::Ready(result) = &polled {
            self.counts.count(waiting.cost(), result);
        }
        polled
    }

    fn poll_line(
        &self,
        key: Option<&K>,
        name: Name,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Grant, Denied>> {
        let line = match waiting.key() {
            Some(wait) => self.lines.of(name, wait),
            None => match self.begin(key, name, waiting.cost()) {
                Ok(line) => Some(line),
                Err(result) => return Poll::Ready(result),
            },
        };
        let (line, number) = line.expect("a line is there for as long as somebody waits in it");
        let visit = Visit { lines: &self.lines, line: &line, number, name, waiting };
        crate::window::poll(&line, visit.waiting, cx)
    }

    fn begin(&self, key: Option<&K>, name: Name, n: u64) -> Result<Numbered<K>, Result<Grant, Denied>> {
        let now = self.clock.now();
        if self.lines.is_closed() {
            return Err(Err(Denied::Closed));
        }
        let is_free = !self.lines.anybody(name) || self.lines.find(&self.table, key, name).is_none();
        if is_free {
            match self.table.told(now, n, self.table.take(now, key, name, n)) {
                Err(Denied::Later { .. }) if self.max_waiters > 0 => {}
                result => return Err(result),
            }
        }
        // The keys' code may panic: before anything is counted.
        let owned = match (&*self.table, key) {
            (Places::Exact(table), Some(key)) => Some(table.own(key)),
            _ => None,
        };
        let joined = self.lines.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < self.max_waiters).then_some(waiting + 1)
        });
        if let Err(waiting) = joined {
            return Err(Err(Denied::QueueFull { waiting }));
        }
        // Taken back if a key panics when it is compared, or if it was closed.
        let joined = Joined(&self.lines.waiting);
        let entered = self.enter(key, name, owned).ok_or(Err(Denied::Closed))?;
        std::mem::forget(joined);
        Ok(entered)
    }

    /// None if it was closed.
    fn enter(&self, key: Option<&K>, name: Name, owned: Option<Owned<K>>) -> Option<Numbered<K>> {
        let source = Source { table: Arc::clone(&self.table), clock: self.clock.clone(), name, owned };
        // Dropped after the lock, if it is not needed: it has a key in it.
        let line = Arc::new(Line::new(source, self.clock.clone(), self.max_waiters, Counts::new(false)));
        let stripe = self.lines.stripe(name);
        let mut map = lock(&stripe.map);
        // Under the lock: whoever closes it sees this line, or it is seen here.
        if self.lines.is_closed() {
            drop(map);
            return None;
        }
        let entries = map.entry(name).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.is_of(&self.table, key)) {
            entry.users += 1;
            return Some((Arc::clone(&entry.line), entry.number));
        }
        let is_free = |number: &u32| entries.iter().all(|entry| entry.number != *number);
        let number = (0..).find(is_free).unwrap_or_default();
        entries.push(Entry { line: Arc::clone(&line), number, users: 1 });
        stripe.lines.fetch_add(1, Ordering::SeqCst);
        drop(map);
        Some((line, number))
    }

    pub(super) fn cancel(&self, name: Name, waiting: &mut Waiting) {
        waiting.stop_timer();
        if let Some((line, number)) = waiting.key().and_then(|wait| self.lines.of(name, wait)) {
            let visit = Visit { lines: &self.lines, line: &line, number, name, waiting };
            line.cancel(visit.waiting);
        }
    }
}
