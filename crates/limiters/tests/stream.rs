//! The promises of limits on streams.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{StreamExt, stream};
use weirs_limiters::{Denied, LimitStream, Quota, Rate, RateLimiter, Semaphore};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test};

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

#[apply(runtime_test)]
async fn all_items_come_in_order(runtime: Runtime) {
    let limiter = Arc::new(RateLimiter::builder(quota(5_000, 2)).clock(runtime.clock().clone()).build());
    let items: Vec<_> = stream::iter(0..10).rate_limited(limiter).map(Result::unwrap).collect().await;
    assert_eq!(items, (0..10).collect::<Vec<_>>());
}

#[apply(sim_test)]
async fn the_pace_is_exact(runtime: Runtime) {
    let limiter = RateLimiter::builder(quota(100, 1)).clock(runtime.clock().clone()).build();
    let start = runtime.clock().now();
    let mut items = pin!(stream::iter(0..5).rate_limited(&limiter));
    while let Some(item) = items.next().await {
        let item: u32 = item.unwrap();
        assert_eq!(runtime.clock().now() - start, Duration::from_millis(10) * item);
    }
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let limiter = RateLimiter::builder(quota(5_000, 1)).clock(runtime.clock().clone()).build();
    let running = Semaphore::builder(1).clock(runtime.clock().clone()).build();
    let make = || async {
        let mut items = pin!(stream::iter(0..3).rate_limited(&limiter).limit_concurrency(&running));
        while let Some(item) = items.next().await {
            item.unwrap().into_parts().0.unwrap();
        }
    };
    let check = async |_| assert_eq!((running.available(), limiter.stats().waiting), (1, 0));
    cancel_at_every_poll(make, check).await;
}

#[test]
fn what_is_refused_comes_back_with_its_item() {
    let limiter = RateLimiter::builder(quota(1, 1)).max_waiters(0).build();
    block_on(async {
        let mut items = pin!(stream::iter(["one", "two"]).rate_limited(&limiter));
        assert_eq!(items.next().await.unwrap().unwrap(), "one");
        let refused = items.next().await.unwrap().unwrap_err();
        assert_eq!(refused.item, "two");
        assert!(matches!(refused.denied, Denied::Later { .. }));
        assert!(items.next().await.is_none());
    });
}
