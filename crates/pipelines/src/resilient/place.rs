//! [`Place`]: where dead letters go.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_sink::Sink;
use weirs_limiters::Semaphore;
use weirs_runtime::PanicPayload;

use super::plan::{Plan, lock};
use super::stats::ResilientEvent;
use crate::DeadLetter;
use crate::dead_letter::{AnyError, BoxError};
use crate::panics::{contain, let_go};

type Letters<J, E> = Pin<Box<dyn Sink<DeadLetter<J, E>, Error = BoxError> + Send>>;

/// A place that failed is asked again after this time, then after twice of it, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where dead letters go, one at a time: whoever has the key has the sink, and no lock.
pub(super) struct Place<J, E> {
    key: Semaphore,
    sink: Mutex<Option<Letters<J, E>>>,
}

impl<J, E> Place<J, E> {
    pub(super) fn new<S>(sink: S) -> Self
    where
        S: Sink<DeadLetter<J, E>> + Send + 'static,
        S::Error: Into<BoxError>,
        J: 'static,
        E: 'static,
    {
        Self { key: Semaphore::new(1), sink: Mutex::new(Some(Box::pin(AnyError { sink }))) }
    }
}

/// The sink, in the hands of who has the key.
struct Seat<'p, J, E> {
    place: &'p Place<J, E>,
    sink: Option<Letters<J, E>>,
}

impl<J, E> Drop for Seat<'_, J, E> {
    fn drop(&mut self) {
        *lock(&self.place.sink) = self.sink.take();
    }
}

/// How far a letter came.
pub(super) enum Put<J, E> {
    /// It is in its place.
    There,
    /// The place is broken; here is the letter.
    Back(Box<DeadLetter<J, E>>),
    /// The place is broken, and took the letter with it.
    Gone,
}

impl<J, T, E> Plan<J, T, E> {
    /// Waits until the place has the letter. `sent` is called as soon as the place owns it; until then the
    /// letter stays where it is.
    pub(super) async fn put<L>(
        &self,
        place: &Place<J, L>,
        letter: &mut Option<Box<DeadLetter<J, L>>>,
        sent: impl FnOnce(),
    ) -> Put<J, L> {
        let Ok(_key) = place.key.acquire(1).await else { unreachable!("it is never closed") };
        // Dropped before the key.
        let mut seat = Seat { place, sink: lock(&place.sink).take() };
        let Some(sink) = &mut seat.sink else { unreachable!("who has the key finds it") };
        if self.until_ok(|cx| sink.as_mut().poll_ready(cx)).await.is_err() {
            return match letter.take() {
                Some(letter) => Put::Back(letter),
                None => Put::Gone,
            };
        }
        let Some(owned) = letter.take() else { return Put::Gone };
        match contain(|| sink.as_mut().start_send(*owned)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.count(|counts| counts.place_failures += 1);
                let_go(error);
                return Put::Gone;
            }
            Err(payload) => {
                self.count(|counts| counts.place_failures += 1);
                let_go(payload);
                return Put::Gone;
            }
        }
        sent();
        // A panic now changes nothing: the place has it.
        let _ = self.until_ok(|cx| sink.as_mut().poll_flush(cx)).await.map_err(let_go);
        Put::There
    }

    /// Asks until it works. A place that fails is asked again, later.
    async fn until_ok(
        &self,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<Result<(), BoxError>>,
    ) -> Result<(), PanicPayload> {
        let mut pause = FIRST_PAUSE;
        loop {
            let asked = poll_fn(|cx| match contain(|| ask(cx)) {
                Ok(polled) => polled.map(Ok),
                Err(payload) => Poll::Ready(Err(payload)),
            })
            .await;
            let error = match asked {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(payload) => {
                    self.count(|counts| counts.place_failures += 1);
                    return Err(payload);
                }
            };
            self.count(|counts| counts.place_failures += 1);
            self.tell(&ResilientEvent::PlaceFailed { error: &*error, after: pause });
            let_go(error);
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
