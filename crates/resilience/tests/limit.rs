//! The promises of a limiter as a policy.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_limiters::{
    AdaptiveLimiter, AllOf, Denied, Grant, Keyed, Limit, Outcome, Quota, Rate, RateLimiter, Semaphore,
    Waiting,
};
use weirs_resilience::{
    Bulkhead, ByDefault, Class, Classify, Error, Hedge, Limited, Reason, Stack, fallback,
};
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rate(clock: &Clock, per_second: u64, burst: u64) -> RateLimiter {
    let quota = Quota::new(Rate::per_second(per_second), burst).unwrap();
    RateLimiter::builder(quota).clock(clock.clone()).build()
}

/// A limiter that admits all, and writes down how they ended.
struct Log {
    clock: Clock,
    ended: Mutex<Vec<Outcome>>,
}

impl Log {
    fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), ended: Mutex::default() }
    }

    fn take(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.ended.lock().unwrap())
    }
}

impl Limit for Log {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn try_acquire_at(&self, _: Instant, cost: u64) -> Result<Grant, Denied> {
        Ok(Grant::new(cost, u64::MAX))
    }

    fn peek_at(&self, _: Instant, _: u64) -> Result<u64, Denied> {
        Ok(u64::MAX)
    }

    fn poll_acquire(&self, waiting: &mut Waiting, _: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        Poll::Ready(Ok(Grant::new(waiting.cost(), u64::MAX)))
    }

    fn cancel(&self, _: &mut Waiting) {}

    fn release(&self, _: Grant, outcome: Outcome) {
        self.ended.lock().unwrap().push(outcome);
    }
}

#[apply(runtime_test)]
async fn every_sort_of_limiter_limits(runtime: Runtime) {
    async fn through(clock: &Clock, limit: impl Limit) {
        let stack = Stack::builder().clock(clock).limit(limit).build().unwrap();
        for _ in 0..3 {
            let work = async |_| {
                yield_now().await;
                Ok::<_, ()>(1)
            };
            assert_eq!(stack.call(work).await, Ok(1));
        }
    }
    let clock = runtime.clock();
    let semaphore = Semaphore::new(1);
    through(clock, &semaphore).await;
    assert_eq!(semaphore.available(), 1);
    let adaptive = AdaptiveLimiter::builder().clock(clock.clone()).build();
    through(clock, &adaptive).await;
    assert_eq!((adaptive.stats().in_flight, adaptive.stats().successes), (0, 3));
    let limiter = rate(clock, 1, 10);
    through(clock, &limiter).await;
    let users = Keyed::<str>::new(Quota::new(Rate::per_second(1), 10).unwrap(), 100);
    through(clock, users.limit_of("anna")).await;
    let all = AllOf::new().with("rate", &limiter as &dyn Limit).with("at once", &semaphore);
    through(clock, &all).await;
    assert_eq!(semaphore.available(), 1);
    let shared: Arc<dyn Limit> = Arc::new(Semaphore::new(1));
    through(clock, shared).await;
}

#[apply(sim_test)]
async fn a_rate_spaces_calls_out(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let limiter = rate(&clock, 100, 1);
    let stack = Stack::builder().clock(&clock).rate_limit(&limiter).build().unwrap();
    let start = clock.now();
    for turn in 0..5 {
        let at = stack.call(async |_| Ok::<_, ()>(clock.now() - start)).await;
        assert_eq!(at, Ok(ms(10) * turn));
    }
    // By setting it only tries, and says when to come again.
    let hasty = Limited::rate(&limiter).without_waiting();
    let stack = Stack::builder().clock(&clock).policy(hasty).build().unwrap();
    let refused = stack.call(async |_| Ok::<_, ()>(())).await.unwrap_err();
    assert_eq!((refused.rejected(), refused.retry_after()), (Some(Reason::RateLimited), Some(ms(10))));
}

/// A wait that cannot end in time does not begin, whoever set the limit.
#[apply(sim_test)]
async fn a_wait_heeds_the_deadline_before_it_begins(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let limiter = rate(&clock, 10, 1);
    let start = clock.now();
    let work = async |_| Ok::<_, ()>(clock.now() - start);
    let under = |limit: Duration| Stack::builder().clock(&clock).timeout(limit).rate_limit(&limiter);
    assert_eq!(under(ms(99)).build().unwrap().call(work).await, Ok(ms(0)));
    let refused = under(ms(99)).build().unwrap().call(work).await.unwrap_err();
    assert_eq!((refused.rejected(), clock.now() - start), (Some(Reason::Deadline), ms(0)));
    let patience = Limited::rate(&limiter).wait_at_most(ms(99));
    let stack = Stack::builder().clock(&clock).policy(patience).build().unwrap();
    let refused = stack.call(work).await.unwrap_err();
    assert_eq!((refused.rejected(), refused.retry_after()), (Some(Reason::RateLimited), Some(ms(100))));
    assert_eq!(under(ms(101)).build().unwrap().call(work).await, Ok(ms(100)));
    let late = Stack::builder().clock(&clock).rate_limit(&limiter).build().unwrap();
    let refused = late.call(work).by(clock.now() + ms(99)).await.unwrap_err();
    assert_eq!((refused.rejected(), clock.now() - start), (Some(Reason::Deadline), ms(100)));
}

/// A semaphore does not know how long it takes: the wait ends at the deadline, to the nanosecond.
#[apply(sim_test)]
async fn a_wait_ends_at_the_deadline(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let semaphore = Semaphore::builder(1).clock(clock.clone()).build();
    let _all = semaphore.try_acquire(1).unwrap();
    let stack = Stack::builder().clock(&clock).limit(&semaphore).build().unwrap();
    let start = clock.now();
    let refused = stack.call(async |_| Ok::<_, ()>(())).by(start + ms(7)).await.unwrap_err();
    assert_eq!((refused.rejected(), clock.now() - start), (Some(Reason::Deadline), ms(7)));
    let patience = Limited::new(&semaphore).wait_at_most(ms(3));
    let stack = Stack::builder().clock(&clock).policy(patience).build().unwrap();
    let refused = stack.call(async |_| Ok::<_, ()>(())).by(clock.now() + ms(9)).await.unwrap_err();
    assert_eq!((refused.rejected(), clock.now() - start), (Some(Reason::BulkheadFull), ms(10)));
    assert_eq!(semaphore.stats().waiting, 0);
}

#[apply(runtime_test)]
async fn what_can_never_be_is_refused_at_once(runtime: Runtime) {
    let semaphore = Semaphore::new(1);
    let big =
        Stack::builder().clock(runtime.clock()).policy(Limited::new(&semaphore).cost(2)).build().unwrap();
    let refused = async || big.call(async |_| Ok::<_, ()>(())).await.unwrap_err().rejected();
    assert_eq!(refused().await, Some(Reason::TooLarge));
    semaphore.close();
    let stack = Stack::builder().clock(runtime.clock()).limit(&semaphore).build().unwrap();
    let closed = stack.call(async |_| Ok::<_, ()>(())).await.unwrap_err();
    assert_eq!(closed.rejected(), Some(Reason::Closed));
}

#[apply(runtime_test)]
async fn the_limiter_hears_how_it_ended(runtime: Runtime) {
    #[derive(Clone, Copy, Debug)]
    enum Fail {
        Bad,
        Busy,
        Gone,
    }
    let judge = |result: &Result<(), Error<Fail>>| match result {
        Err(Error::Inner(Fail::Busy)) => Class::Throttled,
        Err(Error::Inner(Fail::Gone)) => Class::Permanent,
        other => ByDefault.classify(other),
    };
    let (clock, log) = (runtime.clock(), Log::new(runtime.clock()));
    let stack = Stack::builder().clock(clock).policy(Limited::new(&log).judging(judge)).build().unwrap();
    for (result, heard) in [
        (Ok(()), Outcome::Success),
        (Err(Fail::Bad), Outcome::Ignore),
        (Err(Fail::Busy), Outcome::Overload),
        (Err(Fail::Gone), Outcome::Ignore),
    ] {
        let _ = stack.call(async |_| result).await;
        assert_eq!(log.take(), [heard]);
        let _ = stack.call_once(async { result }).await;
        assert_eq!(log.take(), [heard]);
    }
    let short = Stack::builder().clock(clock).limit(&log).timeout(ms(1)).build().unwrap();
    let late = short.call(async |_| std::future::pending::<Result<(), ()>>().await).await;
    assert!(late.unwrap_err().is_timeout());
    assert_eq!(log.take(), [Outcome::Overload]);
}

/// Who is refused further in, or served there, was never let through: a rate gets its cell back.
#[apply(runtime_test)]
async fn what_did_not_begin_is_given_back(runtime: Runtime) {
    let (clock, log) = (runtime.clock(), Log::new(runtime.clock()));
    let (limiter, full) = (rate(clock, 1, 5), Bulkhead::new(1).queue(9));
    let place = full.try_enter().unwrap();
    let closed = Semaphore::new(1);
    closed.close();
    let stack = Stack::builder()
        .clock(clock)
        .rate_limit(&limiter)
        .limit(&log)
        .fallback(|_: &Error<()>| Some(7))
        .limit(&closed)
        .build()
        .unwrap();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(7));
    assert_eq!((limiter.available(), log.take()), (5, vec![Outcome::Unused]));
    // A second attempt that is refused does not undo the first.
    let beside = Stack::builder()
        .clock(clock)
        .limit(&log)
        .hedge(Hedge::after(ms(60_000)))
        .policy(Limited::new(&*Box::leak(Box::new(Semaphore::new(1)))).without_waiting())
        .build()
        .unwrap();
    assert_eq!(beside.call(async |_| Err::<(), _>(())).await, Err(Error::Inner(())));
    assert_eq!(log.take(), [Outcome::Ignore]);
    // Dropped in the queue further in.
    let queued = Stack::builder().clock(clock).limit(&log).bulkhead(&full).build().unwrap();
    let make = || {
        let call = queued.call(async |_| Ok::<_, ()>(()));
        async {
            let mut call = std::pin::pin!(call);
            futures_lite::future::poll_once(call.as_mut()).await
        }
    };
    assert!(make().await.is_none());
    assert_eq!(log.take(), [Outcome::Unused]);
    drop(place);
}

#[apply(runtime_test)]
async fn a_limited_call_is_dropped_at_every_poll(runtime: Runtime) {
    let clock = runtime.clock();
    let (semaphore, log) = (Semaphore::new(1), Log::new(clock));
    let stack = Stack::builder().clock(clock).limit(&semaphore).limit(&log).build().unwrap();
    let make = || async {
        // One holds it, and the other waits.
        let work = async |_| {
            yield_now().await;
            yield_now().await;
            Ok::<_, ()>(())
        };
        futures_lite::future::zip(stack.call(work), stack.call(work)).await
    };
    let check = async |_| {
        assert_eq!((semaphore.available(), semaphore.stats().waiting), (1, 0));
        assert!(log.take().iter().all(|outcome| *outcome != Outcome::Unused));
    };
    assert!(cancel_at_every_poll(make, check).await > 2);
    cancel_at_every_wake(make, check).await;
}

#[apply(runtime_test)]
async fn a_panic_gives_it_back(runtime: Runtime) {
    let log = Arc::new(Log::new(runtime.clock()));
    let shared = Arc::clone(&log);
    let task = runtime.spawn(async move {
        let stack = weirs_resilience::limit(&*shared);
        stack
            .call(async |_| if stack.name().is_empty() { panic!("on purpose") } else { Ok::<(), ()>(()) })
            .await
    });
    assert!(task.await.is_err());
    assert_eq!(log.take(), [Outcome::Ignore], "it began");
}

#[test]
fn a_call_that_costs_nothing_is_an_error_at_build() {
    let semaphore = Semaphore::new(1);
    let invalid = Stack::builder().policy(Limited::new(&semaphore).cost(0)).build().unwrap_err();
    assert_eq!(invalid.field(), "limit.cost");
    let plan =
        Stack::builder().policy(Limited::rate(&semaphore).wait_at_most(ms(5)).cost(2)).build().unwrap();
    assert_eq!(plan.plan().to_string(), "rate limit: waits for at most 5ms; a call costs 2\n");
    let _ = fallback(|_: &Error<()>| Some(1));
}
