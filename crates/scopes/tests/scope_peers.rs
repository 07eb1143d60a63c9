//! What bit the users of other crates, each a named test.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{Refusal, Scope, ScopeError, scope};
use weirs_testing::{apply, runtime_test, yields};

/// futures-rs#2387, Oxide RFD 609: the child that holds the lock is not polled while the body waits for it.
#[apply(runtime_test)]
async fn futurelock_does_not_deadlock(_: Runtime) {
    let lock = futures::lock::Mutex::new(0);
    scope(async |s| {
        for _ in 0..3 {
            s.spawn(async {
                let mut held = lock.lock().await;
                yields(3).await;
                *held += 1;
            });
        }
        yields(1).await;
        *lock.lock().await += 1;
    })
    .await;
    assert_eq!(lock.into_inner(), 4);
}

/// The same trap in a fair lock that hands itself on, with as many children as places: `buffered(2)` hangs.
#[apply(runtime_test)]
async fn futurelock_of_a_buffered_stream_does_not_deadlock(_: Runtime) {
    let lock = futures::lock::Mutex::new(0);
    scope(async |s| {
        let work = (0..6).map(|_| async {
            let mut held = lock.lock().await;
            yields(2).await;
            *held += 1;
        });
        let mut buffered = s.stream(NonZeroUsize::new(2).unwrap(), work).ordered();
        while let Some(result) = buffered.join_next().await {
            result.unwrap();
            *lock.lock().await += 1;
        }
    })
    .await;
    assert_eq!(lock.into_inner(), 12);
}

/// `while let Some(..) = unordered.next().await` with a lock in the loop's body: futures-rs#2387 again, for
/// `FuturesUnordered` and futures-concurrency's `FutureGroup`.
#[apply(runtime_test)]
async fn futurelock_of_an_unordered_set_does_not_deadlock(_: Runtime) {
    let lock = futures::lock::Mutex::new(0);
    scope(async |s| {
        let mut set = s.results(NonZeroUsize::new(8).unwrap());
        for number in 0..6 {
            let lock = &lock;
            set.try_spawn(async move {
                yields(number).await;
                let mut held = lock.lock().await;
                yields(2).await;
                *held += 1;
            })
            .unwrap();
        }
        while let Some((_, result)) = set.join_next().await {
            result.unwrap();
            *lock.lock().await += 1;
        }
    })
    .await;
    assert_eq!(lock.into_inner(), 12);
}

/// conc#88: with a limit, children that wait for the cancelling deadlock whoever waits for room.
#[apply(runtime_test)]
async fn a_limit_and_children_that_wait_for_the_cancelling_do_not_deadlock(runtime: Runtime) {
    let limit = NonZeroUsize::new(2).unwrap();
    let builder = Scope::builder().limit(limit).clock(runtime.clock()).grace(Duration::from_secs(3600));
    let result: Result<(), ScopeError<&str>> = builder
        .try_run(async |s| {
            let inner = s.clone();
            s.spawn_service("fails", async {
                yields(3).await;
                Err::<(), _>("stop")
            });
            for _ in 0..10 {
                let token = inner.token().clone();
                let waits = async move {
                    token.cancelled_owned().await;
                    Ok::<_, &str>(())
                };
                if let Err(rejected) = s.spawn_when_free(waits).await {
                    assert_eq!(rejected.why(), Refusal::Cancelled);
                    return Ok(());
                }
            }
            unreachable!("there is room for two");
        })
        .await;
    assert_eq!(result.unwrap_err().failed(), Some("stop"));
}

/// futures-rs#2939, #2348, #2740: `buffer_unordered(0)` hangs. A limit of zero cannot be written here.
#[test]
fn a_limit_of_zero_cannot_be_written() {
    fn _takes_only_this(limit: NonZeroUsize) {
        drop(Scope::builder().limit(limit));
        drop(scope(async move |s| drop((s.results::<()>(limit), s.stream(limit, [async {}])))));
    }
    assert_eq!(NonZeroUsize::new(0), None);
}

/// tokio-util's `JoinMap`, hickory#1818: what has finished piles up until it is reaped. Here a result that
/// nobody has a handle for is dropped at once, and so is its child.
#[apply(runtime_test)]
async fn finished_children_do_not_pile_up(_: Runtime) {
    let live = Arc::new(());
    scope(async |s| {
        for _ in 0..100 {
            let value = Arc::clone(&live);
            drop(s.spawn(async move { value }));
        }
        yields(4).await;
        assert_eq!((s.live(), Arc::strong_count(&live)), (0, 1));
    })
    .await;
}

/// futures-concurrency's group polls the lowest index first: a sibling was polled 0 times in 1000.
#[apply(runtime_test)]
async fn no_sibling_is_starved(_: Runtime) {
    let turns = AtomicUsize::new(0);
    scope(async |s| {
        let busy = s.spawn(async {
            loop {
                yields(1).await;
            }
        });
        for _ in 0..1_000 {
            s.spawn(async { turns.fetch_add(1, Ordering::Relaxed) });
        }
        let last = s.spawn(yields(50));
        last.await.unwrap();
        busy.cancel();
    })
    .await;
    assert_eq!(turns.into_inner(), 1_000);
}

/// Under tokio's coop budget a set without a budget of its own is quadratic.
#[test]
fn a_turn_polls_at_most_64_children() {
    let polls = AtomicUsize::new(0);
    let mut scope = Box::pin(scope(async |s| {
        for _ in 0..640 {
            s.spawn(async { polls.fetch_add(1, Ordering::Relaxed) });
        }
    }));
    let mut before = 0;
    while scope.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        let now = polls.load(Ordering::Relaxed);
        assert!(now - before <= 64, "{before} to {now}");
        before = now;
    }
    assert_eq!(polls.load(Ordering::Relaxed), 640);
}

/// moro 0.4: a panicking child poisons a lock, and the destructor aborts the process.
#[apply(runtime_test)]
async fn a_panicking_child_does_not_abort(_: Runtime) {
    let caught = AssertUnwindSafe(scope(async |s| {
        s.spawn(async { panic!("only a panic") });
        std::future::pending::<()>().await;
    }))
    .catch_unwind()
    .await;
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"only a panic"));
}

/// Scopes that block or abort on drop are unsound when they are forgotten: here nobody polls the children
/// any more, and a waker that outlives what they borrowed touches nothing.
#[test]
fn a_forgotten_scope_is_safe() {
    let kept = Arc::new(Mutex::new(None::<Waker>));
    {
        let data = Box::new([1, 2, 3]);
        let mut forgotten = Box::pin(scope(async |s| {
            s.spawn(async {
                std::future::poll_fn(|cx: &mut Context<'_>| {
                    *kept.lock().unwrap() = Some(cx.waker().clone());
                    if data.is_empty() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            });
        }));
        assert!(forgotten.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        std::mem::forget(forgotten);
    }
    let waker = kept.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    drop(waker);
}

/// The same with a scope that is dropped, and with one that ends, before the waker is.
#[test]
fn a_waker_may_outlive_what_the_child_borrowed() {
    let mut kept = Vec::new();
    for finish in [true, false] {
        let wakers = Mutex::new(Vec::new());
        {
            let data = [String::from("borrowed")];
            let mut scope = Box::pin(scope(async |s| {
                s.spawn(async {
                    let mut polls = 0;
                    std::future::poll_fn(|cx: &mut Context<'_>| {
                        wakers.lock().unwrap().push(cx.waker().clone());
                        polls += data.len();
                        if finish && polls == 2 { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                    data[0].as_str()
                });
            }));
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(scope.as_mut().poll(cx).is_pending());
            wakers.lock().unwrap()[0].wake_by_ref();
            assert_eq!(scope.as_mut().poll(cx).is_ready(), finish);
        }
        kept.extend(wakers.into_inner().unwrap());
    }
    kept.iter().for_each(Waker::wake_by_ref);
}

/// tokio's JoinSet aborts and does not wait: the children's guards live on for a while.
#[apply(runtime_test)]
async fn children_are_gone_when_the_drop_of_their_scope_returns(_: Runtime) {
    struct Guard<'a>(&'a AtomicUsize);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let live = AtomicUsize::new(100);
    let mut abandoned = Box::pin(scope(async |s| {
        for _ in 0..100 {
            let guard = Guard(&live);
            s.spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
        }
    }));
    assert!(futures::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    assert_eq!(live.into_inner(), 0);
}

#[test]
fn a_hundred_thousand_children() {
    let sum: usize = block_on(scope(async |s| {
        let mut children = Vec::new();
        for number in 0..100_000 {
            children.push(s.spawn(async move {
                yields(1).await;
                number
            }));
        }
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    }));
    assert_eq!(sum, 4_999_950_000);
}

#[test]
fn two_hundred_scopes_in_each_other_fit_on_two_mebibytes() {
    fn nest(depth: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
        Box::pin(scope(async move |s| {
            if depth == 0 {
                return 0;
            }
            s.spawn(nest(depth - 1)).await.unwrap() + 1
        }))
    }
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(|| block_on(nest(200)));
    assert_eq!(thread.unwrap().join().unwrap(), 200);
}

/// A child that is cancelled by its handle may be waited for by another child.
#[apply(runtime_test)]
async fn children_await_and_cancel_each_other(_: Runtime) {
    scope(async |s| {
        let first = s.spawn(std::future::pending::<u8>());
        let second = s.spawn(async move {
            yields(2).await;
            first.cancel();
            first.await.is_err()
        });
        assert_eq!(second.await, Ok(true));
    })
    .await;
}
