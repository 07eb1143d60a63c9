//! Every waiting operation of a supervisor, dropped at each of its polls.

mod lab;

use std::sync::Mutex;

use lab::{Begin, Lab, Order, eventually, patient};
use weirs_actors::supervise::{ChildState, Incarnation, Pool, Spec, Supervisor, Tree};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

async fn tree_of(lab: &Lab, runtime: &Runtime) -> Tree {
    patient(Supervisor::one_for_one())
        .child(lab.child("a"))
        .child(lab.child("b"))
        .start(runtime)
        .await
        .unwrap()
}

/// Nothing of a start that was dropped survives.
#[apply(runtime_test)]
async fn start(runtime: Runtime) {
    let lab = Lab::new();
    let start = || async { drop(tree_of(&lab, &runtime).await) };
    let gone = |_| eventually(|| lab.count() == 0);
    cancel_at_every_poll(start, gone).await;
    cancel_at_every_wake(start, gone).await;
}

#[apply(runtime_test)]
async fn shutdown(runtime: Runtime) {
    let lab = Lab::new();
    let trees = Mutex::new(None);
    for kill in [false, true] {
        let gone = |_| eventually(|| lab.count() == 0);
        cancel_at_every_poll(
            || async {
                let tree = tree_of(&lab, &runtime).await;
                *trees.lock().unwrap() = Some(tree.handle());
                if kill {
                    tree.kill().await
                } else {
                    tree.shutdown().await
                };
            },
            gone,
        )
        .await;
    }
}

#[apply(runtime_test)]
async fn wait(runtime: Runtime) {
    let lab = Lab::new();
    let mut tree = tree_of(&lab, &runtime).await;
    {
        // It does not end by itself: nothing happens to the tree, and it can be waited for again.
        let mut wait = Box::pin(tree.wait());
        assert!(futures::poll!(&mut wait).is_pending());
    }
    assert_eq!(lab.count(), 2);
    tree.stop_all();
    tree.wait().await;
    // Told once more what it came to.
    tree.wait().await;
    lab.expect_nobody();
}

/// Dropped before its first poll it has not happened; later it has, all the same.
#[apply(runtime_test)]
async fn start_child(runtime: Runtime) {
    let lab = Lab::new();
    let tree = tree_of(&lab, &runtime).await;
    cancel_at_every_poll(
        || async { drop(tree.start_child(lab.child("c")).await) },
        |k| {
            let (tree, lab) = (&tree, &lab);
            async move {
                let there = k > 0;
                if there {
                    eventually(|| tree.snapshot().child("c").is_some()).await;
                    eventually(|| tree.snapshot().child("c").unwrap().state == ChildState::Up).await;
                    drop(tree.stop_child("c").await.unwrap());
                    tree.delete_child("c").await.unwrap();
                }
                assert!(tree.snapshot().child("c").is_none());
                assert_eq!(lab.count(), 2);
            }
        },
    )
    .await;
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn stop_restart_and_delete_child(runtime: Runtime) {
    let lab = Lab::new();
    let tree = tree_of(&lab, &runtime).await;
    let state = || tree.snapshot().child("b").map(|child| child.state);
    cancel_at_every_poll(
        || async { drop(tree.stop_child("b").await) },
        |k| {
            let (tree, state) = (&tree, &state);
            async move {
                if k > 0 {
                    eventually(|| state() == Some(ChildState::Down)).await;
                    tree.restart_child("b").await.unwrap();
                }
                assert_eq!(state(), Some(ChildState::Up));
            }
        },
    )
    .await;
    drop(tree.stop_child("b").await.unwrap());
    cancel_at_every_poll(
        || async { drop(tree.restart_child("b").await) },
        |k| {
            let (tree, state) = (&tree, &state);
            async move {
                if k > 0 {
                    eventually(|| state() == Some(ChildState::Up)).await;
                    drop(tree.stop_child("b").await.unwrap());
                }
                assert_eq!(state(), Some(ChildState::Down));
            }
        },
    )
    .await;
    cancel_at_every_poll(
        || async { drop(tree.delete_child("b").await) },
        |k| {
            let (tree, state, lab) = (&tree, &state, &lab);
            async move {
                if k > 0 {
                    eventually(|| state().is_none()).await;
                    tree.start_child(lab.child("b")).await.unwrap();
                    drop(tree.stop_child("b").await.unwrap());
                }
                assert_eq!(state(), Some(ChildState::Down));
            }
        },
    )
    .await;
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn start_and_stop_in_a_pool(runtime: Runtime) {
    let (pool, spec) =
        Pool::once("pool", async |(), life: Incarnation| life.cancelled().await).most(1).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    let last = Mutex::new(0);
    cancel_at_every_poll(
        || async { drop(pool.start_child(()).await) },
        |k| {
            let (pool, last) = (&pool, &last);
            async move {
                if k > 0 {
                    // It takes its place, and gives it back.
                    assert!(pool.try_start_child(()).is_err());
                    *last.lock().unwrap() += 1;
                    let number = *last.lock().unwrap();
                    drop(pool.stop_child(number).await.unwrap());
                }
                assert!(pool.is_empty());
            }
        },
    )
    .await;
    assert!(tree.shutdown().await.is_clean());
}

/// Wherever a child waits for the order to stop, it hears it: in its own task, and elsewhere.
#[apply(runtime_test)]
async fn cancelled(runtime: Runtime) {
    let lab = Lab::new();
    let inner = (lab.clone(), runtime.clone());
    let waits = Spec::task("a", move |life: Incarnation| {
        let (lab, runtime) = inner.clone();
        async move {
            let elsewhere = runtime.spawn({
                let (lab, life) = (lab.clone(), life.clone());
                async move {
                    life.cancelled().await;
                    lab.say("elsewhere");
                }
            });
            for _ in 0..3 {
                // Polled once and dropped.
                assert!(futures::poll!(Box::pin(life.cancelled())).is_pending());
            }
            let many: futures::stream::FuturesUnordered<_> = (0..5).map(|_| life.cancelled()).collect();
            futures::StreamExt::collect::<Vec<()>>(many).await;
            assert!(life.is_stopping() && life.token().is_cancelled());
            elsewhere.await.unwrap();
            lab.say("here");
        }
    });
    let tree = Supervisor::one_for_one().child(waits).start(&runtime).await.unwrap();
    assert!(tree.shutdown().await.is_clean());
    lab.expect("elsewhere here").await;
}

/// A tree with all that may be under way, dropped at every poll: mid-start, mid-restart, mid-shutdown.
#[apply(sim_test)]
async fn a_tree_is_dropped_anywhere(runtime: Runtime) {
    let lab = Lab::new();
    let whole = || async {
        let below = Spec::tree("below", {
            let lab = lab.clone();
            move || patient(Supervisor::rest_for_one()).child(lab.child("c")).child(lab.child("d"))
        });
        let (pool, spec) = Pool::tasks("pool", {
            let lab = lab.clone();
            move |(), life| lab.live("p", Begin::Well, life)
        })
        .announces_ready()
        .build();
        let tree = patient(Supervisor::one_for_all())
            .children([lab.child("a"), below, spec])
            .start(&runtime)
            .await
            .unwrap();
        pool.start_child(()).await.unwrap();
        lab.tell("c", Order::Fail);
        lab.tell("a", Order::Panic);
        tree.start_child(lab.child("e")).await.ok();
        drop(tree.shutdown().await);
    };
    let gone = |_| eventually(|| lab.count() == 0);
    cancel_at_every_poll(whole, gone).await;
    cancel_at_every_wake(whole, gone).await;
}
