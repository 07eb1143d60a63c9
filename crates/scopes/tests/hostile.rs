//! What nobody should do, and somebody will: calls from destructors, joiners and callbacks back into the
//! scope, wakers that panic, numbers without sense, thousands of everything.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::{Instant, Runtime};
use weirs_scopes::joiners::{self, Cause, Flow, Joiner, OnCancel, Outcome};
use weirs_scopes::{
    CancelToken, Cancelled, Child, ChildId, DropGuard, Group, LocalScope, MemberEnd, Reason, Registration,
    Report, ResultSet, ResultSpawner, Scope, ScopeBuilder, ScopeError, Select, Shutdown, ShutdownGroup,
    Snapshot, Started, TaskChild, TaskScope, Tracker, TryGroup, UntilCancelledOwned, WeakToken, scope,
    task_scope,
};
use weirs_testing::{apply, runtime_test, yields};

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

fn count(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// What may go to another thread, and be used on several.
#[allow(dead_code, reason = "to compile it is the test")]
fn promises_of_types() {
    fn both<T: Send + Sync>() {}
    fn send<T: Send>() {}
    fn free<T: Unpin>() {}
    both::<(CancelToken, WeakToken, DropGuard, Registration, UntilCancelledOwned, Reason, Cancelled)>();
    both::<(Scope<'_>, Child<'_, u8>, ScopeBuilder, ResultSpawner<'_, u8>, Snapshot, Started<u8>)>();
    both::<(TaskScope, Group<u8>, TryGroup<u8, u8>, Tracker, Shutdown, ShutdownGroup, Report, Select)>();
    send::<(ResultSet<'_, u8>, TaskChild<std::cell::Cell<u8>>, ScopeError<u8>)>();
    free::<(Child<'_, std::marker::PhantomPinned>, TaskChild<u8>, ResultSet<'_, u8>, LocalScope<'_>)>();
}

#[apply(runtime_test)]
async fn a_set_is_dropped_whole_although_a_waker_and_a_value_panic(_: Runtime) {
    struct Value;
    impl Drop for Value {
        fn drop(&mut self) {
            panic!("a value that panics");
        }
    }
    let (counts, gone) = (Arc::new(Counts::default()), AtomicUsize::new(0));
    scope(async |s| {
        let set = s.results::<Option<Value>>(count(2));
        set.try_spawn(async { Some(Value) }).unwrap();
        let guard = OnDrop(|| {
            gone.fetch_add(1, Ordering::Relaxed);
        });
        let child = async move {
            let _guard = guard;
            pending().await
        };
        set.try_spawn(child).unwrap();
        yields(2).await;
        let spawner = set.spawner();
        let mut first = Box::pin(spawner.spawn_when_free(async { None }));
        let mut second = Box::pin(spawner.spawn_when_free(async { None }));
        assert!(poll_with(first.as_mut(), &Arc::new(Panics).into()).is_pending());
        assert!(poll_with(second.as_mut(), &counts.clone().into()).is_pending());
        assert!(catch(|| drop(set)).is_none(), "the panic of the value goes on");
        assert_eq!(counts.0.load(Ordering::Relaxed), 1);
        // Without the cancelling the scope would wait for its child for ever.
    })
    .await;
    assert_eq!(gone.into_inner(), 1);
}

#[apply(runtime_test)]
async fn a_waker_that_panics_keeps_nobody_waiting_for_room(_: Runtime) {
    for closes in [true, false] {
        let counts = Arc::new(Counts::default());
        let result = Scope::builder().limit(count(1)).run(async |s| {
            let child = s.spawn(pending::<()>());
            let mut first = Box::pin(s.spawn_when_free(async {}));
            let mut second = Box::pin(s.spawn_when_free(async {}));
            assert!(poll_with(first.as_mut(), &Arc::new(Panics).into()).is_pending());
            assert!(poll_with(second.as_mut(), &counts.clone().into()).is_pending());
            if closes {
                s.close();
                assert_eq!(counts.0.load(Ordering::Relaxed), 1);
            } else {
                // The first that waits goes away, and so the second has its turn, and then nobody.
                child.cancel();
                assert!(child.await.is_err());
                drop(first);
                assert!(second.await.is_ok());
                return;
            }
            child.cancel();
        });
        result.await.unwrap();
    }
}

#[apply(runtime_test)]
async fn a_waker_that_panics_is_no_panic_of_the_child(_: Runtime) {
    let value = scope(async |s| {
        let mut child = s.spawn(async {
            yields(2).await;
            7
        });
        assert!(poll_with(Pin::new(&mut child), &Arc::new(Panics).into()).is_pending());
        while !child.is_finished() {
            yields(1).await;
        }
        child.await
    });
    assert_eq!(value.await, Ok(7));
}

#[apply(runtime_test)]
async fn a_start_that_fails_is_told_although_a_waker_panics(_: Runtime) {
    let result = AssertUnwindSafe(scope(async |s| {
        let mut start = Box::pin(s.spawn_ready(async |started: Started<()>| {
            // Dropped by the panic: a second one would abort.
            let _started = started;
            yields(1).await;
            panic!("the child");
        }));
        assert!(poll_with(start.as_mut(), &Arc::new(Panics).into()).is_pending());
        pending::<()>().await;
    }));
    let payload = result.catch_unwind().await.unwrap_err();
    assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "the child");
}

#[apply(runtime_test)]
async fn thousands_of_shields_cost_no_more_than_their_number(_: Runtime) {
    let ended = AtomicUsize::new(0);
    let result = Scope::builder().run(async |s| {
        for number in 0..2_000 {
            let (inner, ended) = (s.clone(), &ended);
            s.spawn(async move {
                inner.shield(Duration::MAX, yields(3 + number % 7)).await;
                ended.fetch_add(1, Ordering::Relaxed);
                pending::<()>().await;
            });
        }
        yields(2).await;
        s.cancel(Reason::Requested);
        pending::<()>().await;
    });
    assert!(result.await.unwrap_err().is_cancelled());
    assert_eq!(ended.into_inner(), 2_000);
}

#[apply(runtime_test)]
async fn destructors_may_call_into_their_scope(runtime: Runtime) {
    for way in ["cancelled", "dropped", "child panics", "body panics"] {
        let gone = AtomicUsize::new(0);
        let future = Scope::builder().clock(runtime.clock()).run(async |s| {
            for number in 0..20 {
                let (inner, gone) = (s.clone(), &gone);
                let guard = OnDrop(move || {
                    gone.fetch_add(1, Ordering::Relaxed);
                    inner.cancel("from a destructor");
                    inner.close();
                    inner.spawn(pending::<()>()).cancel();
                    inner.spawn_service("late", pending::<()>());
                    inner.defer(async {});
                    assert!(!inner.snapshot().to_string().is_empty());
                    let mut set = inner.results::<()>(NonZeroUsize::MAX);
                    assert!(set.try_spawn(async {}).is_err());
                    assert!(poll_with(pin!(set.join_next()), Waker::noop()).is_ready());
                    assert!(poll_with(pin!(inner.spawn_when_free(async {})), Waker::noop()).is_ready());
                    let shield = pin!(inner.shield(Duration::MAX, pending::<()>()));
                    assert!(poll_with(shield, Waker::noop()).is_pending());
                });
                s.spawn(async move {
                    let _guard = guard;
                    yields(number % 3).await;
                    if way == "child panics" && number == 7 {
                        panic!("the child");
                    }
                    pending::<()>().await;
                });
            }
            yields(1).await;
            match way {
                "cancelled" => drop(s.cancel(Reason::Requested)),
                "body panics" => panic!("the body"),
                _ => pending::<()>().await,
            }
        });
        if way == "dropped" {
            let mut future = Box::pin(future);
            assert!(poll_with(future.as_mut(), Waker::noop()).is_pending());
        } else {
            assert_eq!(AssertUnwindSafe(future).catch_unwind().await.is_ok(), way == "cancelled");
        }
        assert_eq!(gone.into_inner(), 20, "{way}");
    }
}

/// Calls back into its scope, through a token, from whatever it is told.
struct Reenters {
    token: CancelToken,
    told: Arc<Mutex<Vec<&'static str>>>,
    on_cancel: OnCancel,
}

impl Reenters {
    fn hear(&self, what: &'static str) {
        self.told.lock().unwrap().push(what);
        self.token.cancel("from the joiner");
    }
}

impl Joiner<u8> for Reenters {
    type Out = ();
    type Error = ();

    fn on_spawn(&mut self, _: ChildId) {
        self.hear("spawn");
    }

    fn on_end(&mut self, _: ChildId, _: Outcome<u8>) -> Flow {
        self.hear("end");
        Flow::Continue
    }

    fn on_cancel(&mut self, _: &Reason) -> OnCancel {
        self.hear("cancel");
        self.on_cancel
    }

    fn finish(self, _: &Cause) -> Result<(), ()> {
        self.hear("finish");
        Ok(())
    }
}

#[apply(runtime_test)]
async fn a_joiner_may_cancel_its_own_scope(runtime: Runtime) {
    for (on_cancel, parallel) in [OnCancel::GiveUp, OnCancel::Finish].into_iter().zip([false, true]) {
        let (token, told) = (CancelToken::new(), Arc::default());
        let joiner = Reenters { token: token.clone(), told: Arc::clone(&told), on_cancel };
        let builder = Scope::builder().under(&token);
        let result = if parallel {
            let body = async |s: TaskScope<joiners::Gather<Reenters, u8>>| {
                drop([1, 2].map(|number| s.spawn(async move { number })));
            };
            builder.gather_on(&runtime, joiner, body).await
        } else {
            let body = async |s: Scope<'_, joiners::Gather<Reenters, u8>>| {
                drop([1, 2].map(|number| s.spawn(async move { number })));
            };
            builder.gather(joiner, body).await
        };
        assert_eq!(result.is_ok(), on_cancel == OnCancel::Finish, "{result:?}");
        let told = told.lock().unwrap();
        assert_eq!(told.iter().filter(|what| **what == "cancel").count(), 1, "{told:?}");
    }
}

fn nest(s: TaskScope, depth: usize, reached: Arc<AtomicUsize>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        reached.fetch_add(1, Ordering::Relaxed);
        if depth == 0 {
            s.cancel("from the innermost");
            pending::<()>().await;
        }
        s.scope(async |inner| drop(inner.spawn(nest(inner.clone(), depth - 1, Arc::clone(&reached))))).await;
    })
}

#[apply(runtime_test)]
async fn thousands_of_scopes_in_each_other_end(runtime: Runtime) {
    let reached = Arc::new(AtomicUsize::new(0));
    task_scope(&runtime, async |s| {
        s.spawn(nest(s.clone(), 3_000, Arc::clone(&reached)));
        while reached.load(Ordering::Relaxed) <= 3_000 {
            yields(1).await;
        }
        s.cancel(Reason::Requested);
    })
    .await;
}

#[apply(runtime_test)]
async fn one_that_always_wakes_itself_takes_its_turn(_: Runtime) {
    let turns = AtomicUsize::new(0);
    scope(async |s| {
        s.spawn_service("greedy", async {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                yields(1).await;
            }
        });
        (0..1_000).for_each(|_| drop(s.spawn(yields(10))));
    })
    .await;
    assert!((10..=13).contains(&turns.load(Ordering::Relaxed)), "{turns:?}");
}

#[apply(runtime_test)]
async fn numbers_without_sense_are_harmless(_: Runtime) {
    let most = NonZeroUsize::MAX;
    let builder = || {
        let builder = Scope::builder().limit(most).deadline(Instant::FAR_FUTURE);
        builder.grace(Duration::MAX).cleanup(Duration::MAX)
    };
    let result = builder().run(async |s| {
        s.defer(yields(2));
        s.shield(Duration::MAX, yields(2)).await;
        let mut stream = s.stream(most, (0..10).map(async |number| number));
        let mut seen = BTreeSet::new();
        while let Some(number) = stream.join_next().await {
            seen.insert(number.unwrap());
        }
        assert_eq!(seen.len(), 10);
    });
    result.await.unwrap();
    let failed = builder().gather(joiners::first_n::<u8, u8>(most), async |s| drop(s.spawn(async { Ok(1) })));
    assert!(matches!(failed.await, Err(ScopeError::Failed(_))));
    let token = CancelToken::new();
    let far = [token.child_after(Duration::MAX), token.child_until(Instant::FAR_FUTURE)];
    assert!(far.iter().all(|token| !token.is_cancelled()));
    assert_eq!(token.child_after(Duration::ZERO).reason(), Some(Reason::Deadline));
}

#[apply(runtime_test)]
async fn a_forgotten_scope_may_still_be_woken(_: Runtime) {
    let (sender, receiver) = async_channel::unbounded::<u8>();
    let kept = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&kept);
    let mut forgotten = Box::pin(scope::<'static, _, _, _>(async move |s| {
        *keeps.lock().unwrap() = Some(s.spawn(async move { receiver.recv().await }));
        pending::<()>().await;
    }));
    assert!(poll_with(forgotten.as_mut(), Waker::noop()).is_pending());
    std::mem::forget(forgotten);
    sender.try_send(1).unwrap();
    let mut child = kept.lock().unwrap().take().unwrap();
    assert!(poll_with(Pin::new(&mut child), Waker::noop()).is_pending(), "nobody polls it");
    child.cancel();
}

#[apply(runtime_test)]
async fn a_group_may_be_dropped_by_its_own_child_and_by_its_token(runtime: Runtime) {
    for by_child in [true, false] {
        let (gone, is_gone) = async_channel::bounded::<()>(1);
        let (go, wait) = async_channel::bounded::<()>(1);
        let group: Group = Group::new(&runtime);
        let token = group.token().clone();
        let last = Arc::new(Mutex::new(Some(group.clone())));
        let taken = Arc::clone(&last);
        group.spawn(async move {
            let _gone = gone;
            wait.recv().await.unwrap();
            drop(taken.lock().unwrap().take().filter(|_| by_child));
            pending::<()>().await;
        });
        drop(group);
        if by_child {
            go.send(()).await.unwrap();
        } else {
            token.on_cancel(move |_| drop(last.lock().unwrap().take())).detach();
            token.cancel(Reason::Requested);
        }
        assert!(is_gone.recv().await.is_err(), "the child was dropped");
    }
}

#[apply(runtime_test)]
async fn a_shutdown_may_be_called_from_its_own_tokens_and_destructors(runtime: Runtime) {
    let shutdown = Shutdown::new(&runtime);
    for token in [shutdown.triggered(), shutdown.intake(), shutdown.token()] {
        let inner = shutdown.clone();
        let calls = move |_: &Reason| {
            inner.trigger("again");
            let late = inner.group("late/and/deep");
            late.spawn("late", pending());
            assert!(late.before("nowhere").is_err());
            inner.defer("late", async {});
            inner.force();
            panic!("a callback that panics");
        };
        token.on_cancel(calls).detach();
    }
    let inner = shutdown.clone();
    let guard = OnDrop(move || {
        inner.trigger("from a destructor");
        inner.force();
        assert!(!inner.spawn("late", pending()));
        inner.defer("late", async {});
    });
    shutdown.group("work").spawn("holds", async move {
        let _guard = guard;
        pending().await
    });
    assert!(shutdown.trigger("first"));
    assert!(!shutdown.trigger("second"));
    let report = shutdown.run(pending::<()>()).await;
    assert!(report.is_forced());
    assert_eq!(report.group("work").unwrap().count(MemberEnd::Dropped), 1, "{report}");
    assert!(!shutdown.spawn("after the end", async {}));
    assert!(AssertUnwindSafe(shutdown.run(async {})).catch_unwind().await.is_err());
}

#[test]
fn links_in_diamonds_are_not_followed_twice() {
    let root = CancelToken::new();
    let mut last = root.clone();
    for _ in 0..200 {
        last = CancelToken::linked([&last.child(), &last.child(), &last]);
    }
    let weak = last.downgrade();
    root.cancel("as many ways lead down as three to the power of two hundred");
    assert!(last.is_cancelled());
    drop(last);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_scope_may_wander_between_executors() {
    let (sender, receiver) = async_channel::unbounded::<u8>();
    let mut future = Box::pin(scope::<'static, _, _, _>(async move |s| {
        for _ in 0..6 {
            let receiver = receiver.clone();
            s.spawn(async move { receiver.recv().await.unwrap() });
        }
    }));
    for round in 0..6 {
        sender.try_send(1).unwrap();
        let step = async move {
            let over = futures::poll!(&mut future).is_ready();
            (over, future)
        };
        let over;
        (over, future) = if round % 2 == 0 {
            smol::block_on(smol::spawn(step))
        } else {
            let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            tokio.block_on(async { tokio::spawn(step).await.unwrap() })
        };
        assert_eq!(over, round == 5);
    }
}
