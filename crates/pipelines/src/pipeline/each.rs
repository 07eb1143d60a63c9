//! [`EachOutcome`]: a stage that hands on what came of each job, its panic too.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::PanicPayload;

use super::Pipeline;
use super::attempt::Outcome;
use super::ending::Trouble;
use super::flow::Flow;
use super::parallel::Order;
use super::plan::{Blueprint, Check};
use super::site::Site;
use super::stage::Staged;

/// A stage that hands on what came of each job, its panic too.
#[derive(Debug)]
pub struct EachOutcome<B: Blueprint, F>(Staged<B, F, Infallible>);

/// A stage that hands on what came of each job, its panic too; with room for three results for each worker.
pub(crate) fn each_outcome<B: Blueprint, F>(
    pipeline: Pipeline<B>,
    name: &'static str,
    workers: usize,
    work: F,
    order: Order<B::Item>,
) -> Pipeline<EachOutcome<B, F>> {
    // Room enough that those who do short jobs need not be woken for each few of them.
    let unread = workers.saturating_mul(3);
    let stage = |upstream| Staged::new(upstream, name, workers.into(), work).in_order(order);
    pipeline.then(|upstream| EachOutcome(stage(upstream).with_unread(unread)))
}

impl<B, F, U, Fut> Blueprint for EachOutcome<B, F>
where
    B: Blueprint,
    F: Fn(B::Item) -> Fut + Send + Sync + 'static,
    U: Send + 'static,
    Fut: Future<Output = Result<U, Infallible>> + Send + 'static,
{
    type Item = Result<U, PanicPayload>;

    fn check(&self, check: &mut Check) {
        self.0.check_settings(check);
    }

    fn assemble(self, site: Site) -> impl Flow<Item = Result<U, PanicPayload>> {
        Outcomes { flow: self.0.outcomes(site).flow }
    }
}

pin_project! {
    struct Outcomes<W> {
        #[pin]
        flow: W,
    }
}

impl<W, T, U> Flow for Outcomes<W>
where
    W: Flow<Item = Outcome<T, U, Infallible>>,
    U: Send + 'static,
{
    type Item = Result<U, PanicPayload>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.project().flow.poll_next(cx);
        polled.map(|outcome| {
            outcome.map(|outcome| {
                outcome.result.map_err(|failure| match failure.trouble {
                    Trouble::Panicked(payload) => payload,
                    Trouble::Error(error) => match error {},
                    Trouble::Expired => unreachable!("none of these has a deadline"),
                })
            })
        })
    }

    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.project().flow.poll_progress(cx);
    }
}
