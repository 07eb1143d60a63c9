//! Dropping a future at every point at which it may be dropped.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is still pending after so many polls does not get anywhere.
const MAX_POLLS: usize = 1_000;

/// Drops a future right after its k-th pending poll, for every k, and runs `check` after each time.
///
/// For k = 0, 1, 2 and so on it makes the future anew, polls it until k polls have returned `Pending`, drops
/// it, and runs `check(k)`: whatever the future was to take must still be there. When the future is ready
/// before its k-th pending poll, that is the end: `check` runs for that time as well, and the number of its
/// pending polls is given.
///
/// The future is polled only when it was woken, and with another waker each time; a wake of an older waker
/// does not count. It has to finish by itself when it is not dropped.
///
/// [`cancel_at_every_wake`] drops it when it was woken and not yet polled again: that is where wakes get
/// lost. Test a waiting operation with both.
///
/// # Panics
/// When the future is pending after a thousand polls, and in whatever way `check` does.
///
/// # Examples
/// A message is received or still there, whenever the receiver is dropped:
/// ```
/// use std::cell::RefCell;
/// use weirs_runtime::block_on;
/// use weirs_testing::{cancel_at_every_poll, yields};
///
/// let channel = RefCell::new(None);
/// let polls = block_on(cancel_at_every_poll(
///     || {
///         let (sender, receiver) = async_channel::bounded(1);
///         *channel.borrow_mut() = Some(receiver.clone());
///         async move {
///             yields(2).await;
///             sender.send("precious").await.unwrap();
///             yields(1).await;
///             receiver.recv().await.unwrap()
///         }
///     },
///     async |k| {
///         let receiver = channel.take().unwrap();
///         let is_there = receiver.try_recv().is_ok();
///         assert_eq!(is_there, k == 3, "dropped after {k} polls");
///     },
/// ));
/// assert_eq!(polls, 3);
/// ```
pub async fn cancel_at_every_poll<F, C>(
    make_future: impl FnMut() -> F,
    check: impl FnMut(usize) -> C,
) -> usize
where
    F: Future,
    C: Future<Output = ()>,
{
    cancel_at_every(Point::Pending, make_future, check).await
}

/// Drops a future when it has been woken for the k-th time, before it is polled again, for every k.
///
/// Otherwise like [`cancel_at_every_poll`]; the count begins at one, for the first wake comes after the first
/// poll.
///
/// # Panics
/// As [`cancel_at_every_poll`].
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_testing::{InFlight, cancel_at_every_wake, yields};
///
/// let in_flight = InFlight::new();
/// let wakes = block_on(cancel_at_every_wake(
///     || async {
///         let _guard = in_flight.enter();
///         yields(4).await;
///     },
///     async |_| assert_eq!(in_flight.now(), 0),
/// ));
/// assert_eq!(wakes, 4);
/// ```
pub async fn cancel_at_every_wake<F, C>(
    make_future: impl FnMut() -> F,
    check: impl FnMut(usize) -> C,
) -> usize
where
    F: Future,
    C: Future<Output = ()>,
{
    cancel_at_every(Point::Woken, make_future, check).await
}

/// Gives way to others this many times: each time it wakes itself and is pending once.
///
/// # Examples
/// ```
/// weirs_runtime::block_on(weirs_testing::yields(3));
/// ```
pub async fn yields(times: usize) {
    for _ in 0..times {
        futures_lite::future::yield_now().await;
    }
}

/// Where the future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Pending,
    Woken,
}

// `check` is no `AsyncFnMut`: of a future that calls one the compiler (1.95) cannot tell that it is `Send`.
async fn cancel_at_every<F, C>(
    point: Point,
    mut make_future: impl FnMut() -> F,
    mut check: impl FnMut(usize) -> C,
) -> usize
where
    F: Future,
    C: Future<Output = ()>,
{
    let first = if point == Point::Pending { 0 } else { 1 };
    for k in first..MAX_POLLS {
        let finished = {
            let future = pin!(make_future());
            polls_until(future, k, point).await
        };
        check(k).await;
        if let Some(polls) = finished {
            return polls;
        }
    }
    panic!("the future was polled {MAX_POLLS} times and is still pending; it has to finish by itself");
}

/// Polls until `k` polls were pending, or until the future is ready: then gives how many were.
async fn polls_until<F: Future>(mut future: Pin<&mut F>, k: usize, point: Point) -> Option<usize> {
    let mut pending = 0;
    while pending < k {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return Some(pending);
        }
        pending += 1;
        if pending < k || point == Point::Woken {
            poll_fn(|cx| signal.poll(cx)).await;
        }
    }
    None
}

/// Says whether the waker of one poll was woken.
#[derive(Debug, Default)]
struct Signal(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    woken: bool,
    waiting: Option<Waker>,
}

impl Signal {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.woken {
                return Poll::Ready(());
            }
            state.waiting.replace(waker)
        };
        drop(before);
        Poll::Pending
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiting = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.woken = true;
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}
