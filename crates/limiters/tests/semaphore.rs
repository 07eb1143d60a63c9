//! The promises of the semaphore, one by one.

mod common;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{Denied, Grant, Limit, Mode, Outcome, Semaphore, acquire};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{
    InFlight, ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields,
};

const MODES: [Mode; 4] =
    [Mode::Fair, Mode::Barging { max_bypass: 2 }, Mode::Barging { max_bypass: u32::MAX }, Mode::Lifo];

fn semaphore(capacity: u64, mode: Mode) -> Semaphore {
    Semaphore::builder(capacity).mode(mode).build()
}

#[test]
fn smoke() {
    let semaphore = Semaphore::new(3);
    let two = semaphore.try_acquire(2).unwrap();
    assert_eq!(semaphore.try_acquire(2).unwrap_err(), Denied::Busy { free: 1 });
    assert_eq!(semaphore.try_acquire(4).unwrap_err(), Denied::TooLarge { max: 3 });
    let mut waits = Hand::new(semaphore.acquire(2));
    assert!(waits.poll().is_pending());
    assert_eq!((semaphore.stats().waiting, semaphore.stats().held), (1, 2));
    drop(two);
    assert_eq!(waits.wakes(), 1);
    let Poll::Ready(Ok(permit)) = waits.poll() else { panic!("it was woken") };
    assert_eq!(permit.permits(), 2);
    drop(permit);
    assert_eq!((semaphore.available(), semaphore.stats().waiting), (3, 0));
}

#[apply(runtime_test)]
async fn never_more_than_the_capacity(runtime: Runtime) {
    for mode in MODES {
        let (semaphore, in_flight) = (Arc::new(semaphore(3, mode)), InFlight::new());
        let tasks: Vec<_> = (0..30_u64)
            .map(|number| {
                let (semaphore, in_flight) = (Arc::clone(&semaphore), in_flight.clone());
                runtime.spawn(async move {
                    for round in 0..10 {
                        let permit = semaphore.acquire_owned(1 + (number + round) % 3).await.unwrap();
                        let guards: Vec<_> = (0..permit.permits()).map(|_| in_flight.enter()).collect();
                        yields(1).await;
                        drop((guards, permit));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(in_flight.peak() <= 3);
        assert_eq!((semaphore.available(), semaphore.stats().waiting), (3, 0), "{mode:?}");
    }
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    for mode in MODES {
        let semaphore = Arc::new(semaphore(2, mode));
        let make = || {
            let (semaphore, runtime) = (Arc::clone(&semaphore), runtime.clone());
            async move {
                let held = Arc::clone(&semaphore).try_acquire_owned(1).unwrap();
                let holder = runtime.spawn(async move {
                    yields(2).await;
                    drop(held);
                });
                let permit = semaphore.acquire(2).await.unwrap();
                yields(1).await;
                drop(permit);
                holder.await.unwrap();
            }
        };
        let check = async |_| {
            let all = semaphore.acquire(2).await.unwrap();
            assert_eq!(semaphore.stats().waiting, 0);
            drop(all);
            assert_eq!(semaphore.available(), 2);
        };
        cancel_at_every_poll(make, check).await;
        cancel_at_every_wake(make, check).await;
    }
}

/// async-lock #18: the second release found that somebody had been told already, and told nobody.
#[test]
fn two_releases_wake_two_waiters() {
    for mode in MODES {
        let semaphore = semaphore(2, mode);
        let (one, two) = (semaphore.try_acquire(1).unwrap(), semaphore.try_acquire(1).unwrap());
        let mut waits = [(); 2].map(|()| Hand::new(semaphore.acquire(1)));
        waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
        drop(one);
        drop(two);
        waits.iter_mut().for_each(|wait| assert_eq!(wait.wakes(), 1, "{mode:?}"));
        assert!(waits.iter_mut().all(|wait| wait.poll().is_ready()), "{mode:?}");
    }
}

#[test]
fn fair_is_first_come_first_served() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire(1).unwrap();
    let (mut large, mut small) = (Hand::new(semaphore.acquire(2)), Hand::new(semaphore.acquire(1)));
    assert!(large.poll().is_pending() && small.poll().is_pending());
    assert_eq!(semaphore.try_acquire(1).unwrap_err(), Denied::Busy { free: 1 });
    drop(held);
    assert!(small.poll_again().is_pending());
    let Poll::Ready(Ok(permit)) = large.poll() else { panic!("it was the first") };
    drop(permit);
    assert!(small.poll().is_ready());
}

#[test]
fn a_waiter_is_overtaken_so_often_and_not_more() {
    let semaphore = semaphore(1, Mode::Barging { max_bypass: 3 });
    let held = semaphore.try_acquire(1).unwrap();
    let mut waits = Hand::new(semaphore.acquire(1));
    assert!(waits.poll().is_pending());
    drop(held);
    for _ in 0..3 {
        assert_eq!(waits.wakes(), 1, "each time it is called");
        let faster = semaphore.try_acquire(1).unwrap();
        assert!(waits.poll().is_pending());
        drop(faster);
    }
    assert_eq!(semaphore.try_acquire(1).unwrap_err(), Denied::Busy { free: 1 });
    let mut late = Hand::new(semaphore.acquire(1));
    assert!(late.poll().is_pending());
    assert!(waits.poll().is_ready());
}

#[test]
fn lifo_serves_the_last_first() {
    let semaphore = semaphore(1, Mode::Lifo);
    let held = semaphore.try_acquire(1).unwrap();
    let mut waits = [(); 3].map(|()| Hand::new(semaphore.acquire(1)));
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    drop(held);
    for wait in waits.iter_mut().rev() {
        assert_eq!(wait.wakes(), 1);
        assert!(wait.poll().is_ready());
    }
}

#[test]
fn a_smaller_capacity_drains() {
    let semaphore = Semaphore::new(5);
    let mut all = semaphore.try_acquire(5).unwrap();
    let mut waits = [1, 2, 3].map(|n| Hand::new(semaphore.acquire(n)));
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    semaphore.set_capacity(2);
    assert_eq!(waits[2].wakes(), 1);
    assert!(matches!(waits[2].poll(), Poll::Ready(Err(Denied::TooLarge { max: 2 }))));
    assert_eq!((semaphore.available(), semaphore.stats().held), (0, 5));
    drop(all.split(3).unwrap());
    assert_eq!(waits[0].wakes(), 0, "two are held, and there are two");
    drop(all.split(1).unwrap());
    assert_eq!((waits[0].wakes(), waits[1].wakes()), (1, 0));
    semaphore.set_capacity(4);
    assert_eq!(waits[1].wakes(), 1);
    let permits: Vec<_> = waits[..2]
        .iter_mut()
        .map(|wait| match wait.poll() {
            Poll::Ready(Ok(permit)) => permit,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(semaphore.available(), 0);
    drop((permits, all));
    assert_eq!(semaphore.available(), 4);
}

#[test]
fn forgetting_makes_the_capacity_smaller() {
    let semaphore = Semaphore::new(5);
    let mut three = semaphore.try_acquire(3).unwrap();
    let mut waits = Hand::new(semaphore.acquire(4));
    assert!(waits.poll().is_pending());
    three.split(2).unwrap().forget();
    assert_eq!((semaphore.capacity(), semaphore.available()), (3, 2));
    assert!(matches!(waits.poll(), Poll::Ready(Err(Denied::TooLarge { max: 3 }))));
    semaphore.set_capacity(0);
    three.forget();
    assert_eq!((semaphore.capacity(), semaphore.available(), semaphore.stats().held), (0, 0, 0));
    semaphore.set_capacity(1);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn permits_split_and_merge() {
    let (semaphore, other) = (Arc::new(Semaphore::new(5)), Semaphore::new(1));
    let mut one = semaphore.try_acquire_owned(3).unwrap();
    assert!(one.split(4).is_none());
    let two = one.split(2).unwrap();
    assert_eq!((one.permits(), two.permits(), semaphore.available()), (1, 2, 2));
    one.merge(two);
    drop(one);
    assert_eq!(semaphore.available(), 5);
    let mut mine = semaphore.try_acquire(1).unwrap();
    let theirs = other.try_acquire(1).unwrap();
    let merged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| mine.merge(theirs)));
    assert!(merged.is_err());
    drop(mine);
    assert_eq!((semaphore.available(), other.available()), (5, 1));
}

#[test]
fn the_queue_is_bounded() {
    let semaphore = Semaphore::builder(1).max_waiters(1).build();
    let held = semaphore.try_acquire(1).unwrap();
    let (mut first, mut second) = (Hand::new(semaphore.acquire(1)), Hand::new(semaphore.acquire(1)));
    assert!(first.poll().is_pending());
    assert!(matches!(second.poll(), Poll::Ready(Err(Denied::QueueFull { waiting: 1 }))));
    drop(first);
    assert!(second.poll().is_pending());
    drop(held);
    assert!(second.poll().is_ready());

    let nobody = Semaphore::builder(1).max_waiters(0).build();
    let held = nobody.try_acquire(1).unwrap();
    assert!(matches!(Hand::new(nobody.acquire(1)).poll(), Poll::Ready(Err(Denied::Busy { free: 0 }))));
    drop(held);
    assert!(Hand::new(nobody.acquire(1)).poll().is_ready());
}

#[test]
fn closing_is_heard_by_all() {
    for mode in MODES {
        let semaphore = semaphore(1, mode);
        let held = semaphore.try_acquire(1).unwrap();
        let mut waits = [(); 20].map(|()| Hand::new(semaphore.acquire(1)));
        waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
        semaphore.close();
        for wait in &mut waits {
            assert_eq!(wait.wakes(), 1);
            assert!(matches!(wait.poll(), Poll::Ready(Err(Denied::Closed))));
        }
        drop(held);
        assert_eq!(semaphore.available(), 1);
        assert_eq!(semaphore.try_acquire(1).unwrap_err(), Denied::Closed);
        assert!(matches!(Hand::new(semaphore.acquire(1)).poll(), Poll::Ready(Err(Denied::Closed))));
    }
}

#[test]
fn a_woken_waiter_that_is_dropped_passes_its_turn_on() {
    for mode in MODES {
        let semaphore = semaphore(1, mode);
        let held = semaphore.try_acquire(1).unwrap();
        let mut waits: Vec<_> = (0..3).map(|_| Hand::new(semaphore.acquire(1))).collect();
        waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
        drop(held);
        while !waits.is_empty() {
            let woken = waits.iter().position(|wait| wait.wakes() == 1).expect("one is next");
            drop(waits.swap_remove(woken));
        }
        assert_eq!((semaphore.available(), semaphore.stats().waiting), (1, 0), "{mode:?}");
    }
}

#[apply(sim_test)]
async fn a_deadline_is_kept_to_the_nanosecond(runtime: Runtime) {
    let clock = runtime.clock();
    let semaphore = Arc::new(Semaphore::builder(1).clock(clock.clone()).build());
    let held = semaphore.try_acquire(1).unwrap();
    let deadline = clock.now() + Duration::from_millis(7);
    let denied = semaphore.acquire_by(1, deadline).await.unwrap_err();
    assert_eq!((denied, clock.now()), (Denied::DeadlinePassed, deadline));
    let deadline = clock.now() + Duration::from_millis(7);
    let denied = acquire(&*semaphore as &dyn Limit, 1).by(deadline).await.unwrap_err();
    assert_eq!((denied, clock.now()), (Denied::DeadlinePassed, deadline));
    assert_eq!(semaphore.stats().waiting, 0);
    let deadline = clock.now() + Duration::from_millis(7);
    let denied = semaphore.acquire_owned_by(1, deadline).await.unwrap_err();
    assert_eq!((denied, clock.now()), (Denied::DeadlinePassed, deadline));
    assert_eq!(semaphore.stats().waiting, 0);
    drop(held);
    // What is free is taken, even too late.
    assert!(semaphore.acquire_by(1, deadline).await.is_ok());
    assert!(semaphore.acquire_owned_by(1, deadline).await.is_ok());
}

#[apply(runtime_test)]
async fn a_wait_with_a_deadline_is_cancelled_at_every_poll(runtime: Runtime) {
    let semaphore = Arc::new(Semaphore::builder(2).clock(runtime.clock().clone()).build());
    let make = || {
        let (semaphore, runtime) = (semaphore.clone(), runtime.clone());
        async move {
            let held = semaphore.try_acquire_owned(1).unwrap();
            let holder = runtime.spawn(async move {
                yields(3).await;
                drop(held);
            });
            let far = runtime.clock().now() + Duration::from_secs(3_600);
            drop(semaphore.acquire_owned_by(2, far).await.unwrap());
            holder.await.unwrap();
        }
    };
    let check = async |_| {
        let all = semaphore.acquire(2).await.unwrap();
        assert_eq!(semaphore.stats().waiting, 0);
        drop(all);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[test]
#[should_panic = "this grant is not one of a semaphore"]
fn a_grant_that_was_made_up() {
    Semaphore::new(1).release(Grant::new(u64::MAX, 0), Outcome::Success);
}

#[test]
fn zero_permits_are_always_there() {
    for mode in MODES {
        let semaphore = semaphore(1, mode);
        let held = semaphore.try_acquire(1).unwrap();
        let mut waits = Hand::new(semaphore.acquire(1));
        assert!(waits.poll().is_pending());
        assert!(semaphore.try_acquire(0).is_ok());
        assert!(Hand::new(semaphore.acquire(0)).poll().is_ready());
        semaphore.set_capacity(0);
        assert!(semaphore.try_acquire(0).is_ok());
        drop(held);
    }
}

#[test]
fn no_clock_is_read() {
    let time = ManualClock::new();
    let semaphore = Semaphore::builder(1).clock(time.clock().clone()).build();
    let held = semaphore.try_acquire(1).unwrap();
    let mut waits = Hand::new(semaphore.acquire(1));
    assert!(waits.poll().is_pending());
    drop(held);
    assert!(waits.poll().is_ready());
    assert_eq!(time.times_read(), 0);
    assert_eq!(semaphore.peek_at(Instant::from_nanos(0), 1), Ok(0));
}
