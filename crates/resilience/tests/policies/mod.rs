//! Policies for tests: as plain as can be, and telling what they do.
#![allow(dead_code, reason = "not every test uses all of them")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};
use std::time::Duration;

use weirs_resilience::{Attempt, Error, Inner, Lane, Part, Plan, Policy, Role, Scene, SingleShot, Turn};
use weirs_runtime::Sleep;

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A part of that role, which does nothing, for plans.
#[derive(Clone, Debug)]
pub(crate) struct Plain(pub(crate) Role);

impl Part for Plain {
    fn explain(&self, plan: &mut Plan) {
        plan.part(self.0, format!("{:?}", self.0).to_lowercase());
    }
}

/// Holds something from the beginning of a round to its end.
#[derive(Clone, Debug)]
pub(crate) struct Gate(pub(crate) &'static str, pub(crate) Log);

/// What a gate holds. Dropped while it holds, it tells.
#[derive(Debug)]
pub(crate) struct Held {
    log: Log,
    held: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.held {
            self.log.write("LOST");
        }
    }
}

impl SingleShot for Gate {}

impl Part for Gate {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Other, self.0).begins_once(true);
    }
}

impl<T, E> Policy<T, E> for Gate {
    type State = Held;

    fn begin(&self) -> Held {
        Held { log: self.1.clone(), held: false }
    }

    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Held,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let place = turn.scene().place().index();
        if !state.held {
            state.held = true;
            self.1.write(format!("{} in {place:?} {:?} {} {}", self.0, at.lane(), at.number(), at.hedge()));
        }
        let result = ready!(inner.poll(turn, at));
        assert_eq!(turn.scene().place().index(), place);
        state.held = false;
        self.1.write(format!("{} out {}", self.0, result.is_ok()));
        Poll::Ready(result)
    }

    fn abandon(&self, state: &mut Held, scene: Scene<'_>) {
        if std::mem::take(&mut state.held) {
            self.1.write(format!("{} abandoned {:?}", self.0, scene.place().index()));
        }
    }
}

/// Repeats what fails, after a pause.
#[derive(Clone, Debug)]
pub(crate) struct Repeat(pub(crate) u32, pub(crate) Duration);

impl Part for Repeat {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Retry, "repeat");
    }
}

impl<T, E> Policy<T, E> for Repeat {
    type State = (u32, Option<Sleep>);

    fn begin(&self) -> Self::State {
        (1, None)
    }

    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Self::State,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        loop {
            if let Some(pause) = &mut state.1 {
                ready!(Pin::new(pause).poll(turn.context()));
                state.1 = None;
                state.0 += 1;
            }
            let result = ready!(inner.poll(turn, at.numbered(state.0)));
            if result.is_ok() || state.0 == self.0 {
                *state = (1, None);
                return Poll::Ready(result);
            }
            state.1 = Some(turn.clock().sleep(self.1));
        }
    }

    fn abandon(&self, state: &mut Self::State, _: Scene<'_>) {
        *state = (1, None);
    }
}

/// Begins a second attempt beside the first after a while; the first that ends counts.
#[derive(Clone, Debug)]
pub(crate) struct Beside(pub(crate) Duration);

#[derive(Debug, Default)]
pub(crate) struct BesideState {
    timer: Option<Sleep>,
    second: Option<Lane>,
}

impl Part for Beside {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Hedge, "beside");
    }
}

impl<T, E> Policy<T, E> for Beside {
    type State = BesideState;

    fn begin(&self) -> BesideState {
        BesideState::default()
    }

    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut BesideState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        if let Poll::Ready(result) = inner.poll(turn, at) {
            if let Some(second) = state.second {
                inner.cancel(turn.scene(), second);
            }
            *state = BesideState::default();
            return Poll::Ready(result);
        }
        if state.second.is_none() {
            let timer = state.timer.get_or_insert_with(|| turn.clock().sleep(self.0));
            ready!(Pin::new(timer).poll(turn.context()));
            state.second = Some(turn.new_lane());
        }
        let second = state.second.expect("it was set just now");
        let result = ready!(inner.poll(turn, at.hedged(at.hedge() + 1, second)));
        inner.cancel(turn.scene(), second);
        inner.cancel(turn.scene(), at.lane());
        *state = BesideState::default();
        Poll::Ready(result)
    }

    fn abandon(&self, state: &mut BesideState, _: Scene<'_>) {
        *state = BesideState::default();
    }

    fn cancel_inner<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut BesideState,
        scene: Scene<'_>,
        lane: Lane,
        inner: &mut I,
    ) {
        inner.cancel(scene, lane);
        if let Some(second) = state.second {
            inner.cancel(scene, second);
        }
    }
}
