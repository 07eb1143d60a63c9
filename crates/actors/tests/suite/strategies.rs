//! Whom a restart takes along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pool;
use crate::lab::{Begin, EVER, Lab, Order, eventually, gave_up, patient};
use weirs_actors::supervise::{CommandError, Pool, Strategy, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test};

#[apply(runtime_test)]
async fn multiple_restarts(runtime: Runtime) {
    let lab = Lab::new();
    let supervisor = Supervisor::one_for_one().intensity(30, EVER).child(lab.child("a"));
    let mut tree = supervisor.start(&runtime).await.unwrap();
    lab.expect("+a").await;
    for _ in 0..30 {
        lab.tell("a", Order::Fail);
        lab.expect("-a +a").await;
    }
    assert_eq!(tree.snapshot().restarts, 30);
    lab.tell("a", Order::Fail);
    assert_eq!(gave_up(&tree.wait().await), "a");
}

#[apply(runtime_test)]
async fn one_for_one(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::one_for_one())
        .children([lab.child("a"), lab.child("b"), lab.child("c")])
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c").await;
    lab.tell("b", Order::Fail);
    lab.expect("-b +b").await;
    assert!(tree.shutdown().await.is_clean());
    lab.expect("-c -b -a").await;
}

/// All are stopped, and the next that wants a restart ends the supervisor.
async fn escalation(runtime: &Runtime, strategy: Strategy, first: &str, last: &str) {
    let lab = Lab::new();
    let mut tree = Supervisor::new(strategy)
        .intensity(1, EVER)
        .children([lab.child("a"), lab.child("b"), lab.child("c")])
        .start(runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c").await;
    lab.tell("b", Order::Fail);
    lab.expect(first).await;
    lab.tell("b", Order::Fail);
    assert_eq!(gave_up(&tree.wait().await), "b");
    lab.expect_nobody();
    lab.expect(last).await;
    lab.expect_nothing();
}

#[apply(runtime_test)]
async fn one_for_one_escalation(runtime: Runtime) {
    escalation(&runtime, Strategy::OneForOne, "-b +b", "-b -c -a").await;
}

#[apply(runtime_test)]
async fn one_for_all(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::one_for_all())
        .children([lab.child("a"), lab.child("b"), lab.child("c")])
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c").await;
    lab.tell("b", Order::Fail);
    lab.expect("-b -c -a +a +b +c").await;
    assert!(tree.shutdown().await.is_clean());
    lab.expect("-c -b -a").await;
}

#[apply(runtime_test)]
async fn one_for_all_escalation(runtime: Runtime) {
    escalation(&runtime, Strategy::OneForAll, "-b -c -a +a +b +c", "-b -c -a").await;
}

/// Another child fails in the middle of the restart: all is stopped again, and it begins anew.
#[apply(runtime_test)]
async fn one_for_all_other_child_fails_restart(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::one_for_all())
        .child(lab.child("a"))
        .child(lab.child_that("b", |life| if life == 2 { Begin::Fail } else { Begin::Well }))
        .child(lab.child("c"))
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c").await;
    lab.tell("a", Order::Fail);
    lab.expect("-a -c -b +a -b -a +a +b +c").await;
    assert_eq!(tree.snapshot().restarts, 2);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn rest_for_one(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::rest_for_one())
        .children([lab.child("a"), lab.child("b"), lab.child("c"), lab.child("d")])
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c +d").await;
    lab.tell("b", Order::Fail);
    lab.expect("-b -d -c +b +c +d").await;
    assert!(tree.shutdown().await.is_clean());
    lab.expect("-d -c -b -a").await;
}

#[apply(runtime_test)]
async fn rest_for_one_escalation(runtime: Runtime) {
    escalation(&runtime, Strategy::RestForOne, "-b -c +b +c", "-b -c -a").await;
}

/// Another child fails in the middle of the restart: it is tried again from there, and those before it stay.
#[apply(runtime_test)]
async fn rest_for_one_other_child_fails_restart(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::rest_for_one())
        .child(lab.child("a"))
        .child(lab.child_that("b", |life| if life == 2 { Begin::Fail } else { Begin::Well }))
        .child(lab.child("c"))
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c").await;
    lab.tell("a", Order::Fail);
    lab.expect("-a -c -b +a -b +b +c").await;
    assert_eq!(tree.snapshot().restarts, 2);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn simple_one_for_one(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).intensity(10, EVER).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    for name in ["a", "b", "c"] {
        pool.start_child((name, Begin::Well)).await.unwrap();
    }
    lab.expect("+a +b +c").await;
    lab.tell("b", Order::Fail);
    lab.expect("-b +b").await;
    lab.tell("b", Order::Done);
    lab.expect("-b").await;
    pool.start_child(("d", Begin::Well)).await.unwrap();
    eventually(|| pool.len() == 3).await;
    assert!(tree.shutdown().await.is_clean());
    lab.expect("+d").await;
    lab.expect_all("-a -c -d").await;
}

#[apply(runtime_test)]
async fn simple_one_for_one_shutdown(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    for name in ["a", "b"] {
        pool.start_child((name, Begin::Well)).await.unwrap();
    }
    let report = tree.shutdown().await;
    // Two children, and the pool itself.
    assert!(report.is_clean() && report.stopped == 3, "{report}");
    lab.expect_nobody();
}

#[apply(runtime_test)]
async fn simple_one_for_one_escalation(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).intensity(1, EVER).build();
    let supervisor = Supervisor::one_for_one().intensity(0, EVER).child(spec);
    let mut tree = supervisor.start(&runtime).await.unwrap();
    for name in ["a", "b"] {
        pool.start_child((name, Begin::Well)).await.unwrap();
    }
    lab.expect("+a +b").await;
    lab.tell("a", Order::Fail);
    lab.expect("-a +a").await;
    lab.tell("a", Order::Fail);
    let exit = tree.wait().await;
    assert_eq!(exit.to_string(), "gave up on pool: gave up on 1: failed: told to");
    lab.expect_nobody();
    assert!(pool.is_empty());
}

#[apply(runtime_test)]
async fn simple_one_for_one_corruption(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    let a = pool.start_child(("a", Begin::Well)).await.unwrap();
    for number in [0, a + 1, u64::MAX] {
        assert!(matches!(pool.stop_child(number).await, Err(CommandError::Unknown)));
    }
    let below = tree.subtree("pool").unwrap();
    assert!(matches!(below.stop_child("a").await, Err(CommandError::Unknown)));
    assert!(matches!(below.delete_child(a).await, Err(CommandError::Running)));
    assert!(matches!(below.restart_child(a).await, Err(CommandError::Running)));
    assert_eq!(pool.len(), 1);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn simple_one_for_one_restart_ignore(runtime: Runtime) {
    let lab = Lab::new();
    let (begun, inner) = (Arc::new(AtomicU64::new(0)), lab.clone());
    let second_ignores = move |(), life| {
        let first = begun.fetch_add(1, Ordering::Relaxed) == 0;
        inner.live("a", if first { Begin::Well } else { Begin::Ignore }, life)
    };
    let pool = Pool::tasks("pool", second_ignores).announces_ready().intensity(3, EVER);
    let (pool, spec) = pool.build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    pool.start_child(()).await.unwrap();
    lab.tell("a", Order::Fail);
    lab.expect("+a -a -a").await;
    eventually(|| pool.is_empty()).await;
    assert!(matches!(pool.stop_child(1).await, Err(CommandError::Unknown)));
    assert!(tree.shutdown().await.is_clean());
}
