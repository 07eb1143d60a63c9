//! The promises of policies that are written as async functions.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use futures_lite::future::{or, yield_now};
use weirs_resilience::{Attempt, Error, Next, Reason, Rejection, Stack, from_async, from_async_once};
use weirs_runtime::Runtime;
use weirs_testing::{
    InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Result = std::result::Result<u32, Error<&'static str>>;

async fn twice(mut next: Next<u32, &'static str>, at: Attempt) -> Result {
    yield_now().await;
    match next.run(at).await {
        Err(Error::Inner(_)) => next.run(at.numbered(2)).await,
        result => result,
    }
}

#[apply(runtime_test)]
async fn it_runs_what_is_inside_as_often_as_it_likes(runtime: Runtime) {
    let policy = from_async(twice).named("twice");
    let stack = Stack::builder().clock(runtime.clock()).policy(policy).timeout(ms(60_000)).build().unwrap();
    assert_eq!(stack.plan().parts()[0].name(), "twice");
    let report = stack.call_reported(async |at| {
        yields(2).await;
        if at.number() == 2 { Ok(1) } else { Err("no") }
    });
    let report = report.await;
    assert_eq!((report.result, report.attempts), (Ok(1), 2));
}

#[apply(runtime_test)]
async fn it_need_not_run_anything(runtime: Runtime) {
    let refuse = from_async_once(async |_next, _| Err(Error::Rejected(Rejection::from(Reason::Shed))));
    let stack = Stack::builder().clock(runtime.clock()).timeout(ms(60_000)).policy(refuse).build().unwrap();
    let refused: Result = stack.call_once(async { Ok(1) }).await;
    match refused.unwrap_err() {
        Error::Rejected(rejection) => {
            assert_eq!((rejection.reason(), rejection.place().index()), (Reason::Shed, Some(1)));
        }
        other => panic!("{other:?}"),
    }
    let one = from_async_once(async |next, at| Ok(1 + next.run(at).await?));
    let stack = Stack::builder().clock(runtime.clock()).policy(one).build().unwrap();
    assert_eq!(stack.call_once(async { Ok::<_, &str>(1) }).await, Ok(2));
}

#[apply(sim_test)]
async fn a_run_that_it_drops_is_dropped(runtime: Runtime) {
    let inside = InFlight::new();
    let clock = runtime.clock().clone();
    let policy = from_async({
        let (clock, inside) = (clock.clone(), inside.clone());
        move |mut next: Next<u32, &'static str>, at| {
            let (clock, inside) = (clock.clone(), inside.clone());
            async move {
                let patience = async {
                    clock.sleep(ms(5)).await;
                    Err(Error::Inner("slow"))
                };
                let first = or(next.run(at), patience).await;
                assert_eq!(first, Err(Error::Inner("slow")));
                // The next run begins when the one before is gone.
                let second = next.run(at.numbered(2)).await;
                assert_eq!(inside.peak(), 1);
                second
            }
        }
    });
    let stack = Stack::builder().clock(&clock).policy(policy).build().unwrap();
    let start = clock.now();
    let result = stack.call(async |at| {
        let _inside = inside.enter();
        clock.sleep(ms(if at.number() == 1 { 50 } else { 3 })).await;
        Ok(at.number())
    });
    assert_eq!(result.await, Ok(2));
    assert_eq!((clock.now() - start, inside.now(), inside.entered()), (ms(8), 0, 2));
}

#[apply(runtime_test)]
async fn a_run_with_a_waker_of_its_own_is_woken(runtime: Runtime) {
    let policy = from_async(|mut next: Next<u32, &'static str>, at| async move {
        let mut runs = FuturesUnordered::new();
        runs.push(next.run(at));
        runs.next().await.unwrap_or(Ok(0))
    });
    let stack = Stack::builder().clock(runtime.clock()).policy(policy).build().unwrap();
    let result = stack.call(async |_| {
        yields(3).await;
        Ok(1)
    });
    assert_eq!(result.await, Ok(1));
}

#[apply(runtime_test)]
async fn a_run_may_be_given_to_another_task(runtime: Runtime) {
    let spawner = runtime.clone();
    let policy = from_async(move |mut next: Next<u32, &'static str>, at| {
        let spawner = spawner.clone();
        async move { spawner.spawn(async move { next.run(at).await }).await.unwrap() }
    });
    let stack = Stack::builder().clock(runtime.clock()).policy(policy).build().unwrap();
    let result = stack.call(async |_| {
        yields(3).await;
        Ok(1)
    });
    assert_eq!(result.await, Ok(1));
}

#[apply(runtime_test)]
async fn who_keeps_a_run_too_long_is_told(runtime: Runtime) {
    let kept = Arc::new(std::sync::Mutex::new(None));
    let policy = from_async({
        let kept = kept.clone();
        move |next: Next<u32, &'static str>, at| {
            *kept.lock().unwrap() = Some((next, at));
            async { Ok(5) }
        }
    });
    let stack = Stack::builder().clock(runtime.clock()).policy(policy).build().unwrap();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(5));
    let (mut next, at) = kept.lock().unwrap().take().unwrap();
    assert_eq!(next.run(at).await.unwrap_err().rejected(), Some(Reason::Closed));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_the_work_goes_first(runtime: Runtime) {
    let order = RefCell::new(Vec::new());
    struct Says<'o>(&'o RefCell<Vec<&'static str>>, &'static str);
    impl Drop for Says<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }
    let policy = from_async(|mut next: Next<u32, &'static str>, at| {
        let order = &order;
        async move {
            let _permit = Says(order, "permit");
            let result = next.run(at).await;
            yield_now().await;
            result
        }
    });
    let stack = Stack::builder().clock(runtime.clock()).policy(policy).build().unwrap();
    let make = || {
        stack.call(async |_| {
            let _work = Says(&order, "work");
            yields(2).await;
            Ok(1)
        })
    };
    let check = async |k| {
        let dropped = std::mem::take(&mut *order.borrow_mut());
        assert_eq!(dropped, if k == 0 { vec![] } else { vec!["work", "permit"] });
    };
    assert_eq!(cancel_at_every_poll(make, check).await, 3);
    cancel_at_every_wake(make, check).await;
}

#[apply(runtime_test)]
async fn panics_are_the_callers(runtime: Runtime) {
    let calls = Arc::new(AtomicUsize::new(0));
    let policy = from_async({
        let calls = calls.clone();
        move |mut next: Next<u32, &'static str>, at| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                let result = next.run(at).await;
                assert!(!first, "expected by this test");
                result
            }
        }
    });
    let stack = Arc::new(Stack::builder().clock(runtime.clock()).policy(policy).build().unwrap());
    for number in 0..3 {
        let stack = stack.clone();
        let task = runtime.spawn(async move {
            let work = async |_| {
                yield_now().await;
                assert!(number != 1, "expected by this test");
                Ok(number)
            };
            stack.call(work).await
        });
        let result = task.await;
        assert_eq!(result.ok(), (number == 2).then_some(Ok(2)));
    }
}
