//! The cases of OTP's `supervisor_SUITE`, each under its own name, on every runtime.
//!
//! What Erlang calls `shutdown` is [`Exit::Shutdown`], `simple_one_for_one` is a [`Pool`], `which_children`
//! and `count_children` are a snapshot, and a child that returns `ignore` ends with [`Exit::Ignored`].
//!
//! | case | why there is no test of that name |
//! |---|---|
//! | `extra_return`, `simple_one_for_one_extra` | being ready carries no value: there is nothing extra to return |
//! | `already_started_outside_supervisor` | a child's future is made by its supervisor, never elsewhere |
//! | `format_log_*` | nothing is logged; an observer hears of everything, and errors have a `Display` |
//! | `code_change*` | code is not changed while it runs |
//! | `significant_upgrade_*` | the same; a child's spec is replaced by `stop_child`, `delete_child`, `start_child` |
//!
//! Where we differ on purpose, the test says so.

mod lab;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lab::{Begin, EVER, Lab, Order, eventually, gave_up, patient};
use weirs_actors::Exit;
use weirs_actors::supervise::{
    AutoShutdown, ChildState, CommandError, Incarnation, Pool, PoolError, Restart, Spec, StartChildError,
    StartError, Stop, Strategy, Supervisor,
};
use weirs_resilience::Backoff;
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

const SECOND: Duration = Duration::from_secs(1);

/// A pool whose children are called what they are handed.
fn pool(lab: &Lab) -> weirs_actors::supervise::PoolBuilder<(&'static str, Begin)> {
    let lab = lab.clone();
    Pool::tasks("pool", move |(name, begin), life| lab.live(name, begin, life)).announces_ready()
}

// ---- starting ----

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

// ---- stopping ----

#[apply(sim_test)]
async fn sup_stop_infinity(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let slow = Spec::task("slow", move |life: Incarnation| {
        let clock = clock.clone();
        async move {
            life.cancelled().await;
            clock.sleep(3600 * SECOND).await;
        }
    });
    let tree = Supervisor::one_for_one().child(slow.stop(Stop::Forever)).start(&runtime).await.unwrap();
    let before = runtime.clock().now();
    assert!(tree.shutdown().await.is_clean());
    assert_eq!(runtime.clock().now() - before, 3600 * SECOND);
}

#[apply(sim_test)]
async fn sup_stop_timeout(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one()
        .child(lab.child("quick").stop(Stop::Within(SECOND)))
        .child(lab.stubborn("stubborn").stop(Stop::Within(2 * SECOND)))
        .child(lab.stubborn("default"))
        .start(&runtime)
        .await
        .unwrap();
    let before = runtime.clock().now();
    let report = tree.shutdown().await;
    assert_eq!(runtime.clock().now() - before, 7 * SECOND);
    assert_eq!(report.stopped, 1);
    let left: Vec<_> = report.left.iter().map(|left| left.path.as_str()).collect();
    assert_eq!(left, ["default", "stubborn"]);
    assert!(report.left.iter().all(|left| matches!(left.exit, Some(Exit::Killed))));
    lab.expect("+quick +stubborn +default -default -stubborn -quick").await;
}

/// The children of a pool have the same time, all together.
#[apply(sim_test)]
async fn sup_stop_timeout_dynamic(runtime: Runtime) {
    let lab = Lab::new();
    let stubborn = async |lab: Lab, life: Incarnation| {
        let _alive = lab.alive(&life.path());
        std::future::pending::<()>().await;
    };
    let (pool, spec) = Pool::tasks("pool", stubborn).stop(Stop::Within(2 * SECOND)).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    for _ in 0..10 {
        pool.start_child(lab.clone()).await.unwrap();
    }
    let before = runtime.clock().now();
    let report = tree.shutdown().await;
    assert_eq!(runtime.clock().now() - before, 2 * SECOND);
    assert_eq!(report.left.len(), 10, "{report}");
    lab.expect_nobody();
}

#[apply(runtime_test)]
async fn sup_stop_brutal_kill(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one()
        .child(lab.child("a"))
        .child(lab.stubborn("b").stop(Stop::Kill))
        .start(&runtime)
        .await
        .unwrap();
    let report = tree.shutdown().await;
    assert_eq!(report.left.len(), 1);
    assert!(matches!(report.left[0].exit, Some(Exit::Killed)));
    lab.expect("+a +b -b -a").await;
}

#[apply(runtime_test)]
async fn sup_stop_brutal_kill_dynamic(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).stop(Stop::Kill).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    pool.start_child(("a", Begin::Well)).await.unwrap();
    pool.start_child(("b", Begin::Well)).await.unwrap();
    lab.expect("+a +b").await;
    assert_eq!(tree.shutdown().await.left.len(), 2);
    lab.expect_all("-a -b").await;
    assert!(pool.is_empty());
}

/// Children that end by themselves just as they are stopped: otp#5193.
#[apply(runtime_test)]
async fn sup_stop_race(runtime: Runtime) {
    for order in [Order::Done, Order::Shutdown, Order::Fail, Order::Panic] {
        let lab = Lab::new();
        let supervisor = patient(Supervisor::one_for_one()).child(lab.child("a")).child(lab.child("b"));
        let tree = supervisor.start(&runtime).await.unwrap();
        lab.tell("a", order);
        lab.tell("b", order);
        drop(tree.shutdown().await);
        lab.expect_nobody();
    }
}

#[apply(runtime_test)]
async fn sup_stop_non_shutdown_exit_dynamic(runtime: Runtime) {
    let fails = async |(), life: Incarnation| {
        life.cancelled().await;
        Err::<(), _>("on its way out")
    };
    let (pool, spec) = Pool::tasks("pool", fails).build();
    let tree = Supervisor::one_for_one().name("app").child(spec).start(&runtime).await.unwrap();
    for _ in 0..3 {
        pool.start_child(()).await.unwrap();
    }
    let report = tree.shutdown().await;
    let mut left: Vec<_> = report.left.iter().map(|left| left.path.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["app/pool/1", "app/pool/2", "app/pool/3"]);
    assert!(report.left.iter().all(|left| matches!(left.exit, Some(Exit::Failed(_)))));
}

// ---- adding, stopping, restarting, deleting ----

#[apply(runtime_test)]
async fn child_adm(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one().start(&runtime).await.unwrap();
    tree.start_child(lab.child("a")).await.unwrap();
    let taken = tree.start_child(lab.child("a")).await.unwrap_err();
    assert!(matches!(taken, StartChildError::Taken(_)));
    assert!(matches!(tree.restart_child("a").await, Err(CommandError::Running)));
    assert!(matches!(tree.delete_child("a").await, Err(CommandError::Running)));
    assert!(matches!(tree.stop_child("a").await, Ok(Exit::Shutdown)));
    assert!(matches!(tree.stop_child("a").await, Ok(Exit::Shutdown)), "it is down already");
    let present = tree.start_child(lab.child("a")).await.unwrap_err();
    assert!(matches!(present, StartChildError::Taken(_)));
    tree.restart_child("a").await.unwrap();
    assert_eq!(tree.snapshot().child("a").unwrap().incarnation, 2);
    tree.stop_child("a").await.unwrap();
    tree.delete_child("a").await.unwrap();
    assert_eq!(tree.snapshot().children.len(), 0);
    assert!(matches!(tree.restart_child("a").await, Err(CommandError::Unknown)));
    assert!(matches!(tree.delete_child("a").await, Err(CommandError::Unknown)));
    assert!(matches!(tree.stop_child("a").await, Err(CommandError::Unknown)));
    tree.start_child(present.into_spec().unwrap()).await.unwrap();
    lab.expect("+a -a +a -a +a").await;
    let handle = tree.handle();
    assert!(tree.shutdown().await.is_clean());
    let ended = handle.start_child(lab.child("b")).await.unwrap_err();
    assert!(ended.into_spec().is_some());
    assert!(matches!(handle.stop_child("a").await, Err(CommandError::Ended)));
}

#[apply(runtime_test)]
async fn child_adm_simple(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).build();
    assert!(matches!(pool.start_child(("a", Begin::Well)).await, Err(PoolError::Down(Some(_)))));
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    let a = pool.start_child(("a", Begin::Well)).await.unwrap();
    let b = pool.start_child(("b", Begin::Well)).await.unwrap();
    assert!(a < b);
    assert!(matches!(pool.stop_child(a).await, Ok(Exit::Shutdown)));
    assert!(matches!(pool.stop_child(a).await, Err(CommandError::Unknown)), "it left");
    assert_eq!(pool.len(), 1);
    assert!(tree.shutdown().await.is_clean());
    let down = pool.start_child(("c", Begin::Well)).await.unwrap_err();
    assert_eq!(down.into_args(), Some(("c", Begin::Well)));
    assert!(matches!(pool.stop_child(b).await, Err(CommandError::Ended)));
    lab.expect("+a +b -a -b").await;
}

/// A spec is a value: it says what it is before it is used.
#[apply(runtime_test)]
async fn child_specs(runtime: Runtime) {
    let lab = Lab::new();
    let spec = lab.child("a");
    assert_eq!(spec.id().name(), Some("a"));
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    let error = tree.start_child(lab.child("a")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is a child called a");
}

#[apply(runtime_test)]
async fn child_specs_map(_: Runtime) {
    let spec = Lab::new().child("a").transient().stop(Stop::Kill);
    let shown = format!("{spec:?}");
    assert!(shown.contains("Transient") && shown.contains("Kill"), "{shown}");
}

#[apply(runtime_test)]
async fn sup_flags(runtime: Runtime) {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne, Strategy::Dynamic] {
        for auto in [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            for (most, within) in [(0, EVER), (1, Duration::from_nanos(1)), (u32::MAX, Duration::MAX)] {
                let supervisor = Supervisor::new(strategy).auto_shutdown(auto).intensity(most, within);
                let tree = supervisor.start(&runtime).await.unwrap();
                assert!(tree.shutdown().await.is_clean());
            }
        }
    }
}

// ---- restart types ----

/// What a child of this type does when it ends in each way: whether it is there again.
async fn restart_type(runtime: &Runtime, restart: Restart, order: Order, comes_back: bool) {
    let lab = Lab::new();
    let supervisor = patient(Supervisor::one_for_one()).child(lab.kind("a", restart)).child(lab.child("b"));
    let tree = supervisor.start(runtime).await.unwrap();
    lab.expect("+a +b").await;
    lab.tell("a", order);
    lab.expect("-a").await;
    if comes_back {
        lab.expect("+a").await;
        assert_eq!(tree.snapshot().child("a").unwrap().incarnation, 2);
    } else {
        eventually(|| match tree.snapshot().child("a") {
            None => restart == Restart::Temporary,
            Some(child) => restart == Restart::Transient && child.state == ChildState::Down,
        })
        .await;
        tree.start_child(lab.child("c")).await.unwrap();
        lab.expect("+c").await;
    }
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn permanent_normal(runtime: Runtime) {
    restart_type(&runtime, Restart::Permanent, Order::Done, true).await;
}

#[apply(runtime_test)]
async fn permanent_shutdown(runtime: Runtime) {
    restart_type(&runtime, Restart::Permanent, Order::Shutdown, true).await;
}

#[apply(runtime_test)]
async fn permanent_abnormal(runtime: Runtime) {
    restart_type(&runtime, Restart::Permanent, Order::Fail, true).await;
    restart_type(&runtime, Restart::Permanent, Order::Panic, true).await;
}

#[apply(runtime_test)]
async fn transient_normal(runtime: Runtime) {
    restart_type(&runtime, Restart::Transient, Order::Done, false).await;
}

#[apply(runtime_test)]
async fn transient_shutdown(runtime: Runtime) {
    restart_type(&runtime, Restart::Transient, Order::Shutdown, false).await;
}

#[apply(runtime_test)]
async fn transient_abnormal(runtime: Runtime) {
    restart_type(&runtime, Restart::Transient, Order::Fail, true).await;
    restart_type(&runtime, Restart::Transient, Order::Panic, true).await;
}

#[apply(runtime_test)]
async fn temporary_normal(runtime: Runtime) {
    restart_type(&runtime, Restart::Temporary, Order::Done, false).await;
}

#[apply(runtime_test)]
async fn temporary_shutdown(runtime: Runtime) {
    restart_type(&runtime, Restart::Temporary, Order::Shutdown, false).await;
}

#[apply(runtime_test)]
async fn temporary_abnormal(runtime: Runtime) {
    restart_type(&runtime, Restart::Temporary, Order::Fail, false).await;
    restart_type(&runtime, Restart::Temporary, Order::Panic, false).await;
}

/// A transient supervisor that gives up. In Erlang it ends with `shutdown`, is not restarted, and the tree
/// runs on without it. Here giving up is a failure.
#[apply(runtime_test)]
async fn faulty_application_shutdown(runtime: Runtime) {
    let lab = Lab::new();
    let below = Spec::tree("below", {
        let lab = lab.clone();
        move || Supervisor::one_for_one().intensity(0, EVER).child(lab.child("a"))
    });
    let tree = patient(Supervisor::one_for_one()).child(below.transient()).start(&runtime).await.unwrap();
    lab.expect("+a").await;
    lab.tell("a", Order::Fail);
    lab.expect("-a +a").await;
    let snapshot = tree.snapshot();
    assert_eq!(gave_up(snapshot.child("below").unwrap().last_exit.as_ref().unwrap()), "a");
    assert!(tree.shutdown().await.is_clean());
}

/// A temporary child is taken down by others, and not brought back.
#[apply(runtime_test)]
async fn temporary_bystander(runtime: Runtime) {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let lab = Lab::new();
        let tree = patient(Supervisor::new(strategy))
            .child(lab.child("a"))
            .child(lab.child("t").temporary())
            .child(lab.child("b"))
            .start(&runtime)
            .await
            .unwrap();
        lab.expect("+a +t +b").await;
        lab.tell("a", Order::Fail);
        lab.expect("-a -b -t +a +b").await;
        assert!(tree.snapshot().child("t").is_none());
        assert!(tree.shutdown().await.is_clean());
    }
}

// ---- strategies ----

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

// ---- the end with the significant ones ----

/// Ends one child, with which the supervisor ends or does not.
async fn significant(runtime: &Runtime, auto: AutoShutdown, a: Spec, lab: &Lab, order: Order, ends: bool) {
    let supervisor = patient(Supervisor::one_for_one()).auto_shutdown(auto).child(a).child(lab.child("b"));
    let mut tree = supervisor.start(runtime).await.unwrap();
    lab.expect("+a +b").await;
    lab.tell("a", order);
    lab.expect("-a").await;
    if ends {
        assert!(matches!(tree.wait().await, Exit::Normal));
        lab.expect("-b").await;
        lab.expect_nobody();
    } else {
        let is_up = |state| state == ChildState::Up;
        eventually(|| !tree.snapshot().child("a").is_some_and(|child| is_up(child.state))).await;
        tree.start_child(lab.child("c")).await.unwrap();
    }
}

const AUTO: [AutoShutdown; 2] = [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];

#[apply(runtime_test)]
async fn nonsignificant_temporary(runtime: Runtime) {
    for (auto, order) in AUTO.into_iter().zip([Order::Done, Order::Fail]) {
        let lab = Lab::new();
        significant(&runtime, auto, lab.child("a").temporary(), &lab, order, false).await;
    }
}

#[apply(runtime_test)]
async fn nonsignificant_transient(runtime: Runtime) {
    for (auto, order) in AUTO.into_iter().zip([Order::Done, Order::Shutdown]) {
        let lab = Lab::new();
        significant(&runtime, auto, lab.child("a").transient(), &lab, order, false).await;
    }
}

#[apply(runtime_test)]
async fn significant_temporary(runtime: Runtime) {
    for auto in AUTO {
        for order in [Order::Done, Order::Shutdown, Order::Fail, Order::Panic] {
            let lab = Lab::new();
            let a = lab.child("a").temporary().significant();
            significant(&runtime, auto, a, &lab, order, true).await;
        }
    }
}

#[apply(runtime_test)]
async fn significant_transient(runtime: Runtime) {
    for auto in AUTO {
        for order in [Order::Done, Order::Shutdown] {
            let lab = Lab::new();
            let a = lab.child("a").transient().significant();
            significant(&runtime, auto, a, &lab, order, true).await;
        }
        // One that failed is restarted.
        let lab = Lab::new();
        let supervisor = patient(Supervisor::one_for_one()).auto_shutdown(auto);
        let tree = supervisor.child(lab.child("a").transient().significant()).start(&runtime).await.unwrap();
        lab.tell("a", Order::Fail);
        lab.expect("+a -a +a").await;
        assert!(tree.shutdown().await.is_clean());
    }
}

#[apply(runtime_test)]
async fn significant_simple(runtime: Runtime) {
    let lab = Lab::new();
    let supervisor = Supervisor::new(Strategy::Dynamic).auto_shutdown(AutoShutdown::AllSignificant);
    let mut tree = supervisor.start(&runtime).await.unwrap();
    for name in ["a", "b"] {
        tree.start_child(lab.child(name).temporary().significant()).await.unwrap();
    }
    tree.start_child(lab.child("c")).await.unwrap();
    lab.expect("+a +b +c").await;
    lab.tell("a", Order::Done);
    lab.expect("-a").await;
    lab.tell("b", Order::Done);
    assert!(matches!(tree.wait().await, Exit::Normal));
    lab.expect("-b -c").await;
}

/// One that is taken down by others, or by a command, says nothing of its own.
#[apply(runtime_test)]
async fn significant_bystander(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::one_for_all())
        .auto_shutdown(AutoShutdown::AnySignificant)
        .child(lab.child("a"))
        .child(lab.child("s").temporary().significant())
        .child(lab.child("t").transient().significant())
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +s +t").await;
    lab.tell("a", Order::Fail);
    lab.expect("-a -t -s +a +t").await;
    tree.stop_child("t").await.unwrap();
    tree.start_child(lab.child("b")).await.unwrap();
    lab.expect("-t +b").await;
    assert!(tree.shutdown().await.is_clean());
}

/// The supervisor above sees a normal end.
#[apply(runtime_test)]
async fn significant_escalation(runtime: Runtime) {
    for (restart, comes_back) in [(Restart::Transient, false), (Restart::Permanent, true)] {
        let lab = Lab::new();
        let below = Spec::tree("below", {
            let lab = lab.clone();
            move || {
                Supervisor::one_for_one()
                    .auto_shutdown(AutoShutdown::AnySignificant)
                    .child(lab.child("a").transient().significant())
            }
        });
        let supervisor = patient(Supervisor::one_for_one()).child(below.restart(restart));
        let tree = supervisor.start(&runtime).await.unwrap();
        lab.expect("+a").await;
        lab.tell("a", Order::Done);
        lab.expect(if comes_back { "-a +a" } else { "-a" }).await;
        assert!(tree.shutdown().await.is_clean());
        lab.expect_nobody();
    }
}

// ---- trees ----

/// Nothing that a child does to its ties keeps it alive: there is none that it could cut.
#[apply(sim_test)]
async fn child_unlink(runtime: Runtime) {
    let lab = Lab::new();
    let cuts = Spec::task("a", {
        let lab = lab.clone();
        move |life: Incarnation| {
            let alive = lab.alive("a");
            life.ready();
            std::mem::forget(life.token());
            drop(life);
            async move {
                let _alive = alive;
                std::future::pending::<()>().await;
            }
        }
    });
    let tree =
        Supervisor::one_for_one().child(cuts.stop(Stop::Within(SECOND))).start(&runtime).await.unwrap();
    assert!(matches!(tree.stop_child("a").await, Ok(Exit::Killed)));
    lab.expect_nobody();
}

#[apply(runtime_test)]
async fn tree(runtime: Runtime) {
    let lab = Lab::new();
    let middle = |name: &'static str, one: &'static str, two: &'static str| {
        let lab = lab.clone();
        Spec::tree(name, move || {
            Supervisor::one_for_all().intensity(1, EVER).child(lab.child(one)).child(lab.child(two))
        })
    };
    let mut tree = Supervisor::rest_for_one()
        .intensity(1, EVER)
        .child(middle("left", "a", "b"))
        .child(middle("right", "c", "d"))
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c +d").await;
    lab.tell("c", Order::Fail);
    lab.expect("-c -d +c +d").await;
    lab.tell("b", Order::Fail);
    lab.expect("-b -a +a +b").await;
    // One too many on the left: that is one restart above, and takes the right along.
    lab.tell("a", Order::Fail);
    lab.expect("-a -b -d -c +a +b +c +d").await;
    // The restarted ones have a window of their own; the second that gives up is one too many above.
    lab.tell("d", Order::Fail);
    lab.expect("-d -c +c +d").await;
    lab.tell("d", Order::Fail);
    let exit = tree.wait().await;
    assert_eq!(exit.to_string(), "gave up on right: gave up on d: failed: told to");
    lab.expect("-d -c -b -a").await;
    lab.expect_nobody();
}

#[apply(runtime_test)]
async fn order_of_children(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::rest_for_one())
        .children([lab.child("a"), lab.child("b")])
        .start(&runtime)
        .await
        .unwrap();
    tree.start_child(lab.child("c")).await.unwrap();
    tree.stop_child("a").await.unwrap();
    tree.restart_child("a").await.unwrap();
    lab.expect("+a +b +c -a +a").await;
    let order = || -> Vec<String> {
        tree.snapshot().children.iter().map(|child| child.id.as_ref().unwrap().to_string()).collect()
    };
    // Each keeps its place.
    assert_eq!(order(), ["a", "b", "c"]);
    lab.tell("b", Order::Fail);
    lab.expect("-b -c +b +c").await;
    tree.stop_child("b").await.unwrap();
    tree.delete_child("b").await.unwrap();
    tree.start_child(lab.child("b")).await.unwrap();
    assert_eq!(order(), ["a", "c", "b"]);
    lab.expect("-b +b").await;
    assert!(tree.shutdown().await.is_clean());
    lab.expect("-b -c -a").await;
}

#[apply(runtime_test)]
async fn count_children(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one().start(&runtime).await.unwrap();
    assert_eq!(tree.snapshot().count(), 1);
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        tree.start_child(lab.child(name)).await.unwrap();
        assert_eq!(tree.snapshot().children.len(), number + 1);
    }
    tree.stop_child("b").await.unwrap();
    let snapshot = tree.snapshot();
    let up = snapshot.children.iter().filter(|child| child.state == ChildState::Up).count();
    assert_eq!((snapshot.children.len(), up), (3, 2));
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn count_children_supervisor(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).build();
    let supervisor = Supervisor::one_for_one().child(lab.child("x")).child(spec);
    let tree = supervisor.start(&runtime).await.unwrap();
    for _ in 0..20 {
        pool.start_child(("", Begin::Ignore)).await.unwrap();
    }
    pool.start_child(("a", Begin::Well)).await.unwrap();
    let snapshot = tree.snapshot();
    assert_eq!(snapshot.child("pool").unwrap().children.len(), 1);
    assert_eq!(snapshot.count(), 4);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(sim_test)]
async fn count_restarting_children(runtime: Runtime) {
    let lab = Lab::new();
    let child = lab.child_that("a", |life| if life < 4 { Begin::Fail } else { Begin::Well });
    let tree = patient(Supervisor::one_for_one()).start(&runtime).await.unwrap();
    assert!(matches!(tree.start_child(child).await, Err(StartChildError::NotStarted(_))));
    let child = lab.child_that("b", |life| if (2..4).contains(&life) { Begin::Fail } else { Begin::Well });
    tree.start_child(child.backoff(Backoff::constant(SECOND))).await.unwrap();
    lab.tell("b", Order::Fail);
    lab.expect("-a +b -b").await;
    let before = runtime.clock().now();
    runtime.clock().sleep(Duration::from_millis(500)).await;
    let state = || tree.snapshot().child("b").unwrap().state;
    assert_eq!(state(), ChildState::Pausing(SECOND));
    lab.expect("-b -b +b").await;
    assert_eq!(runtime.clock().now() - before, 3 * SECOND);
    yields(20).await;
    assert_eq!(state(), ChildState::Up);
    assert_eq!(tree.snapshot().restarts, 3);
}

#[apply(runtime_test)]
async fn which_children(runtime: Runtime) {
    let lab = Lab::new();
    let below = Spec::tree("below", {
        let lab = lab.clone();
        move || Supervisor::one_for_all().child(lab.child("b"))
    });
    let supervisor = Supervisor::one_for_one().name("app").child(lab.child("a")).child(below);
    let tree = supervisor.start(&runtime).await.unwrap();
    tree.start_child(lab.child("c")).await.unwrap();
    tree.stop_child("a").await.unwrap();
    assert_eq!(
        tree.snapshot().to_string(),
        "app  up, OneForOne\n\
         ├─ a  down, before: stopped\n\
         ├─ below  up, OneForAll\n\
         │  └─ b  up\n\
         └─ c  up\n"
    );
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn which_children_simple_one_for_one(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    for name in ["a", "b", "c"] {
        pool.start_child((name, Begin::Well)).await.unwrap();
    }
    pool.stop_child(2).await.unwrap();
    pool.start_child(("d", Begin::Well)).await.unwrap();
    let snapshot = tree.snapshot();
    let children = &snapshot.child("pool").unwrap().children;
    let numbers: Vec<_> = children.iter().map(|child| child.id.as_ref().unwrap().number()).collect();
    assert_eq!(numbers, [Some(1), Some(3), Some(4)]);
    assert!(tree.shutdown().await.is_clean());
}

/// What a child was started with is dropped with it.
#[apply(runtime_test)]
async fn do_not_save_start_parameters_for_temporary_children(runtime: Runtime) {
    let parameter = Arc::new(());
    let lab = Lab::new();
    let inner = lab.clone();
    let (pool, spec) = Pool::once("pool", move |held: Arc<()>, life| {
        let live = inner.live("a", Begin::Well, life);
        async move {
            let _held = held;
            live.await
        }
    })
    .announces_ready()
    .build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    pool.start_child(Arc::clone(&parameter)).await.unwrap();
    // It is where it is needed, and nowhere else.
    assert_eq!(Arc::strong_count(&parameter), 2);
    pool.stop_child(1).await.unwrap();
    assert_eq!(Arc::strong_count(&parameter), 1);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn do_not_save_child_specs_for_temporary_children(runtime: Runtime) {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let lab = Lab::new();
        let tree = patient(Supervisor::new(strategy)).start(&runtime).await.unwrap();
        for order in [Order::Done, Order::Fail, Order::Panic] {
            tree.start_child(lab.child("a").temporary()).await.unwrap();
            lab.tell("a", order);
            lab.expect("+a -a").await;
            eventually(|| tree.snapshot().children.is_empty()).await;
            tree.start_child(lab.child("b").temporary()).await.unwrap();
            tree.stop_child("b").await.unwrap();
            lab.expect("+b -b").await;
            assert_eq!(tree.snapshot().children.len(), 0);
        }
        assert!(tree.shutdown().await.is_clean());
    }
}

#[apply(runtime_test)]
async fn simple_one_for_one_scale_many_temporary_children(runtime: Runtime) {
    let (pool, spec) = Pool::once("pool", async |(), life: Incarnation| life.cancelled().await).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    for _ in 0..1000 {
        pool.try_start_child(()).unwrap();
    }
    for number in (1..=1000).rev() {
        pool.stop_child(number).await.unwrap();
    }
    assert!(pool.is_empty());
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn scale_start_stop_many_children(runtime: Runtime) {
    let child = |number: u64| Spec::task(number, async |life: Incarnation| life.cancelled().await);
    let supervisor = Supervisor::one_for_one().children((0..500).map(child));
    let tree = supervisor.start(&runtime).await.unwrap();
    for number in 500..1000 {
        tree.start_child(child(number)).await.unwrap();
    }
    for number in (0..1000).step_by(2) {
        tree.stop_child(number).await.unwrap();
        tree.delete_child(number).await.unwrap();
    }
    let report = tree.shutdown().await;
    assert!(report.is_clean() && report.stopped == 500, "{report}");
}

/// Names are not global: a pool is known by its handle, which stays good when the pool is restarted.
#[apply(runtime_test)]
async fn simple_global_supervisor(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = pool(&lab).intensity(0, EVER).build();
    let tree = patient(Supervisor::one_for_all())
        .child(spec)
        .child(lab.child("last"))
        .start(&runtime)
        .await
        .unwrap();
    assert_eq!(pool.start_child(("a", Begin::Well)).await.unwrap(), 1);
    lab.expect("+last +a").await;
    lab.tell("a", Order::Fail);
    lab.expect("-a -last +last").await;
    assert!(pool.is_empty());
    // Numbers are not used again.
    assert_eq!(pool.start_child(("b", Begin::Well)).await.unwrap(), 2);
    assert!(tree.shutdown().await.is_clean());
}

/// A child that fails at every restart: the supervisor hears commands in between.
async fn hanging_restart(runtime: &Runtime, strategy: Strategy) {
    let lab = Lab::new();
    let tree = Supervisor::new(strategy)
        .intensity(u32::MAX, EVER)
        .child(lab.child("a"))
        .child(lab.child_that("b", |life| if (2..500).contains(&life) { Begin::Fail } else { Begin::Well }))
        .start(runtime)
        .await
        .unwrap();
    lab.tell("b", Order::Fail);
    lab.until(|log| log.iter().filter(|entry| *entry == "-b").count() > 20).await;
    assert_eq!(tree.snapshot().count(), 3);
    drop(tree.stop_child("b").await.unwrap());
    assert_eq!(tree.snapshot().child("b").unwrap().state, ChildState::Down);
    assert!(tree.shutdown().await.is_clean());
    lab.expect_nobody();
}

#[apply(runtime_test)]
async fn hanging_restart_loop(runtime: Runtime) {
    hanging_restart(&runtime, Strategy::OneForOne).await;
    hanging_restart(&runtime, Strategy::OneForAll).await;
}

#[apply(runtime_test)]
async fn hanging_restart_loop_rest_for_one(runtime: Runtime) {
    hanging_restart(&runtime, Strategy::RestForOne).await;
}

#[apply(runtime_test)]
async fn hanging_restart_loop_simple(runtime: Runtime) {
    let lab = Lab::new();
    let (pool, spec) = Pool::tasks("pool", {
        let lab = lab.clone();
        move |(), life: Incarnation| {
            let fails = (2..500).contains(&life.number());
            lab.live("a", if fails { Begin::Fail } else { Begin::Well }, life)
        }
    })
    .announces_ready()
    .intensity(u32::MAX, EVER)
    .build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    let a = pool.start_child(()).await.unwrap();
    lab.tell("a", Order::Fail);
    lab.until(|log| log.len() > 20).await;
    drop(pool.stop_child(a).await.unwrap());
    assert!(pool.is_empty());
    assert!(tree.shutdown().await.is_clean());
    lab.expect_nobody();
}
