//! What nobody should do to a call, and somebody will: drops at odd moments, leaks, calls back into what
//! calls.

mod held;

use std::future::{pending, ready};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::yield_now;
use held::{Held, OnDrop, catch, everything, ms, poll_with};
use weirs_resilience::{
    Breaker, Budget, Bulkhead, CacheSlot, CacheTerms, Error, Event, Hedge, Observer, Reason, Retry, Stack,
    from_async, retry,
};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn a_whole_stack_is_dropped_at_every_poll(_: Runtime) {
    let held = Held::new();
    let stack = everything!(held);
    for fails in [false, true] {
        cancel_at_every_poll(
            || {
                held.clock.advance(ms(1));
                stack.call(async |_| {
                    yields(3).await;
                    if fails { Err("broken") } else { Ok(2) }
                })
            },
            async |_| held.check().await,
        )
        .await;
    }
    let calls = stack.stats().calls.unwrap();
    assert_eq!(calls.begun, calls.succeeded + calls.failed + calls.dropped);
    assert_eq!(calls.in_flight(), 0);
}

/// A boxed dynamic stack has frames that are lent: they come back too.
#[apply(runtime_test)]
async fn a_dynamic_stack_is_dropped_at_every_poll(_: Runtime) {
    let held = Held::new();
    let stack = Stack::dynamic::<u32, &'static str>()
        .clock(held.clock.clock())
        .counted()
        .layer(|stack| stack.cache(&held.slot).timeout(Duration::from_secs(10)))
        .layer(|stack| stack.retry(Retry::immediate().retries(2).budget(&held.budget)))
        .layer(|stack| stack.hedge(Hedge::after(Duration::ZERO).budget(&held.budget)))
        .layer(|stack| stack.breaker(&held.breaker).bulkhead(held.bulkhead.clone()))
        .policy(from_async(async |mut next, at| next.run(at).await))
        .build()
        .unwrap();
    for fails in [false, true] {
        cancel_at_every_poll(
            || {
                held.clock.advance(ms(1));
                stack.call(async |_| {
                    yields(3).await;
                    if fails { Err("broken") } else { Ok(2) }
                })
            },
            async |_| held.check().await,
        )
        .await;
    }
    let calls = stack.stats().calls.unwrap();
    assert_eq!(calls.begun, calls.succeeded + calls.failed + calls.dropped);
}

/// A forgotten call keeps what it holds, and nothing else breaks.
#[apply(runtime_test)]
async fn a_call_that_is_forgotten_keeps_only_its_own(runtime: Runtime) {
    let bulkhead = Arc::new(Bulkhead::new(3).queue(8));
    let slot = CacheSlot::<u32, ()>::new(CacheTerms::ttl(ms(1))).unwrap();
    let stack = Stack::builder().clock(runtime.clock()).bulkhead(&bulkhead);
    let stack = stack.timeout(Duration::from_secs(9)).build().unwrap();
    for _ in 0..2 {
        let mut call = Box::pin(stack.call(async |_| pending::<Result<u32, ()>>().await));
        assert!(poll_with(call.as_mut(), Waker::noop()).is_pending());
        std::mem::forget(call);
    }
    assert_eq!(bulkhead.stats().taken, 2);
    assert_eq!(stack.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
    // One that waits in the queue is forgotten: it is given its place, and keeps it.
    let last = bulkhead.try_enter().unwrap();
    let mut waits = Box::pin(stack.call(async |_| Ok::<_, ()>(1)));
    assert!(poll_with(waits.as_mut(), Waker::noop()).is_pending());
    std::mem::forget(waits);
    drop(last);
    assert_eq!(bulkhead.stats().taken, 3);
    bulkhead.set_places(4);
    assert_eq!(stack.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
    // A leader that is forgotten keeps the others waiting, as the docs say; whoever waits has a limit.
    let cached = Stack::builder().cache(&slot).build().unwrap();
    let mut leader = Box::pin(cached.call(async |_| pending::<Result<u32, ()>>().await));
    assert!(poll_with(leader.as_mut(), Waker::noop()).is_pending());
    std::mem::forget(leader);
    let mut follower = Box::pin(cached.call(async |_| Ok(3)));
    assert!(poll_with(follower.as_mut(), Waker::noop()).is_pending());
    drop(follower);
    // The way out is by hand.
    slot.invalidate();
    assert_eq!(cached.call(async |_| Ok(4)).await, Ok(4));
}

#[apply(runtime_test)]
async fn polled_after_it_was_ready_and_dropped_after_that(_: Runtime) {
    let held = Held::new();
    let stack = everything!(held);
    held.clock.advance(ms(1));
    let mut call = Box::pin(stack.call(async |_| Ok(1)));
    assert_eq!(poll_with(call.as_mut(), Waker::noop()), Poll::Ready(Ok(1)));
    // It may panic or be pending, as futures do; but it must hold nothing, and run nothing a second time.
    let _ = catch(|| poll_with(call.as_mut(), Waker::noop()).is_ready());
    drop(call);
    held.check().await;
    let calls = stack.stats().calls.unwrap();
    assert_eq!((calls.begun, calls.succeeded, calls.in_flight()), (1, 1, 0));
}

#[apply(runtime_test)]
async fn dropped_while_unwinding(_: Runtime) {
    let held = Held::new();
    let stack = everything!(held);
    for polls in 0..4 {
        held.clock.advance(ms(1));
        let ended = catch(|| {
            let mut call = Box::pin(stack.call(async |_| {
                yields(9).await;
                Ok(1)
            }));
            for _ in 0..polls {
                assert!(poll_with(call.as_mut(), Waker::noop()).is_pending());
            }
            panic!("elsewhere");
        });
        assert!(ended.is_none());
        held.check().await;
    }
}

/// The work calls the stack that calls it: each level has its own place, and the deepest is refused.
#[apply(runtime_test)]
async fn work_that_calls_its_own_stack(_: Runtime) {
    let bulkhead = Bulkhead::new(3);
    let breaker = Breaker::consecutive(100).build().unwrap();
    let stack = Stack::builder().retry(Retry::immediate().retries(1)).breaker(&breaker).bulkhead(&bulkhead);
    let stack = stack.build().unwrap();
    async fn deeper(
        stack: &Stack<impl weirs_resilience::Policy<u32, &'static str>>,
        at: weirs_resilience::Attempt,
    ) -> Result<u32, &'static str> {
        let inner = stack.call(async |at| Box::pin(deeper(stack, at)).await).under(at);
        match inner.await {
            Ok(depth) => Ok(depth + 1),
            Err(error) if error.rejected() == Some(Reason::BulkheadFull) => Ok(1),
            Err(_) => Err("something else"),
        }
    }
    let depth = stack.call(async |at| Box::pin(deeper(&stack, at)).await).await;
    assert_eq!(depth, Ok(3));
    assert_eq!(bulkhead.stats().taken, 0);
}

/// An observer looks at the breaker, forces it, and drops the last handle of it.
#[apply(runtime_test)]
async fn an_observer_that_calls_back(_: Runtime) {
    #[derive(Default)]
    struct Observes {
        breaker: OnceLock<Weak<Breaker>>,
        last: Mutex<Option<Arc<Breaker>>>,
        told: AtomicUsize,
        tells: AtomicBool,
    }
    struct Shared(Arc<Observes>);
    impl Observer for Shared {
        fn on_event(&self, event: &Event<'_>) {
            let _ = format!("{event:?}");
            let told = self.0.told.fetch_add(1, Ordering::Relaxed);
            // What it does itself is told too.
            if self.0.tells.swap(true, Ordering::Relaxed) {
                return;
            }
            if let Some(breaker) = self.0.breaker.get().and_then(Weak::upgrade) {
                let _ = (breaker.state(), breaker.stats(), breaker.snapshot(), breaker.ready_at());
                let _ = (breaker.try_acquire().is_ok(), breaker.forced_because());
                match told {
                    0 => breaker.force_open("told"),
                    1 => breaker.reconfigure(Breaker::consecutive(2)).unwrap(),
                    2 => breaker.reset(),
                    3 => breaker.restore(&breaker.snapshot()),
                    _ => {}
                }
            }
            let last = self.0.last.lock().unwrap().take();
            drop(last);
            self.0.tells.store(false, Ordering::Relaxed);
        }
    }
    let observes = Arc::new(Observes::default());
    let settings = Breaker::consecutive(1).open_for(ms(1)).observer(Shared(observes.clone()));
    let breaker = settings.build().unwrap();
    observes.breaker.set(Arc::downgrade(&breaker)).unwrap();
    for _ in 0..5 {
        let _ = breaker.call(async { Err::<(), _>(()) }).await;
    }
    assert!(observes.told.load(Ordering::Relaxed) > 2);
    let weak = Arc::downgrade(&breaker);
    breaker.reset();
    let permit = breaker.try_acquire_owned().unwrap();
    let second = breaker.try_acquire_owned().unwrap();
    *observes.last.lock().unwrap() = Some(breaker);
    permit.failure();
    second.failure();
    observes.last.lock().unwrap().take();
    assert!(weak.upgrade().is_none());
}

/// A fallback of a fallback's error, a retry whose work drops the stack's last handle.
#[apply(runtime_test)]
async fn the_last_handle_is_dropped_by_the_work(_: Runtime) {
    let bulkhead = Arc::new(Bulkhead::new(1));
    let weak = Arc::downgrade(&bulkhead);
    let stack = Arc::new(Stack::builder().bulkhead(bulkhead).build().unwrap());
    let own = Mutex::new(Some(stack.clone()));
    let call = stack.call(async |_| {
        drop(own.lock().unwrap().take());
        yield_now().await;
        Ok::<_, ()>(1)
    });
    assert_eq!(call.await, Ok(1));
    drop(stack);
    assert!(weak.upgrade().is_none());
}

/// Nobody would: a retry in a hedge in a retry in a hedge. No number comes twice, and nothing stays.
#[apply(sim_test)]
async fn hedges_in_retries_in_hedges(runtime: Runtime) {
    let clock = runtime.clock();
    let bulkhead = Bulkhead::new(100);
    let budget = Budget::in_flight(0.0).at_least(100).build().unwrap();
    let retry = || Retry::constant(ms(1)).retries(2).budget(&budget);
    let stack = Stack::builder()
        .clock(clock)
        .hedge(Hedge::after(ms(5)).max(2).budget(&budget))
        .retry(retry())
        .hedge(Hedge::after(ms(2)).max(1).budget(&budget))
        .retry(retry())
        .bulkhead(&bulkhead)
        .build()
        .unwrap();
    for ends in 1..40 {
        let begun = AtomicUsize::new(0);
        let running = Mutex::new(Vec::new());
        let call = stack.call(async |at| {
            let number = begun.fetch_add(1, Ordering::Relaxed);
            {
                let mut running = running.lock().unwrap();
                assert!(!running.contains(&at.hedge()), "hedge {} runs twice", at.hedge());
                running.push(at.hedge());
            }
            let _guard = OnDrop(|| running.lock().unwrap().retain(|hedge| *hedge != at.hedge()));
            clock.sleep(ms(clock.random_below(9))).await;
            if number == ends { Ok(()) } else { Err("broken") }
        });
        let _ = call.await;
        assert!(running.lock().unwrap().is_empty());
        assert!(begun.into_inner() <= 3 * 3 * 2 * 3);
        assert_eq!((bulkhead.stats().taken, budget.stats().running), (0, 0));
    }
}

#[apply(runtime_test)]
async fn a_retry_whose_work_fails_at_once_for_ever_gives_way(_: Runtime) {
    // A call that never waits must still be droppable by who runs beside it: at least it ends by itself.
    let stack = retry(Retry::immediate().retries(10_000));
    let call = stack.call(|_| ready(Err::<(), _>(())));
    assert_eq!(call.await, Err(Error::Inner(())));
}
