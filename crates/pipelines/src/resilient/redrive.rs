//! [`ResilientRedrive`]: a dead letter's job on its way back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use weirs_resilience::Error;
use weirs_runtime::Instant;

use super::submit::{PoolIntake, ResilientSubmit};
use crate::panics::let_go;
use crate::{DeadLetter, JobId};

/// The future of [`ResilientPipeline::redrive`](crate::ResilientPipeline::redrive).
#[must_use = "nothing is submitted unless it is awaited"]
pub struct ResilientRedrive<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static>(State<'p, J, T, E>);

enum State<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    Submits { submit: ResilientSubmit<'p, J, T, E>, history: Box<DeadLetter<(), Error<E>>> },
    TooOften(Box<DeadLetter<J, Error<E>>>),
    Over,
}

impl<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> ResilientRedrive<'p, J, T, E> {
    pub(super) fn new(intake: &'p PoolIntake<J, T, E>, letter: DeadLetter<J, Error<E>>, cap: u32) -> Self {
        if letter.redrives >= cap {
            return Self(State::TooOften(Box::new(letter)));
        }
        let (job, history) = letter.open();
        let submit = ResilientSubmit::new(intake, job, history.redrives + 1);
        Self(State::Submits { submit, history: Box::new(history) })
    }

    /// As [`ResilientSubmit::by`].
    ///
    /// # Panics
    /// When it was polled before; and with debug assertions, when the instant is of another clock than the
    /// pipeline's.
    #[track_caller]
    pub fn by(mut self, deadline: Instant) -> Self {
        if let State::Submits { submit, .. } = &mut self.0 {
            submit.set_deadline(deadline);
        }
        self
    }
}

// The job is never pinned.
impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Unpin for ResilientRedrive<'_, J, T, E> {}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Future for ResilientRedrive<'_, J, T, E> {
    type Output = Result<JobId, RedriveError<J, E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let submitted = match &mut self.0 {
            State::Submits { submit, .. } => Some(ready!(Pin::new(submit).poll(cx))),
            _ => None,
        };
        Poll::Ready(match (std::mem::replace(&mut self.0, State::Over), submitted) {
            (State::Submits { history, .. }, Some(Ok(id))) => {
                let DeadLetter { error, panic, .. } = *history;
                let_go(error);
                let_go(panic);
                Ok(id)
            }
            (State::Submits { history, .. }, Some(Err(refused))) => {
                Err(RedriveError::Closed(Box::new(history.about(refused.into_inner()))))
            }
            (State::TooOften(letter), _) => Err(RedriveError::TooOften(letter)),
            _ => panic!("it is not polled after its end"),
        })
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for ResilientRedrive<'_, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientRedrive").finish_non_exhaustive()
    }
}

/// Why a dead letter's job was not handed in again; here is the letter.
#[non_exhaustive]
pub enum RedriveError<J, E> {
    /// The pipeline takes no more jobs.
    Closed(Box<DeadLetter<J, Error<E>>>),
    /// It was handed in again as often as the [cap](crate::ResilientBuilder::redrive_cap) allows.
    TooOften(Box<DeadLetter<J, Error<E>>>),
}

impl<J, E> RedriveError<J, E> {
    /// The letter.
    pub fn into_letter(self) -> DeadLetter<J, Error<E>> {
        match self {
            Self::Closed(letter) | Self::TooOften(letter) => *letter,
        }
    }
}

impl<J, E> fmt::Debug for RedriveError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "Closed(..)",
            Self::TooOften(_) => "TooOften(..)",
        })
    }
}

impl<J, E> fmt::Display for RedriveError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "the pipeline takes no more jobs",
            Self::TooOften(_) => "the job was handed in again as often as the cap allows",
        })
    }
}

impl<J, E> std::error::Error for RedriveError<J, E> {}
