//! [`HedgeState`]: what a hedge remembers of one call.

use std::fmt;
use std::marker::PhantomData;

use weirs_runtime::{Instant, Sleep};

use crate::budget::Taken;
use crate::{Error, Inner, Lane, Scene};

/// What a [`Hedge`](crate::Hedge) remembers of one call.
pub struct HedgeState<T, E> {
    pub(super) next: Next,
    /// Since when the first one waits, if that is measured.
    pub(super) since: Option<Instant>,
    /// There as soon as there are others, or the first one failed.
    pub(super) runs: Option<Box<Runs<T, E>>>,
    /// Whether the budget was told that there is a call.
    pub(super) begun: bool,
    /// Whether the budget has to be told of its end.
    pub(super) counts: bool,
}

/// When the next one begins.
#[derive(Debug)]
pub(super) enum Next {
    Undecided,
    At(Sleep),
    Never,
}

pub(super) struct Runs<T, E> {
    pub(super) first: First<T, E>,
    /// Those beside it that run, the oldest first.
    pub(super) hedges: Vec<Run>,
    /// How many began or would have, but for the budget.
    pub(super) begun: u16,
}

pub(super) enum First<T, E> {
    Runs,
    Failed(Result<T, Error<E>>),
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) number: u16,
    pub(super) lane: Lane,
    pub(super) taken: Option<Taken>,
    /// Whether the work itself began.
    pub(super) began: bool,
    pub(super) since: Option<Instant>,
}

impl<T, E> Runs<T, E> {
    /// Whether anything runs.
    pub(super) fn any(&self) -> bool {
        matches!(self.first, First::Runs) || !self.hedges.is_empty()
    }
}

impl<T, E> Default for Runs<T, E> {
    fn default() -> Self {
        Self { first: First::Runs, hedges: Vec::new(), begun: 0 }
    }
}

impl<T, E> Default for HedgeState<T, E> {
    #[inline]
    fn default() -> Self {
        Self { next: Next::Undecided, since: None, runs: None, begun: false, counts: false }
    }
}

impl<T, E> fmt::Debug for HedgeState<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hedges = self.runs.as_ref().map_or(&[][..], |runs| &runs.hedges);
        f.debug_struct("HedgeState")
            .field("next", &self.next)
            .field("hedges", &hedges)
            .finish_non_exhaustive()
    }
}

/// Cancels the first one, if it runs, and those beside it; all of them, also when a destructor panics.
pub(super) fn cancel_each<T, E, I: Inner<T, E> + ?Sized>(
    scene: Scene<'_>,
    first: Option<Lane>,
    hedges: &[Run],
    inner: &mut I,
) {
    struct Rest<'r, L: Iterator<Item = Lane>, T, E, I: Inner<T, E> + ?Sized> {
        scene: Scene<'r>,
        lanes: L,
        inner: &'r mut I,
        results: PhantomData<fn() -> (T, E)>,
    }

    impl<L: Iterator<Item = Lane>, T, E, I: Inner<T, E> + ?Sized> Rest<'_, L, T, E, I> {
        fn cancel(&mut self) {
            for lane in self.lanes.by_ref() {
                self.inner.cancel(self.scene, lane);
            }
        }
    }

    impl<L: Iterator<Item = Lane>, T, E, I: Inner<T, E> + ?Sized> Drop for Rest<'_, L, T, E, I> {
        fn drop(&mut self) {
            self.cancel();
        }
    }

    let lanes = first.into_iter().chain(hedges.iter().map(|run| run.lane));
    Rest { scene, lanes, inner, results: PhantomData }.cancel();
}
