//! [`Judged`]: what becomes of failed jobs, by the rule of their stage.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_sink::Sink;
use pin_project_lite::pin_project;
use weirs_runtime::{PanicPayload, Sleep};

use super::attempt::{Failure, Outcome};
use super::desk::{Desk, bump};
use super::ending::Trouble;
use super::flow::{Flow, TURN};
use super::site::{Cause, PipelineEvent, Site};
use super::unprocessed::Left;
use crate::dead_letter::BoxError;
use crate::dead_letter::{DeadLetter, Reason};
use crate::panics::{contain, let_go};

/// A sink of any error.
pub(super) type Letters<J, E> = Pin<Box<dyn Sink<DeadLetter<J, E>, Error = BoxError> + Send>>;

/// A place that failed is asked again after this time, then after twice of it, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What becomes of failed jobs.
pub(super) enum Rule<T, E> {
    /// The pipeline stops.
    Stop,
    /// They are left out.
    Skip,
    /// They go to a place of their own.
    DeadLetter(Letters<T, E>),
}

pin_project! {
    /// What becomes of failed jobs, by the rule of their stage.
    pub(super) struct Judged<I, T, E>
    where
        T: Send,
        T: 'static,
    {
        #[pin]
        inner: Option<I>,
        rule: Judge<T, E>,
        boxed: fn(E) -> BoxError,
        desk: Arc<Desk>,
        site: Site,
    }

    impl<I, T, E> PinnedDrop for Judged<I, T, E>
    where
        T: Send,
        T: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What the stage had in hand comes back before the letter that waits for its place.
            if let Err(payload) = contain(|| this.inner.set(None)) {
                let_go(payload);
            }
            if let Judge::DeadLetter(place) = this.rule {
                if let Some((number, letter)) = place.letter.take() {
                    this.site.hand_back(this.desk.name, Left::Failed, number, letter.job);
                    let_go(letter.error);
                    let_go(letter.panic);
                }
            }
        }
    }
}

enum Judge<T, E> {
    Stop,
    Skip,
    DeadLetter(Place<T, E>),
}

/// Where dead letters go, and the one that is on its way.
struct Place<T, E> {
    sink: Letters<T, E>,
    letter: Option<(u64, DeadLetter<T, E>)>,
    /// Set while a letter is on its way.
    reason: Option<Reason>,
    rest: Option<Pin<Box<Sleep>>>,
    pause: Duration,
    closed: bool,
}

impl<I, T: Send + 'static, E: Send + 'static> Judged<I, T, E> {
    pub(super) fn new(
        inner: I,
        rule: Rule<T, E>,
        boxed: fn(E) -> BoxError,
        desk: Arc<Desk>,
        site: Site,
    ) -> Self {
        let rule = match rule {
            Rule::Stop => Judge::Stop,
            Rule::Skip => Judge::Skip,
            Rule::DeadLetter(sink) => Judge::DeadLetter(Place {
                sink,
                letter: None,
                reason: None,
                rest: None,
                pause: FIRST_PAUSE,
                closed: false,
            }),
        };
        Self { inner: Some(inner), rule, boxed, desk, site }
    }
}

/// How the place for dead letters is lost.
enum Broken {
    Failed(BoxError),
    Panicked(PanicPayload),
}

impl<T, E> Place<T, E> {
    fn put(&mut self, number: u64, job: T, failure: Failure<T, E>) {
        let Failure { trouble, reason, attempts, first_at, last_at, redrives, .. } = failure;
        let (error, panic) = match trouble {
            Trouble::Error(error) => (Some(error), None),
            Trouble::Panicked(payload) => (None, Some(payload)),
            Trouble::Expired => (None, None),
        };
        let letter = DeadLetter { job, error, panic, attempts, first_at, last_at, reason, redrives };
        self.letter = Some((number, letter));
        self.reason = Some(reason);
    }

    /// Whether the letter is in its place. A place that fails is asked again, later.
    fn poll(&mut self, desk: &Desk, site: &Site, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let Some(reason) = self.reason else { return Poll::Ready(Ok(())) };
            if let Some(rest) = &mut self.rest {
                ready!(Future::poll(rest.as_mut(), cx));
                self.rest = None;
            }
            let asked = match self.letter {
                Some(_) => contain(|| self.sink.as_mut().poll_ready(cx)),
                None => contain(|| self.sink.as_mut().poll_flush(cx)),
            };
            match asked {
                Err(payload) => return Poll::Ready(Err(Broken::Panicked(payload))),
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Err(error))) => {
                    bump(&desk.place_failures);
                    let after = self.pause;
                    self.pause = (after * 2).min(LONGEST_PAUSE);
                    site.tell(&PipelineEvent::PlaceFailed { stage: desk.name, error: &*error, after });
                    let_go(error);
                    self.rest = Some(Box::pin(site.clock().sleep(after)));
                }
                Ok(Poll::Ready(Ok(()))) => match self.letter.take() {
                    Some((_, letter)) => match contain(|| self.sink.as_mut().start_send(letter)) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return Poll::Ready(Err(Broken::Failed(error))),
                        Err(payload) => return Poll::Ready(Err(Broken::Panicked(payload))),
                    },
                    None => {
                        bump(&desk.dead_lettered);
                        self.reason = None;
                        self.pause = FIRST_PAUSE;
                        site.tell(&PipelineEvent::DeadLettered { stage: desk.name, reason });
                    }
                },
            }
        }
    }

    /// No more letters come.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        let polled = contain(|| self.sink.as_mut().poll_close(cx));
        self.closed = !matches!(polled, Ok(Poll::Pending));
        match polled {
            Ok(polled) => polled.map_err(Broken::Failed),
            Err(payload) => Poll::Ready(Err(Broken::Panicked(payload))),
        }
    }
}

impl<I, T, U, E> Flow for Judged<I, T, E>
where
    I: Flow<Item = Outcome<T, U, E>>,
    T: Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    type Item = U;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<U>> {
        let mut this = self.project();
        for _ in 0..TURN {
            if let Judge::DeadLetter(place) = this.rule {
                match place.poll(this.desk, this.site, cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(broken)) => {
                        this.site.fail(this.desk.name, broken.cause());
                        place.reason = None;
                        place.closed = true;
                        this.inner.set(None);
                    }
                    Poll::Pending => {
                        if let Some(inner) = this.inner.as_pin_mut() {
                            inner.poll_progress(cx);
                        }
                        return Poll::Pending;
                    }
                }
            }
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                if let Judge::DeadLetter(place) = this.rule {
                    if let Err(broken) = ready!(place.poll_close(cx)) {
                        this.site.fail(this.desk.name, broken.cause());
                    }
                }
                return Poll::Ready(None);
            };
            let Some(Outcome { number, result }) = ready!(inner.poll_next(cx)) else {
                this.inner.set(None);
                continue;
            };
            let mut failure = match result {
                Ok(result) => {
                    bump(&this.desk.given);
                    return Poll::Ready(Some(result));
                }
                Err(failure) => failure,
            };
            // What is left of the stage may count failures, too.
            failure.count(this.desk);
            let stage = this.desk.name;
            match &failure.trouble {
                Trouble::Expired => this.site.tell(&PipelineEvent::Expired { stage }),
                Trouble::Panicked(panic) => this.site.tell(&PipelineEvent::Panicked { stage, panic }),
                Trouble::Error(_) => {}
            }
            match (&mut *this.rule, failure.job.take()) {
                // To be late is no failure: only dead letters are for both.
                (Judge::Stop | Judge::Skip, job) if matches!(failure.trouble, Trouble::Expired) => {
                    let_go(job);
                    let_go(failure);
                }
                (Judge::Skip, job) => {
                    bump(&this.desk.skipped);
                    this.site.tell(&PipelineEvent::Skipped { stage });
                    let_go(job);
                    let_go(failure);
                }
                (Judge::DeadLetter(place), Some(job)) => place.put(number, job, *failure),
                // A stage that has dead letters keeps its jobs; what cannot even be copied stops it.
                (_, job) => {
                    if let Some(job) = job {
                        this.site.hand_back(stage, Left::Failed, number, job);
                    }
                    this.site.fail(stage, cause_of(failure.trouble, *this.boxed));
                    this.inner.set(None);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if let Some(inner) = self.project().inner.as_pin_mut() {
            inner.poll_progress(cx);
        }
    }
}

fn cause_of<E>(trouble: Trouble<E>, boxed: fn(E) -> BoxError) -> Cause {
    match trouble {
        Trouble::Panicked(payload) => Cause::Panicked(payload),
        Trouble::Expired => unreachable!("what is late stops no pipeline"),
        Trouble::Error(error) => match contain(|| boxed(error)) {
            Ok(error) => Cause::Failed(error),
            Err(payload) => Cause::Panicked(payload),
        },
    }
}

impl Broken {
    fn cause(self) -> Cause {
        match self {
            Self::Failed(error) => Cause::DeadLetters(error),
            Self::Panicked(payload) => Cause::Panicked(payload),
        }
    }
}
