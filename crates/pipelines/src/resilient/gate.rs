//! Where a worker waits with a job in its hand: until the circuit lets it through, and the limiter.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use weirs_limiters::{Denied, Held, Limit, acquire};
use weirs_resilience::{Breaker, Circuit, Permit};

use super::plan::{OneOf, Plan};
use super::stats::ResilientEvent;

/// After a refusal that does not say when to come again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a call was let through with.
pub(super) struct Pass<'p> {
    pub(super) permit: Option<Permit<'p>>,
    pub(super) held: Option<Held<&'p dyn Limit>>,
}

impl Pass<'_> {
    /// The call was not made.
    pub(super) fn unused(self) {
        if let Some(permit) = self.permit {
            permit.ignore();
        }
        if let Some(held) = self.held {
            held.unused();
        }
    }
}

/// The limiter lets nothing through any more.
pub(super) struct Shut;

impl<J, T, E> Plan<J, T, E> {
    /// Waits until a call may be made. The circuit comes first: while it is open, nothing of the limiter is
    /// held.
    pub(super) async fn pass(&self) -> Result<Pass<'_>, Shut> {
        let mut refusals = 0;
        loop {
            if let Some(breaker) = self.breaker.as_deref().filter(|breaker| !passes(breaker)) {
                self.noted(&self.paused, &ResilientEvent::Paused, breaker.ready()).await;
            }
            let held = match &self.limit {
                Some(limit) => Some(self.admitted(&**limit).await?),
                None => None,
            };
            let permit = match self.breaker.as_deref().map(Breaker::try_acquire) {
                None => None,
                Some(Ok(permit)) => Some(permit),
                Some(Err(_)) => {
                    // It opened meanwhile, or others were faster.
                    if let Some(held) = held {
                        held.unused();
                    }
                    refusals += 1;
                    if refusals > 1 {
                        self.clock.sleep(Duration::from_millis(1)).await;
                    }
                    continue;
                }
            };
            return Ok(Pass { permit, held });
        }
    }

    /// A limiter that turns jobs away is asked again; only one that will never say yes is given up.
    async fn admitted<'p>(&'p self, limit: &'p dyn Limit) -> Result<Held<&'p dyn Limit>, Shut> {
        let mut pause = FIRST_PAUSE;
        loop {
            let denied = match self.noted(&self.limited, &ResilientEvent::Limited, acquire(limit, 1)).await {
                Ok(held) => return Ok(held),
                Err(Denied::Closed | Denied::TooLarge { .. }) => return Err(Shut),
                Err(denied) => denied,
            };
            let after = denied.retry_after().unwrap_or(pause).max(Duration::from_micros(1));
            self.noted(&self.limited, &ResilientEvent::Limited, self.clock.sleep(after)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Awaits; if that takes time, it is counted and told.
    async fn noted<F: Future>(
        &self,
        number: &AtomicUsize,
        event: &ResilientEvent<'_>,
        future: F,
    ) -> F::Output {
        let mut future = pin!(future);
        let mut noted = None;
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if polled.is_pending() && noted.is_none() {
                noted = Some(OneOf::new(number));
                self.tell(event);
            }
            polled
        })
        .await
    }
}

fn passes(breaker: &Breaker) -> bool {
    !matches!(breaker.state(), Circuit::Open | Circuit::HalfOpen | Circuit::ForcedOpen)
}
