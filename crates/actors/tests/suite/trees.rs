//! Supervisors below supervisors; what a snapshot shows; many children; restarts that fail for ever.

use std::sync::Arc;
use std::time::Duration;

use super::{SECOND, pool};
use crate::lab::{Begin, EVER, Lab, Order, eventually, patient};
use weirs_actors::Exit;
use weirs_actors::supervise::{
    ChildState, Incarnation, Pool, Spec, StartChildError, Stop, Strategy, Supervisor,
};
use weirs_resilience::Backoff;
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

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
