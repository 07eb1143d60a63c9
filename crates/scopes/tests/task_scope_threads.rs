//! Parallel scopes where threads matter: children inside a poll, spawning from elsewhere, executors that go
//! away.
//!
//! A child that is to be caught inside a poll blocks in it, on a channel, until the test lets it go.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;

use futures::task::{FutureObj, Spawn, SpawnError};
use weirs_runtime::{Runtime, Tokio, block_on};
use weirs_scopes::{Ended, Reason, TaskScope, task_scope};
use weirs_testing::{apply, runtime_test, runtime_test_blocking, sim_test, yields};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

fn threads() -> (tokio::runtime::Runtime, Runtime) {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    (tokio, runtime)
}

/// A child that is inside a poll until it is let go, and how to know and do it.
struct Blocked {
    inside: async_channel::Receiver<()>,
    go: mpsc::Sender<()>,
    gone: Arc<AtomicBool>,
}

struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn blocked() -> (Blocked, impl Future<Output = ()> + Send + 'static) {
    let (entered, inside) = async_channel::unbounded();
    let (go, wait) = mpsc::channel::<()>();
    let gone = Arc::new(AtomicBool::new(false));
    let guard = Gone(Arc::clone(&gone));
    let child = async move {
        let _guard = guard;
        entered.try_send(()).unwrap();
        let _ = wait.recv();
        pending::<()>().await;
    };
    (Blocked { inside, go, gone }, child)
}

impl Blocked {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
}

#[apply(runtime_test_blocking)]
fn a_cancelled_scope_waits_for_a_child_inside_a_poll(runtime: Runtime) {
    let (blocked, child) = blocked();
    let returned = AtomicBool::new(false);
    let scope = async {
        let builder = TaskScope::builder();
        let result = builder.run_on(&runtime, async |s| {
            let idle = s.spawn(pending::<()>());
            s.spawn(child);
            blocked.inside.recv().await.unwrap();
            s.cancel(Reason::Requested);
            assert_eq!(idle.await, Err(Ended::Cancelled));
        });
        assert!(result.await.is_ok());
        assert!(blocked.is_gone());
        returned.store(true, Ordering::Release);
    };
    let watch = async {
        yields(50).await;
        assert!(!returned.load(Ordering::Acquire));
        blocked.go.send(()).unwrap();
    };
    block_on(futures::future::join(scope, watch));
}

#[apply(runtime_test_blocking)]
fn a_dropped_scope_leaves_a_child_inside_a_poll_to_the_one_around(runtime: Runtime) {
    let (blocked, child) = blocked();
    let returned = AtomicBool::new(false);
    let (dropped, seen) = async_channel::bounded::<()>(1);
    let scope = async {
        task_scope(&runtime, async |outer| {
            let mut inner = Box::pin(outer.scope(async |s| {
                s.spawn(child);
                pending::<()>().await;
            }));
            assert!(futures::poll!(&mut inner).is_pending());
            blocked.inside.recv().await.unwrap();
            drop(inner);
            assert!(!blocked.is_gone());
            dropped.try_send(()).unwrap();
            assert_eq!(outer.live(), 0);
        })
        .await;
        assert!(blocked.is_gone());
        returned.store(true, Ordering::Release);
    };
    let watch = async {
        seen.recv().await.unwrap();
        yields(50).await;
        assert!(!returned.load(Ordering::Acquire) && !blocked.is_gone());
        blocked.go.send(()).unwrap();
    };
    block_on(futures::future::join(scope, watch));
}

/// The scope that is dropped has a child that has a scope that has the child: three deep, two of them
/// dropped.
#[apply(runtime_test_blocking)]
fn orphans_go_up_through_scopes_that_are_dropped_with_them(runtime: Runtime) {
    let (blocked, child) = blocked();
    let returned = AtomicBool::new(false);
    let (dropped, seen) = async_channel::bounded::<()>(1);
    let deferred = Arc::new(AtomicUsize::new(0));
    let scope = async {
        task_scope(&runtime, async |a| {
            let mut b = Box::pin(a.scope(async |b| {
                let (inner, deferred) = (b.clone(), Arc::clone(&deferred));
                b.spawn(async move {
                    inner
                        .scope(async |c| {
                            c.defer(async move {
                                deferred.fetch_add(1, Ordering::Relaxed);
                            });
                            c.spawn(child);
                            pending::<()>().await;
                        })
                        .await;
                });
                pending::<()>().await;
            }));
            assert!(futures::poll!(&mut b).is_pending());
            blocked.inside.recv().await.unwrap();
            drop(b);
            dropped.try_send(()).unwrap();
        })
        .await;
        assert!(blocked.is_gone());
        assert_eq!(deferred.load(Ordering::Relaxed), 1);
        returned.store(true, Ordering::Release);
    };
    let watch = async {
        seen.recv().await.unwrap();
        yields(50).await;
        assert!(!returned.load(Ordering::Acquire) && !blocked.is_gone());
        assert_eq!(deferred.load(Ordering::Relaxed), 0);
        blocked.go.send(()).unwrap();
    };
    block_on(futures::future::join(scope, watch));
}

#[apply(runtime_test_blocking)]
fn a_scope_dropped_alone_ends_its_child_with_its_poll(runtime: Runtime) {
    let (blocked, child) = blocked();
    block_on(async {
        let mut scope = Box::pin(task_scope(&runtime, async |s| {
            s.spawn(child);
            pending::<()>().await;
        }));
        assert!(futures::poll!(&mut scope).is_pending());
        blocked.inside.recv().await.unwrap();
        drop(scope);
        assert!(!blocked.is_gone());
        blocked.go.send(()).unwrap();
        while !blocked.is_gone() {
            yields(1).await;
        }
    });
}

#[apply(runtime_test_blocking)]
fn a_scope_waits_for_a_blocked_child_also_when_a_sibling_fails(runtime: Runtime) {
    let (blocked, child) = blocked();
    let returned = AtomicBool::new(false);
    let scope = async {
        let result = weirs_scopes::try_task_scope(&runtime, async |s| {
            s.isolate(child);
            s.spawn(async { Err::<(), _>("failed") });
            pending::<Result<(), &str>>().await
        });
        assert_eq!(result.await, Err("failed"));
        assert!(blocked.is_gone());
        returned.store(true, Ordering::Release);
    };
    // The blocked child may be cancelled before it begins; then nobody has to let it go.
    let watch = async {
        yields(50).await;
        let _ = blocked.go.send(());
    };
    block_on(futures::future::join(scope, watch));
}

#[apply(runtime_test)]
async fn anybody_spawns_while_the_scope_waits(runtime: Runtime) {
    let count = Arc::new(AtomicUsize::new(0));
    let mut spawners = Vec::new();
    task_scope(&runtime, async |s| {
        let token = s.token().child();
        let open = token.clone();
        s.spawn(async move {
            open.cancelled().await;
        });
        for _ in 0..4 {
            let (s, count) = (s.clone(), Arc::clone(&count));
            spawners.push(runtime.spawn(async move {
                for _ in 0..100 {
                    let count = Arc::clone(&count);
                    s.spawn(async move { count.fetch_add(1, Ordering::Relaxed) });
                    yields(1).await;
                }
            }));
        }
        let watch = Arc::clone(&count);
        s.spawn(async move {
            while watch.load(Ordering::Relaxed) < 400 {
                yields(1).await;
            }
            token.cancel(Reason::Requested);
        });
    })
    .await;
    assert_eq!(count.load(Ordering::Relaxed), 400);
    for spawner in spawners {
        spawner.await.unwrap();
    }
}

fn nest(s: &TaskScope, depth: usize, deepest: async_channel::Sender<()>, waits: bool) -> Boxed {
    let s = s.clone();
    Box::pin(async move {
        if depth == 0 {
            deepest.try_send(()).unwrap();
            if waits {
                pending::<()>().await;
            }
            return;
        }
        s.scope(async |inner| {
            inner.spawn(nest(&inner, depth - 1, deepest, waits));
        })
        .await;
    })
}

#[apply(runtime_test_blocking)]
fn ten_thousand_scopes_in_each_other_end(runtime: Runtime) {
    block_on(scopes_in_each_other(&runtime, 10_000));
}

#[apply(sim_test)]
async fn scopes_in_each_other_end(runtime: Runtime) {
    scopes_in_each_other(&runtime, 60).await;
}

async fn scopes_in_each_other(runtime: &Runtime, depth: usize) {
    let (deepest, reached) = async_channel::unbounded();
    task_scope(runtime, async |s| drop(s.spawn(nest(&s, depth, deepest.clone(), false)))).await;
    reached.recv().await.unwrap();

    let token = weirs_scopes::CancelToken::new();
    let builder = TaskScope::builder().under(&token);
    let cancelled = builder.run_on(runtime, async |s| {
        s.spawn(nest(&s, depth, deepest.clone(), true));
        pending::<()>().await;
    });
    let cancel = async {
        reached.recv().await.unwrap();
        token.cancel(Reason::Shutdown);
    };
    let (result, ()) = futures::join!(cancelled, cancel);
    assert!(result.unwrap_err().is_cancelled());

    task_scope(runtime, async |outer| {
        let mut dropped = Box::pin(outer.scope(async |s| {
            s.spawn(nest(&s, depth, deepest.clone(), true));
            pending::<()>().await;
        }));
        assert!(futures::poll!(&mut dropped).is_pending());
        reached.recv().await.unwrap();
        drop(dropped);
    })
    .await;
}

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

#[test]
fn a_hundred_thousand_that_wait_are_gone_when_the_drop_returns() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    let live = Arc::new(AtomicUsize::new(0));
    let polled = Arc::new(AtomicUsize::new(0));
    tokio.block_on(async {
        for cancels in [false, true] {
            let mut scope = Box::pin(TaskScope::builder().run_on(&runtime, async |s| {
                for _ in 0..100_000 {
                    let (counted, polled) = (Counted::new(&live), Arc::clone(&polled));
                    s.spawn(async move {
                        let _counted = counted;
                        polled.fetch_add(1, Ordering::Relaxed);
                        pending::<()>().await;
                    });
                }
                while polled.load(Ordering::Relaxed) < 100_000 {
                    tokio::task::yield_now().await;
                }
                if cancels {
                    s.cancel(Reason::Requested);
                    assert_eq!((live.load(Ordering::Relaxed), s.live()), (0, 0));
                }
                pending::<()>().await;
            }));
            std::future::poll_fn(|cx| {
                let polled = polled.load(Ordering::Relaxed);
                match scope.as_mut().poll(cx) {
                    Poll::Pending if polled < 100_000 => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            })
            .await;
            drop(scope);
            assert_eq!(live.load(Ordering::Relaxed), 0);
            polled.store(0, Ordering::Relaxed);
        }
    });
}

#[test]
fn children_of_a_runtime_that_shuts_down_have_ended() {
    let (tokio, runtime) = threads();
    let live = Arc::new(AtomicUsize::new(0));
    block_on(task_scope(&runtime, async |s| {
        let children = [(); 10].map(|()| {
            let counted = Counted::new(&live);
            s.spawn(async move {
                let _counted = counted;
                pending::<()>().await;
            })
        });
        tokio.shutdown_background();
        for child in children {
            assert_eq!(child.await, Err(Ended::Cancelled));
        }
        // From now on the executor refuses.
        assert_eq!(s.spawn(async {}).await, Err(Ended::Cancelled));
    }));
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

struct Refuses;

impl Spawn for Refuses {
    fn spawn_obj(&self, _: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

struct Leaks;

impl Spawn for Leaks {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        std::mem::forget(future);
        Ok(())
    }
}

#[test]
fn children_that_an_executor_refuses_or_leaks_do_not_hold_the_scope() {
    let live = Arc::new(AtomicUsize::new(0));
    for runtime in [Runtime::new(Refuses), Runtime::new(Leaks)] {
        let result = block_on(TaskScope::builder().run_on(&runtime, async |s| {
            for _ in 0..3 {
                let counted = Counted::new(&live);
                s.spawn(async move {
                    let _counted = counted;
                });
            }
            yields(3).await;
            s.cancel(Reason::Requested);
        }));
        assert!(result.is_ok());
        assert_eq!(live.load(Ordering::Relaxed), 0);
    }
}

/// A handle in a child, a handle in a value, a handle in what is deferred: nothing keeps the scope's memory.
#[apply(runtime_test)]
async fn handles_make_no_cycle_that_outlives_the_scope(runtime: Runtime) {
    let live = Arc::new(AtomicUsize::new(0));
    let weak = task_scope(&runtime, async |s| {
        let token = s.token().downgrade();
        let (inner, counted) = (s.clone(), Counted::new(&live));
        drop(s.spawn(async move { (inner, counted) }));
        let (inner, counted) = (s.clone(), Counted::new(&live));
        s.spawn_service("holds", async move {
            let _held = (inner, counted);
            pending::<()>().await;
        });
        let (inner, counted) = (s.clone(), Counted::new(&live));
        s.defer(async move { drop((inner, counted)) });
        token
    })
    .await;
    assert_eq!(live.load(Ordering::Relaxed), 0);
    // Executors may keep an ended task's shell for a moment.
    for _ in 0..1_000_000 {
        if weak.upgrade().is_none() {
            return;
        }
        yields(1).await;
    }
    panic!("the scope's token is kept");
}
