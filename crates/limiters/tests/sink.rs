//! The promises of limits on sinks.

mod common;

use std::convert::Infallible;
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::Hand;
use futures::{Sink, SinkExt, StreamExt, channel::mpsc};
use weirs_limiters::{Denied, LimitSink, PacedError, Quota, Rate, RateLimiter, Semaphore};
use weirs_runtime::Runtime;
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test};

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

#[apply(runtime_test)]
async fn all_items_go_in_order(runtime: Runtime) {
    let limiter = Arc::new(RateLimiter::builder(quota(5_000, 2)).clock(runtime.clock().clone()).build());
    let mut sink = Vec::new().paced(limiter);
    for item in 0..10 {
        sink.send(item).await.unwrap();
    }
    sink.close().await.unwrap();
    assert_eq!(sink.into_inner(), (0..10).collect::<Vec<_>>());
}

#[apply(sim_test)]
async fn the_pace_is_exact(runtime: Runtime) {
    let limiter = RateLimiter::builder(quota(100, 1)).clock(runtime.clock().clone()).build();
    let start = runtime.clock().now();
    let mut sink = Vec::new().paced(&limiter);
    for item in 0..5_u32 {
        sink.send(item).await.unwrap();
        assert_eq!(runtime.clock().now() - start, Duration::from_millis(10) * item);
    }
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let limiter = RateLimiter::builder(quota(5_000, 1)).clock(runtime.clock().clone()).build();
    let running = Semaphore::builder(1).clock(runtime.clock().clone()).build();
    let make = || async {
        let mut sink = Vec::new().paced(&limiter).paced(&running);
        for item in 0..3 {
            sink.send(item).await.unwrap();
        }
        assert_eq!(sink.into_inner().into_inner(), [0, 1, 2]);
    };
    let check = async |_| assert_eq!((running.available(), limiter.stats().waiting), (1, 0));
    cancel_at_every_poll(make, check).await;
}

/// A sink that has no room costs nothing; neither does one that is dropped when an item could have gone.
#[test]
fn what_is_not_sent_is_not_charged() {
    let time = ManualClock::new();
    let limiter = RateLimiter::builder(quota(1, 5)).clock(time.clock().clone()).build();
    // Room for one, as each sender has.
    let (sender, mut receiver) = mpsc::channel(0);
    let mut sink = sender.paced(&limiter);
    assert!(Hand::new(sink.feed("one")).poll().is_ready());
    let mut second = Hand::new(sink.feed("two"));
    assert!(second.poll().is_pending());
    assert_eq!(limiter.available(), 4);
    assert_eq!(Hand::new(receiver.next()).poll(), Poll::Ready(Some("one")));
    assert!(second.wakes() > 0 && second.poll().is_ready());
    drop(second);
    assert_eq!(limiter.available(), 3);
    assert_eq!(Hand::new(receiver.next()).poll(), Poll::Ready(Some("two")));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_ready());
    assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_ready());
    assert_eq!(limiter.available(), 2, "once for the item to come");
    drop(sink);
    assert_eq!((limiter.available(), limiter.stats().waiting), (3, 0));
}

/// Room for all, and every item is wrong.
struct Fails;

impl Sink<u8> for Fails {
    type Error = std::fmt::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, _: u8) -> Result<(), Self::Error> {
        Err(std::fmt::Error)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn refusals_and_failures_are_told_apart() {
    let limiter = RateLimiter::builder(quota(1, 1)).max_waiters(0).build();
    let mut sink = Vec::new().paced(&limiter);
    assert!(matches!(Hand::new(sink.send(1)).poll(), Poll::Ready(Ok(()))));
    let Poll::Ready(Err(error)) = Hand::new(sink.send(2)).poll() else { panic!("nobody waits") };
    assert!(matches!(&error, PacedError::Denied(Denied::Later { .. })));
    assert!(error.source().is_some() && error.to_string().starts_with("over the limit"));
    limiter.credit(1);
    assert!(matches!(Hand::new(sink.send(3)).poll(), Poll::Ready(Ok(()))));
    let error: PacedError<Infallible> = error;
    assert_ne!(error, PacedError::Denied(Denied::Closed));
    assert_eq!(sink.into_inner(), [1, 3]);

    limiter.credit(1);
    let mut sink = pin!(Fails.paced(&limiter));
    assert_eq!(Hand::new(sink.send(1)).poll(), Poll::Ready(Err(PacedError::Sink(std::fmt::Error))));
    assert_eq!(limiter.available(), 1, "it was not sent");
}

#[test]
#[should_panic(expected = "`start_send` comes after `poll_ready`")]
fn sending_to_one_that_is_not_ready_is_a_mistake() {
    let limiter = RateLimiter::new(quota(1, 1));
    let _ = Pin::new(&mut Vec::new().paced(&limiter)).start_send(1);
}
