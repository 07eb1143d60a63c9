//! [`RetryState`]: what a retry remembers of one call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, ready};

use weirs_runtime::{Instant, Sleep};

use super::Pause;
use crate::attempt::nanos;
use crate::backoff::Progress;
use crate::budget::Taken;
use crate::{Error, Turn};

/// What a [`Retry`](super::Retry) remembers of one call.
pub struct RetryState<T, E> {
    /// Of the attempt that runs or is next; 0 before the call begins.
    pub(super) number: u32,
    /// Whether this call was counted by the budget here, and not by another who shares it.
    pub(super) is_counted: bool,
    /// All that a call which goes well at once has no need of: it costs one mark.
    pub(super) trouble: Option<Trouble<T, E>>,
}

/// What there is to remember when an attempt did not go well.
pub(super) struct Trouble<T, E> {
    /// Whether the attempt has still to begin.
    pub(super) is_paused: bool,
    pub(super) pause: Option<Sleep>,
    pub(super) progress: Progress,
    /// The earliest that was seen.
    pub(super) deadline: Instant,
    /// What the attempt that runs or is next was paid with.
    pub(super) taken: Option<Taken>,
    /// How the last attempt that was really made has ended.
    pub(super) last: Option<Result<T, Error<E>>>,
}

impl<T, E> RetryState<T, E> {
    #[inline]
    pub(super) fn new() -> Self {
        Self { number: 0, is_counted: false, trouble: None }
    }

    pub(super) fn trouble(&mut self) -> &mut Trouble<T, E> {
        self.trouble.get_or_insert_with(|| Trouble {
            is_paused: false,
            pause: None,
            progress: Progress::default(),
            deadline: Instant::FAR_FUTURE,
            taken: None,
            last: None,
        })
    }

    /// The result, unless that is a refusal and a real one is there.
    pub(super) fn real(&mut self, result: Result<T, Error<E>>) -> Result<T, Error<E>> {
        match (self.trouble().last.take(), result) {
            (Some(last), Err(Error::Rejected(_))) => last,
            (_, result) => result,
        }
    }
}

impl<T, E> Trouble<T, E> {
    pub(super) fn begin_pause(&mut self, turn: &mut Turn<'_, '_>, pause: Pause) {
        turn.tally.last_delay = nanos(pause.delay);
        self.is_paused = true;
        if !pause.delay.is_zero() {
            self.pause = Some(turn.clock().sleep_until(pause.until));
        }
    }

    pub(super) fn poll_pause(&mut self, turn: &mut Turn<'_, '_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(Pin::new(pause).poll(turn.context()));
            self.pause = None;
        }
        self.is_paused = false;
        Poll::Ready(())
    }
}

impl<T, E> fmt::Debug for RetryState<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryState")
            .field("number", &self.number)
            .field("pause", &self.trouble.as_ref().and_then(|trouble| trouble.pause.as_ref()))
            .finish_non_exhaustive()
    }
}
