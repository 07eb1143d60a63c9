//! [`hosted`]: a driver that stands on a foreign runtime's clock and one-shot sleep.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::{or, yield_now};

use super::wheel::{NEVER, Timers};
use crate::instant::ClockId;
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::{Instant, TimerDriver, TimerKey};

/// A driver and the future that drives it, to be spawned on the foreign runtime.
///
/// `now` is the time since that clock's epoch. `sleep` may end early, it is then asked for once more. The
/// future ends when the driver is dropped; if it is itself dropped before, timers no longer fire.
pub(crate) fn hosted<N, S, F>(
    id: ClockId,
    now: N,
    mut sleep: S,
) -> (HostedDriver<N>, impl Future<Output = ()> + use<N, S, F>)
where
    N: Fn() -> Duration + Send + Sync + 'static,
    S: FnMut(Duration) -> F,
    F: Future<Output = ()>,
{
    let shared = Arc::new(Shared {
        id,
        now,
        timers: Timers::new(1),
        closed: AtomicBool::new(false),
        drive: Mutex::new(None),
    });
    let driver = HostedDriver(Arc::clone(&shared));
    let drive = async move {
        let mut batch = Vec::new();
        while !shared.closed.load(Ordering::Acquire) {
            let (now, alarm) = (shared.now().as_nanos(), shared.timers.alarm());
            if alarm <= now {
                shared.timers.fire(now, &mut batch);
                // Between two batches others have their turn.
                yield_now().await;
            } else if alarm == NEVER {
                shared.disturbed(alarm).await;
            } else {
                let span = Duration::from_nanos(alarm - now).min(LONGEST_SLEEP);
                let slept = or(
                    async {
                        shared.disturbed(alarm).await;
                        false
                    },
                    async {
                        sleep(span).await;
                        true
                    },
                );
                if slept.await && shared.now().as_nanos() < alarm {
                    // It ended early, and may do so each time; that must not hold up its loop.
                    yield_now().await;
                }
            }
        }
    };
    (driver, drive)
}

/// The foreign sleep is asked for no more than this at once: some count milliseconds in 32 bits.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// The driver of [`hosted`]. There is one, and to drop it ends the drive future.
pub(crate) struct HostedDriver<N>(Arc<Shared<N>>);

impl<N: Fn() -> Duration + Send + Sync + 'static> TimerDriver for HostedDriver<N> {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        let inserted = self.0.timers.insert(0, at.as_nanos(), waker)?;
        if inserted.lowered_alarm {
            self.0.disturb();
        }
        Some(inserted.key)
    }

    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        self.0.timers.refresh(key, waker)
    }

    fn remove(&self, key: TimerKey) {
        self.0.timers.remove(key);
    }
}

impl<N> Drop for HostedDriver<N> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.disturb();
    }
}

/// What the driver and the drive future share.
struct Shared<N> {
    id: ClockId,
    now: N,
    timers: Timers,
    closed: AtomicBool,
    /// The waker of the drive future, while that waits.
    drive: Mutex<Option<Waker>>,
}

impl<N> Shared<N> {
    /// Wakes the drive future after the alarm was lowered or the driver closed.
    fn disturb(&self) {
        let waker = lock(&self.drive).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the alarm is no longer what it was, or the driver is closed.
    ///
    /// The waker is put down before the look, and what is looked at was changed before the waker is taken:
    /// the lock orders the two, so one of them notices the other.
    async fn disturbed(&self, alarm: u64) {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let old = lock(&self.drive).replace(waker);
            drop(old);
            let disturbed = self.timers.alarm() != alarm || self.closed.load(Ordering::Acquire);
            if disturbed { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl<N: Fn() -> Duration> Shared<N> {
    fn now(&self) -> Instant {
        (Instant::from_nanos(0) + (self.now)()).of_clock(self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, AtomicUsize};
    use std::task::{Context, Wake};

    use super::*;

    /// Counts its wakes.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Counter {
        fn new() -> (Arc<Self>, Waker) {
            let counter = Arc::new(Self::default());
            (Arc::clone(&counter), counter.into())
        }

        /// How often it was woken since the last call.
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A foreign runtime, turned by hand: its time, and the end of the sleep that it was asked for last.
    #[derive(Clone, Default)]
    struct Foreign {
        now: Arc<AtomicU64>,
        asked: Arc<AtomicU64>,
    }

    impl Foreign {
        fn hosted(&self) -> (impl TimerDriver + use<>, Pin<Box<dyn Future<Output = ()> + Send>>) {
            let (time, foreign) = (Arc::clone(&self.now), self.clone());
            let (driver, drive) = hosted(
                ClockId(7),
                move || Duration::from_nanos(time.load(Ordering::Relaxed)),
                move |duration| foreign.sleep(duration),
            );
            (driver, Box::pin(drive))
        }

        fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
            let until = self.now.load(Ordering::Relaxed) + duration.as_nanos() as u64;
            self.asked.store(until, Ordering::Relaxed);
            let now = Arc::clone(&self.now);
            // Without a waker: the test polls when it has changed the time.
            poll_fn(
                move |_| if now.load(Ordering::Relaxed) >= until { Poll::Ready(()) } else { Poll::Pending },
            )
        }

        fn set(&self, now: u64) {
            self.now.store(now, Ordering::Relaxed);
        }

        fn asked(&self) -> u64 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn smoke() {
        let foreign = Foreign::default();
        let (driver, mut drive) = foreign.hosted();
        let (driven, drive_waker) = Counter::new();
        let cx = &mut Context::from_waker(&drive_waker);
        let (counter, waker) = Counter::new();
        assert!(drive.as_mut().poll(cx).is_pending());

        foreign.set(5);
        assert_eq!(driver.now(), at(5).of_clock(ClockId(7)));
        let key = driver.insert(at(100), &waker).unwrap();
        assert_eq!(driven.take(), 1);
        assert!(drive.as_mut().poll(cx).is_pending());
        assert_eq!(foreign.asked(), 100);

        foreign.set(99);
        assert!(drive.as_mut().poll(cx).is_pending());
        assert_eq!(counter.take(), 0);
        foreign.set(100);
        let _ = drive.as_mut().poll(cx);
        assert_eq!(counter.take(), 1);
        assert!(!driver.refresh(key, &waker));
        assert!(driver.insert(at(100), &waker).is_none());
    }

    #[test]
    fn only_the_earliest_timer_disturbs_the_drive() {
        let foreign = Foreign::default();
        let (driver, mut drive) = foreign.hosted();
        let (driven, drive_waker) = Counter::new();
        let cx = &mut Context::from_waker(&drive_waker);
        let (_, waker) = Counter::new();

        for (deadline, disturbs, asked) in [(500, 1, 500), (600, 0, 500), (500, 0, 500), (400, 1, 400)] {
            assert!(drive.as_mut().poll(cx).is_pending());
            assert!(driver.insert(at(deadline), &waker).is_some());
            assert_eq!(driven.take(), disturbs, "{deadline}");
            assert!(drive.as_mut().poll(cx).is_pending());
            assert_eq!(foreign.asked(), asked, "{deadline}");
        }
    }

    #[test]
    fn the_drive_yields_between_batches() {
        let foreign = Foreign::default();
        let (driver, mut drive) = foreign.hosted();
        let (driven, drive_waker) = Counter::new();
        let cx = &mut Context::from_waker(&drive_waker);
        let (counter, waker) = Counter::new();
        for _ in 0..1_000 {
            assert!(driver.insert(at(10), &waker).is_some());
        }
        foreign.set(10);
        assert!(drive.as_mut().poll(cx).is_pending());
        let batch = counter.take();
        assert!((1..1_000).contains(&batch));
        let mut fired = batch;
        while driven.take() > 0 {
            assert!(drive.as_mut().poll(cx).is_pending());
            fired += counter.take();
        }
        assert_eq!(fired, 1_000);
    }

    #[test]
    fn the_drive_ends_with_the_driver() {
        let foreign = Foreign::default();
        let (driver, mut drive) = foreign.hosted();
        let (driven, drive_waker) = Counter::new();
        let cx = &mut Context::from_waker(&drive_waker);
        assert!(driver.insert(at(10), Waker::noop()).is_some());
        assert!(drive.as_mut().poll(cx).is_pending());
        drop(driver);
        assert_eq!(driven.take(), 1);
        assert!(drive.as_mut().poll(cx).is_ready());
    }

    #[test]
    fn without_its_drive_a_driver_does_nothing_and_no_harm() {
        let foreign = Foreign::default();
        let (driver, mut drive) = foreign.hosted();
        let (counter, waker) = Counter::new();
        assert!(drive.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(drive);
        let key = driver.insert(at(10), &waker).unwrap();
        foreign.set(20);
        assert_eq!(driver.now().as_nanos(), 20);
        assert!(driver.refresh(key, &waker));
        driver.remove(key);
        assert_eq!(counter.take(), 0);
    }

    #[test]
    fn a_sleep_that_ends_early_is_asked_for_again() {
        let time = Arc::new(AtomicU64::new(0));
        let (driver, drive) = hosted(
            ClockId(7),
            {
                let time = Arc::clone(&time);
                move || Duration::from_nanos(time.load(Ordering::Relaxed))
            },
            // Half the way each time, and at least a nanosecond.
            move |duration| {
                let step = (duration.as_nanos() as u64).div_ceil(2);
                time.fetch_add(step, Ordering::Relaxed);
                std::future::ready(())
            },
        );
        let mut drive = pin!(drive);
        let (counter, waker) = Counter::new();
        assert!(driver.insert(at(1_000), &waker).is_some());
        while counter.0.load(Ordering::Relaxed) == 0 {
            assert!(drive.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(driver.now().as_nanos(), 1_000);
    }

    #[test]
    fn the_driver_is_send_and_sync_and_the_drive_is_what_the_sleep_is() {
        fn is_send<T: Send>(_: &T) {}
        fn is_send_and_sync<T: Send + Sync>(_: &T) {}

        // Of something that is `Send` both implementations hold, and the call is ambiguous: it does not
        // compile.
        trait IsNotSend<Which> {
            fn is_not_send(&self) {}
        }
        impl<T> IsNotSend<()> for T {}
        impl<T: Send> IsNotSend<u8> for T {}

        async fn local_sleep() {
            let local = Rc::new(());
            std::future::pending::<()>().await;
            drop(local);
        }

        let now = || Duration::ZERO;
        let (driver, drive) = hosted(ClockId(7), now, |_| std::future::pending());
        is_send_and_sync(&driver);
        is_send(&drive);

        let local = Rc::new(());
        let (driver, drive) = hosted(ClockId(7), now, move |_| {
            let _ = &local;
            std::future::pending()
        });
        is_send_and_sync(&driver);
        IsNotSend::is_not_send(&drive);

        let (driver, drive) = hosted(ClockId(7), now, |_| local_sleep());
        is_send_and_sync(&driver);
        IsNotSend::is_not_send(&drive);
    }
}
