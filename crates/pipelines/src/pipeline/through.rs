//! [`Through`]: work that goes through a stack of policies.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use weirs_resilience::{Attempt, Error, GiveUp, Policy, Reason as Refusal, Report, Stack};

use super::attempt::Expires;
use super::ending::{Tried, Trouble};
use super::flow::Flow;
use super::judge::Judged;
use super::plan::{Blueprint, Check};
use super::site::Site;
use super::stage::{Outcomes, Staged};
use crate::dead_letter::BoxError;
use crate::dead_letter::Reason;
use crate::panics::poll_contained;

/// After a refusal that does not say when to come again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Work that goes through a stack of policies.
pub struct Through<P, F> {
    stack: Arc<Stack<P>>,
    work: F,
    pub(super) waits: bool,
}

impl<P, F> Through<P, F> {
    pub(super) fn new(stack: Arc<Stack<P>>, work: F) -> Self {
        Self { stack, work, waits: false }
    }

    /// One job, through the stack.
    async fn run<T, U, E, S, Fut>(self: Arc<Self>, job: T, expires: Option<Expires<T>>) -> Tried<U, Error<E>>
    where
        T: Clone,
        P: Policy<U, E, State = S>,
        F: Fn(T, Attempt) -> Fut,
        Fut: Future<Output = Result<U, E>>,
    {
        let begun = AtomicU32::new(0);
        let (begun, work) = (&begun, &self.work);
        let deadline = expires.and_then(|expires| expires(&job));
        let mut pause = FIRST_PAUSE;
        let mut job = Some(job);
        loop {
            let spare = job.as_ref().filter(|_| self.waits).cloned();
            let Some(job_now) = job.take() else { unreachable!("there is a spare one for each refusal") };
            job = spare;
            let attempt = move |at| {
                begun.fetch_add(1, Ordering::Relaxed);
                work(job_now.clone(), at)
            };
            let ended = {
                let call = self.stack.call_reported(attempt);
                let call = match deadline {
                    Some(deadline) => call.by(deadline),
                    None => call,
                };
                let mut call = pin!(call);
                poll_fn(|cx| poll_contained(call.as_mut(), cx)).await
            };
            let attempts = begun.load(Ordering::Relaxed);
            let Report { result, gave_up, .. } = match ended {
                Ok(report) => report,
                Err(payload) => {
                    return Tried { result: Err(Trouble::Panicked(payload)), attempts, reason: None };
                }
            };
            if let (Err(Error::Rejected(rejection)), true, 0) = (&result, self.waits, attempts) {
                if may_pass(rejection.reason()) {
                    let after = rejection.retry_after().unwrap_or(pause).max(Duration::from_micros(1));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    let clock = self.stack.clock();
                    if deadline.is_some_and(|deadline| deadline <= clock.now() + after) {
                        return Tried { result: Err(Trouble::Expired), attempts, reason: None };
                    }
                    clock.sleep(after).await;
                    continue;
                }
            }
            let reason = match (&result, gave_up) {
                (Err(Error::Rejected(_)), _) | (_, Some(GiveUp::Refused)) => Some(Reason::Refused),
                (_, Some(GiveUp::Permanent)) => Some(Reason::Permanent),
                _ => None,
            };
            return Tried { result: result.map_err(Trouble::Error), attempts, reason };
        }
    }
}

/// Also of a work's error that is a text.
fn boxed<E: Into<BoxError>>(error: Error<E>) -> BoxError {
    match error {
        Error::Inner(error) => error.into(),
        Error::Timeout(timed_out) => timed_out.into(),
        Error::Rejected(rejection) => rejection.into(),
        _ => "the stack failed".into(),
    }
}

/// Whether a refusal may be none some time later.
fn may_pass(refusal: Refusal) -> bool {
    !matches!(refusal, Refusal::Deadline | Refusal::Closed | Refusal::TooLarge | Refusal::Invalid)
}

impl<P, F> fmt::Debug for Through<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Through").field("stack", &self.stack.name()).finish_non_exhaustive()
    }
}

impl<B, P, S, F, U, E, Fut> Blueprint for Staged<B, Through<P, F>, Error<E>>
where
    B: Blueprint<Item: Clone>,
    P: Policy<U, E, State = S> + Send + Sync + 'static,
    S: Send + 'static,
    F: Fn(B::Item, Attempt) -> Fut + Send + Sync + 'static,
    U: Send + 'static,
    E: Into<BoxError> + Send + 'static,
    Fut: Future<Output = Result<U, E>> + Send + 'static,
{
    type Item = U;

    fn check(&self, check: &mut Check) {
        self.check_settings(check);
    }

    fn assemble(self, site: Site) -> impl Flow<Item = U> {
        let expires = self.expires();
        let staged = self.with_work(|through| {
            let through = Arc::new(through);
            move |job| Arc::clone(&through).run(job, expires.clone())
        });
        let Outcomes { flow, rule, desk } = staged.outcomes(site.clone());
        Judged::new(flow, rule, boxed, desk, site)
    }
}
