//! [`Turn`]: one poll of a call, as the policies see it.

use std::task::Context;
use std::time::Duration;

use weirs_runtime::Clock;

use crate::observe::{Around, EventKind};
use crate::{Error, GiveUp, Lane, Reason, Rejection};

/// Which policy of a stack: 0 is the outermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub(crate) u16);

impl Place {
    /// No policy of a stack: one that was used by itself.
    pub const ALONE: Self = Self(u16::MAX);

    /// Its number, from the outside in, as in [`Stack::plan`](crate::Stack::plan); `None` if it was used by
    /// itself.
    pub fn index(self) -> Option<usize> {
        (self != Self::ALONE).then_some(usize::from(self.0))
    }
}

/// Where a policy stands: its stack's clock, and whoever observes.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'t> {
    pub(crate) around: &'t Around,
    pub(crate) place: Place,
}

impl<'t> Scene<'t> {
    /// The stack's clock.
    pub fn clock(self) -> &'t Clock {
        &self.around.clock
    }

    /// Which policy of the stack this is.
    pub fn place(self) -> Place {
        self.place
    }

    /// Counts what happened, and tells the observer.
    #[cold]
    pub fn tell(self, event: EventKind) {
        self.around.tell(self.place, event);
    }

    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

/// One poll of a call: who is to be woken, the scene, and what is counted of this call.
#[derive(Debug)]
pub struct Turn<'t, 'w> {
    pub(crate) cx: &'t mut Context<'w>,
    pub(crate) scene: Scene<'t>,
    pub(crate) tally: &'t mut Tally,
}

impl<'t, 'w> Turn<'t, 'w> {
    /// Who is to be woken.
    pub fn context(&mut self) -> &mut Context<'w> {
        self.cx
    }

    /// Clock and observer.
    pub fn scene(&self) -> Scene<'t> {
        self.scene
    }

    /// The stack's clock.
    pub fn clock(&self) -> &'t Clock {
        &self.scene.around.clock
    }

    /// Counts what happened, and tells the observer.
    pub fn tell(&self, event: EventKind) {
        self.scene.tell(event);
    }

    /// A refusal by this policy, told and counted.
    // The cold part gives what fits into registers: so results have to be in memory nowhere.
    #[inline(always)]
    pub fn reject<E>(&self, reason: Reason, retry_after: Option<Duration>) -> Error<E> {
        Error::Rejected(self.rejection(reason, retry_after))
    }

    #[cold]
    fn rejection(&self, reason: Reason, retry_after: Option<Duration>) -> Rejection {
        self.tell(EventKind::Rejected { reason, retry_after });
        Rejection::new(reason, self.scene.place).retry_after_of(retry_after)
    }

    /// A lane that no attempt of this call has had.
    pub fn new_lane(&mut self) -> Lane {
        // A call that starts as many attempts as there are lanes meets the oldest again; no hedge has so
        // many at once.
        self.tally.lanes = self.tally.lanes.wrapping_add(1).max(1);
        Lane(self.tally.lanes)
    }
}

/// What is counted of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Which budget was last told of this call, so that those who share one tell it once.
    pub(crate) budget: usize,
    /// In nanoseconds.
    pub(crate) last_delay: u64,
    pub(crate) attempts: u32,
    pub(crate) hedges: u16,
    pub(crate) lanes: u16,
    pub(crate) gave_up: Option<GiveUp>,
    /// Whether the work itself was polled; see [`reaches`].
    pub(crate) reached: bool,
}

/// Runs this, and says whether the work itself was polled in it.
#[inline]
pub(crate) fn reaches<R>(turn: &mut Turn<'_, '_>, run: impl FnOnce(&mut Turn<'_, '_>) -> R) -> (R, bool) {
    let before = std::mem::replace(&mut turn.tally.reached, false);
    let result = run(turn);
    let reached = turn.tally.reached;
    turn.tally.reached |= before;
    (result, reached)
}
