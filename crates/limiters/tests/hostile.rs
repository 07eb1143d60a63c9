// tidy: allow(size): what somebody will try stands together
//! What nobody should do, and somebody will: the same limiter twice, wakers that panic and wakers that ask,
//! keys that call back, numbers without sense, thousands of everything.

mod common;

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::Hand;
use futures_lite::{StreamExt, stream};
use weirs_limiters::{
    AdaptiveLimiter, Aimd, Class, CoDel, CorrelatedVegas, Denied, FixedWindow, Gradient2, Grant, Held, Keep,
    Keyed, Limit, LimitAlgorithm, LimitStream, Mode, OnFull, Outcome, Priority, PriorityShedder, QueueDelay,
    Quota, QuotaId, Rate, RateLimiter, SegmentedWindow, Semaphore, SlidingLog, Throttle, Usage, Vegas,
    Waiting, WarmUp, Window, acquire, all_of, try_acquire,
};
use weirs_runtime::{Clock, Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, runtime_test, sim_test};

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

    let limiter = RateLimiter::new(Quota::smooth(Rate::per_hour(1)));
    let all = all_of([&limiter as &dyn Limit, &limiter, &semaphore]);
    assert!(matches!(all.acquire(1).await.unwrap_err().denied(), Denied::Later { .. }));
    assert!(limiter.acquire(1).await.is_ok());
}

/// Two who wait for the same two limiters do not send each other to and fro.
#[apply(runtime_test)]
async fn several_that_are_busy_in_turns_come_to_rest(_: Runtime) {
    let (time, rate) = manual(quota(1, 1));
    let semaphore = Semaphore::builder(1).clock(time.clock().clone()).build();
    rate.try_acquire(1).unwrap();
    let held = semaphore.try_acquire(1).unwrap();
    let all = all_of([&semaphore as &dyn Limit, &rate]);
    let mut waits = [(); 2].map(|()| Hand::new(all.acquire(1)));
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    drop(held);
    let mut polls = 0;
    while let Some(wait) = waits.iter_mut().find(|wait| wait.wakes() > 0) {
        assert!(wait.poll().is_pending());
        polls += 1;
        assert!(polls < 10, "they wait for the rate");
    }
    time.advance(SECOND);
    assert!(waits.iter_mut().any(|wait| wait.wakes() > 0 && wait.poll().is_ready()));
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
    assert_eq!(asks.lock().unwrap().len(), 2, "the one that was too late asked");
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
    assert!(semaphore.try_acquire(0).is_ok());
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
    assert!(limiter.reserve(50, Duration::MAX).is_ok());
    assert_eq!(limiter.reserve(50, Duration::MAX).unwrap_err().retry_after(), None);
}

/// To reserve in a debt that no counting anew makes smaller once never came to an end.
#[apply(runtime_test)]
async fn reserved_beyond_what_the_count_has_room_for(_: Runtime) {
    let (time, limiter) = manual(quota(10, 5));
    time.set(at(1));
    limiter.debit(u64::MAX);
    let error = limiter.reserve(1, Duration::MAX).unwrap_err();
    assert_eq!(error.retry_after(), None);
    assert_eq!(error, Denied::Later { retry_after: Duration::MAX });
    limiter.credit(u64::MAX);
    assert!(limiter.reserve(5, Duration::ZERO).is_ok());

    // A large burst, given out again and again: refused only when no word could count it.
    let (time, limiter) = manual(quota(1_000_000_000, Quota::MAX_BURST));
    time.set(at(1 << 50));
    let reserved = (0..1000).take_while(|_| limiter.reserve(Quota::MAX_BURST, Duration::MAX).is_ok()).count();
    assert_eq!(reserved, 3);
    assert_eq!(limiter.available(), 0);
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
            let others = Arc::new(Mutex::new(Vec::new()));
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

fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let entropy = SeededEntropy::new(seed);
    let mut order: Vec<_> = (0..count).collect();
    for end in (1..count).rev() {
        order.swap(end, (entropy.next_u64() % (end as u64 + 1)) as usize);
    }
    order
}

/// A hundred thousand wait: each is woken once, and it takes as long for each as for a few.
#[test]
fn a_hundred_thousand_wait_for_a_rate() {
    const MANY: usize = 100_000;
    let (time, limiter) = manual(quota(1_000, 1_000));
    limiter.try_acquire(1_000).unwrap();
    let mut waits: Vec<_> = (0..MANY).map(|_| Hand::new(limiter.acquire(1))).collect();
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    for second in 1..=MANY / 1_000 {
        time.set(at(second as u64 * 1_000_000_000));
        let due = &mut waits[(second - 1) * 1_000..second * 1_000];
        // The first has the timer, and lets all go who are due.
        assert!(due[0].poll_again().is_ready());
        assert!(due[1..].iter_mut().all(|wait| wait.wakes() == 1 && wait.poll_again().is_ready()));
    }
    assert_eq!(limiter.stats().waiting, 0);
    // And whoever gives up does so in any order.
    limiter.try_acquire(limiter.available()).unwrap();
    let mut waits: Vec<_> = (0..MANY).map(|_| Some(Hand::new(limiter.acquire(1)))).collect();
    waits.iter_mut().flatten().for_each(|wait| assert!(wait.poll().is_pending()));
    for quotas in 0..20 {
        limiter.set_quota(quota(1 + quotas, 1), Keep::Cells);
    }
    assert!(waits[1..].iter().flatten().all(|wait| wait.wakes() == 0), "only the first is timed anew");
    shuffled(MANY, 7).into_iter().for_each(|at| waits[at] = None);
    assert_eq!(limiter.stats().waiting, 0);
}

#[test]
fn a_hundred_thousand_wait_for_permits() {
    const MANY: usize = 100_000;
    for mode in [Mode::Fair, Mode::Lifo, Mode::Barging { max_bypass: 8 }] {
        let semaphore = Semaphore::builder(1_000).mode(mode).max_waiters(MANY).build();
        let all = semaphore.try_acquire(1_000).unwrap();
        let mut waits: Vec<_> = (0..MANY).map(|_| Some(Hand::new(semaphore.acquire(1)))).collect();
        waits.iter_mut().flatten().for_each(|wait| assert!(wait.poll().is_pending()));
        for capacity in [900, 1_000, 10, 1_000] {
            semaphore.set_capacity(capacity);
        }
        shuffled(MANY, 3).into_iter().take(MANY / 2).for_each(|at| waits[at] = None);
        assert_eq!(semaphore.stats().waiting, MANY / 2);
        drop(all);
        let mut admitted = 0;
        while admitted < MANY / 2 {
            let before = admitted;
            for place in &mut waits {
                if place.as_ref().is_some_and(|wait| wait.wakes() > 0) {
                    assert_eq!(place.as_ref().unwrap().wakes(), 1);
                    assert!(place.take().unwrap().poll_again().is_ready());
                    admitted += 1;
                }
            }
            assert!(admitted > before, "{mode:?}: somebody has its turn");
        }
        assert_eq!((semaphore.available(), semaphore.stats().waiting), (1_000, 0));
    }
}

#[test]
fn ten_thousand_wait_for_windows_and_keys() {
    const MANY: usize = 10_000;
    let time = ManualClock::new();
    let builder = || {
        FixedWindow::builder(5_000, SECOND).clock(time.clock().clone()).max_waiters(MANY).aligned_to(at(0))
    };
    let keyed =
        Keyed::<u64>::builder(quota(5_000, 5_000)).max_waiters(MANY).clock(time.clock().clone()).build();
    let key = keyed.limit_of(&1);
    let (fixed, sliding) = (builder().fixed().unwrap(), builder().sliding_counter().unwrap());
    let (segmented, log) = (builder().segmented().unwrap(), builder().sliding_log().unwrap());
    for (number, limit) in [&fixed as &dyn Limit, &sliding, &segmented, &log, &key].into_iter().enumerate() {
        for _ in 0..5_000 {
            drop(try_acquire(limit, 1).unwrap());
            time.advance(Duration::from_nanos(1));
        }
        let mut waits: Vec<_> = (0..MANY).map(|_| Some(Hand::new(acquire(limit, 1)))).collect();
        waits.iter_mut().flatten().for_each(|wait| assert!(wait.poll().is_pending()));
        let mut late = Hand::new(acquire(limit, 1));
        assert!(matches!(late.poll(), Poll::Ready(Err(Denied::QueueFull { .. }))));
        let mut left = MANY;
        let mut rounds = 0;
        let _ = waits[0].as_mut().unwrap().poll();
        while left > 0 {
            rounds += 1;
            assert!(rounds < 50, "{number}: {left} still wait");
            time.advance(SECOND / 4);
            for place in &mut waits {
                if place.as_ref().is_some_and(|wait| wait.wakes() > 0) {
                    match place.as_mut().unwrap().poll() {
                        Poll::Ready(admitted) => {
                            drop(admitted.unwrap());
                            *place = None;
                            left -= 1;
                        }
                        Poll::Pending => {}
                    }
                }
            }
        }
        time.advance(SECOND * 10);
    }
}

/// A million keys: the table does not grow, and cleaning up looks at no more places than it is told.
#[test]
fn a_flood_of_keys_stays_within_its_bounds() {
    for on_full in [OnFull::EvictFullest, OnFull::DenyNew, OnFull::SharedOverflow] {
        for exact in [false, true] {
            let time = ManualClock::new();
            let builder = Keyed::<u64>::builder(quota(1, 3)).max_keys(10_000).on_full(on_full);
            let builder = builder.clock(time.clock().clone());
            let keyed = if exact { builder.exact() } else { builder }.build();
            let known = (0..1_000).filter(|key| keyed.try_acquire(key, 1).is_ok()).count();
            assert_eq!(known, 1_000);
            let mut admitted = 0_u64;
            for key in 1_000..1_000_000 {
                admitted += u64::from(keyed.try_acquire(&key, 1).is_ok());
            }
            let stats = keyed.stats();
            assert!(stats.keys <= stats.places && stats.places <= 20_000, "{stats:?}");
            match on_full {
                OnFull::EvictFullest => assert_eq!(admitted, 999_000),
                _ => {
                    assert!(admitted <= stats.places as u64 + 3, "{admitted}");
                    let kept = (0..1_000).filter(|key| keyed.available(key) == 2).count();
                    assert_eq!(kept, 1_000, "nobody who was there loses anything");
                }
            }
            time.advance(SECOND * 10);
            assert!(keyed.sweep(16) <= 16);
            let mut freed = keyed.sweep(1_000);
            assert!(freed <= 1_000);
            while keyed.stats().keys > 0 && freed > 0 {
                freed = keyed.sweep(1_000) + keyed.sweep(10_000);
            }
            assert_eq!(keyed.stats().keys, 0);
        }
    }
}

/// A key whose code does what it is told.
#[derive(Clone)]
struct Key(u64, Arc<Mutex<Option<&'static str>>>);

impl Key {
    fn does(&self, what: &str) {
        let mut trick = self.1.lock().unwrap();
        if *trick == Some(what) {
            *trick = None;
            drop(trick);
            panic!("a key that panics");
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.does("hash");
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.does("eq");
        self.0 == other.0
    }
}

impl Eq for Key {}

/// A key that panics once, wherever: nobody else waits for ever, and nothing is counted wrongly.
#[apply(runtime_test)]
async fn a_key_that_panics_loses_nothing_of_others(_: Runtime) {
    for trick in ["hash", "eq"] {
        for step in 0..5 {
            let time = ManualClock::new();
            let keyed = Keyed::builder(quota(10, 1)).clock(time.clock().clone()).exact().build();
            let key = Key(1, Arc::default());
            keyed.try_acquire(&key, 1).unwrap();
            let mut first = Some(Hand::new(keyed.acquire(&key, 1)));
            let mut second = Hand::new(keyed.acquire(&key, 1));
            assert!(first.as_mut().unwrap().poll().is_pending());
            assert!(second.poll().is_pending());
            let set = || *key.1.lock().unwrap() = Some(trick);
            match step {
                0 => {
                    set();
                    let _ = catch(|| keyed.try_acquire(&key, 1));
                }
                1 => {
                    set();
                    let _ = catch(|| Hand::new(keyed.acquire(&key, 1)).poll());
                }
                2 => {
                    set();
                    drop_quietly(first.take());
                }
                3 => {
                    time.advance(SECOND / 10);
                    set();
                    let _ = catch(|| first.as_mut().unwrap().poll());
                    drop_quietly(first.take());
                }
                _ => {
                    time.advance(SECOND / 10);
                    set();
                    drop_quietly(first.take());
                }
            }
            *key.1.lock().unwrap() = None;
            drop(first);
            let what = format!("{trick} {step}");
            let mut ready = false;
            for _ in 0..5 {
                ready = ready || second.poll_again().is_ready();
                time.advance(SECOND / 10);
            }
            assert!(ready, "{what}: it was its turn");
            drop(second);
            assert_eq!(keyed.stats().waiting, 0, "{what}");
        }
    }
}

/// A key that panics while a quota changes: all others hear of the change, and those behind it, too.
#[apply(runtime_test)]
async fn a_key_that_panics_holds_up_no_change_of_a_quota(_: Runtime) {
    for keys in 1..=3 {
        let time = ManualClock::new();
        let keyed = Keyed::builder(quota(10, 2)).clock(time.clock().clone()).exact().build();
        let trick = Arc::default();
        let keys: Vec<_> = (0..keys).map(|key| Key(key, Arc::clone(&trick))).collect();
        let mut waits = Vec::new();
        for key in &keys {
            keyed.try_acquire(key, 2).unwrap();
            waits.extend([2, 1, 2, 1].map(|n| Hand::new(keyed.acquire(key, n))));
        }
        waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
        *trick.lock().unwrap() = Some("eq");
        assert!(catch(|| keyed.set_quota(QuotaId::default(), quota(10, 1))).is_none());
        let mut over = vec![false; waits.len()];
        for _ in 0..5 {
            for (wait, over) in waits.iter_mut().zip(&mut over).filter(|(_, over)| !**over) {
                // Nobody looks who was not woken.
                *over = wait.wakes() > 0 && wait.poll_again().is_ready();
            }
            time.advance(SECOND / 10);
        }
        assert!(over.iter().all(|over| *over), "{over:?}");
        assert_eq!(keyed.stats().waiting, 0);
    }
}

/// Of the shared cells too a refusal takes none.
#[apply(runtime_test)]
async fn a_refusal_takes_no_shared_cells(_: Runtime) {
    for exact in [false, true] {
        let time = ManualClock::new();
        let builder = Keyed::<u64>::builder(quota(1, 3)).max_keys(8).on_full(OnFull::SharedOverflow);
        let builder = builder.clock(time.clock().clone());
        let keyed = if exact { builder.exact() } else { builder }.build();
        let mut key = 0;
        while keyed.stats().overflowed == 0 {
            key += 1;
            keyed.try_acquire(&key, 1).unwrap();
        }
        let (new, none) = (keyed.limit_of(&key), Semaphore::new(0));
        let all = all_of([&new as &dyn Limit, &none]);
        for _ in 0..10 {
            assert_eq!(all.try_acquire(1).unwrap_err().index(), 1, "{exact}");
        }
        assert!(keyed.try_acquire(&key, 2).is_ok(), "{exact}");
    }
}

/// One limiter for tasks of two runtimes at once, whose clocks both run in real time.
#[test]
fn two_runtimes_share_limiters() {
    const EACH: usize = 50;
    let limiter = Arc::new(RateLimiter::new(quota(20_000, 1)));
    let semaphore = Arc::new(Semaphore::new(2));
    let work = || {
        let (limiter, semaphore) = (limiter.clone(), semaphore.clone());
        async move {
            let permit = semaphore.acquire_owned(1).await.unwrap();
            limiter.acquire(1).await.unwrap();
            drop(permit);
        }
    };
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let here: Vec<_> = (0..EACH).map(|_| tokio.spawn(work())).collect();
    let there: Vec<_> = (0..EACH).map(|_| smol::spawn(work())).collect();
    smol::block_on(async {
        for task in there {
            task.await;
        }
        for task in here {
            task.await.unwrap();
        }
    });
    assert_eq!((semaphore.available(), limiter.stats().waiting), (2, 0));
}

/// Slow consumers hold what they have, and no more is taken from the stream than is admitted.
#[apply(runtime_test)]
async fn a_stream_with_a_slow_consumer(_: Runtime) {
    let semaphore = Arc::new(Semaphore::new(2));
    let taken = AtomicUsize::new(0);
    let items = stream::iter(0..10).inspect(|_| _ = taken.fetch_add(1, Ordering::Relaxed));
    let mut items = Box::pin(items.limit_concurrency(semaphore.clone()));
    let (one, two) = (items.next().await.unwrap().unwrap(), items.next().await.unwrap().unwrap());
    let mut next = Hand::new(items.next());
    assert!(next.poll().is_pending() && next.poll().is_pending());
    assert_eq!(taken.load(Ordering::Relaxed), 3, "one waits");
    drop(next);
    assert_eq!(semaphore.stats().waiting, 1, "the stream waits, not its `next`");
    drop(one);
    assert_eq!(*items.next().await.unwrap().unwrap(), 2);
    semaphore.close();
    let refused = items.next().await.unwrap().unwrap_err();
    assert_eq!((refused.item, refused.denied), (3, Denied::Closed));
    for item in 4..10 {
        assert_eq!(items.next().await.unwrap().unwrap_err().item, item);
    }
    assert!(items.next().await.is_none());
    drop(items);
    drop(two);
    assert_eq!((semaphore.available(), semaphore.stats().waiting), (2, 0));
}

/// A limiter that is dropped while it waits in a stream or in several, and futures polled after their end.
#[apply(runtime_test)]
async fn polled_after_the_end_it_asks_anew(_: Runtime) {
    let (time, limiter) = manual(quota(10, 1));
    let mut future = Hand::new(limiter.acquire(1));
    assert!(future.poll().is_ready());
    assert!(future.poll().is_pending(), "the second one");
    time.advance(SECOND / 10);
    assert!(future.poll().is_ready());
    drop(future);
    let semaphore = Semaphore::new(1);
    let all = all_of([&semaphore]);
    let mut future = Hand::new(all.acquire(1));
    let held = future.poll();
    assert!(future.poll().is_pending());
    drop(held);
    assert!(future.poll().is_ready());
}

#[apply(runtime_test)]
async fn shedders_stand_odd_numbers(_: Runtime) {
    let time = ManualClock::new();
    let clock = || time.clock().clone();
    let times = [0, 1, 5, u64::MAX, 3, u64::MAX - 1, 1 << 63, 0];
    let spans = [Duration::ZERO, Duration::from_nanos(1), SECOND, Duration::MAX];
    for (target, interval) in spans.into_iter().flat_map(|one| spans.map(|other| (one, other))) {
        let mut queue = CoDel::new(target, interval);
        let delay = QueueDelay::new(target, interval, clock());
        for now in times {
            time.set(at(now));
            for waited in spans {
                let _ = (queue.refuses(at(now), waited), queue.is_bad());
            }
            for since in times {
                let _ = delay.admit(at(since));
            }
            queue.empty();
        }
    }
    let shedder = PriorityShedder::new(clock());
    for rate in [-1.0, 0.0, 1e-300, 0.5, 1.0, 7.0, f64::INFINITY, f64::NEG_INFINITY] {
        for class in [Class::Critical, Class::High, Class::Normal, Class::Low, Class::Background] {
            for place in [0, 50, 99, 100, u16::MAX] {
                let _ = shedder.admit(Priority::new(class, place));
            }
        }
        shedder.set_rate(rate);
        assert_eq!(shedder.admit(Class::Critical.into()).is_ok(), rate < 1.0, "{rate}");
        assert_eq!(shedder.rate(), rate.clamp(0.0, 1.0));
    }
    assert!(catch(|| shedder.set_rate(f64::NAN)).is_none());
    for (waiting, from, full) in [(0, 0, 0), (1, 0, 0), (5, 10, 2), (5, 2, 10), (u64::MAX, 0, u64::MAX)] {
        assert!((0.0..=1.0).contains(&PriorityShedder::fullness(waiting, from, full)));
    }
    for half_life in [Duration::from_nanos(1), SECOND, Duration::MAX] {
        let usage = Usage::new(half_life, clock());
        for now in times {
            time.set(at(now));
            for _ in 0..10 {
                usage.add("greedy", u64::MAX);
            }
            usage.add("modest", 0);
            let share = usage.share("greedy");
            assert!((0.0..=1.0).contains(&share), "{share}");
            assert!(usage.place("modest") < 100 && usage.place("greedy") < 100);
        }
    }
    for share in [f64::NAN, -0.1, 0.0, 1.1, f64::INFINITY] {
        assert!(catch(|| Throttle::builder().healthy(share)).is_none(), "{share}");
        assert_eq!(catch(|| Throttle::builder().max_rejection(share)).is_some(), share == 0.0, "{share}");
    }
    assert!(catch(|| Throttle::builder().max_rejection(1.0)).is_none());
    assert!(catch(|| Throttle::builder().window(Duration::ZERO)).is_none());
    for window in [Duration::from_nanos(1), SECOND, Duration::MAX] {
        let throttle = Throttle::builder().window(window).clock(clock()).build();
        for now in times {
            time.set(at(now));
            for turn in 0..50 {
                if let Ok(request) = throttle.try_acquire() {
                    if turn % 3 == 0 { request.success() } else { request.overload() }
                }
                assert!(throttle.stats().rejection <= 0.9);
            }
            assert!(throttle.peek_at(at(now), 0).is_ok() && throttle.try_acquire_at(at(now), 0).is_ok());
        }
    }
}

/// Latencies of nothing and of everything, under a clock that jumps, for every algorithm.
#[apply(runtime_test)]
async fn an_adaptive_limiter_stands_odd_latencies(_: Runtime) {
    fn check<A: LimitAlgorithm>(algorithm: impl Fn() -> A) {
        let windows = [(Duration::ZERO, 0), (Duration::ZERO, 1), (Duration::MAX, u64::MAX), (SECOND, 3)];
        for (length, samples) in windows {
            let time = ManualClock::new();
            let builder = || AdaptiveLimiter::builder().clock(time.clock().clone()).window(length, samples);
            let wide = builder().limits(1..=Semaphore::MAX_CAPACITY).initial_limit(u64::MAX);
            let wide = wide.algorithm(algorithm()).build();
            assert_eq!(wide.limit(), Semaphore::MAX_CAPACITY);
            let limiter = builder().limits(2..=9).initial_limit(0).algorithm(algorithm()).build();
            assert_eq!(limiter.limit(), 2);
            for now in [0, u64::MAX, 0, 1 << 63, 5, 5, 5, u64::MAX - 1] {
                for turn in 0..50 {
                    let held = (limiter.try_acquire(), wide.try_acquire());
                    time.set(at(now));
                    for held in [held.0, held.1].into_iter().flatten() {
                        if turn % 7 == 0 { held.overload() } else { held.success() }
                    }
                    assert!((2..=9).contains(&limiter.limit()));
                    assert!((1..=Semaphore::MAX_CAPACITY).contains(&wide.limit()));
                }
            }
            assert_eq!((limiter.stats().in_flight, wide.stats().in_flight), (0, 0));
        }
    }
    check(|| Aimd::new(Duration::ZERO));
    check(|| Aimd::new(Duration::MAX));
    check(Vegas::new);
    check(Gradient2::new);
    check(Gradient2::as_published);
    check(CorrelatedVegas::new);
}

/// Everything at once by chance, against what has to hold at every step.
#[apply(sim_test)]
async fn a_random_script_of_everything(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let below = |bound: u64| clock.random_below(bound);
    let time = ManualClock::new();
    let clock = || time.clock().clone();
    let rate = RateLimiter::builder(quota(100, 7)).clock(clock()).build();
    let semaphore = Semaphore::builder(5).clock(clock()).build();
    let mode = [Mode::Lifo, Mode::Barging { max_bypass: 2 }][below(2) as usize];
    let other = Semaphore::builder(4).mode(mode).clock(clock()).build();
    let log = SlidingLog::builder(9, SECOND / 10).clock(clock()).sliding_log().unwrap();
    let segments = SegmentedWindow::builder(9, SECOND / 10).clock(clock()).segmented().unwrap();
    let fixed = FixedWindow::builder(9, SECOND / 10).clock(clock()).fixed().unwrap();
    let keyed = Keyed::<u64>::builder(quota(100, 5)).clock(clock()).exact().build();
    let keys = [keyed.limit_of(&1), keyed.limit_of(&2)];
    let inner = all_of([&rate as &dyn Limit, &other]);
    let adaptive = AdaptiveLimiter::builder()
        .clock(clock())
        .limits(2..=6)
        .window(SECOND / 100, 2)
        .algorithm(Aimd::new(SECOND / 50))
        .build();
    let outer = all_of([&semaphore as &dyn Limit, &inner, &keys[0], &log]);
    let limits: [&dyn Limit; 11] =
        [&rate, &semaphore, &other, &log, &segments, &fixed, &keys[0], &keys[1], &inner, &adaptive, &outer];
    let mut waits = Vec::new();
    let mut held: Vec<(usize, Held<&dyn Limit>)> = Vec::new();
    let mut strict: [Vec<(u64, u64)>; 2] = Default::default();
    let note = |which: usize, at: u64, n: u64, strict: &mut [Vec<(u64, u64)>; 2]| {
        if which == 3 || which == 4 {
            strict[which - 3].push((at, n));
        }
    };
    for _ in 0..400 {
        let now = time.clock().now().as_nanos();
        let which = below(limits.len() as u64) as usize;
        let limit = limits[which];
        match below(12) {
            0..=1 => {
                if let Ok(one) = try_acquire(limit, below(4)) {
                    note(which, now, one.grant().cost(), &mut strict);
                    held.push((which, one));
                }
            }
            2..=4 => {
                let cost = 1 + below(3);
                let mut wait = acquire(limit, cost);
                if below(3) == 0 {
                    wait = wait.by(at(now + below(200_000_000)));
                }
                waits.push((which, cost, Hand::new(wait)));
            }
            5 if !waits.is_empty() => drop(waits.swap_remove(below(waits.len() as u64) as usize)),
            6..=7 if !held.is_empty() => {
                let (_, one) = held.swap_remove(below(held.len() as u64) as usize);
                one.end([Outcome::Success, Outcome::Overload, Outcome::Ignore][below(3) as usize]);
            }
            8 => rate.set_quota(quota(100, 5 + below(3)), [Keep::Cells, Keep::Proportion][below(2) as usize]),
            9 => semaphore.set_capacity(4 + below(3)),
            _ => time.advance(Duration::from_nanos(below(30_000_000))),
        }
        // Whoever was woken, and whoever is new, is polled until nothing moves.
        let mut moves = true;
        let mut rounds = 0;
        while moves {
            moves = false;
            rounds += 1;
            assert!(rounds < 1_000, "it comes to rest");
            let mut at = 0;
            while at < waits.len() {
                let (which, _, wait) = &mut waits[at];
                let which = *which;
                if rounds > 1 && wait.wakes() == 0 {
                    at += 1;
                    continue;
                }
                moves |= wait.wakes() > 0;
                match wait.poll() {
                    Poll::Pending => at += 1,
                    Poll::Ready(result) => {
                        moves = true;
                        drop(waits.swap_remove(at));
                        match result {
                            Ok(one) => {
                                note(which, time.clock().now().as_nanos(), one.grant().cost(), &mut strict);
                                held.push((which, one));
                            }
                            Err(Denied::TooLarge { .. } | Denied::WouldMissDeadline { .. })
                            | Err(Denied::DeadlinePassed) => {}
                            Err(denied) => panic!("{which}: {denied:?}"),
                        }
                    }
                }
            }
        }
        // Nobody waits alone for what is there.
        let there = [
            rate.available(),
            semaphore.available(),
            other.available(),
            log.available(),
            segments.available(),
            fixed.available(),
            keyed.available(&1),
            keyed.available(&2),
        ];
        for (which, there) in there.into_iter().enumerate() {
            let mut alone = waits.iter().filter(|(of, ..)| *of == which || *of == 8 || *of == 10);
            if let (Some((of, cost, _)), None) = (alone.next(), alone.next()) {
                assert!(*of != which || *cost > there, "{which}: one waits for {cost} of {there}");
            }
        }
        let stats = semaphore.stats();
        let of = |whiches: &[usize]| -> u64 {
            held.iter().filter(|(of, _)| whiches.contains(of)).map(|(_, one)| one.grant().cost()).sum()
        };
        assert_eq!(stats.held, of(&[1, 10]));
        assert_eq!(other.stats().held, of(&[2, 8, 10]));
        assert_eq!(adaptive.stats().in_flight, of(&[9]));
        for admitted in &strict {
            let now = time.clock().now().as_nanos();
            let lately = admitted.iter().rev().take_while(|(at, _)| now - at < 100_000_000);
            assert!(lately.map(|(_, n)| n).sum::<u64>() <= 9);
        }
    }
    drop(waits);
    drop(held);
    assert_eq!((semaphore.stats().held, semaphore.stats().waiting, other.available()), (0, 0, 4));
    assert_eq!((rate.stats().waiting, log.waiting(), keyed.stats().waiting), (0, 0, 0));
    assert_eq!(adaptive.stats().in_flight, 0);
}
