//! The smaller tools: gauge, cancelling at every point, manual and late clocks.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use weirs_runtime::{Clock, Instant, Runtime, TimerDriver, block_on};
use weirs_testing::{
    InFlight, LateClock, ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test,
    sim_test, yields,
};

const MS: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("in the waker");
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[apply(runtime_test)]
async fn a_gauge_counts_across_tasks(runtime: Runtime) {
    let in_flight = InFlight::new();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let in_flight = in_flight.clone();
            runtime.spawn(async move {
                let _guard = in_flight.enter();
                yields(3).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((in_flight.now(), in_flight.entered()), (0, 20));
    assert!((1..=20).contains(&in_flight.peak()));
}

#[test]
fn every_poll_is_a_place_to_drop() {
    let polled = Cell::new(0);
    let counts = RefCell::new(Vec::new());
    let polls = block_on(cancel_at_every_poll(
        || {
            polled.set(0);
            let (mut left, polled) = (2, &polled);
            poll_fn(move |cx| {
                polled.set(polled.get() + 1);
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        },
        async |k| counts.borrow_mut().push((k, polled.get())),
    ));
    assert_eq!(polls, 2);
    assert_eq!(*counts.borrow(), [(0, 0), (1, 1), (2, 2), (3, 3)]);
}

#[test]
fn a_ready_future_is_made_twice() {
    let made = Cell::new(0);
    let make = || {
        made.set(made.get() + 1);
        async {}
    };
    assert_eq!(block_on(cancel_at_every_poll(make, async |_| {})), 0);
    assert_eq!(made.get(), 2);
}

#[test]
fn the_drop_comes_after_the_wake() {
    let slot = RefCell::new(None::<Waker>);
    let was_woken = Cell::new(false);
    let woken_when_dropped = RefCell::new(Vec::new());
    let dropping = cancel_at_every_wake(
        || {
            was_woken.set(false);
            let guard = OnDrop(|| woken_when_dropped.borrow_mut().push(was_woken.get()));
            let (slot, was_woken) = (&slot, &was_woken);
            poll_fn(move |cx| {
                let _ = &guard;
                if was_woken.get() {
                    return Poll::Ready(());
                }
                slot.replace(Some(cx.waker().clone()));
                Poll::Pending
            })
        },
        async |_| {},
    );
    let waking = async {
        loop {
            yields(3).await;
            if let Some(waker) = slot.take() {
                was_woken.set(true);
                waker.wake();
            }
        }
    };
    assert_eq!(block_on(futures_lite::future::or(dropping, waking)), 1);
    assert_eq!(*woken_when_dropped.borrow(), [true, true]);
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_future_that_keeps_its_first_waker_is_found() {
    let keeps = || {
        let (mut first, mut polls) = (None::<Waker>, 0);
        poll_fn(move |cx| {
            polls += 1;
            first.get_or_insert_with(|| cx.waker().clone()).wake_by_ref();
            if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let mut found = pin!(cancel_at_every_poll(keeps, async |_| {}));
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut rounds = 0;
    while found.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        if wakes.0.swap(0, Ordering::SeqCst) == 0 {
            return;
        }
        rounds += 1;
        assert!(rounds < 100);
    }
    panic!("it should have got stuck");
}

#[test]
#[should_panic(expected = "it has to finish by itself")]
fn a_future_without_end_is_given_up() {
    let endless = || async {
        loop {
            yields(1).await;
        }
    };
    // Each k polls k times: what is tested is the limit, not the patience.
    block_on(cancel_at_every_poll(endless, async |_| {}));
}

#[test]
fn manual_time_moves_by_hand() {
    let time = ManualClock::new();
    let clock = time.clock();
    let mut early = clock.sleep(10 * MS);
    let mut late = clock.sleep(20 * MS);
    assert!(poll(&mut early).is_pending() && poll(&mut late).is_pending());
    assert_eq!((time.timers(), time.timers_set()), (2, 2));
    assert_eq!(time.next_timer(), Some(early.deadline()));

    time.advance(10 * MS);
    assert!(poll(&mut early).is_ready() && poll(&mut late).is_pending());
    assert_eq!(time.timers(), 1);
    drop(late);
    assert_eq!((time.timers(), time.next_timer()), (0, None));
}

#[test]
fn manual_time_may_be_set_back() {
    let time = ManualClock::new();
    time.advance(100 * MS);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut nap = pin!(time.clock().sleep(10 * MS));
    assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    time.set(Instant::from_nanos(0));
    time.advance(100 * MS);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    time.advance(10 * MS);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn a_panicking_waker_keeps_no_other_from_being_woken() {
    let time = ManualClock::new();
    let wakes = Arc::new(Wakes::default());
    let mut bad = pin!(time.clock().sleep(MS));
    let mut good = pin!(time.clock().sleep(2 * MS));
    assert!(bad.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(PanickingWaker)))).is_pending());
    assert!(good.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&wakes)))).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| time.advance(5 * MS))).is_err());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert_eq!(time.clock().now(), Instant::from_nanos(5_000_000));
}

/// A waker that asks the clock when it is woken: were a lock held, this would never end.
struct Asking(Clock);

impl Wake for Asking {
    fn wake(self: Arc<Self>) {
        let _ = poll(&mut self.0.sleep(MS));
    }
}

#[test]
fn wakers_may_use_the_clock() {
    let time = ManualClock::new();
    for clock in [time.clock().clone(), LateClock::by(time.clock(), MS)] {
        let waker = Waker::from(Arc::new(Asking(clock.clone())));
        let mut nap = pin!(clock.sleep(MS));
        assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        time.advance(3 * MS);
        assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(time.timers(), 0);
    }
}

#[test]
fn manual_chance_is_the_same_each_time() {
    let draw = || ManualClock::new().clock().random_u64();
    assert_eq!(draw(), draw());
}

#[apply(sim_test)]
async fn a_late_clock_is_late_by_its_span(runtime: Runtime) {
    let clock = LateClock::by(runtime.clock(), 3 * MS);
    let start = clock.now();
    clock.sleep(10 * MS).await;
    assert_eq!(clock.now() - start, 13 * MS);
    clock.sleep(Duration::ZERO).await;
    assert_eq!(clock.now() - start, 13 * MS);
}

#[apply(sim_test)]
async fn a_seeded_late_clock_is_late_the_same_way(runtime: Runtime) {
    let mut spans = Vec::new();
    for _ in 0..2 {
        let clock = LateClock::up_to(runtime.clock(), 5 * MS, 17);
        for _ in 0..10 {
            let start = clock.now();
            clock.sleep(10 * MS).await;
            spans.push(clock.now() - start);
        }
    }
    assert_eq!(spans[..10], spans[10..]);
    assert!(spans.iter().all(|span| (10 * MS..=15 * MS).contains(span)), "{spans:?}");
    assert!(spans.iter().any(|span| *span != spans[0]), "{spans:?}");
}

#[test]
fn a_late_timer_goes_with_its_sleep() {
    let time = ManualClock::new();
    let clock = LateClock::by(time.clock(), 3 * MS);
    let mut nap = clock.sleep(10 * MS);
    assert!(poll(&mut nap).is_pending());
    assert_eq!(time.next_timer(), Some(Instant::from_nanos(13_000_000)));
    assert!(poll(&mut nap).is_pending());
    assert_eq!(time.timers(), 1);
    drop(nap);
    assert_eq!(time.timers(), 0);
    fn driver<T: TimerDriver>() {}
    driver::<LateClock>();
}
