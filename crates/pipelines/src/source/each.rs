//! [`ack_each`]: works a source off, and acknowledges each message when its result is delivered.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use weirs_runtime::Runtime;

use super::{Delivery, Held, Receipt};
use crate::{BuildError, Results, WorkerPool};

/// How many results wait for one flush at most.
const MOST_UNFLUSHED: usize = 64;

/// How the messages of a source ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AckCounts {
    /// How many came, so far as the work began or waits.
    pub received: u64,
    /// How many of those had come before.
    pub redelivered: u64,
    /// How many were acknowledged: their results are delivered.
    pub acked: u64,
    /// How many were refused because the work failed or panicked.
    pub refused: u64,
}

/// Why a source was not worked off to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum AckError<S> {
    /// There are no workers.
    Build(BuildError),
    /// The output failed. What was not acknowledged was refused.
    Output {
        /// How.
        error: S,
        /// How far it was.
        counts: AckCounts,
    },
    /// The executor has dropped the workers. What was not acknowledged was refused.
    Lost(AckCounts),
}

impl<S: fmt::Display> fmt::Display for AckError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::Output { error, .. } => write!(f, "the output failed: {error}"),
            Self::Lost(_) => f.write_str("the executor has dropped the workers"),
        }
    }
}

impl<S: std::error::Error> std::error::Error for AckError<S> {}

/// Works a source off by so many workers, and acknowledges each message when its result is in the output,
/// and the output is flushed. What fails or panics is refused, and comes again if the broker likes.
///
/// Twice as many messages as there are workers are there at once, besides those whose results are in the
/// output and not flushed yet. Results of one moment are flushed together: up to 64.
///
/// # Waiting
/// Until the source has ended and all results are delivered.
///
/// # Cancel safety
/// Dropped, everything that is not acknowledged is refused, what waits and what runs; nothing is lost. A
/// result that the output has already may come again.
///
/// # Errors
/// No workers, at first or later, or the error of the output.
pub async fn ack_each<S, T, R, U, E, F, Fut, O>(
    runtime: &Runtime,
    source: S,
    workers: usize,
    work: F,
    output: O,
) -> Result<AckCounts, AckError<O::Error>>
where
    S: Stream<Item = Delivery<T, R>>,
    T: Send + 'static,
    R: Receipt,
    U: Send + 'static,
    E: Send + 'static,
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<U, E>> + Send + 'static,
    O: Sink<U>,
{
    let work = Arc::new(work);
    let job = move |delivery: Delivery<T, R>| {
        let work = Arc::clone(&work);
        delivery.with(move |message| work(message))
    };
    let pool = WorkerPool::builder(job).workers(workers).queue(workers).unread(workers).build(runtime);
    let pool = pool.map_err(AckError::Build)?;
    let mut results = pool.results();
    let (received, redelivered) = (Cell::new(0), Cell::new(0));
    let mut counts = AckCounts::default();
    // Of those that were received: how many are neither in the output nor refused.
    let inside = Cell::new(0);
    let most = workers.saturating_mul(2);

    let feed = async {
        let mut source = pin!(source);
        loop {
            // It is polled whenever one leaves.
            let next = poll_fn(|cx| match inside.get() < most {
                true => source.as_mut().poll_next(cx),
                false => Poll::Pending,
            });
            let Some(delivery) = next.await else { break };
            redelivered.set(redelivered.get() + u64::from(delivery.times_before() > 0));
            received.set(received.get() + 1);
            inside.set(inside.get() + 1);
            let _ = pool.submit(delivery).await;
        }
        drop(pool.close());
    };
    let mut feed = pin!(feed);
    let mut fed = false;
    let ended = {
        let mut deliver = pin!(deliver(&mut results, output, &mut counts, &inside));
        poll_fn(|cx| {
            let delivered = deliver.as_mut().poll(cx);
            if delivered.is_pending() {
                fed = fed || feed.as_mut().poll(cx).is_ready();
            }
            delivered
        })
        .await
    };
    (counts.received, counts.redelivered) = (received.get(), redelivered.get());
    match ended {
        Ok(()) if fed => Ok(counts),
        // The results have ended, but not the source.
        Ok(()) => Err(AckError::Lost(counts)),
        Err(error) => Err(AckError::Output { error, counts }),
    }
}

async fn deliver<T, R, U, E, O>(
    results: &mut Results<Delivery<T, R>, Delivery<U, R>, E>,
    output: O,
    counts: &mut AckCounts,
    inside: &Cell<usize>,
) -> Result<(), O::Error>
where
    T: Send + 'static,
    R: Receipt,
    U: Send + 'static,
    E: Send + 'static,
    O: Sink<U>,
{
    let mut output = pin!(output);
    let mut unflushed: Vec<Held<R>> = Vec::new();
    loop {
        // With something to flush, it does not wait for more.
        let flushes = !unflushed.is_empty();
        let next =
            poll_fn(|cx| poll_now(results, flushes && unflushed.len() >= MOST_UNFLUSHED, flushes, cx)).await;
        match next {
            Now::Item(Ok(delivery)) => {
                let Delivery { message, receipt, .. } = delivery;
                poll_fn(|cx| output.as_mut().poll_ready(cx)).await?;
                output.as_mut().start_send(message)?;
                unflushed.push(receipt);
                inside.set(inside.get() - 1);
            }
            Now::Item(Err(())) => {
                counts.refused += 1;
                inside.set(inside.get() - 1);
            }
            Now::Nothing | Now::Over => {
                poll_fn(|cx| output.as_mut().poll_flush(cx)).await?;
                for mut receipt in unflushed.drain(..) {
                    if let Some(receipt) = receipt.0.take() {
                        receipt.ack();
                    }
                    counts.acked += 1;
                }
                if matches!(next, Now::Over) {
                    return poll_fn(|cx| output.as_mut().poll_close(cx)).await;
                }
            }
        }
    }
}

enum Now<U, R: Receipt> {
    Item(Result<Delivery<U, R>, ()>),
    Nothing,
    Over,
}

fn poll_now<T, R, U, E>(
    results: &mut Results<Delivery<T, R>, Delivery<U, R>, E>,
    is_full: bool,
    flushes: bool,
    cx: &mut Context<'_>,
) -> Poll<Now<U, R>>
where
    T: Send + 'static,
    R: Receipt,
    U: Send + 'static,
    E: Send + 'static,
{
    if is_full {
        return Poll::Ready(Now::Nothing);
    }
    let polled = Pin::new(results).poll_next(cx);
    if flushes && polled.is_pending() {
        return Poll::Ready(Now::Nothing);
    }
    Poll::Ready(match ready!(polled) {
        Some(completion) => Now::Item(completion.result.map_err(|_| ())),
        None => Now::Over,
    })
}
