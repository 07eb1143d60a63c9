//! `on_cancel`: once, or not at all, and whatever the callback does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use weirs_runtime::Runtime;
use weirs_scopes::{CancelToken, Reason, Registration};
use weirs_testing::{apply, runtime_test_blocking};

fn counting(calls: &Arc<AtomicUsize>) -> impl FnOnce(&Reason) + Send + 'static {
    let calls = Arc::clone(calls);
    move |_| {
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn it_is_called_once_with_the_reason() {
    let (sender, receiver) = mpsc::channel();
    let root = CancelToken::new();
    let registration = root.child().on_cancel(move |why| sender.send(why.clone()).unwrap());
    root.cancel("enough");
    root.cancel("more than that");
    assert_eq!(receiver.try_recv().ok(), root.reason(), "the registration keeps the child");
    assert!(receiver.try_recv().is_err());
    assert!(!registration.unregister());
}

#[test]
fn of_a_cancelled_token_it_is_called_at_once() {
    let calls = Arc::default();
    let token = CancelToken::new();
    token.cancel(Reason::Requested);
    let registration = token.on_cancel(counting(&calls));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(!registration.unregister());
    drop(token.on_cancel(|_| std::panic::resume_unwind(Box::new("contained here too"))));
}

#[test]
fn dropped_it_is_not_called_and_detached_it_is() {
    let calls = Arc::default();
    let token = CancelToken::new();
    drop(token.on_cancel(counting(&calls)));
    assert!(token.on_cancel(counting(&calls)).unregister());
    token.on_cancel(counting(&calls)).detach();
    assert_eq!(Arc::strong_count(&calls), 2);
    token.cancel(Reason::Requested);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(Arc::strong_count(&calls), 1);
}

#[test]
fn a_detached_callback_goes_with_its_token() {
    let calls: Arc<AtomicUsize> = Arc::default();
    let root = CancelToken::new();
    root.child().on_cancel(counting(&calls)).detach();
    assert_eq!(Arc::strong_count(&calls), 1);
    root.cancel(Reason::Requested);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_panic_keeps_nobody_from_being_called() {
    let calls = Arc::default();
    let token = CancelToken::new();
    let panics = |_: &Reason| std::panic::resume_unwind(Box::new("a callback"));
    let all = [token.on_cancel(counting(&calls)), token.on_cancel(panics), token.on_cancel(counting(&calls))];
    assert!(token.cancel(Reason::Requested));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    drop(all);
}

#[test]
fn a_payload_that_panics_as_it_is_dropped_is_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("and again"));
        }
    }
    let token = CancelToken::new();
    let registration = token.on_cancel(|_| std::panic::resume_unwind(Box::new(Bomb)));
    assert!(token.cancel(Reason::Requested));
    drop(registration);
}

#[test]
fn a_callback_may_cancel_register_and_unregister() {
    let calls = Arc::default();
    let (token, other) = (CancelToken::new(), CancelToken::new());
    let held: Arc<Mutex<Option<Registration>>> = Arc::default();
    let registration = token.on_cancel({
        let (token, other, calls, held) =
            (token.clone(), other.clone(), Arc::clone(&calls), Arc::clone(&held));
        move |_| {
            assert!(!token.cancel(Reason::Shutdown));
            assert!(token.child().is_cancelled());
            drop(token.on_cancel(counting(&calls)));
            assert!(other.cancel(Reason::SiblingFailed));
            // Its own registration, from within.
            drop(held.lock().unwrap().take());
        }
    });
    *held.lock().unwrap() = Some(registration);
    let chained = other.on_cancel(counting(&calls));
    token.cancel(Reason::Requested);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(token.reason(), Some(Reason::Requested));
    drop(chained);
}

#[test]
fn a_callback_may_drop_the_last_token() {
    let token = CancelToken::new();
    let weak = token.downgrade();
    let child = Mutex::new(Some(token.child()));
    token.on_cancel(move |_| drop(child.lock().unwrap().take())).detach();
    token.cancel(Reason::Requested);
    drop(token);
    assert!(weak.upgrade().is_none());
}

/// Children come and go, waiters and callbacks too, while others cancel: nobody is forgotten.
#[apply(runtime_test_blocking)]
fn threads_lose_nothing(runtime: Runtime) {
    let _ = runtime;
    for round in 0..60 {
        let root = CancelToken::new();
        let (made, heard) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        std::thread::scope(|scope| {
            let work = || {
                let mut kept = Vec::new();
                for number in 0_usize.. {
                    let parent = kept.last().map_or(&root, |(token, _)| token);
                    let child = if number % 3 == 0 { root.child() } else { parent.child() };
                    made.fetch_add(1, Ordering::Relaxed);
                    let registration = child.on_cancel(counting(&heard));
                    let done = child.is_cancelled();
                    kept.push((child, registration));
                    if number % 4 == 3 && !done {
                        let (token, registration) = kept.swap_remove(number % kept.len());
                        drop(token);
                        if registration.unregister() {
                            made.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                    if done && number > round {
                        break;
                    }
                }
                kept
            };
            let workers = [scope.spawn(work), scope.spawn(work)];
            while made.load(Ordering::Relaxed) < round {
                std::thread::yield_now();
            }
            let first = [scope.spawn(|| root.cancel(Reason::Requested)), scope.spawn(|| root.cancel("both"))];
            let first = first.map(|canceller| canceller.join().unwrap());
            assert!(first[0] != first[1], "one of them was first");
            for worker in workers {
                let kept = worker.join().unwrap();
                assert!(kept.iter().all(|(token, _)| token.reason() == root.reason()));
            }
        });
        assert_eq!(heard.load(Ordering::Relaxed), made.load(Ordering::Relaxed));
        let weak = root.downgrade();
        drop(root);
        assert!(weak.upgrade().is_none(), "nothing keeps the tree");
    }
}
