//! Waiting for a token, on every runtime and dropped at every point.

use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{CancelToken, Reason};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, yields};

#[apply(runtime_test)]
async fn a_waiting_task_is_woken(runtime: Runtime) {
    let root = CancelToken::new();
    let child = root.child();
    let borrowed = runtime.spawn(async move { child.cancelled().await });
    let owned = runtime.spawn(root.child().cancelled_owned());
    let run = runtime.spawn(root.child().run(pending::<()>()));
    yields(3).await;
    root.cancel("now");
    for why in [borrowed.await.unwrap(), owned.await.unwrap(), run.await.unwrap().unwrap_err().into_reason()]
    {
        assert_eq!(Some(why), root.reason());
    }
}

#[apply(runtime_test)]
async fn many_wait_for_one(runtime: Runtime) {
    let token = CancelToken::new();
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let token = token.clone();
            runtime.spawn(async move {
                yields(number % 4).await;
                token.cancelled().await
            })
        })
        .collect();
    yields(2).await;
    token.cancel(Reason::Shutdown);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Reason::Shutdown);
    }
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let tokens = std::sync::Mutex::new(CancelToken::new());
    let make = || {
        let token = CancelToken::new();
        *tokens.lock().unwrap() = token.clone();
        let child = token.child();
        let runtime = runtime.clone();
        async move {
            let canceller = runtime.spawn(async move {
                yields(2).await;
                token.cancel(Reason::Requested);
            });
            assert_eq!(child.cancelled().await, Reason::Requested);
            canceller.await.unwrap();
        }
    };
    // What was given up can be taken up again.
    let check = async |_| {
        let token = tokens.lock().unwrap().clone();
        token.cancel(Reason::Requested);
        assert_eq!(token.cancelled().await, Reason::Requested);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(runtime_test)]
async fn run_at_every_poll(runtime: Runtime) {
    let (sender, receiver) = async_channel::bounded::<u32>(1);
    let make = || {
        let token = CancelToken::new();
        let (runtime, receiver, sender) = (runtime.clone(), receiver.clone(), sender.clone());
        async move {
            let sending = runtime.spawn(async move {
                yields(2).await;
                sender.send(7).await.unwrap();
            });
            assert_eq!(token.run(receiver.recv()).await, Ok(Ok(7)));
            sending.await.unwrap();
        }
    };
    let check = async |_| {
        while receiver.try_recv().is_ok() {}
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[test]
fn what_is_ready_in_the_same_poll_wins() {
    let token = CancelToken::new();
    let inside = token.clone();
    let both = token.run(poll_fn(move |_| {
        inside.cancel(Reason::Requested);
        Poll::Ready(7)
    }));
    assert_eq!(block_on(both), Ok(7));
    assert_eq!(block_on(token.run(ready(8))), Ok(8), "cancelled already");
}

#[test]
fn a_future_that_cancels_its_own_token_is_dropped_at_once() {
    let token = CancelToken::new();
    let inside = token.clone();
    let itself = token.run(async move {
        inside.cancel(Reason::SiblingFailed);
        pending::<()>().await
    });
    let mut itself = pin!(itself);
    let mut cx = Context::from_waker(Waker::noop());
    let result = itself.as_mut().poll(&mut cx);
    assert_eq!(result.map_err(|error| error.into_reason()), Poll::Ready(Err(Reason::SiblingFailed)));
}

#[test]
fn run_drops_its_future_before_it_tells() {
    let token = CancelToken::new();
    let guard = Arc::new(());
    let held = Arc::clone(&guard);
    let mut run = Box::pin(token.run(async move {
        let _held = held;
        pending::<()>().await
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(run.as_mut().poll(&mut cx).is_pending());
    token.cancel(Reason::Requested);
    assert!(run.as_mut().poll(&mut cx).is_ready());
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[test]
fn a_future_that_is_ready_is_dropped_at_once() {
    let guard = Arc::new(());
    let held = Arc::clone(&guard);
    let mut run = Box::pin(CancelToken::new().run(poll_fn(move |_| Poll::Ready(Arc::strong_count(&held)))));
    assert_eq!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(2)));
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<F: Future>(future: Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

#[test]
fn the_last_waker_counts_and_none_is_kept() {
    let token = CancelToken::new();
    let [a, b, c] = [(); 3].map(|()| Arc::new(Woken::default()));
    let (mut first, mut second) = (Box::pin(token.cancelled()), Box::pin(token.cancelled()));
    assert!(poll(first.as_mut(), &a).is_pending());
    assert!(poll(second.as_mut(), &a).is_pending());
    assert!(poll(first.as_mut(), &b).is_pending());
    assert!(poll(second.as_mut(), &c).is_pending());
    assert_eq!(Arc::strong_count(&a), 1);
    drop(first);
    assert_eq!(Arc::strong_count(&b), 1);
    token.cancel(Reason::Requested);
    assert_eq!([&a, &b, &c].map(|woken| woken.0.load(Ordering::Relaxed)), [0, 0, 1]);
    assert_eq!(Arc::strong_count(&c), 1);
    assert!(poll(second.as_mut(), &c).is_ready());
    assert!(poll(second.as_mut(), &c).is_ready(), "and again");
}

#[test]
fn places_are_used_again_in_any_order() {
    let token = CancelToken::new();
    let woken = Arc::new(Woken::default());
    let mut waiting: Vec<_> = (0..64).map(|_| Box::pin(token.cancelled())).collect();
    waiting.iter_mut().for_each(|one| assert!(poll(one.as_mut(), &woken).is_pending()));
    for round in 0..200_usize {
        drop(waiting.swap_remove(round * 37 % waiting.len()));
        let mut one = Box::pin(token.cancelled());
        assert!(poll(one.as_mut(), &woken).is_pending());
        waiting.push(one);
    }
    assert_eq!(Arc::strong_count(&woken), 65);
    token.cancel(Reason::Requested);
    assert_eq!(woken.0.load(Ordering::Relaxed), 64);
    assert_eq!(Arc::strong_count(&woken), 1);
}

#[test]
fn a_hundred_thousand_wait() {
    let token = CancelToken::new();
    let woken = Arc::new(Woken::default());
    let mut waiting: Vec<_> = (0..100_000).map(|_| token.cancelled()).collect();
    waiting.iter_mut().for_each(|one| assert!(poll(Pin::new(one), &woken).is_pending()));
    token.cancel("all of you");
    assert_eq!(woken.0.load(Ordering::Relaxed), 100_000);
    waiting.iter_mut().for_each(|one| assert!(poll(Pin::new(one), &woken).is_ready()));
}

/// All flags are set before anybody is woken.
#[test]
fn whoever_is_woken_finds_all_below_cancelled() {
    struct Look(Vec<CancelToken>, AtomicUsize);
    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            assert!(self.0.iter().all(CancelToken::is_cancelled));
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let root = CancelToken::new();
    let mut all = vec![root.clone()];
    for number in 0..100_usize {
        all.push(all[number / 3].child());
    }
    let look = Arc::new(Look(all.clone(), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&look));
    let mut waiting: Vec<_> = all.iter().map(|token| Box::pin(token.cancelled())).collect();
    for one in &mut waiting {
        assert!(one.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    root.cancel(Reason::Requested);
    assert_eq!(look.1.load(Ordering::Relaxed), 101);
}

/// A waker that does all that it should not.
#[test]
fn a_waker_may_do_anything() {
    struct Wild(CancelToken);
    impl Wake for Wild {
        fn wake(self: Arc<Self>) {
            self.0.cancel(Reason::Shutdown);
            let child = self.0.child();
            drop(self.0.on_cancel(|_| {}));
            assert!(block_on(child.cancelled()) == Reason::Requested);
            drop(self);
            std::panic::resume_unwind(Box::new("from a waker"));
        }
    }
    let token = CancelToken::new();
    let woken = Arc::new(Woken::default());
    let mut first = Box::pin(token.cancelled());
    let wild = Waker::from(Arc::new(Wild(token.clone())));
    assert!(first.as_mut().poll(&mut Context::from_waker(&wild)).is_pending());
    let mut second = Box::pin(token.cancelled());
    assert!(poll(second.as_mut(), &woken).is_pending());
    drop(wild);
    assert!(token.cancel(Reason::Requested));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1, "whatever the other did");
}
