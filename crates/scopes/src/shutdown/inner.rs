//! [`Inner`]: what the handles of a shutdown, its groups and its tasks share.

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use weirs_runtime::Runtime;

use super::builder::Plan;
use super::group::OrderError;
use super::member::{Member, Membership, Seen};
use super::state::{Deferred, Effects, Entry, Mode, State};
use crate::panics::{contain, forget_panic};
use crate::sync::{Mutex, lock};
use crate::{CancelToken, Reason, Rejected};

#[cfg(all(unix, feature = "signals"))]
use crate::Escalation;

pub(super) struct Inner {
    pub(super) runtime: Runtime,
    pub(super) plan: Plan,
    pub(super) triggered: CancelToken,
    pub(super) intake: CancelToken,
    pub(super) token: CancelToken,
    pub(super) state: Mutex<State>,
    #[cfg(all(unix, feature = "signals"))]
    escalation: Mutex<Option<Escalation>>,
}

impl Inner {
    pub(super) fn new(runtime: Runtime, plan: Plan) -> Self {
        let clock = runtime.clock().clone();
        let token = || CancelToken::with_clock(clock.clone());
        Self {
            plan,
            triggered: token(),
            intake: token(),
            token: token(),
            state: Mutex::new(State::new(&clock)),
            #[cfg(all(unix, feature = "signals"))]
            escalation: Mutex::new(None),
            runtime,
        }
    }

    #[cfg(all(unix, feature = "signals"))]
    pub(super) fn with_escalation(mut self, escalation: Option<Escalation>) -> Self {
        self.escalation = Mutex::new(escalation);
        self
    }

    #[cfg(all(unix, feature = "signals"))]
    pub(super) fn take_escalation(&self) -> Option<Escalation> {
        lock(&self.escalation).take()
    }

    pub(super) fn group(&self, above: usize, path: &str) -> (usize, Arc<str>, CancelToken, CancelToken) {
        assert!(path.split('/').all(|part| !part.is_empty()), "a part of the group path {path:?} is empty");
        let mut state = lock(&self.state);
        let index = state.group(above, path, self.runtime.clock());
        let group = &state.groups[index];
        (index, Arc::clone(&group.path), group.intake.clone(), group.token.clone())
    }

    pub(super) fn before(&self, first: usize, path: &str) -> Result<(), OrderError> {
        lock(&self.state).before(first, path)
    }

    pub(super) fn live(&self, group: usize) -> usize {
        lock(&self.state).groups[group].live
    }

    #[track_caller]
    pub(super) fn spawn<F>(
        self: &Arc<Self>,
        group: usize,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
        essential: bool,
        future: F,
    ) -> Result<(), Rejected<F>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let entry = Entry {
            name: name.clone(),
            location,
            spawned: self.runtime.clock().now(),
            essential,
            abort: None,
            dropped: false,
            given_up: false,
        };
        let admitted = lock(&self.state).admit(group, entry);
        let id = match admitted {
            Ok(id) => id,
            Err(why) => return Err(Rejected::new(future, why)),
        };
        let membership = Membership { inner: Arc::clone(self), group, id };
        let task = self.runtime.builder().name(name).spawn(Member::new(future, membership));
        let abort = task.abort_handle();
        task.detach();
        let mut state = lock(&self.state);
        // It may be over by now, or to be dropped.
        let late = match state.groups[group].members.get_mut(&id) {
            Some(entry) if entry.dropped => Some(abort),
            Some(entry) => entry.abort.replace(abort),
            None => None,
        };
        drop(state);
        if let Some(abort) = late {
            abort.abort();
        }
        Ok(())
    }

    pub(super) fn ended(&self, group: usize, id: u64, seen: Seen) {
        let (triggered, essential) = {
            let state = lock(&self.state);
            let entry = state.groups[group].members.get(&id).filter(|entry| entry.essential);
            (state.trigger.is_some(), entry.map(|entry| entry.name.clone()))
        };
        // It counts from the trigger on, and then the time of its end is of interest.
        let now = (triggered || essential.is_some()).then(|| self.runtime.clock().now());
        if let Some(name) = essential {
            let how = match seen {
                Seen::Finished => "has ended",
                Seen::Dropped => "was dropped",
                Seen::Panicked => "has panicked",
            };
            self.trigger(format!("the essential task {name:?} {how}").into());
        }
        let ended = lock(&self.state).ended(group, id, seen, now);
        if let Some((entry, effects)) = ended {
            effects.run();
            drop(entry);
        }
    }

    pub(super) fn defer(
        &self,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
        future: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) {
        let deferred = Deferred { name, location, future };
        let mut state = lock(&self.state);
        if state.mode == Mode::Over {
            drop(state);
            drop(deferred);
        } else {
            state.deferred.push(deferred);
        }
    }

    pub(super) fn trigger(&self, why: Reason) -> bool {
        let now = self.runtime.clock().now();
        let waker = {
            let mut state = lock(&self.state);
            if state.trigger.is_some() || state.mode == Mode::Over {
                return false;
            }
            state.trigger = Some((now, why.clone()));
            state.runner.take()
        };
        Effects { cancels: vec![(self.triggered.clone(), why)], waker, ..Effects::default() }.run();
        true
    }

    pub(super) fn force(&self) {
        self.trigger("the shutdown was forced".into());
        let waker = {
            let mut state = lock(&self.state);
            state.forced = true;
            state.runner.take()
        };
        Effects { waker, ..Effects::default() }.run();
    }

    /// Drops all tasks, each group when those before it are gone.
    pub(super) fn drop_all(&self) {
        // Each step is run with the lock let go.
        let step = |step: fn(&mut State) -> Effects| {
            let effects = step(&mut lock(&self.state));
            effects.run();
        };
        let mode = lock(&self.state).mode;
        if mode < Mode::Draining {
            step(State::drain);
        }
        if mode < Mode::Cancelling {
            step(State::cancel);
        }
        while self.live(0) > 0 {
            step(State::end_round);
            step(State::next_round);
        }
    }

    /// The owner is gone: drops everything that is left, without a report.
    pub(super) fn abandon(&self) {
        let deferred = {
            let mut state = lock(&self.state);
            if state.mode == Mode::Over {
                return;
            }
            std::mem::take(&mut state.deferred)
        };
        for token in [&self.triggered, &self.intake, &self.token] {
            token.cancel(Reason::ScopeDropped);
        }
        self.drop_all();
        lock(&self.state).mode = Mode::Over;
        for deferred in deferred.into_iter().rev() {
            forget_panic(contain(|| drop(deferred)));
        }
    }
}
