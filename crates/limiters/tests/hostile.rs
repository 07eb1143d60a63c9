//! What nobody should do, and somebody will: the same limiter twice, wakers that panic and wakers that ask,
//! keys that call back, numbers without sense, thousands of everything.

mod common;

use std::collections::BTreeSet;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use common::Hand;
use futures_lite::{StreamExt, stream};
use weirs_limiters::*;
use weirs_runtime::{Clock, Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{
    ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields,
};

const SECOND: Duration = Duration::from_secs(1);

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

fn manual(quota: Quota) -> (ManualClock, RateLimiter) {
    let time = ManualClock::new();
    let limiter = RateLimiter::builder(quota).clock(time.clock().clone()).max_waiters(200_000).build();
    (time, limiter)
}

fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

struct PanicsWhenDropped;

impl Wake for PanicsWhenDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a waker that panics when it is dropped");
        }
    }
}

struct Does<F>(F);

impl<F: Fn() + Send + Sync> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// What the same limiter twice can never admit is refused in the end: nobody spins for ever.
#[apply(runtime_test)]
async fn the_same_limiter_twice_is_refused(_: Runtime) {
    let semaphore = Semaphore::new(3);
    let all = all_of([&semaphore, &semaphore]);
    assert!(all.acquire(1).await.is_ok(), "two of three");
    let refused = all.acquire(2).await.unwrap_err();
    assert!(matches!(refused.denied(), Denied::Busy { .. }), "{refused:?}");
    assert_eq!(semaphore.available(), 3);

    let limiter = RateLimiter::new(Quota::smooth(Rate::per_second(1_000)));
    let all = all_of([&limiter as &dyn Limit, &limiter, &semaphore]);
    assert!(matches!(all.acquire(1).await.unwrap_err().denied(), Denied::Later { .. }));
    assert!(limiter.acquire(1).await.is_ok());
}

struct Broken;

impl Limit for Broken {
    fn clock(&self) -> &Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        CLOCK.get_or_init(Clock::default)
    }

    fn try_acquire_at(&self, _: Instant, cost: u64) -> Result<Grant, Denied> {
        Ok(Grant::new(cost, 1))
    }

    fn peek_at(&self, _: Instant, _: u64) -> Result<u64, Denied> {
        Ok(1)
    }

    fn poll_acquire(&self, waiting: &mut Waiting, _: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        Poll::Ready(Ok(Grant::new(waiting.cost(), 1)))
    }

    fn cancel(&self, _: &mut Waiting) {}

    fn release(&self, _: Grant, _: Outcome) {
        panic!("a limiter that panics");
    }
}

#[apply(runtime_test)]
async fn of_several_a_limiter_that_panics_loses_no_permits_of_the_others(_: Runtime) {
    let (one, two, none) = (Semaphore::new(1), Semaphore::new(1), Semaphore::new(0));
    let all = all_of([&one as &dyn Limit, &Broken, &two]);
    let held = all.try_acquire(1).unwrap();
    assert!(catch(|| held.success()).is_none());
    assert_eq!((one.available(), two.available()), (1, 1));
    // The same when it is given back because another refuses.
    let all = all_of([&one as &dyn Limit, &Broken, &two, &none]);
    assert!(catch(|| all.try_acquire(1)).is_none());
    assert_eq!((one.available(), two.available()), (1, 1));
    assert!(catch(|| Hand::new(all.acquire(1)).poll()).is_none());
    assert_eq!((one.available(), two.available()), (1, 1));
}

/// The waker is the limiter's alone, and its destructor panics: whoever comes next has its turn all the same.
#[apply(runtime_test)]
async fn a_waker_that_panics_when_it_is_dropped_keeps_nobody_waiting(_: Runtime) {
    let (time, limiter) = manual(quota(10, 5));
    limiter.try_acquire(5).unwrap();
    let mut large = Box::pin(limiter.acquire(5));
    let mut small = Hand::new(limiter.acquire(1));
    assert!(poll_with(large.as_mut(), &Arc::new(PanicsWhenDropped).into()).is_pending());
    assert!(small.poll().is_pending());
    time.advance(SECOND / 10);
    drop_quietly(large);
    assert_eq!(small.wakes(), 1);
    assert!(small.poll().is_ready());

    let semaphore = Semaphore::new(5);
    let held = semaphore.try_acquire(4).unwrap();
    let mut large = Box::pin(semaphore.acquire(5));
    let mut small = Hand::new(semaphore.acquire(1));
    assert!(poll_with(large.as_mut(), &Arc::new(PanicsWhenDropped).into()).is_pending());
    assert!(small.poll().is_pending());
    drop_quietly(large);
    assert!(small.poll().is_ready());

    // Another waker takes its place, and the wait goes on.
    let mut large = Box::pin(semaphore.acquire(5));
    assert!(poll_with(large.as_mut(), &Arc::new(PanicsWhenDropped).into()).is_pending());
    let _ = catch(|| poll_with(large.as_mut(), Waker::noop()));
    assert!(poll_with(large.as_mut(), Waker::noop()).is_pending());
    drop((small, held));
    assert!(poll_with(large.as_mut(), Waker::noop()).is_ready());
    assert_eq!(semaphore.stats().waiting, 0);
}

fn drop_quietly<T>(value: T) {
    let _ = catch(|| drop(value));
}

/// What is given back leaves nothing in the log: its memory is what its docs say.
#[apply(runtime_test)]
async fn a_log_of_what_was_not_used_does_not_grow(_: Runtime) {
    let time = ManualClock::new();
    let log = SlidingLog::builder(4, SECOND * 86_400).clock(time.clock().clone()).sliding_log().unwrap();
    let none = Semaphore::new(0);
    let all = all_of([&log as &dyn Limit, &none]);
    for _ in 0..100_000 {
        time.advance(Duration::from_micros(1));
        assert!(all.try_acquire(1).is_err());
    }
    assert_eq!(log.available(), 4);
}

/// Nobody behind a cost beyond all measure is lost when the count of those ahead is full.
#[apply(runtime_test)]
async fn costs_beyond_all_measure_do_not_overflow_the_count_of_those_ahead(_: Runtime) {
    let (time, limiter) = manual(quota(1, 1));
    let limiter = Arc::new(limiter);
    limiter.try_acquire(1).unwrap();
    let mut first = Hand::new(limiter.acquire(1));
    assert!(first.poll().is_pending());
    let mut second = Box::pin(limiter.acquire_by(1, at(3_000_000_000)));
    let asks: Arc<Mutex<Vec<String>>> = Arc::default();
    let waker = {
        let (limiter, asks) = (limiter.clone(), asks.clone());
        Waker::from(Arc::new(Does(move || {
            let reserved = limiter.reserve(u64::MAX, Duration::MAX);
            asks.lock().unwrap().push(format!("{reserved:?}"));
            let mut huge = Hand::new(limiter.acquire(u64::MAX));
            asks.lock().unwrap().push(format!("{:?}", huge.poll()));
        })))
    };
    assert!(poll_with(second.as_mut(), &waker).is_pending());
    time.advance(SECOND * 10);
    limiter.set_quota(Quota::UNLIMITED, Keep::Cells);
    eprintln!("{asks:?}");
    assert!(first.poll().is_ready());
    assert!(poll_with(second.as_mut(), &waker).is_ready());
    assert_eq!(limiter.stats().waiting, 0);
    limiter.set_quota(quota(1, 1), Keep::Nothing);
    limiter.try_acquire(1).unwrap();
}

#[apply(sim_test)]
async fn usage_is_halved_after_each_half_life_however_seldom_somebody_looks(_: Runtime) {
    let time = ManualClock::new();
    let usage = Usage::new(SECOND * 10, time.clock().clone());
    usage.add("greedy", 1_024);
    for _ in 0..10 {
        time.advance(SECOND * 19);
        let _ = usage.share("greedy");
    }
    // 190 seconds are nineteen half-lives: nothing to speak of is left.
    usage.add("other", 1);
    assert!(usage.share("greedy") < 0.1, "{}", usage.share("greedy"));
}

/// A request that panics gives back its place, and runs nothing of the user's on its way.
#[apply(runtime_test)]
async fn a_request_that_panics_does_not_run_the_algorithm(_: Runtime) {
    struct Bad;
    impl LimitAlgorithm for Bad {
        fn on_window(&mut self, _: &Window) -> f64 {
            panic!("an algorithm that panics");
        }
    }
    let time = ManualClock::new();
    let limiter =
        AdaptiveLimiter::builder().clock(time.clock().clone()).window(SECOND, 1).algorithm(Bad).build();
    limiter.try_acquire().unwrap().success();
    let held = limiter.try_acquire().unwrap();
    time.advance(SECOND * 2);
    let ended = catch(|| {
        let _held = held;
        panic!("a request that panics");
    });
    assert_eq!((ended, limiter.stats().in_flight), (None::<()>, 0));
}

#[apply(runtime_test)]
async fn permits_that_are_forgotten_below_a_smaller_capacity(_: Runtime) {
    let semaphore = Semaphore::new(10);
    let all = semaphore.try_acquire(10).unwrap();
    semaphore.set_capacity(3);
    all.forget();
    assert_eq!((semaphore.capacity(), semaphore.available(), semaphore.stats().held), (0, 0, 0));
    semaphore.set_capacity(5);
    assert_eq!((semaphore.available(), semaphore.stats().held), (5, 0));
    semaphore.set_capacity(Semaphore::MAX_CAPACITY);
    let all = semaphore.try_acquire(Semaphore::MAX_CAPACITY).unwrap();
    semaphore.set_capacity(0);
    assert_eq!((semaphore.available(), semaphore.stats().held), (0, Semaphore::MAX_CAPACITY));
    assert_eq!(semaphore.try_acquire(1).unwrap_err(), Denied::TooLarge { max: 0 });
    semaphore.try_acquire(0).unwrap();
    semaphore.set_capacity(Semaphore::MAX_CAPACITY);
    let mut waits = Hand::new(semaphore.acquire(1));
    assert!(waits.poll().is_pending());
    drop(all);
    assert!(waits.poll().is_ready());
}

#[apply(runtime_test)]
async fn permits_of_two_semaphores_do_not_mix(_: Runtime) {
    let (one, two) = (Arc::new(Semaphore::new(4)), Arc::new(Semaphore::new(4)));
    let mut a = one.try_acquire(2).unwrap();
    let b = two.try_acquire(3).unwrap();
    assert!(catch(|| a.merge(b)).is_none());
    assert_eq!((a.permits(), one.available(), two.available()), (2, 2, 4));
    assert!(a.split(3).is_none());
    let none = a.split(0).unwrap();
    let all = a.split(2).unwrap();
    assert_eq!((none.permits(), a.permits(), all.permits()), (0, 0, 2));
    a.merge(all);
    a.merge(none);
    let mut c = one.try_acquire_owned(1).unwrap();
    assert!(catch(|| c.merge(two.try_acquire_owned(1).unwrap())).is_none());
    drop((a, c));
    assert_eq!((one.available(), two.available()), (4, 4));
}

#[apply(runtime_test)]
async fn huge_credits_and_debits(_: Runtime) {
    let (time, limiter) = manual(quota(10, 5));
    for n in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 48, 1 << 38, 1, 0] {
        limiter.credit(n);
        assert_eq!(limiter.available(), 5, "{n}");
    }
    for _ in 0..3 {
        for n in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 48, 1 << 38, 1] {
            limiter.debit(n);
            assert_eq!(limiter.available(), 0, "{n}");
        }
    }
    assert_eq!(limiter.try_acquire(1), Err(Denied::Later { retry_after: Duration::MAX }));
    limiter.credit(u64::MAX);
    limiter.try_acquire(5).unwrap();
    limiter.set_quota(quota(10, 5), Keep::Nothing);
    assert_eq!(limiter.available(), 5);
    limiter.estimate(5).unwrap().settle(u64::MAX);
    assert_eq!(limiter.available(), 0);
    limiter.set_quota(quota(10, 5), Keep::Nothing);
    limiter.estimate(0).unwrap().settle(0);
    limiter.estimate(5).unwrap().settle(0);
    assert_eq!(limiter.available(), 5);
    // Without a limit nothing is owed, and going back to one is possible.
    for keep in [Keep::Cells, Keep::Proportion, Keep::Nothing] {
        limiter.set_quota(Quota::UNLIMITED, keep);
        limiter.debit(u64::MAX);
        limiter.try_acquire(u64::MAX).unwrap();
        limiter.reserve(u64::MAX, Duration::MAX).unwrap().cancel();
        limiter.set_quota(quota(20, 50), keep);
        assert_eq!(limiter.available(), 50, "{keep:?}");
    }
    for n in [0, 1, 50] {
        limiter.reserve(n, Duration::MAX).unwrap().cancel();
        assert_eq!(limiter.available(), 50);
    }
    time.set(at(u64::MAX - 1));
    limiter.reserve(50, Duration::MAX).unwrap();
    assert_eq!(limiter.reserve(50, Duration::MAX).unwrap_err().retry_after(), None);
}

/// Windows of every size, under a clock that jumps: peeking says what asking says, and the limit is kept.
#[apply(runtime_test)]
async fn windows_of_odd_sizes_under_a_clock_that_jumps(_: Runtime) {
    let century = SECOND * 86_400 * 36_525;
    for window in [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(7), century * 2, century * 4]
    {
        for limit in [0, 1, 7, Quota::MAX_BURST, Quota::MAX_BURST + 1, u64::MAX] {
            for segments in [0_usize, 1, 3, 7, 1_000, usize::MAX] {
                let time = ManualClock::new();
                let builder = || {
                    FixedWindow::builder(limit, window)
                        .clock(time.clock().clone())
                        .segments(segments)
                        .aligned_to(at(u64::MAX - 3))
                };
                let mut all: Vec<Box<dyn Limit>> = Vec::new();
                all.extend(builder().fixed().ok().map(|limit| Box::new(limit) as Box<dyn Limit>));
                all.extend(builder().sliding_counter().ok().map(|limit| Box::new(limit) as Box<dyn Limit>));
                all.extend(builder().segmented().ok().map(|limit| Box::new(limit) as Box<dyn Limit>));
                all.extend(builder().sliding_log().ok().map(|limit| Box::new(limit) as Box<dyn Limit>));
                for (number, one) in all.iter().enumerate() {
                    let what = format!("{window:?} {limit} {segments} {number}");
                    for now in [5, 0, 1 << 62, 1, 1 << 63, 6, (1 << 63) + 1] {
                        time.set(at(now));
                        for n in [0, 1, limit, u64::MAX, limit / 2, 1] {
                            let (peek, grant) = (one.peek_at(at(now), n), one.try_acquire_at(at(now), n));
                            assert_eq!(peek.is_ok(), grant.is_ok(), "{what} {now} {n} {peek:?} {grant:?}");
                            assert_eq!(n > limit, grant == Err(Denied::TooLarge { max: limit }), "{what}");
                            assert!(n > 0 || grant.is_ok(), "{what}");
                            let _ = grant.map(|grant| one.release(grant, Outcome::Unused));
                            let _ = one.try_acquire_at(at(now), n);
                            for deadline in [0, 7, u64::MAX] {
                                let _ = Hand::new(acquire(&**one, n).by(at(deadline))).poll();
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whoever waits as long as was said is admitted, for warming up of every size.
#[apply(runtime_test)]
async fn warming_up_for_centuries(_: Runtime) {
    let century = SECOND * 86_400 * 36_525;
    let rates = [
        Rate::new(1, Duration::from_nanos(1)).unwrap(),
        Rate::new(999_999_937, SECOND).unwrap(),
        Rate::per_second(1),
        Rate::new(1, century * 5).unwrap(),
    ];
    for rate in rates {
        for warm_up in [Duration::from_nanos(1), SECOND, century, century * 5, Duration::MAX] {
            let time = ManualClock::new();
            let Ok(limiter) = WarmUp::builder(rate, warm_up).clock(time.clock().clone()).build() else {
                continue;
            };
            let mut now = 0_u64;
            for n in [0, 1, 2, 1 << 20, 1 << 38, u64::MAX, 1] {
                let what = format!("{rate} {warm_up:?} {n} at {now}");
                match limiter.try_acquire(n) {
                    Ok(_) => {}
                    Err(Denied::TooLarge { max }) => assert!(n > max, "{what}"),
                    Err(denied) => {
                        let Some(wait) = denied.retry_after() else { continue };
                        let Some(then) = now.checked_add(wait.as_nanos() as u64) else { continue };
                        time.set(at(then - 1));
                        assert!(limiter.try_acquire(n).is_err(), "{what} {wait:?}: too early");
                        time.set(at(then));
                        now = then;
                        assert!(limiter.try_acquire(n).is_ok(), "{what} {wait:?}");
                    }
                }
            }
            time.set(at(0));
            let _ = (limiter.try_acquire(1), Hand::new(limiter.acquire(1)).poll());
            let _ = Hand::new(limiter.acquire_by(1, Instant::FAR_FUTURE)).poll();
        }
    }
    for rate in [Rate::ZERO, Rate::UNLIMITED] {
        assert!(WarmUp::new(rate, SECOND).is_err());
    }
    assert!(WarmUp::new(Rate::per_second(1), Duration::ZERO).is_err());
}

/// Wakers that ask, give up for others, change the quota and close: no lock is held while they run.
#[apply(runtime_test)]
async fn wakers_that_use_what_wakes_them(_: Runtime) {
    for (way, of_rate) in (0..5).flat_map(|way| [(way, true), (way, false)]) {
        let (time, limiter) = manual(quota(10, 1));
        let (limiter, semaphore) = (Arc::new(limiter), Arc::new(Semaphore::new(1)));
        limiter.try_acquire(1).unwrap();
        let held = semaphore.try_acquire_owned(1).unwrap();
        let limit: Arc<dyn Limit> = if of_rate { limiter.clone() } else { semaphore.clone() };
        {
            let others: Arc<Mutex<Vec<Acquire<Arc<dyn Limit>>>>> = Arc::default();
            let ran = Arc::new(AtomicUsize::new(0));
            let waker = {
                let (limit, others, ran) = (limit.clone(), others.clone(), ran.clone());
                let (limiter, semaphore) = (limiter.clone(), semaphore.clone());
                Waker::from(Arc::new(Does(move || {
                    if ran.fetch_add(1, Ordering::Relaxed) > 100 {
                        return;
                    }
                    drop(try_acquire(&limit, 1));
                    let _ = Hand::new(acquire(&limit, 1)).poll();
                    let taken = mem::take(&mut *others.lock().unwrap());
                    match way {
                        0 => drop(taken),
                        1 => limiter.set_quota(quota(20, 2), Keep::Cells),
                        2 => semaphore.set_capacity(2),
                        3 => [limiter.close(), semaphore.close()][0],
                        _ => drop(format!("{limiter:?} {semaphore:?} {:?}", limiter.stats())),
                    }
                })))
            };
            let mut first = Box::pin(acquire(limit.clone(), 1));
            assert!(poll_with(first.as_mut(), &waker).is_pending());
            for _ in 0..20 {
                let mut other = acquire(limit.clone(), 1);
                let _ = poll_with(Pin::new(&mut other), &waker);
                others.lock().unwrap().push(other);
            }
            time.advance(SECOND / 10);
            drop(held);
            let _ = poll_with(first.as_mut(), &waker);
            assert!(ran.load(Ordering::Relaxed) > 0);
            others.lock().unwrap().clear();
        }
        assert_eq!(limiter.stats().waiting, 0);
        assert_eq!((semaphore.stats().waiting, semaphore.stats().held), (0, 0), "{way}");
    }
}

/// A future that is forgotten keeps its place: those behind it wait, and are told when all ends.
#[apply(runtime_test)]
async fn what_is_forgotten_holds_up_and_loses_nothing_else(_: Runtime) {
    let (time, limiter) = manual(quota(10, 1));
    limiter.try_acquire(1).unwrap();
    let mut forgotten = Box::pin(limiter.acquire(1));
    assert!(poll_with(forgotten.as_mut(), Waker::noop()).is_pending());
    mem::forget(forgotten);
    let mut behind = Hand::new(limiter.acquire(1));
    assert!(behind.poll().is_pending());
    time.advance(SECOND);
    // Anybody who looks serves the line, so the forgotten one is granted and the next has its timer.
    limiter.credit(0);
    assert_eq!(limiter.stats().waiting, 1);
    assert_eq!(behind.wakes(), 1);
    assert!(behind.poll().is_pending());
    time.advance(SECOND / 10);
    assert!(behind.poll().is_ready());
    limiter.close();

    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire(1).unwrap();
    let mut forgotten = Box::pin(semaphore.acquire(1));
    assert!(poll_with(forgotten.as_mut(), Waker::noop()).is_pending());
    mem::forget(forgotten);
    let mut behind = Hand::new(semaphore.acquire(1));
    assert!(behind.poll().is_pending());
    drop(held);
    assert!(behind.poll_again().is_pending());
    semaphore.set_capacity(2);
    assert!(behind.poll().is_ready());
}

/// Granted and dropped before it was polled: while unwinding too.
#[apply(runtime_test)]
async fn what_was_granted_and_is_dropped_goes_to_the_next(_: Runtime) {
    for unwinds in [false, true] {
        let (time, limiter) = manual(quota(10, 1));
        let semaphore = Semaphore::new(1);
        let window = SlidingLog::builder(1, SECOND).clock(time.clock().clone()).sliding_log().unwrap();
        let keyed = Keyed::<str>::builder(quota(10, 1)).clock(time.clock().clone()).build();
        let key = keyed.limit_of("key");
        for limit in [&limiter as &dyn Limit, &semaphore, &window, &key] {
            let held = try_acquire(limit, 1).unwrap();
            let mut waits = [(); 3].map(|()| Hand::new(acquire(limit, 1)));
            waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
            drop(held);
            // Past its time and before that of the next.
            time.advance(SECOND + SECOND / 20);
            let [first, mut second, third] = waits;
            drop(third);
            match unwinds {
                true => {
                    let unwound = catch(move || -> () {
                        let _first = first;
                        panic!("on purpose");
                    });
                    assert_eq!(unwound, None);
                }
                false => drop(first),
            }
            assert!(second.wakes() == 1 && second.poll().is_ready());
        }
    }
}
