//! How a supervisor stops.

use super::{SECOND, pool};
use crate::lab::{Begin, Lab, Order, patient};
use weirs_actors::Exit;
use weirs_actors::supervise::{Incarnation, Pool, Spec, Stop, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test};

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
