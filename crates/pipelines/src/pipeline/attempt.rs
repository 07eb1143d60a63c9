//! [`Duty`]: what a stage does with each job; [`Attempt`]: one job, until it has ended.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use weirs_runtime::{Instant, PanicPayload, Sleep};

use super::desk::{Desk, add};
use super::ending::{Ending, Tried, Trouble};
use super::flow::TURN;
use super::retry::Retry;
use super::site::{PipelineEvent, Site};
use super::unprocessed::Left;
use crate::dead_letter::Reason;
use crate::panics::{contain, let_go};

/// A job of a stage.
pub(super) struct Entry<T> {
    /// The order in which the stage took it.
    pub(super) number: u64,
    pub(super) item: T,
    pub(super) redrives: u32,
    /// When the stage took it, if somebody wants to know.
    pub(super) since: Instant,
}

/// What came of a job.
pub(super) struct Outcome<T, U, E> {
    pub(super) number: u64,
    pub(super) result: Result<U, Box<Failure<T, E>>>,
}

/// How a job failed.
pub(super) struct Failure<T, E> {
    /// If the stage keeps jobs.
    pub(super) job: Option<T>,
    pub(super) trouble: Trouble<E>,
    pub(super) reason: Reason,
    pub(super) attempts: u32,
    pub(super) first_at: Instant,
    pub(super) last_at: Instant,
    pub(super) redrives: u32,
}

impl<T, E> Failure<T, E> {
    /// Counts it as what it is.
    pub(super) fn count(&self, desk: &Desk) {
        add(if let Trouble::Expired = self.trouble { &desk.expired } else { &desk.failed }, 1);
    }
}

/// Which errors are worth another attempt.
pub(super) type Transient<E> = Box<dyn Fn(&E) -> bool + Send + Sync>;

/// By when a job has to begin.
pub(super) type Expires<T> = Arc<dyn Fn(&T) -> Option<Instant> + Send + Sync>;

/// What a stage does with each job.
pub(super) struct Duty<T, F, E> {
    pub(super) work: F,
    /// How to keep a job while it is done; none if nobody wants it back.
    pub(super) keep: Option<fn(&T) -> T>,
    pub(super) retry: Option<Retry>,
    pub(super) transient: Option<Transient<E>>,
    pub(super) expires: Option<Expires<T>>,
    pub(super) desk: Arc<Desk>,
    pub(super) site: Site,
}

impl<T, F, E> Duty<T, F, E> {
    /// Whether a job is too late to begin, and by when others of its attempts have to. Its panic is a value.
    #[inline]
    fn look_at(&self, job: &T, now: &mut Instant) -> Result<(bool, Instant), PanicPayload> {
        if self.keep.is_some() || self.desk.gauge.is_some() {
            *now = self.site.clock().now();
        }
        let Some(expires) = &self.expires else { return Ok((false, Instant::FAR_FUTURE)) };
        let Some(deadline) = contain(|| expires(job))? else { return Ok((false, Instant::FAR_FUTURE)) };
        *now = self.site.clock().now();
        Ok((deadline <= *now, deadline))
    }

    /// Whether there would be no time left after this pause.
    fn is_too_late(&self, deadline: Instant, pause: Duration) -> bool {
        deadline != Instant::FAR_FUTURE && deadline <= self.site.clock().now() + pause
    }
}

impl<T: Send + 'static, F, E> Duty<T, F, E> {
    /// An item that the stage has in its hands.
    pub(super) fn hand_back<X: Send + 'static>(&self, left: Left, number: u64, item: X) {
        let counter = if left == Left::Interrupted { &self.desk.interrupted } else { &self.desk.handed_back };
        add(counter, 1);
        self.site.hand_back(self.desk.name, left, number, item);
    }

    /// A result that nobody takes any more.
    pub(super) fn hand_back_outcome<U: Send + 'static>(&self, outcome: Outcome<T, U, E>) {
        match outcome.result {
            Ok(result) => self.hand_back(Left::Finished, outcome.number, result),
            Err(failure) => {
                let Failure { job, trouble, .. } = *failure;
                if let Trouble::Expired = trouble {
                    match job {
                        Some(job) => self.hand_back(Left::Waiting, outcome.number, job),
                        None => add(&self.desk.expired, 1),
                    }
                    return;
                }
                add(&self.desk.failed, 1);
                if let Some(job) = job {
                    self.site.hand_back(self.desk.name, Left::Failed, outcome.number, job);
                }
                let_go(trouble);
            }
        }
    }
}

pin_project! {
    /// One job, until it has ended.
    pub(super) struct Attempt<T, Fut> {
        number: u64,
        redrives: u32,
        // How often it was begun here, and how often its work was, which a stack may begin more often.
        attempts: u32,
        tried: u32,
        since: Instant,
        first_at: Instant,
        deadline: Instant,
        // The job, before it begins and between two attempts; or a copy of it, while one runs.
        job: Option<T>,
        #[pin]
        state: State<Fut>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Fut> {
        New,
        Begins,
        Runs {
            #[pin]
            future: Fut,
        },
        Rests {
            #[pin]
            sleep: Sleep,
        },
        Over,
    }
}

impl<T, Fut> Attempt<T, Fut> {
    #[inline]
    pub(super) fn new(entry: Entry<T>) -> Self {
        let Entry { number, item, redrives, since } = entry;
        Self {
            number,
            redrives,
            attempts: 0,
            tried: 0,
            since,
            first_at: Instant::FAR_FUTURE,
            deadline: Instant::FAR_FUTURE,
            job: Some(item),
            state: State::New,
        }
    }

    #[inline]
    pub(super) fn poll<F, U, E>(
        mut self: Pin<&mut Self>,
        duty: &Duty<T, F, E>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<T, U, E>>
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output: Ending<Value = U, Error = E>>,
    {
        let mut turn = 0;
        loop {
            turn += 1;
            if turn > TURN {
                // It is tried again and again without a pause.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let this = self.as_mut().project();
            let mut state = this.state;
            let mut unbegun = None;
            let begins = match state.as_mut().project() {
                StateProjection::Runs { .. } => false,
                StateProjection::New => {
                    let Some(job) = &this.job else { unreachable!("a job that is new is there") };
                    match duty.look_at(job, this.first_at) {
                        Ok((is_late, deadline)) => {
                            *this.deadline = deadline;
                            unbegun = is_late.then_some(Trouble::Expired);
                        }
                        Err(payload) => unbegun = Some(Trouble::Panicked(payload)),
                    }
                    true
                }
                StateProjection::Begins => true,
                StateProjection::Rests { sleep } => {
                    ready!(sleep.poll(cx));
                    state.set(State::Begins);
                    true
                }
                StateProjection::Over => unreachable!("it is not polled after its end"),
            };
            if let Some(trouble) = unbegun {
                match self.as_mut().failed(trouble, None, duty) {
                    None => continue,
                    Some(outcome) => return Poll::Ready(outcome),
                }
            }
            if begins {
                *this.attempts = this.attempts.saturating_add(1);
            }
            // Outside, so that it is there when the future's destructor panics.
            let mut ended = None;
            let kept = this.job;
            let contained = contain(|| {
                if begins {
                    let Some(job) = kept.take() else { unreachable!("a job that begins is there") };
                    *kept = duty.keep.map(|keep| keep(&job));
                    state.set(State::Runs { future: (duty.work)(job) });
                }
                let StateProjection::Runs { future } = state.as_mut().project() else {
                    unreachable!("it runs")
                };
                if let Poll::Ready(result) = future.poll(cx) {
                    ended = Some(result);
                    // Its destructor is a part of the job.
                    state.set(State::Over);
                }
            });
            let ended = ended.map(Ending::tried);
            if let (Ok(()), None) = (&contained, &ended) {
                return Poll::Pending;
            }
            let tried = ended.as_ref().map_or(1, |tried| tried.attempts);
            *this.tried = this.tried.saturating_add(tried);
            if tried > 1 {
                add(&duty.desk.retried, u64::from(tried - 1));
            }
            let (trouble, known) = match (contained, ended) {
                (Ok(()), None) => unreachable!("it has ended"),
                (Ok(()), Some(Tried { result: Ok(result), .. })) => {
                    if let Some(kept) = kept.take() {
                        let_go(kept);
                    }
                    if let Some(gauge) = &duty.desk.gauge {
                        gauge.ends(*this.since, *this.first_at, duty.site.clock().now());
                    }
                    return Poll::Ready(Outcome { number: *this.number, result: Ok(result) });
                }
                (Ok(()), Some(Tried { result: Err(trouble), reason, .. })) => (trouble, reason),
                (Err(payload), unheard) => {
                    if let Err(second) = contain(|| state.set(State::Over)) {
                        let_go(second);
                    }
                    if let Some(Tried { result, .. }) = unheard {
                        let_go(result);
                    }
                    (Trouble::Panicked(payload), None)
                }
            };
            if let Some(outcome) = self.as_mut().failed(trouble, known, duty) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// One attempt has failed, or it was too late to begin; none, if there will be another.
    #[cold]
    fn failed<F, U, E>(
        self: Pin<&mut Self>,
        trouble: Trouble<E>,
        known: Option<Reason>,
        duty: &Duty<T, F, E>,
    ) -> Option<Outcome<T, U, E>> {
        let mut this = self.project();
        let (may, final_reason) = match &trouble {
            Trouble::Expired => (false, Reason::Expired),
            Trouble::Panicked(_) => (duty.retry.is_some_and(|retry| retry.tries_panics()), Reason::Panicked),
            Trouble::Error(error) => match &duty.transient {
                None => (true, known.unwrap_or(Reason::Exhausted)),
                // A panic of the question is an answer, too.
                Some(is_transient) => match contain(|| is_transient(error)) {
                    Ok(true) => (true, known.unwrap_or(Reason::Exhausted)),
                    Ok(false) => (false, Reason::Permanent),
                    Err(payload) => {
                        let_go(payload);
                        (false, Reason::Permanent)
                    }
                },
            },
        };
        let pause = duty.retry.filter(|_| may && this.job.is_some());
        let pause = pause.and_then(|retry| retry.pause_after(*this.attempts));
        if let Some(pause) = pause.filter(|pause| !duty.is_too_late(*this.deadline, *pause)) {
            add(&duty.desk.retried, 1);
            let (stage, attempts) = (duty.desk.name, *this.attempts);
            duty.site.tell(&PipelineEvent::Retried { stage, attempts, after: pause });
            let_go(trouble);
            this.state.set(State::Rests { sleep: duty.site.clock().sleep(pause) });
            return None;
        }
        this.state.set(State::Over);
        let now = duty.site.clock().now();
        match &duty.desk.gauge {
            Some(gauge) if *this.attempts > 0 => gauge.ends(*this.since, *this.first_at, now),
            _ => {}
        }
        let failure = Failure {
            job: this.job.take(),
            trouble,
            reason: final_reason,
            attempts: *this.tried,
            first_at: if *this.first_at == Instant::FAR_FUTURE { now } else { *this.first_at },
            last_at: now,
            redrives: *this.redrives,
        };
        Some(Outcome { number: *this.number, result: Err(Box::new(failure)) })
    }

    /// It is given up in the middle. To be called before it is dropped.
    pub(super) fn give_up<F, E>(self: Pin<&mut Self>, duty: &Duty<T, F, E>)
    where
        T: Send + 'static,
    {
        let mut this = self.project();
        let left = match this.state.as_ref().get_ref() {
            State::Over => return,
            State::New => Left::Waiting,
            State::Begins if *this.attempts == 0 => Left::Waiting,
            _ => Left::Interrupted,
        };
        if let Err(payload) = contain(|| this.state.set(State::Over)) {
            let_go(payload);
        }
        match this.job.take() {
            Some(job) => duty.hand_back(left, *this.number, job),
            None => add(&duty.desk.interrupted, 1),
        }
    }
}

pin_project! {
    /// One job in the hands of a worker: dropped, it is given back.
    pub(super) struct Held<D, T, F, E, Fut>
    where
        D: Deref<Target = Duty<T, F, E>>,
        T: Send,
        T: 'static,
    {
        #[pin]
        attempt: Attempt<T, Fut>,
        duty: D,
    }

    impl<D, T, F, E, Fut> PinnedDrop for Held<D, T, F, E, Fut>
    where
        D: Deref<Target = Duty<T, F, E>>,
        T: Send,
        T: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // Most have ended: it is not worth a call to find that out.
            if !matches!(this.attempt.state, State::Over) {
                this.attempt.give_up(this.duty);
            }
        }
    }
}

impl<D, T, F, E, Fut> Held<D, T, F, E, Fut>
where
    D: Deref<Target = Duty<T, F, E>>,
    T: Send + 'static,
{
    pub(super) fn new(entry: Entry<T>, duty: D) -> Self {
        Self { attempt: Attempt::new(entry), duty }
    }
}

impl<D, T, F, U, E, Fut> Future for Held<D, T, F, E, Fut>
where
    D: Deref<Target = Duty<T, F, E>>,
    T: Send + 'static,
    F: Fn(T) -> Fut,
    Fut: Future<Output: Ending<Value = U, Error = E>>,
{
    /// To the pool that does it, a job of a stage never fails.
    type Output = Result<Outcome<T, U, E>, Infallible>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.attempt.poll(this.duty, cx).map(Ok)
    }
}

/// One job that holds what its stage does, for it outlives the stage's look at it.
pub(super) type HeldHere<T, F, E, Fut> = Held<Arc<Duty<T, F, E>>, T, F, E, Fut>;

/// A job that waits in somebody's queue: dropped, it is given back.
pub(super) struct Waiting<T: Send + 'static, F, E> {
    entry: Option<Entry<T>>,
    duty: Arc<Duty<T, F, E>>,
}

impl<T: Send + 'static, F, E> Waiting<T, F, E> {
    pub(super) fn new(entry: Entry<T>, duty: Arc<Duty<T, F, E>>) -> Self {
        Self { entry: Some(entry), duty }
    }

    pub(super) fn item(&self) -> Option<&T> {
        self.entry.as_ref().map(|entry| &entry.item)
    }

    pub(super) fn number(&self) -> u64 {
        self.entry.as_ref().map_or(0, |entry| entry.number)
    }

    /// It begins.
    pub(super) fn begin<Fut>(mut self) -> Option<HeldHere<T, F, E, Fut>> {
        let entry = self.entry.take()?;
        Some(Held::new(entry, Arc::clone(&self.duty)))
    }
}

impl<T: Send + 'static, F, E> Drop for Waiting<T, F, E> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.duty.hand_back(Left::Waiting, entry.number, entry.item);
        }
    }
}

/// A result that waits in somebody's queue: dropped, it is given back.
pub(super) struct Unread<T: Send + 'static, F, U: Send + 'static, E> {
    outcome: Option<Outcome<T, U, E>>,
    duty: Arc<Duty<T, F, E>>,
}

impl<T: Send + 'static, F, U: Send + 'static, E> Unread<T, F, U, E> {
    pub(super) fn new(outcome: Option<Outcome<T, U, E>>, duty: Arc<Duty<T, F, E>>) -> Self {
        Self { outcome, duty }
    }

    pub(super) fn take(mut self) -> Option<Outcome<T, U, E>> {
        mem::take(&mut self.outcome)
    }
}

impl<T: Send + 'static, F, U: Send + 'static, E> Drop for Unread<T, F, U, E> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.duty.hand_back_outcome(outcome);
        }
    }
}
