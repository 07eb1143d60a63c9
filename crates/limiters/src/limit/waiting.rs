//! [`Waiting`]: what a limiter remembers of one who waits.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use weirs_runtime::{Clock, Instant, Sleep};

/// One wait for one limiter: what is asked for, and room for what the limiter has to remember.
///
/// The caller makes it and keeps it still between polls; the limiter fills it. Limiters of your own have a
/// number in it, a timer, and a value of any type. See [`Limit`](crate::Limit), whose rule 3 says how the two
/// go together.
pub struct Waiting {
    cost: u64,
    deadline: Instant,
    key: Option<u64>,
    timer: Option<Sleep>,
    state: Option<Box<dyn Any + Send>>,
}

impl Waiting {
    /// To ask for so much.
    pub const fn new(cost: u64) -> Self {
        Self { cost, deadline: Instant::FAR_FUTURE, key: None, timer: None, state: None }
    }

    /// The same, but until then.
    #[must_use = "the wait itself is consumed"]
    pub fn by(mut self, deadline: Instant) -> Self {
        self.deadline = deadline;
        self
    }

    /// What is asked for.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// When to give up; [`Instant::FAR_FUTURE`] is never.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The limiter's number for this wait, as it set it.
    pub fn key(&self) -> Option<u64> {
        self.key
    }

    /// Remembers a number, such as a place in a queue.
    pub fn set_key(&mut self, key: Option<u64>) {
        self.key = key;
    }

    /// Waits until `at` with the one timer that is in here; a timer for another time is set anew.
    ///
    /// After it was ready no timer is set.
    ///
    /// # Panics
    /// With debug assertions, when `at` comes from another clock.
    pub fn poll_until(&mut self, clock: &Clock, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            Some(timer) if timer.deadline() == at => timer,
            Some(timer) => {
                timer.reset(at);
                timer
            }
            none => none.insert(clock.sleep_until(at)),
        };
        let polled = Pin::new(timer).poll(cx);
        if polled.is_ready() {
            self.timer = None;
        }
        polled
    }

    /// Waits until the deadline with that timer; for ever if there is none.
    ///
    /// # Panics
    /// With debug assertions, when the deadline comes from another clock.
    pub fn poll_deadline(&mut self, clock: &Clock, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline == Instant::FAR_FUTURE {
            return Poll::Pending;
        }
        self.poll_until(clock, self.deadline, cx)
    }

    /// For when the timer is set, if it is.
    pub fn timer(&self) -> Option<Instant> {
        self.timer.as_ref().map(Sleep::deadline)
    }

    /// Takes the timer out.
    pub fn stop_timer(&mut self) {
        self.timer = None;
    }

    /// A value that the limiter keeps here: the one that is there, or a new one if there is none of this
    /// type. It lives in a box, so it serves limiters that hold other waits, not those that count every
    /// nanosecond.
    pub fn state<T: Default + Send + 'static>(&mut self) -> &mut T {
        if !self.state.as_ref().is_some_and(|state| state.is::<T>()) {
            self.state = Some(Box::<T>::default());
        }
        match self.state.as_mut().and_then(|state| state.downcast_mut()) {
            Some(state) => state,
            None => unreachable!("it was put there just now"),
        }
    }

    /// Takes that value out.
    pub fn take_state<T: Send + 'static>(&mut self) -> Option<T> {
        let state = self.state.take()?;
        match state.downcast() {
            Ok(state) => Some(*state),
            Err(state) => {
                self.state = Some(state);
                None
            }
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("cost", &self.cost)
            .field("deadline", &self.deadline)
            .field("key", &self.key)
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}
