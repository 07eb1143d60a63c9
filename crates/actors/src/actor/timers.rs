//! [`Timers`]: what an actor tells itself later; and [`Timer`], one with a name.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::task::Context as TaskContext;
use std::time::Duration;

use weirs_runtime::{Clock, Instant, Sleep};

use super::context::Context;
use super::role::Role;
use super::sources::SourceKey;
use crate::panics::let_go;

/// The timers of one life: by the time they are due, then by when they were set. One sleep serves all.
pub(super) struct Timers<M> {
    due: BTreeMap<(Instant, u64), Entry<M>>,
    at: HashMap<u64, Instant>,
    names: HashMap<&'static str, u64>,
    sleep: Option<Sleep>,
}

struct Entry<M> {
    name: Option<&'static str>,
    what: What<M>,
}

/// What comes when it is due.
pub(super) enum What<M> {
    Once(M),
    Every(Duration, Box<dyn FnMut() -> M + Send>),
}

impl<M> Timers<M> {
    pub(super) fn new() -> Self {
        Self { due: BTreeMap::new(), at: HashMap::new(), names: HashMap::new(), sleep: None }
    }

    /// Sets one; one of the same name is gone.
    pub(super) fn set(&mut self, at: Instant, number: u64, name: Option<&'static str>, what: What<M>) {
        if let Some(name) = name {
            self.cancel_named(name);
            self.names.insert(name, number);
        }
        self.put(at, number, Entry { name, what });
    }

    fn put(&mut self, at: Instant, number: u64, entry: Entry<M>) {
        self.at.insert(number, at);
        self.due.insert((at, number), entry);
    }

    pub(super) fn cancel(&mut self, number: u64) -> bool {
        let Some(at) = self.at.remove(&number) else { return false };
        let Some(entry) = self.due.remove(&(at, number)) else { return false };
        self.forget_name(entry.name, number);
        true
    }

    pub(super) fn cancel_named(&mut self, name: &'static str) -> bool {
        self.names.get(name).copied().is_some_and(|number| self.cancel(number))
    }

    pub(super) fn is_set(&self, name: &'static str) -> bool {
        self.names.contains_key(name)
    }

    fn forget_name(&mut self, name: Option<&'static str>, number: u64) {
        if let Some(name) = name {
            if self.names.get(name) == Some(&number) {
                self.names.remove(name);
            }
        }
    }

    /// What is due, if it is, and else has the waker woken when it is.
    pub(super) fn poll(&mut self, clock: &Clock, cx: &mut TaskContext<'_>) -> Option<M> {
        let Some((&(at, number), _)) = self.due.first_key_value() else {
            self.sleep = None;
            return None;
        };
        let sleep = self.sleep.get_or_insert_with(|| clock.sleep_until(at));
        if sleep.deadline() != at {
            sleep.reset(at);
        }
        if Pin::new(sleep).poll(cx).is_pending() {
            return None;
        }
        let entry = self.due.remove(&(at, number))?;
        self.at.remove(&number);
        match entry.what {
            What::Once(message) => {
                self.forget_name(entry.name, number);
                Some(message)
            }
            What::Every(period, mut make) => {
                let message = make();
                let next = next_in_rhythm(at, clock.now(), period);
                self.put(next, number, Entry { name: entry.name, what: What::Every(period, make) });
                Some(message)
            }
        }
    }
}

impl<M> Drop for Timers<M> {
    fn drop(&mut self) {
        // One that panics keeps no other from being dropped.
        take(&mut self.due).into_values().for_each(let_go);
    }
}

/// The first of `due + period`, `due + 2 * period`, ... that is after `now`.
fn next_in_rhythm(due: Instant, now: Instant, period: Duration) -> Instant {
    let Ok(period_nanos) = u64::try_from(period.as_nanos()) else { return Instant::FAR_FUTURE };
    let late = (now - due).as_nanos() as u64;
    due + Duration::from_nanos(late - late % period_nanos) + period
}

/// A timer with a name; made by [`Context::timer`]. Set again, it replaces the one before.
#[must_use = "it does nothing until it is set"]
pub struct Timer<'a, A: Role> {
    pub(super) context: &'a mut Context<A>,
    pub(super) name: &'static str,
}

impl<A: Role> Timer<'_, A> {
    /// As [`Context::after`]; the timer of that name that was set before is gone.
    pub fn after(self, delay: Duration, message: A::Told) -> SourceKey {
        self.context.set_once(Some(self.name), delay, message)
    }

    /// As [`Context::every`]; the timer of that name that was set before is gone.
    ///
    /// # Panics
    /// With a period of zero.
    #[track_caller]
    pub fn every(self, period: Duration, message: impl FnMut() -> A::Told + Send + 'static) -> SourceKey {
        self.context.set_every(Some(self.name), period, Box::new(message))
    }

    /// Takes it away, and tells whether it was set.
    pub fn cancel(self) -> bool {
        self.context.cancel_named(self.name)
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.context.is_set(self.name)
    }
}

impl<A: Role> fmt::Debug for Timer<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("name", &self.name).field("set", &self.is_set()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rhythm_goes_on_after_missed_ticks() {
        let at = Instant::from_nanos;
        let ten = Duration::from_nanos(10);
        for (now, next) in [(10, 20), (19, 20), (20, 30), (35, 40)] {
            assert_eq!(next_in_rhythm(at(10), at(now), ten), at(next));
        }
        assert_eq!(next_in_rhythm(at(10), at(35), Duration::MAX), Instant::FAR_FUTURE);
    }
}
