//! How a supervisor starts.

use std::time::Duration;

use super::{SECOND, pool};
use crate::lab::{Begin, EVER, Lab, Order, gave_up};
use weirs_actors::Exit;
use weirs_actors::supervise::{
    AutoShutdown, ChildState, Incarnation, Pool, PoolError, Restart, Spec, StartChildError, StartError, Stop,
    Strategy, Supervisor,
};
use weirs_resilience::Backoff;
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test};

#[apply(runtime_test)]
async fn sup_start_normal(runtime: Runtime) {
    let tree = Supervisor::one_for_one().start(&runtime).await.unwrap();
    let report = tree.shutdown().await;
    assert!(report.is_clean());
    assert!(matches!(report.exit, Exit::Shutdown));
}

/// A supervisor that decides at its start that there is nothing to do.
#[apply(runtime_test)]
async fn sup_start_ignore_init(runtime: Runtime) {
    let below = Spec::task("below", async |_: Incarnation| Exit::Ignored);
    let tree = Supervisor::one_for_one().child(below).start(&runtime).await.unwrap();
    assert_eq!(tree.snapshot().child("below").unwrap().state, ChildState::Down);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn sup_start_ignore_child(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one()
        .child(lab.child_that("a", |_| Begin::Ignore))
        .child(lab.child("b"))
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("-a +b").await;
    tree.start_child(lab.child_that("c", |_| Begin::Ignore)).await.unwrap();
    let snapshot = tree.snapshot();
    let states: Vec<_> = snapshot.children.iter().map(|child| child.state).collect();
    assert_eq!(states, [ChildState::Down, ChildState::Up, ChildState::Down]);
    assert!(tree.shutdown().await.is_clean());
    lab.expect("-c -b").await;
}

#[apply(runtime_test)]
async fn sup_start_ignore_temporary_child(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one()
        .child(lab.child_that("a", |_| Begin::Ignore).temporary())
        .child(lab.child("b"))
        .start(&runtime)
        .await
        .unwrap();
    assert_eq!(tree.snapshot().children.len(), 1);
    assert!(tree.shutdown().await.is_clean());
    lab.expect("-a +b -b").await;
}

#[apply(runtime_test)]
async fn sup_start_ignore_temporary_child_start_child(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one().start(&runtime).await.unwrap();
    tree.start_child(lab.child_that("a", |_| Begin::Ignore).temporary()).await.unwrap();
    assert_eq!(tree.snapshot().children.len(), 0);
    tree.start_child(lab.child("a").temporary()).await.unwrap();
    assert_eq!(tree.snapshot().children.len(), 1);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn sup_start_ignore_temporary_child_start_child_simple(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).restart(Restart::Temporary).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    pool.start_child(("a", Begin::Ignore)).await.unwrap();
    assert!(pool.is_empty());
    pool.start_child(("b", Begin::Well)).await.unwrap();
    assert_eq!(pool.len(), 1);
    assert_eq!(tree.snapshot().count(), 3);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn sup_start_error_return(runtime: Runtime) {
    let error = Supervisor::one_for_one().intensity(1, Duration::ZERO).start(&runtime).await.unwrap_err();
    assert!(matches!(&error, StartError::Invalid(invalid) if invalid.field() == "supervisor.intensity"));
}

#[apply(runtime_test)]
async fn sup_start_fail(runtime: Runtime) {
    let below = Spec::tree("below", || panic!("no plan"));
    let error = Supervisor::one_for_one().name("app").child(below).start(&runtime).await.unwrap_err();
    assert_eq!(error.to_string(), "app/below did not start: panicked: no plan");
}

#[apply(runtime_test)]
async fn sup_start_child_returns_error(runtime: Runtime) {
    let lab = Lab::new();
    let error = Supervisor::rest_for_one()
        .child(lab.child("a"))
        .child(lab.child("b"))
        .child(lab.child_that("c", |_| Begin::Fail))
        .child(lab.child("d"))
        .start(&runtime)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "c did not start: failed: at its start");
    // All is gone when the error is there.
    lab.expect_nobody();
    lab.expect("+a +b -c -b -a").await;
    lab.expect_nothing();
}

#[apply(runtime_test)]
async fn sup_start_restart_child_returns_error(runtime: Runtime) {
    let lab = Lab::new();
    let child = lab.child_that("a", |life| if life == 1 { Begin::Well } else { Begin::Fail });
    let mut tree = Supervisor::one_for_one().intensity(2, EVER).child(child).start(&runtime).await.unwrap();
    lab.tell("a", Order::Fail);
    assert_eq!(gave_up(&tree.wait().await), "a");
    lab.expect("+a -a -a -a").await;
    lab.expect_nothing();
}

#[apply(runtime_test)]
async fn sup_start_child_returns_error_simple(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    let error = pool.start_child(("a", Begin::Fail)).await.unwrap_err();
    assert_eq!(error.to_string(), "the child did not start: failed: at its start");
    assert!(pool.is_empty());
    pool.start_child(("b", Begin::Well)).await.unwrap();
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn sup_start_map(runtime: Runtime) {
    let lab = Lab::new();
    let child = lab
        .child("a")
        .restart(Restart::Transient)
        .stop(Stop::Within(SECOND))
        .kill_grace(SECOND)
        .start_within(SECOND)
        .reset_after(SECOND)
        .backoff(Backoff::constant(Duration::ZERO));
    let tree = Supervisor::new(Strategy::RestForOne)
        .intensity(3, SECOND)
        .auto_shutdown(AutoShutdown::Never)
        .children([child, lab.child("b")])
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b").await;
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn sup_start_map_simple(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab)
        .restart(Restart::Permanent)
        .stop(Stop::Kill)
        .kill_grace(SECOND)
        .start_within(SECOND)
        .reset_after(SECOND)
        .backoff(Backoff::constant(Duration::ZERO))
        .intensity(3, SECOND)
        .most(2)
        .shards(2)
        .build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    pool.start_child(("a", Begin::Well)).await.unwrap();
    pool.start_child(("b", Begin::Well)).await.unwrap();
    let full = pool.start_child(("c", Begin::Well)).await.unwrap_err();
    assert!(matches!(full, PoolError::Full(("c", Begin::Well))));
    drop(tree.shutdown().await);
    lab.expect_nobody();
}

#[apply(runtime_test)]
async fn sup_start_map_faulty_specs(runtime: Runtime) {
    let lab = Lab::new();
    let one = Supervisor::one_for_one;
    let no_backoff = Backoff::constant(SECOND).cap(Duration::ZERO);
    let faulty = [
        (one().child(lab.child("")), "spec.id"),
        (one().child(Spec::task(String::new(), async |_: Incarnation| ())), "spec.id"),
        (one().child(lab.child("a")).child(lab.child("a")), "spec.id"),
        (one().child(lab.child("a").start_within(Duration::ZERO)), "spec.start_within"),
        (one().child(lab.child("a").backoff(no_backoff)), "spec.backoff"),
        (one().child(lab.child("a").transient().significant()), "spec.significant"),
        (
            one().auto_shutdown(AutoShutdown::AnySignificant).child(lab.child("a").significant()),
            "spec.significant",
        ),
        (one().intensity(1, Duration::ZERO).child(lab.child("a")), "supervisor.intensity"),
        (one().child(pool(&lab).most(0).build().1), "pool.most"),
        (one().child(pool(&lab).shards(0).build().1), "pool.shards"),
        (one().child(pool(&lab).intensity(1, Duration::ZERO).build().1), "pool.intensity"),
        (one().child(pool(&lab).backoff(no_backoff).build().1), "pool.backoff"),
        (one().child(pool(&lab).start_within(Duration::ZERO).build().1), "pool.start_within"),
        (
            one().child(Pool::once("p", async |(), _| ()).restart(Restart::Permanent).build().1),
            "pool.restart",
        ),
    ];
    for (supervisor, field) in faulty {
        match supervisor.start(&runtime).await {
            Err(StartError::Invalid(invalid)) => assert_eq!(invalid.field(), field),
            other => panic!("{field}: {other:?}"),
        }
    }
    // Nobody was started, and a child that is added later is looked at as well.
    lab.expect_nothing();
    let tree = one().start(&runtime).await.unwrap();
    for spec in [lab.child(""), lab.child("a").transient().significant()] {
        let error = tree.start_child(spec).await.unwrap_err();
        assert!(matches!(error, StartChildError::Invalid(..)), "{error}");
        assert!(error.into_spec().is_some());
    }
    assert_eq!(tree.snapshot().children.len(), 0);
}
