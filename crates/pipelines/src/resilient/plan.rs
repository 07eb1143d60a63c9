//! [`Plan`]: how jobs are done, and what was counted. All workers share one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weirs_limiters::Limit;
use weirs_resilience::{Backoff, Breaker, Class, Error};
use weirs_runtime::Clock;

use super::drain::Unfinished;
use super::place::Place;
use super::stats::{ResilientCounts, ResilientEvent};
use crate::panics::contain;
use crate::panics::let_go;

pub(super) type Judge<T, E> = Box<dyn Fn(&Result<T, Error<E>>) -> Class + Send + Sync>;
pub(super) type Substitute<J, T, E> = Box<dyn Fn(&J, Option<&Error<E>>) -> Option<T> + Send + Sync>;
pub(super) type Watcher = Box<dyn Fn(&ResilientEvent<'_>) + Send + Sync>;

/// How jobs are done.
pub(super) struct Plan<J, T, E> {
    pub(super) clock: Clock,
    pub(super) limit: Option<Arc<dyn Limit>>,
    pub(super) breaker: Option<Arc<Breaker>>,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) pauses: Backoff,
    pub(super) spared_probes: u32,
    pub(super) redrive_cap: u32,
    pub(super) judge: Judge<T, E>,
    pub(super) fallback: Option<Substitute<J, T, E>>,
    pub(super) place: Option<Place<J, Error<E>>>,
    pub(super) watcher: Option<Watcher>,
    pub(super) paused: AtomicUsize,
    pub(super) limited: AtomicUsize,
    counts: Mutex<ResilientCounts>,
    /// The jobs that workers had in their hands when they were stopped.
    left: Mutex<Vec<Unfinished<J>>>,
}

impl<J, T, E> Plan<J, T, E> {
    pub(super) fn new(clock: Clock, judge: Judge<T, E>) -> Self {
        Self {
            clock,
            limit: None,
            breaker: None,
            timeout: None,
            retries: 0,
            pauses: Backoff::none(),
            spared_probes: 10,
            redrive_cap: 3,
            judge,
            fallback: None,
            place: None,
            watcher: None,
            paused: AtomicUsize::new(0),
            limited: AtomicUsize::new(0),
            counts: Mutex::default(),
            left: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn tell(&self, event: &ResilientEvent<'_>) {
        if let Some(watcher) = &self.watcher {
            if let Err(payload) = contain(|| watcher(event)) {
                let_go(payload);
            }
        }
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut ResilientCounts)) {
        count(&mut lock(&self.counts));
    }

    pub(super) fn counts(&self) -> ResilientCounts {
        *lock(&self.counts)
    }

    /// A worker was stopped with this in its hands.
    pub(super) fn leave(&self, left: Unfinished<J>) {
        self.count(|counts| counts.handed_back += 1);
        lock(&self.left).push(left);
    }

    pub(super) fn take_left(&self) -> Vec<Unfinished<J>> {
        std::mem::take(&mut *lock(&self.left))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As long as it is there, a worker counts as one of these.
pub(super) struct OneOf<'p>(&'p AtomicUsize);

impl<'p> OneOf<'p> {
    pub(super) fn new(number: &'p AtomicUsize) -> Self {
        number.fetch_add(1, Ordering::Relaxed);
        Self(number)
    }
}

impl Drop for OneOf<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
