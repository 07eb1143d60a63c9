//! [`Cell`]: a child: its header, its future, and then its result.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::Ended;
use super::header::{Header, Owner};
use super::rule::{OnEnd, Settled};
use crate::panics::{contain, forget_panic};
use weirs_runtime::PanicPayload;

/// A child as its scope sees it.
pub(crate) trait Unit<R> {
    fn header(&self) -> &Header;

    /// The header, to keep: it borrows nothing.
    fn shared_header(&self) -> Arc<Header>;

    /// Polls the future once. Only the scope calls this, and not after the end.
    fn poll(self: Arc<Self>, rule: &R) -> Step;

    /// Drops the future, and gives this as the result. Only the scope calls this; it does nothing after the
    /// end. Without a rule, nobody but the handle hears of it.
    fn discard(&self, rule: Option<&R>, why: Ended) -> Result<(), PanicPayload>;
}

/// A child as its handle sees it.
pub(crate) trait Join<V> {
    fn header(&self) -> &Header;

    /// The result, once. Only the handle calls this, and only after the end.
    fn take(&self) -> Option<Result<V, Ended>>;

    /// The handle goes.
    fn release(&self);
}

/// What a poll came to.
pub(crate) enum Step {
    Pending,
    Finished,
    /// With an error that the rule keeps.
    Failed,
    Panicked(PanicPayload),
}

/// A future, and then its result.
pub(crate) struct Cell<F: Future, R, V> {
    header: Arc<Header>,
    ended: OnEnd<R, F::Output, V>,
    stage: Mutex<Stage<F, V>>,
}

enum Stage<F, V> {
    Future(Pin<Box<F>>),
    Result(Result<V, Ended>),
    Empty,
}

impl<F: Future, R, V> Cell<F, R, V> {
    pub(crate) fn new(future: F, header: Header, ended: OnEnd<R, F::Output, V>) -> Arc<Self> {
        let stage = Mutex::new(Stage::Future(Box::pin(future)));
        Arc::new(Self { header: Arc::new(header), ended, stage })
    }

    fn replace(&self, stage: Stage<F, V>) -> Stage<F, V> {
        std::mem::replace(&mut *self.lock(), stage)
    }

    fn lock(&self) -> MutexGuard<'_, Stage<F, V>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, rule: &R, why: Ended) -> Result<(), PanicPayload> {
        contain(|| drop((self.ended)(rule, self.header.id(), Err(why))))
    }

    fn finish(&self, result: Result<V, Ended>) -> Result<(), PanicPayload> {
        drop(self.replace(Stage::Result(result)));
        contain(|| {
            if self.header.finish() == Owner::Nobody {
                drop(self.replace(Stage::Empty));
            }
        })
    }
}

impl<F: Future, R, V> Unit<R> for Cell<F, R, V> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn shared_header(&self) -> Arc<Header> {
        Arc::clone(&self.header)
    }

    fn poll(self: Arc<Self>, rule: &R) -> Step {
        let Stage::Future(mut future) = self.replace(Stage::Empty) else {
            return Step::Pending;
        };
        let waker = Waker::from(Arc::clone(&self.header));
        let polled = contain(|| match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some((self.ended)(rule, self.header.id(), Ok(output))),
            Poll::Pending => None,
        });
        let settled = match polled {
            Ok(None) => {
                drop(self.replace(Stage::Future(future)));
                return Step::Pending;
            }
            Ok(Some(settled)) => contain(|| drop(future)).map(|()| settled),
            Err(payload) => {
                // Its first panic is the one that counts.
                forget_panic(contain(|| drop(future)));
                forget_panic(self.tell(rule, Ended::Panicked));
                Err(payload)
            }
        };
        match settled {
            Ok(Settled { value, failed }) => match self.finish(value.ok_or(Ended::Failed)) {
                Ok(()) if failed => Step::Failed,
                Ok(()) => Step::Finished,
                Err(payload) => Step::Panicked(payload),
            },
            Err(payload) => {
                forget_panic(self.finish(Err(Ended::Panicked)));
                Step::Panicked(payload)
            }
        }
    }

    fn discard(&self, rule: Option<&R>, why: Ended) -> Result<(), PanicPayload> {
        if self.header.is_done() {
            return Ok(());
        }
        let future = self.replace(Stage::Empty);
        let dropped = contain(|| drop(future));
        let told = rule.map_or(Ok(()), |rule| self.tell(rule, why));
        dropped.and(told).and(self.finish(Err(why)))
    }
}

impl<F: Future, R, V> Join<V> for Cell<F, R, V> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn take(&self) -> Option<Result<V, Ended>> {
        match self.replace(Stage::Empty) {
            Stage::Result(result) => Some(result),
            _ => None,
        }
    }

    fn release(&self) {
        if self.header.release() {
            drop(self.replace(Stage::Empty));
        }
    }
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::wake(self);
    }
}
