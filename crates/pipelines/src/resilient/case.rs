//! [`Steady`]: the worker, and one job in its hands.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use weirs_limiters::Outcome;
use weirs_resilience::{Class, Error, Place as PlaceInStack, TimedOut};
use weirs_runtime::{Instant, PanicPayload};

use super::answer::Answer;
use super::drain::Unfinished;
use super::gate::Pass;
use super::place::Put;
use super::plan::Plan;
use super::stats::ResilientEvent;
use crate::panics::{contain, let_go, poll_contained};
use crate::turn::yield_now;
use crate::{DeadLetter, Reason, Worker};

/// A job on its way.
pub(crate) struct Item<J> {
    pub(super) job: J,
    /// [`Instant::FAR_FUTURE`] without one.
    pub(super) deadline: Instant,
    pub(super) redrives: u32,
}

/// A worker that waits where it may not call, and calls again where that may help.
pub(super) struct Steady<F, J, T, E> {
    plan: Arc<Plan<J, T, E>>,
    work: Arc<F>,
    job: PhantomData<fn(J)>,
}

impl<F, J, T, E> Steady<F, J, T, E> {
    pub(super) fn new(plan: &Arc<Plan<J, T, E>>, work: &Arc<F>) -> Self {
        Self { plan: Arc::clone(plan), work: Arc::clone(work), job: PhantomData }
    }
}

impl<F, Fut, J, T, E> Worker for Steady<F, J, T, E>
where
    J: Clone + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(J) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    type Job = Item<J>;
    type Output = Answer<J, T, E>;
    type Error = Infallible;

    async fn work(&mut self, item: Item<J>) -> Result<Answer<J, T, E>, Infallible> {
        let mut case = Case::new(&self.plan, item);
        let end = case.run(&*self.work).await;
        Ok(match end {
            End::Done(value) => {
                case.settle(|counts| counts.done += 1);
                Answer::Done(value)
            }
            End::GaveUp(reason, panic) => case.give_up(reason, panic).await,
        })
    }
}

/// A job in the hands of a worker. Dropped before it has ended, the job is handed back.
struct Case<'p, J, T, E> {
    plan: &'p Plan<J, T, E>,
    job: Option<J>,
    deadline: Instant,
    redrives: u32,
    attempts: u32,
    first_at: Option<Instant>,
    error: Option<Error<E>>,
    /// On its way to its place; it has the job.
    letter: Option<Box<DeadLetter<J, Error<E>>>>,
}

/// How the attempts at a job ended.
enum End<T> {
    Done(T),
    GaveUp(Reason, Option<PanicPayload>),
}

/// How one attempt ended.
enum Ran<T, E> {
    Done(T),
    Failed { error: Error<E>, class: Class, probe: bool },
    Panicked(PanicPayload),
}

impl<'p, J: Clone, T, E> Case<'p, J, T, E> {
    fn new(plan: &'p Plan<J, T, E>, item: Item<J>) -> Self {
        let Item { job, deadline, redrives } = item;
        let (job, attempts) = (Some(job), 0);
        Self { plan, job, deadline, redrives, attempts, first_at: None, error: None, letter: None }
    }

    /// It has ended, and is counted.
    fn settle(&mut self, count: impl FnOnce(&mut super::stats::ResilientCounts)) {
        let_go(self.job.take());
        self.plan.count(count);
    }

    async fn run<F, Fut>(&mut self, work: &F) -> End<T>
    where
        F: Fn(J) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let plan = self.plan;
        let mut pauses = plan.pauses.delays(&plan.clock);
        let (mut retries, mut spared) = (plan.retries, plan.spared_probes);
        loop {
            // Late in its queue, or here, or in the line of the limiter.
            let passed = match plan.clock.now() < self.deadline {
                true => plan.clock.timeout_at(self.deadline, plan.pass()).await.ok(),
                false => None,
            };
            let pass = match passed {
                Some(Ok(pass)) if plan.clock.now() < self.deadline => pass,
                Some(Err(_)) => return End::GaveUp(Reason::Shutdown, None),
                other => {
                    if let Some(Ok(pass)) = other {
                        pass.unused();
                    }
                    let reason = if self.attempts == 0 { Reason::Expired } else { Reason::Exhausted };
                    return End::GaveUp(reason, None);
                }
            };
            let (error, class, probe) = match self.attempt(work, pass).await {
                Ran::Done(value) => return End::Done(value),
                Ran::Panicked(payload) => return End::GaveUp(Reason::Panicked, Some(payload)),
                Ran::Failed { error, class, probe } => (error, class, probe),
            };
            let_go(self.error.replace(error));
            let asked = match class {
                Class::Failure | Class::Throttled => Duration::ZERO,
                Class::After(pause) => pause,
                _ => return End::GaveUp(Reason::Permanent, None),
            };
            // It was the probe of an ill server; the circuit says when to come again.
            if probe && spared > 0 {
                spared -= 1;
                continue;
            }
            if retries == 0 {
                return End::GaveUp(Reason::Exhausted, None);
            }
            retries -= 1;
            let after = pauses.next().unwrap_or_default().max(asked);
            if plan.clock.now() + after >= self.deadline {
                return End::GaveUp(Reason::Exhausted, None);
            }
            plan.tell(&ResilientEvent::Retried { attempts: self.attempts, after });
            if after.is_zero() {
                // However often it fails, others have their turn.
                yield_now().await;
            } else {
                plan.clock.sleep(after).await;
            }
        }
    }

    /// Calls the work once. The breaker hears of the end here: nothing that comes later counts for it.
    async fn attempt<F, Fut>(&mut self, work: &F, pass: Pass<'_>) -> Ran<T, E>
    where
        F: Fn(J) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let (plan, Pass { permit, held }) = (self.plan, pass);
        let now = plan.clock.now();
        self.first_at.get_or_insert(now);
        self.attempts = self.attempts.saturating_add(1);
        plan.count(|counts| counts.attempts += 1);
        let left = self.deadline.saturating_since(now);
        let limit = plan.timeout.map_or(left, |limit| limit.min(left));
        let cut_short = plan.timeout.is_none_or(|limit| left < limit);

        let called = contain(|| {
            let Some(job) = &self.job else { unreachable!("it is there until it ends") };
            work(job.clone())
        });
        let ran = match called {
            Err(payload) => Err(payload),
            Ok(call) => {
                let mut call = pin!(Some(call));
                let ran = {
                    let running = poll_fn(|cx| match call.as_mut().as_pin_mut() {
                        Some(call) => poll_contained(call, cx),
                        None => unreachable!("it is there until it ends"),
                    });
                    plan.clock.timeout(limit, running).await
                };
                // Its destructor is a part of the call.
                let dropped = contain(|| call.set(None));
                match (ran, dropped) {
                    (_, Err(payload)) | (Ok(Err(payload)), _) => Err(payload),
                    (Ok(Ok(result)), _) => Ok(result.map_err(Error::Inner)),
                    (Err(_), _) => Ok(Err(Error::Timeout(TimedOut::new(limit, PlaceInStack::ALONE)))),
                }
            }
        };
        let judged = ran.and_then(|result| match contain(|| (plan.judge)(&result)) {
            Ok(class) => Ok((result, class)),
            Err(payload) => {
                let_go(result);
                Err(payload)
            }
        });
        let probe = permit.as_ref().is_some_and(|permit| permit.is_probe());
        let late = matches!(&judged, Ok((Err(Error::Timeout(_)), _)));
        if let Some(permit) = permit {
            match &judged {
                // The job's own time was over, not the call's: how long it took decides.
                Ok(_) if late && cut_short => drop(permit),
                Ok((_, class)) => _ = permit.end(*class),
                Err(_) => _ = permit.failure(),
            }
        }
        if let Some(held) = held {
            held.end(match &judged {
                Ok((_, Class::Success)) => Outcome::Success,
                Ok((_, Class::Throttled | Class::After(_))) => Outcome::Overload,
                Ok(_) if late => Outcome::Overload,
                _ => Outcome::Ignore,
            });
        }
        match judged {
            Ok((Ok(value), _)) => Ran::Done(value),
            Ok((Err(error), class)) => Ran::Failed { error, class, probe },
            Err(payload) => Ran::Panicked(payload),
        }
    }

    /// What stands in, or a letter.
    async fn give_up(mut self, reason: Reason, panic: Option<PanicPayload>) -> Answer<J, T, E> {
        let plan = self.plan;
        let mut panic = panic;
        let helps = matches!(reason, Reason::Exhausted | Reason::Permanent | Reason::Panicked);
        if let (true, Some(fallback), Some(job)) = (helps, &plan.fallback, &self.job) {
            match contain(|| fallback(job, self.error.as_ref())) {
                Ok(Some(value)) => {
                    self.settle(|counts| counts.fallback += 1);
                    let_go(self.error.take());
                    let_go(panic);
                    return Answer::Fallback(value);
                }
                Ok(None) => {}
                Err(payload) => panic = panic.or(Some(payload)),
            }
        }
        let Some(job) = self.job.take() else { unreachable!("it is there until it ends") };
        let last_at = plan.clock.now();
        let mut letter = DeadLetter::new(job, reason, last_at);
        letter.error = self.error.take();
        letter.panic = panic;
        letter.attempts = self.attempts;
        letter.first_at = self.first_at.unwrap_or(last_at);
        letter.redrives = self.redrives;
        let letter = Box::new(letter);
        let expired = u64::from(reason == Reason::Expired);
        let given_up = |letter| {
            plan.count(|counts| {
                (counts.given_up, counts.expired) = (counts.given_up + 1, counts.expired + expired)
            });
            Answer::GivenUp(letter)
        };
        let Some(place) = &plan.place else { return given_up(letter) };
        // If the place breaks with the letter in it, the job is not lost with it.
        let spare = contain(|| letter.job.clone());
        let (attempts, first_at, redrives) = (letter.attempts, letter.first_at, letter.redrives);
        self.letter = Some(letter);
        let sent = || {
            plan.count(|counts| {
                (counts.dead_lettered, counts.expired) = (counts.dead_lettered + 1, counts.expired + expired);
            })
        };
        match (plan.put(place, &mut self.letter, sent).await, spare) {
            (Put::There, spare) => {
                let_go(spare);
                plan.tell(&ResilientEvent::DeadLettered(reason));
                Answer::DeadLettered(reason)
            }
            (Put::Back(letter), spare) => {
                let_go(spare);
                given_up(letter)
            }
            (Put::Gone, Ok(job)) => {
                let mut letter = DeadLetter::new(job, reason, last_at);
                (letter.attempts, letter.first_at, letter.redrives) = (attempts, first_at, redrives);
                given_up(Box::new(letter))
            }
            // Neither its clone nor its place worked: what is left to say is that it is gone.
            (Put::Gone, Err(payload)) => {
                let_go(payload);
                plan.count(|counts| counts.dead_lettered += 1);
                Answer::DeadLettered(reason)
            }
        }
    }
}

impl<J, T, E> Drop for Case<'_, J, T, E> {
    fn drop(&mut self) {
        let_go(self.error.take());
        let job = self.job.take().or_else(|| {
            let DeadLetter { job, error, panic, .. } = *self.letter.take()?;
            let_go(error);
            let_go(panic);
            Some(job)
        });
        if let Some(job) = job {
            self.plan.leave(Unfinished { job, attempts: self.attempts });
        }
    }
}
