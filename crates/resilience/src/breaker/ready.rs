//! [`Ready`]: waits until a circuit lets calls through.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use weirs_runtime::waiting::Ticket;
use weirs_runtime::{Instant, Sleep};

use super::{Breaker, Circuit, lock};

impl Breaker {
    /// Waits until it would let a call through.
    ///
    /// It takes no place: who comes after it may find that others were faster.
    ///
    /// # Waiting
    /// Until the circuit's time has come, or somebody closes it. While it is forced open there is no timer.
    ///
    /// # Cancel safety
    /// Nothing happens when it is dropped.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::Breaker;
    /// use weirs_runtime::block_on;
    ///
    /// let breaker = Breaker::consecutive(1).open_for(Duration::from_millis(5)).build().unwrap();
    /// breaker.try_acquire().unwrap().failure();
    /// assert!(breaker.try_acquire().is_err());
    /// block_on(breaker.ready());
    /// assert!(breaker.try_acquire().unwrap().is_probe());
    /// ```
    pub fn ready(&self) -> Ready<'_> {
        Ready::new(self)
    }

    /// The earliest time at which a call can be let through, if nothing happens until then. It may be a time
    /// in the past; `None` if only a hand can close the circuit.
    pub fn ready_at(&self) -> Option<Instant> {
        lock(&self.core).machine.admits_at(false).map(Instant::from_nanos)
    }
}

/// The future of [`Breaker::ready`].
#[must_use = "it does nothing unless it is awaited"]
pub struct Ready<'b> {
    breaker: &'b Breaker,
    whose: Whose,
    ticket: Option<Ticket>,
    timer: Option<Sleep>,
}

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// A caller.
    User,
    /// Who probes out of band: a circuit that lets all through is of no interest.
    Prober,
}

impl<'b> Ready<'b> {
    pub(super) fn new(breaker: &'b Breaker) -> Self {
        Self { breaker, whose: Whose::User, ticket: None, timer: None }
    }

    /// Waits until there is something to probe.
    pub(super) fn to_probe(breaker: &'b Breaker) -> Self {
        Self { breaker, whose: Whose::Prober, ticket: None, timer: None }
    }

    /// When it will be ready, if nothing changes.
    fn at(&self, now: u64) -> Option<u64> {
        let mut core = lock(&self.breaker.core);
        core.machine.if_set_back(now);
        let is_probing = matches!(core.machine.word().circuit(), Circuit::Open | Circuit::HalfOpen);
        match self.whose {
            Whose::User => core.machine.admits_at(false),
            Whose::Prober => core.machine.admits_at(true).filter(|_| is_probing),
        }
    }
}

impl Future for Ready<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // The time is from a moment at which all changes that follow wake.
        this.breaker.waiters.register(&mut this.ticket, cx.waker());
        let now = this.breaker.now();
        let Some(at) = this.at(now) else {
            this.timer = None;
            return Poll::Pending;
        };
        let is_now = at <= now || {
            let at = Instant::from_nanos(at);
            let timer = this.timer.get_or_insert_with(|| this.breaker.clock.sleep_until(at));
            if timer.deadline() != at {
                timer.reset(at);
            }
            Pin::new(timer).poll(cx).is_ready()
        };
        if !is_now {
            return Poll::Pending;
        }
        this.timer = None;
        this.breaker.waiters.leave(&mut this.ticket);
        Poll::Ready(())
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.breaker.waiters.leave(&mut self.ticket);
    }
}

impl fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("breaker", self.breaker).finish_non_exhaustive()
    }
}
