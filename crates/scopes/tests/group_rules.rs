//! What groups promise, on every runtime.

use std::future::pending;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{
    CancelToken, Ended, Group, PanicPolicy, Reason, Refusal, ScopeError, TryGroup, task_scope,
};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, runtime_test_blocking, sim_test, yields};

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(live))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let group = Group::new(&runtime);
    for number in 0..5 {
        group.spawn(async move {
            yields(5 - number).await;
            number
        });
    }
    assert_eq!(group.wait().await.unwrap(), [0, 1, 2, 3, 4]);
}

#[apply(runtime_test)]
async fn values_come_in_the_order_of_submission_and_once(runtime: Runtime) {
    let group = Group::new(&runtime);
    for round in 0..3 {
        for number in 0..50 {
            group.spawn(async move {
                yields(number % 7).await;
                round * 100 + number
            });
        }
        let expected: Vec<_> = (0..50).map(|number| round * 100 + number).collect();
        assert_eq!(group.wait().await.unwrap(), expected);
    }
    assert!(group.wait().await.unwrap().is_empty());
}

#[apply(runtime_test)]
async fn a_struct_may_hold_it_and_clones_spawn(runtime: Runtime) {
    struct Server {
        connections: Group,
    }
    let served = Arc::new(AtomicUsize::new(0));
    let server = Server { connections: Group::new(&runtime) };
    let spawners = [(); 3].map(|()| {
        let (group, served) = (server.connections.clone(), Arc::clone(&served));
        runtime.spawn(async move {
            for _ in 0..10 {
                let served = Arc::clone(&served);
                group.spawn(async move {
                    yields(2).await;
                    served.fetch_add(1, Ordering::Relaxed);
                });
                yields(1).await;
            }
        })
    });
    for spawner in spawners {
        spawner.await.unwrap();
    }
    assert_eq!(server.connections.wait().await.unwrap().len(), 30);
    assert_eq!(served.load(Ordering::Relaxed), 30);
}

#[apply(runtime_test)]
async fn children_that_come_while_somebody_waits_are_waited_for(runtime: Runtime) {
    let group = Group::new(&runtime);
    let inner = group.clone();
    group.spawn(async move {
        yields(3).await;
        inner.spawn(async {
            yields(3).await;
            2
        });
        1
    });
    assert_eq!(group.wait().await.unwrap(), [1, 2]);
}

#[apply(runtime_test)]
async fn several_may_wait_and_the_values_go_to_one(runtime: Runtime) {
    let group = Group::new(&runtime);
    let token = CancelToken::new();
    let stop = token.clone();
    group.spawn(async move { stop.cancelled().await });
    let cancel = async {
        yields(3).await;
        token.cancel(Reason::Requested);
    };
    let (one, other, ()) = futures::join!(group.wait(), group.wait(), cancel);
    assert_eq!(one.unwrap().len() + other.unwrap().len(), 1);
}

#[apply(runtime_test)]
async fn a_wait_that_is_given_up_loses_nothing(runtime: Runtime) {
    let group = Group::new(&runtime);
    let polls = cancel_at_every_poll(
        || async {
            let values = group.wait().await.unwrap();
            // Whoever completes has all that were spawned in the rounds before.
            assert!(values.is_sorted() && !values.is_empty(), "{values:?}");
            for number in values {
                assert!(number < 1_000_000);
            }
        },
        async |k| {
            for number in 0..4 {
                group.spawn(async move {
                    yields(3).await;
                    k * 10 + number
                });
            }
        },
    );
    group.spawn(async { 0 });
    polls.await;
    let rest = group.wait().await.unwrap();
    assert!(rest.is_sorted(), "{rest:?}");
}

#[apply(runtime_test)]
async fn the_first_error_cancels_the_rest_and_is_given(runtime: Runtime) {
    let live = Arc::new(AtomicUsize::new(0));
    let group = TryGroup::new(&runtime);
    let counted = Counted::new(&live);
    group.spawn(async move {
        let _counted = counted;
        pending::<Result<u8, &str>>().await
    });
    group.spawn(async {
        yields(2).await;
        Err("failed")
    });
    assert_eq!(group.wait().await.unwrap_err().failed(), Some("failed"));
    assert_eq!(live.load(Ordering::Relaxed), 0);
    assert_eq!(group.try_spawn(async { Ok(1) }).unwrap_err().why(), Refusal::Cancelled);
    assert!(matches!(group.wait().await, Err(ScopeError::Cancelled(Reason::SiblingFailed))));
}

#[apply(runtime_test)]
async fn a_group_that_keeps_going_collects_all_errors_in_order(runtime: Runtime) {
    let group = TryGroup::builder(&runtime).keep_going().build();
    for number in 1..=6_usize {
        group.spawn(async move {
            yields(7 - number).await;
            if number % 2 == 0 { Err(number) } else { Ok(number) }
        });
    }
    let Err(ScopeError::Failed(errors)) = group.wait_all().await else { panic!("there were errors") };
    let errors: Vec<_> = errors.into_iter().map(|(id, error)| (id.number(), error)).collect();
    assert_eq!(errors, [(2, 2), (4, 4), (6, 6)]);
    assert_eq!(group.take(), [1, 3, 5]);
    // It was not cancelled, and goes on.
    group.spawn(async { Ok(7) });
    assert_eq!(group.wait_all().await.unwrap(), [7]);
    group.spawn(async { Ok(8) });
    assert_eq!(group.wait().await.unwrap(), [8]);
}

#[apply(runtime_test)]
async fn a_panic_goes_on_in_the_wait_when_all_have_ended(runtime: Runtime) {
    let live = Arc::new(AtomicUsize::new(0));
    for as_error in [false, true] {
        let policy = if as_error { PanicPolicy::AsError } else { PanicPolicy::Propagate };
        let group = Group::<()>::builder(&runtime).panics(policy).build();
        let counted = Counted::new(&live);
        group.spawn(async move {
            let _counted = counted;
            pending::<()>().await;
        });
        group.spawn(async { std::panic::panic_any(5_u8) });
        let caught = AssertUnwindSafe(group.wait()).catch_unwind().await;
        assert_eq!(live.load(Ordering::Relaxed), 0);
        match caught {
            Err(payload) => assert!(!as_error && payload.is::<u8>()),
            Ok(result) => assert!(as_error && result.unwrap_err().is_panic()),
        }
    }
}

#[apply(runtime_test)]
async fn the_limit_holds_and_gives_futures_back(runtime: Runtime) {
    let group = Group::builder(&runtime).limit(NonZeroUsize::MIN).build();
    let token = CancelToken::new();
    let stop = token.clone();
    group.spawn(async move {
        stop.cancelled().await;
        1
    });
    let rejected = group.try_spawn(async { 2 }).unwrap_err();
    assert_eq!(rejected.why(), Refusal::Full);
    let mut waiting = Box::pin(group.spawn_when_free(rejected.into_inner()));
    assert!(futures::poll!(&mut waiting).is_pending());
    token.cancel(Reason::Requested);
    assert_eq!(waiting.await.unwrap().await, Ok(()));
    assert_eq!(group.wait().await.unwrap(), [1, 2]);

    group.spawn(pending());
    let mut waiting = Box::pin(group.spawn_when_free(async { 3 }));
    assert!(futures::poll!(&mut waiting).is_pending());
    group.cancel("enough");
    assert_eq!(waiting.await.unwrap_err().why(), Refusal::Cancelled);
    assert!(group.wait().await.unwrap_err().is_cancelled());
}

#[apply(runtime_test)]
async fn a_cancelled_child_has_no_value(runtime: Runtime) {
    let group = Group::new(&runtime);
    group.spawn(async { 1 });
    let child = group.spawn(pending());
    group.spawn(async { 3 });
    child.cancel();
    assert_eq!(child.await, Err(Ended::Cancelled));
    assert_eq!(group.wait().await.unwrap(), [1, 3]);
}

#[apply(sim_test)]
async fn a_deadline_cancels_it(runtime: Runtime) {
    let clock = runtime.clock();
    let at = clock.now() + Duration::from_secs(3);
    let group = Group::builder(&runtime).deadline(at).build();
    group.spawn(async { 1 });
    group.spawn(pending());
    assert!(group.wait().await.unwrap_err().is_deadline());
    assert_eq!(clock.now(), at);
    assert_eq!(group.take(), [1]);
}

#[apply(sim_test)]
async fn dropping_the_last_handle_drops_those_that_wait(runtime: Runtime) {
    let order = Arc::new(Mutex::new(Vec::new()));
    struct Says(Arc<Mutex<Vec<usize>>>, usize);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }
    let group = Group::<()>::new(&runtime);
    for number in 0..3 {
        let says = Says(Arc::clone(&order), number);
        group.spawn(async move {
            let _says = says;
            pending::<()>().await;
        });
    }
    yields(3).await;
    let other = group.clone();
    drop(group);
    assert_eq!((other.live(), other.snapshot().children().len()), (3, 3));
    drop(other);
    assert_eq!(*order.lock().unwrap(), [2, 1, 0]);
}

#[apply(runtime_test_blocking)]
fn a_scope_waits_for_what_a_dropped_group_within_left(runtime: Runtime) {
    let (entered, inside) = async_channel::unbounded();
    let (go, wait) = mpsc::channel::<()>();
    let live = Arc::new(AtomicUsize::new(0));
    let (dropped, seen) = async_channel::bounded::<()>(1);
    let returned = AtomicBool::new(false);
    let scope = async {
        task_scope(&runtime, async |s| {
            let group = Group::<()>::builder(s.runtime()).within(&s).build();
            let counted = Counted::new(&live);
            group.spawn(async move {
                let _counted = counted;
                entered.try_send(()).unwrap();
                let _ = wait.recv();
                pending::<()>().await;
            });
            inside.recv().await.unwrap();
            drop(group);
            dropped.try_send(()).unwrap();
        })
        .await;
        assert_eq!(live.load(Ordering::Relaxed), 0);
        returned.store(true, Ordering::Release);
    };
    let watch = async {
        seen.recv().await.unwrap();
        yields(50).await;
        assert!(!returned.load(Ordering::Acquire));
        go.send(()).unwrap();
    };
    block_on(futures::future::join(scope, watch));
}

/// Random scripts: what comes out is what went in, but for those that were cancelled.
#[apply(sim_test)]
async fn random_scripts_lose_nothing(runtime: Runtime) {
    let clock = runtime.clock();
    let live = Arc::new(AtomicUsize::new(0));
    let limit = NonZeroUsize::new(1 + clock.random_below(4) as usize).unwrap();
    let group = Group::builder(&runtime).limit(limit).build();
    let (mut expected, mut got) = (Vec::new(), Vec::new());
    for number in 0..30_u64 {
        let counted = Counted::new(&live);
        let turns = clock.random_below(6) as usize;
        let future = async move {
            let _counted = counted;
            yields(turns).await;
            number
        };
        match clock.random_below(8) {
            0 => match group.try_spawn(future) {
                Ok(child) => {
                    if clock.random_below(2) == 0 {
                        child.cancel();
                        assert!(matches!(child.await, Ok(()) | Err(Ended::Cancelled)));
                        continue;
                    }
                    expected.push(number);
                }
                Err(rejected) => assert_eq!(rejected.why(), Refusal::Full),
            },
            1 => {
                let mut waiting = Box::pin(group.spawn_when_free(future));
                let taken = futures::poll!(&mut waiting).is_ready();
                expected.extend(taken.then_some(number));
            }
            2 => {
                drop(future);
                let mut wait = Box::pin(group.wait());
                if let std::task::Poll::Ready(values) = futures::poll!(&mut wait) {
                    got.extend(values.unwrap());
                }
            }
            3 => {
                drop(future);
                got.extend(group.wait().await.unwrap());
                assert_eq!(live.load(Ordering::Relaxed), 0);
            }
            _ => {
                group.spawn_when_free(future).await.unwrap();
                expected.push(number);
            }
        }
        assert!(group.live() <= limit.get());
    }
    got.extend(group.wait().await.unwrap());
    got.retain(|number| expected.contains(number));
    assert_eq!(got, expected);
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[apply(sim_test)]
async fn a_cancelled_group_has_its_time_of_grace(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let second = Duration::from_secs(1);
    let start = clock.now();
    let live = Arc::new(AtomicUsize::new(0));
    let fill = |group: &Group<u32>| {
        for number in 0..4_u32 {
            let (clock, counted, token) = (clock.clone(), Counted::new(&live), group.token().clone());
            group.spawn(async move {
                let _counted = counted;
                token.cancelled().await;
                clock.sleep(number * second).await;
                number
            });
        }
    };
    let group = Group::builder(&runtime).grace(2 * second + second / 2).build();
    fill(&group);
    yields(2).await;
    group.cancel(Reason::Shutdown);
    assert_eq!(live.load(Ordering::Relaxed), 4);
    assert!(group.try_spawn(async { 9 }).is_err());
    assert!(matches!(group.wait().await, Err(ScopeError::Cancelled(Reason::Shutdown))));
    assert_eq!(clock.now(), start + 2 * second + second / 2);
    assert_eq!((group.take(), live.load(Ordering::Relaxed)), (vec![0, 1, 2], 0));

    // One that is dropped has none, whether it was cancelled before or not.
    for cancels in [false, true] {
        let group = Group::builder(&runtime).grace(second).build();
        fill(&group);
        yields(2).await;
        if cancels {
            group.cancel(Reason::Shutdown);
        }
        drop(group);
        assert_eq!(live.load(Ordering::Relaxed), 0);
    }
    // Cancelled before it was there.
    let token = CancelToken::new();
    token.cancel(Reason::Shutdown);
    let group: Group<()> = Group::builder(&runtime).grace(second).under(&token).build();
    assert!(group.wait().await.is_err());

    // A failure is a cancel, too.
    let before = clock.now();
    let group = TryGroup::builder(&runtime).grace(second).build();
    group.spawn(async { Err::<(), _>("fails") });
    group.spawn(pending());
    assert!(matches!(group.wait().await, Err(ScopeError::Failed("fails"))));
    assert_eq!(clock.now(), before + second);
}
