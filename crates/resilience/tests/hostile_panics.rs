//! Panics of everything that a user can hand in, at any moment: nobody else loses anything by it.

mod held;

use std::future::{Future, pending, ready};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures_lite::future::yield_now;
use held::{Held, OnDrop, catch, everything, ms, poll_with};
use weirs_resilience::{
    Abandoned, Breaker, BreakerBuilder, Breakers, Budget, Bulkhead, Cache, CacheSlot, CacheTerms, Circuit,
    Class, Ended, Error, Event, Hedge, Observer, Retry, Stack, fallback, from_async, from_hooks,
};
use weirs_runtime::Runtime;
use weirs_testing::{ManualClock, apply, runtime_test, yields};

/// Panics in `wake`; and in `drop`, if it says so.
struct Panics {
    in_drop: bool,
}

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }

    fn wake_by_ref(self: &Arc<Self>) {
        panic!("a waker that panics");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        assert!(!self.in_drop || std::thread::panicking(), "a waker that panics in drop");
    }
}

/// Panics in the first poll, in a later one, in the making of the future, and in its destructor.
#[apply(runtime_test)]
async fn work_that_panics_anywhere(_: Runtime) {
    struct Bad {
        polls: usize,
        in_drop: bool,
    }
    impl Future for Bad {
        type Output = Result<u32, &'static str>;
        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            assert_ne!(self.polls, 0, "the work panics");
            self.polls -= 1;
            context.waker().wake_by_ref();
            if self.polls == 0 && self.in_drop { Poll::Ready(Ok(1)) } else { Poll::Pending }
        }
    }
    impl Drop for Bad {
        fn drop(&mut self) {
            assert!(!self.in_drop || std::thread::panicking(), "the work's destructor panics");
        }
    }
    let held = Held::new();
    let stack = everything!(held);
    for in_drop in [false, true] {
        for polls in usize::from(in_drop)..3 {
            held.clock.advance(ms(1));
            let mut call = Box::pin(stack.call(|_| Bad { polls, in_drop }));
            assert!(AssertUnwindSafe(&mut call).catch_unwind().await.is_err(), "{polls} {in_drop}");
            // The other one of the hedge has a destructor too.
            let _ = catch(|| drop(call));
            held.check().await;
            // Dropped in the middle: the panic of the destructor goes to whoever drops.
            held.clock.advance(ms(1));
            let mut call = Box::pin(stack.call(|_| Bad { polls: polls + 2, in_drop }));
            assert!(poll_with(call.as_mut(), Waker::noop()).is_pending());
            assert_eq!(catch(|| drop(call)).is_none(), in_drop);
            held.check().await;
        }
    }
    held.clock.advance(ms(1));
    let call = AssertUnwindSafe(stack.call(|_| -> std::future::Ready<_> { panic!("no future") }));
    assert!(call.catch_unwind().await.is_err());
    held.check().await;
    let calls = stack.stats().calls.unwrap();
    assert_eq!(calls.begun, calls.succeeded + calls.failed + calls.dropped);
}

/// The loser of a hedge panics in its destructor, when the winner is there.
#[apply(runtime_test)]
async fn a_loser_whose_destructor_panics(_: Runtime) {
    let held = Held::new();
    let stack = everything!(held);
    let call = stack.call(async |at| {
        if at.hedge() == 0 {
            let _guard = OnDrop(|| assert!(std::thread::panicking(), "the loser's destructor"));
            return pending().await;
        }
        Ok(7)
    });
    // Whether the panic or the answer goes on, nothing stays held.
    let _ = AssertUnwindSafe(call).catch_unwind().await;
    held.check().await;
}

#[apply(runtime_test)]
async fn closures_that_panic(_: Runtime) {
    let held = Held::new();
    let clock = held.clock.clock();
    let budget = &held.budget;
    let fails = async |_| {
        yield_now().await;
        Err::<u32, _>("broken")
    };
    macro_rules! panics {
        ($stack:expr) => {{
            let stack = $stack.build().unwrap();
            let call = AssertUnwindSafe(stack.call(fails)).catch_unwind();
            assert!(call.await.is_err(), "{}", stringify!($stack));
            held.check().await;
            let calls = stack.stats().calls.unwrap();
            assert_eq!((calls.begun, calls.in_flight()), (1, 0), "{}", stringify!($stack));
        }};
    }
    let judge = |_: &Result<u32, Error<&'static str>>| -> Class { panic!("a judge") };
    let new = || Stack::builder().clock(clock).counted().bulkhead(&held.bulkhead);
    panics!(new().retry(Retry::immediate().budget(budget).classify(judge)));
    panics!(new().retry(Retry::immediate().budget(budget)).breaker(held.breaker.judging(judge)));
    panics!(new().hedge(Hedge::after(Duration::ZERO).budget(budget).judging(judge)));
    panics!(new().hedge(Hedge::after(ms(1)).budget(budget).when(|_| panic!("when"))));
    panics!(new().hedge(Hedge::after(ms(1)).budget(budget).delay_with(|_, _| panic!("delay"))));
    panics!(new().fallback(|_: &Error<&'static str>| -> Option<u32> { panic!("a fallback") }));
    panics!(new().shed(|_| panic!("shed")));
    panics!(new().policy(from_hooks(|_| panic!("before"), |(), _| ())));
    panics!(new().policy(from_hooks(|_| Ok(()), |(), _| panic!("after"))));
    panics!(new().policy(from_async(async |_, _| -> Result<u32, Error<&'static str>> { panic!("async") })));
    struct Observes;
    impl Observer for Observes {
        fn on_event(&self, _: &Event<'_>) {
            panic!("an observer");
        }
    }
    let retry = || Retry::immediate().retries(1).budget(budget);
    panics!(new().observer(Observes).retry(retry()));
    panics!(new().observer(Observes).hedge(Hedge::after(Duration::ZERO).budget(budget)).retry(retry()));
    let terms = CacheTerms::ttl(ms(1)).classify(judge).clock(clock);
    let slot = CacheSlot::new(terms).unwrap();
    panics!(new().cache(&slot));
    assert_eq!(slot.peek(), None);
}

/// An observer that panics when the circuit opens leaves a breaker that works.
#[apply(runtime_test)]
async fn a_breaker_whose_observer_panics(_: Runtime) {
    struct Observes;
    impl Observer for Observes {
        fn on_event(&self, _: &Event<'_>) {
            panic!("an observer");
        }
    }
    let time = ManualClock::new();
    let settings = Breaker::consecutive(1).open_for(ms(10)).clock(time.clock()).observer(Observes);
    let breaker = settings.build().unwrap();
    let fails = AssertUnwindSafe(breaker.call(async { Err::<(), _>(()) })).catch_unwind();
    assert!(fails.await.is_err());
    assert_eq!(breaker.state(), Circuit::Open);
    assert_eq!(breaker.stats().openings, 1);
    time.advance(ms(10));
    // The probe's beginning is told too, and panics: nothing of it may stay.
    for _ in 0..3 {
        let _ = AssertUnwindSafe(breaker.call(async { Ok::<_, ()>(()) })).catch_unwind().await;
        time.advance(ms(20));
    }
    assert_eq!(breaker.state(), Circuit::Closed);
    let waits = pin!(breaker.ready());
    assert!(waits.now_or_never().is_some());
    for change in [Breaker::disable, Breaker::metrics_only, Breaker::reset] {
        let _ = catch(|| change(&breaker));
    }
    assert_eq!(breaker.state(), Circuit::Closed);
}

/// Those who wait for a breaker are woken, though one of their wakers panics.
#[apply(runtime_test)]
async fn a_waker_that_panics_keeps_nobody_waiting(_: Runtime) {
    for in_drop in [false, true] {
        let time = ManualClock::new();
        let breaker = Breaker::consecutive(1).clock(time.clock()).build().unwrap();
        breaker.force_open("a test");
        let bulkhead = Bulkhead::new(1).queue(4);
        let permit = bulkhead.try_enter().unwrap();
        let cache = Cache::<u8, u8, ()>::new(4, CacheTerms::ttl(ms(1))).unwrap();
        let mut leader = Box::pin(cache.get(&1, pending));
        assert!(poll_with(leader.as_mut(), Waker::noop()).is_pending());

        let bad: Waker = Arc::new(Panics { in_drop }).into();
        let good = Arc::new(Good::default());
        let good_waker: Waker = good.clone().into();
        let mut readies = [Box::pin(breaker.ready()), Box::pin(breaker.ready())];
        let mut enters = [Box::pin(bulkhead.enter()), Box::pin(bulkhead.enter())];
        let mut gets = [(); 2].map(|()| Box::pin(cache.get(&1, || ready(Ok(3)))));
        for (index, waker) in [&bad, &good_waker].into_iter().enumerate() {
            assert!(poll_with(readies[index].as_mut(), waker).is_pending());
            assert!(poll_with(enters[index].as_mut(), waker).is_pending());
            assert!(poll_with(gets[index].as_mut(), waker).is_pending());
        }
        let _ = catch(|| breaker.reset());
        let _ = catch(|| drop(permit));
        let _ = catch(|| drop(leader));
        let [first_ready, second_ready] = readies;
        assert!(second_ready.now_or_never().is_some());
        let _ = catch(|| drop(first_ready));
        // Those with the bad waker are given up; whoever comes after them has their turn.
        let [first_enter, second_enter] = enters;
        let _ = catch(|| drop(first_enter));
        assert!(second_enter.now_or_never().is_some());
        let [first_get, second_get] = gets;
        let _ = catch(|| drop(first_get));
        assert_eq!(second_get.now_or_never(), Some(Ok(3)));
        assert!(good.0.load(Ordering::Relaxed) >= 3);
        let _ = catch(|| drop(bad));
        assert_eq!(bulkhead.stats().taken, 0);
    }
}

#[derive(Default)]
struct Good(AtomicUsize);

impl Wake for Good {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A key whose `Hash`, `Eq` or `Clone` panics at any moment, with a registry and a cache that go on.
#[apply(runtime_test)]
async fn keys_that_panic(_: Runtime) {
    #[derive(Debug)]
    struct Key<'a>(u8, &'a AtomicUsize);
    impl Key<'_> {
        /// Panics when so many steps are over.
        fn step(&self) {
            let left = self.1.load(Ordering::Relaxed);
            if left > 0 && left < usize::MAX {
                self.1.store(left - 1, Ordering::Relaxed);
                assert_ne!(left, 1, "a key that panics");
            }
        }
    }
    impl Clone for Key<'_> {
        fn clone(&self) -> Self {
            self.step();
            Self(self.0, self.1)
        }
    }
    impl PartialEq for Key<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.step();
            self.0 == other.0
        }
    }
    impl Eq for Key<'_> {}
    impl std::hash::Hash for Key<'_> {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.step();
            // All fall on one another.
            0_u8.hash(state);
        }
    }
    let never = usize::MAX;
    for steps in 1..60 {
        let fuse = AtomicUsize::new(never);
        let time = ManualClock::new();
        let settings: BreakerBuilder = Breaker::consecutive(1).clock(time.clock());
        let breakers = Breakers::builder(settings).max_keys(3).build().unwrap();
        let cache = Cache::<Key<'_>, u8, ()>::new(3, CacheTerms::ttl(ms(5)).clock(time.clock())).unwrap();
        for key in 0..3 {
            drop(breakers.get(&Key(key, &fuse)));
            cache.get(&Key(key, &fuse), async || Ok(key)).await.unwrap();
        }
        fuse.store(steps, Ordering::Relaxed);
        for key in [1, 7, 8] {
            let key = Key(key, &fuse);
            let _ = catch(|| breakers.get(&key));
            let get = AssertUnwindSafe(cache.get(&key, async || Ok(9))).catch_unwind();
            let _ = get.await;
            let _ = catch(|| cache.insert(Key(5, &fuse), 5));
            let _ = catch(|| cache.invalidate(&key));
            let _ = catch(|| cache.peek(&key));
        }
        fuse.store(never, Ordering::Relaxed);
        time.advance(ms(5));
        for key in 0..9 {
            let key = Key(key, &fuse);
            assert_eq!(breakers.get(&key).state(), Circuit::Closed);
            assert_eq!(cache.get(&key, async || Ok(key.0)).now_or_never(), Some(Ok(key.0)), "{steps}");
            assert_eq!(cache.peek(&key), Some(key.0), "{steps}");
        }
        assert!(breakers.stats().keys <= 3);
        assert_eq!(breakers.list().len(), breakers.stats().keys);
        assert_eq!(cache.stats().kept, 3, "{steps}");
    }
}

/// Errors and answers whose destructors panic: those that a retry throws away, and a cache's.
#[apply(runtime_test)]
async fn values_whose_destructors_panic(_: Runtime) {
    #[derive(Debug)]
    struct Bad<'a>(&'a AtomicBool);
    impl Clone for Bad<'_> {
        fn clone(&self) -> Self {
            Self(self.0)
        }
    }
    impl Drop for Bad<'_> {
        fn drop(&mut self) {
            assert!(!self.0.load(Ordering::Relaxed) || std::thread::panicking(), "a value's destructor");
        }
    }
    let armed = AtomicBool::new(false);
    let bulkhead = Bulkhead::new(1);
    let budget = Budget::in_flight(0.0).at_least(2).build().unwrap();
    let stack = Stack::builder()
        .counted()
        .bulkhead(&bulkhead)
        .retry(Retry::immediate().retries(2).budget(&budget))
        .build()
        .unwrap();
    armed.store(true, Ordering::Relaxed);
    let call = AssertUnwindSafe(stack.call(async |_| Err::<(), _>(Bad(&armed)))).catch_unwind();
    let _ = catch(|| drop(call.now_or_never()));
    armed.store(false, Ordering::Relaxed);
    assert_eq!((bulkhead.stats().taken, budget.stats().running), (0, 0));
    assert_eq!(stack.stats().calls.unwrap().in_flight(), 0);

    let replaced = fallback(|_: &Error<Bad<'_>>| Some(1));
    armed.store(true, Ordering::Relaxed);
    let call = AssertUnwindSafe(replaced.call(async |_| Err(Bad(&armed)))).catch_unwind();
    let _ = call.now_or_never();
    armed.store(false, Ordering::Relaxed);

    let time = ManualClock::new();
    let terms = CacheTerms::ttl(ms(1)).clock(time.clock());
    let cache = Cache::<u8, Bad<'_>, ()>::new(2, terms).unwrap();
    for key in 0..2 {
        cache.insert(key, Bad(&armed));
    }
    armed.store(true, Ordering::Relaxed);
    let _ = catch(|| cache.insert(0, Bad(&armed)));
    let _ = catch(|| cache.insert(7, Bad(&armed)));
    let _ = catch(|| cache.invalidate(&1));
    time.advance(ms(2));
    let _ = catch(|| drop(cache.get(&0, || ready(Ok(Bad(&armed)))).now_or_never()));
    let _ = catch(|| cache.clear());
    armed.store(false, Ordering::Relaxed);
    assert_eq!(cache.stats().kept, 0);
    assert!(cache.get(&0, async || Ok(Bad(&armed))).now_or_never().unwrap().is_ok());
    armed.store(false, Ordering::Relaxed);
}

/// Whoever panics while a call is dropped keeps nobody further out from giving back.
#[apply(runtime_test)]
async fn whoever_panics_at_the_end_keeps_nothing_of_others(runtime: Runtime) {
    struct Observes;
    impl Observer for Observes {
        fn on_event(&self, _: &Event<'_>) {
            panic!("an observer");
        }
    }
    let clock = runtime.clock();
    let bulkhead = Arc::new(Bulkhead::new(2));
    let inner = Arc::new(Bulkhead::new(2));
    let breaker = Breaker::consecutive(1).abandoned(Abandoned::Failure).open_for(ms(1)).observer(Observes);
    let hooks = || from_hooks(|_| Ok(()), |(), _: Ended<'_, u32, &'static str>| panic!("after"));
    let typed = |breaker: &Arc<Breaker>| {
        let stack = Stack::builder().clock(clock).counted().observer(Observes).bulkhead(&bulkhead);
        stack.breaker(breaker).policy(hooks()).bulkhead(&inner).build().unwrap()
    };
    let dynamic = |breaker: &Arc<Breaker>| {
        let stack = Stack::dynamic::<u32, &'static str>().clock(clock).counted().observer(Observes);
        let stack =
            stack.layer(|stack| stack.bulkhead(bulkhead.clone())).layer(|stack| stack.breaker(breaker));
        stack.policy(hooks()).layer(|stack| stack.bulkhead(inner.clone())).build().unwrap()
    };
    macro_rules! ends {
        ($make:expr, $polls:expr, $end:expr) => {{
            let breaker = breaker.clone().build().unwrap();
            let stack = $make(&breaker);
            let mut call = Box::pin(stack.call(async |_| {
                yields(2).await;
                assert_ne!($end, "panics", "the work");
                pending().await
            }));
            for _ in 0..$polls {
                assert!(poll_with(call.as_mut(), Waker::noop()).is_pending());
            }
            match $end {
                "dropped" => assert!(catch(|| drop(call)).is_none()),
                "unwinds" => assert!(
                    catch(move || {
                        let _call = call;
                        panic!("elsewhere");
                    })
                    .is_none()
                ),
                _ => {
                    assert!(catch(|| poll_with(call.as_mut(), Waker::noop()).is_ready()).is_none());
                    assert!(catch(|| drop(call)).is_none());
                }
            }
            assert_eq!((bulkhead.stats().taken, inner.stats().taken), (0, 0), "{}", $end);
            let calls = stack.stats().calls.unwrap();
            assert_eq!((calls.begun, calls.dropped, calls.in_flight()), (1, 1, 0), "{}", $end);
            assert_eq!(breaker.state(), Circuit::Open);
        }};
    }
    for end in ["dropped", "unwinds", "panics"] {
        ends!(typed, 2, end);
        ends!(dynamic, 2, end);
    }
}
