//! [`Permit`] and [`OwnedPermit`]: a call that was let through.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::machine::{End, Ticket};
use super::{Breaker, Recorded};
use crate::Class;

/// A call that a breaker let through. It waits to be told how the call ended; dropped without a word, the
/// call
/// counts as [abandoned](crate::Abandoned), or as a failure if it is dropped by a panic.
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct Permit<'b> {
    breaker: &'b Breaker,
    hold: Hold,
}

/// A [`Permit`] that keeps its breaker.
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct OwnedPermit {
    breaker: Arc<Breaker>,
    hold: Hold,
}

/// What has to be remembered of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) ticket: Ticket,
    /// When it began; [`UNKNOWN`](Self::UNKNOWN) if it had not to wait so far.
    pub(super) began: u64,
}

impl Held {
    pub(super) const UNKNOWN: u64 = u64::MAX;

    #[inline]
    pub(super) fn is_unknown(&self) -> bool {
        self.began == Self::UNKNOWN
    }
}

/// What a permit holds until it is told.
struct Hold {
    held: Option<Held>,
    /// The thread was unwinding already when the permit was given: that says nothing about the call.
    in_panic: bool,
}

impl Hold {
    #[inline]
    fn new(held: Held) -> Self {
        Self { held: Some(held), in_panic: thread::panicking() }
    }

    fn ticket(&self) -> Ticket {
        self.held.expect("only the end takes it out").ticket
    }

    #[inline]
    fn end(&mut self, breaker: &Breaker, class: Class) -> Recorded {
        match self.held.take() {
            Some(held) => breaker.finish(held, class, None),
            None => Recorded::Ignored,
        }
    }

    fn end_after(&mut self, breaker: &Breaker, class: Class, elapsed: Duration) -> Recorded {
        match self.held.take() {
            Some(held) => breaker.finish_after(held.ticket, class, elapsed),
            None => Recorded::Ignored,
        }
    }

    fn fall(&mut self, breaker: &Breaker) {
        if let Some(held) = self.held.take() {
            breaker.abandon(held, thread::panicking() && !self.in_panic, None);
        }
    }
}

impl<'b> Permit<'b> {
    #[inline]
    pub(super) fn new(breaker: &'b Breaker, held: Held) -> Self {
        Self { breaker, hold: Hold::new(held) }
    }
}

impl OwnedPermit {
    pub(super) fn new(breaker: Arc<Breaker>, held: Held) -> Self {
        Self { breaker, hold: Hold::new(held) }
    }

    /// The breaker that let it through.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }
}

/// Dropped, the ticket goes back.
pub(super) struct Back<'b>(pub(super) &'b Breaker, pub(super) Option<Ticket>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.1.take() {
            self.0.record(ticket, End::Ignored, None, None, None);
        }
    }
}

macro_rules! permit {
    ($Permit:ty) => {
        impl $Permit {
            /// The call went well. If slow calls count, the clock tells whether it was one.
            #[inline]
            pub fn success(mut self) -> Recorded {
                self.hold.end(&self.breaker, Class::Success)
            }

            /// The call failed.
            pub fn failure(mut self) -> Recorded {
                self.hold.end(&self.breaker, Class::Failure)
            }

            /// The end of the call says nothing: its place is given back.
            pub fn ignore(mut self) -> Recorded {
                self.hold.end(&self.breaker, Class::Ignored)
            }

            /// The end of the call means this. If slow calls count, the clock tells whether it was one.
            pub fn end(mut self, class: Class) -> Recorded {
                self.hold.end(&self.breaker, class)
            }

            /// The end of the call means this, and it took so long.
            pub fn record(mut self, class: Class, elapsed: Duration) -> Recorded {
                self.hold.end_after(&self.breaker, class, elapsed)
            }

            /// Whether its end decides about a half open circuit.
            pub fn is_probe(&self) -> bool {
                self.hold.ticket().is_probe()
            }

            /// The breaker's generation when it was let through.
            pub fn generation(&self) -> u32 {
                self.hold.ticket().generation()
            }
        }

        impl Drop for $Permit {
            #[inline]
            fn drop(&mut self) {
                if self.hold.held.is_some() {
                    self.hold.fall(&self.breaker);
                }
            }
        }

        impl fmt::Debug for $Permit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Permit))
                    .field("generation", &self.generation())
                    .field("is_probe", &self.is_probe())
                    .finish_non_exhaustive()
            }
        }
    };
}

permit!(Permit<'_>);
permit!(OwnedPermit);
