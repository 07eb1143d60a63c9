//! What bit the users of other supervisors, each a named test.

mod lab;

use std::time::Duration;

use lab::{Begin, EVER, Lab, Order, eventually, gave_up, patient};
use weirs_actors::Exit;
use weirs_actors::supervise::{ChildState, Incarnation, Spec, StartChildError, Stop, Supervisor};
use weirs_resilience::Backoff;
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// kameo 0.22 stops the children of a one-for-all in the order of a hash map: another each time.
#[apply(runtime_test)]
async fn children_are_not_stopped_in_random_order(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::one_for_all())
        .children(["0", "1", "2", "3", "4", "5", "6", "7"].map(|name| lab.child(name)))
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+0 +1 +2 +3 +4 +5 +6 +7").await;
    lab.tell("3", Order::Fail);
    lab.expect("-3 -7 -6 -5 -4 -2 -1 -0 +0 +1 +2 +3 +4 +5 +6 +7").await;
    assert!(tree.shutdown().await.is_clean());
    lab.expect("-7 -6 -5 -4 -3 -2 -1 -0").await;
}

/// kameo 0.22: two restarts in 300 ms are allowed, a crash each 200 ms is the end, for its window only ends
/// after a silence.
#[apply(sim_test)]
async fn the_window_slides(runtime: Runtime) {
    let lab = Lab::new();
    let supervisor = Supervisor::one_for_one().intensity(2, 300 * MS).child(lab.child("a"));
    let tree = supervisor.start(&runtime).await.unwrap();
    lab.expect("+a").await;
    for _ in 0..50 {
        runtime.clock().sleep(200 * MS).await;
        lab.tell("a", Order::Fail);
        lab.expect("-a +a").await;
    }
    assert!(tree.shutdown().await.is_clean());
}

/// Erlang counts whole seconds: with one restart in a second, a crash 1100 ms later was always the end.
#[apply(sim_test)]
async fn the_window_is_exact(runtime: Runtime) {
    for (gap, survives) in [(SECOND - Duration::from_nanos(1), false), (SECOND, true), (1100 * MS, true)] {
        let lab = Lab::new();
        let supervisor = Supervisor::one_for_one().intensity(1, SECOND).child(lab.child("a"));
        let mut tree = supervisor.start(&runtime).await.unwrap();
        lab.expect("+a").await;
        lab.tell("a", Order::Fail);
        lab.expect("-a +a").await;
        runtime.clock().sleep(gap).await;
        lab.tell("a", Order::Fail);
        lab.expect("-a").await;
        if survives {
            lab.expect("+a").await;
            assert!(tree.shutdown().await.is_clean());
        } else {
            assert_eq!(gave_up(&tree.wait().await), "a");
        }
    }
}

/// kameo 0.22: the parent was reported down while five children were still busy with their end.
#[apply(sim_test)]
async fn nobody_survives_the_supervisor(runtime: Runtime) {
    let lab = Lab::new();
    let slow = |name: &'static str| {
        let (lab, clock) = (lab.clone(), runtime.clock().clone());
        Spec::task(name, move |life: Incarnation| {
            let (alive, clock) = (lab.alive(name), clock.clone());
            async move {
                let _alive = alive;
                life.cancelled().await;
                clock.sleep(50 * MS).await;
            }
        })
    };
    let supervisor = Supervisor::one_for_one().children(["0", "1", "2", "3", "4"].map(slow));
    let tree = supervisor.start(&runtime).await.unwrap();
    let before = runtime.clock().now();
    assert!(tree.shutdown().await.is_clean());
    lab.expect_nobody();
    assert_eq!(runtime.clock().now() - before, 250 * MS);
}

/// kameo 0.22: a permanent child that is stopped gracefully has ended, and so it is started again.
#[apply(runtime_test)]
async fn stop_means_stop(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::one_for_all())
        .child(lab.child("a"))
        .child(lab.child("b"))
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b").await;
    tree.stop_child("b").await.unwrap();
    lab.expect("-b").await;
    // Not even a restart of all brings it back.
    lab.tell("a", Order::Fail);
    lab.expect("-a +a").await;
    assert_eq!(tree.snapshot().child("b").unwrap().state, ChildState::Down);
    tree.restart_child("b").await.unwrap();
    lab.expect("+b").await;
    assert!(tree.shutdown().await.is_clean());
}

/// otp#3670: a supervisor with a finite stop time is killed when it is over, and leaves its children behind.
#[apply(sim_test)]
async fn a_finite_stop_time_leaks_no_grandchildren(runtime: Runtime) {
    let lab = Lab::new();
    let below = Spec::tree("below", {
        let lab = lab.clone();
        move || {
            Supervisor::one_for_one()
                .child(lab.child("a"))
                .child(lab.stubborn("b").stop(Stop::Within(10 * SECOND)))
                .child(lab.stubborn("c").stop(Stop::Forever))
        }
    });
    let supervisor = Supervisor::one_for_one().name("app").child(below.stop(Stop::Within(SECOND)));
    let tree = supervisor.start(&runtime).await.unwrap();
    lab.expect("+a +b +c").await;
    let before = runtime.clock().now();
    let report = tree.shutdown().await;
    assert_eq!(runtime.clock().now() - before, SECOND);
    lab.expect_nobody();
    let mut left: Vec<_> = report.left.iter().map(|left| left.path.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["app/below", "app/below/a", "app/below/b", "app/below/c"]);
}

/// kameo 0.22: the new instance is started while the old one is busy with its end.
#[apply(sim_test)]
async fn the_old_life_is_gone_before_the_new_one_begins(runtime: Runtime) {
    let lab = Lab::new();
    let slow = {
        let (lab, clock) = (lab.clone(), runtime.clock().clone());
        Spec::task("slow", move |life: Incarnation| {
            // That there are never two is checked here.
            let (alive, lab, clock) = (lab.alive("slow"), lab.clone(), clock.clone());
            async move {
                let _alive = alive;
                lab.say("+slow");
                life.cancelled().await;
                clock.sleep(3 * SECOND).await;
            }
        })
    };
    let supervisor = patient(Supervisor::one_for_all()).child(lab.child("a")).child(slow);
    let tree = supervisor.start(&runtime).await.unwrap();
    lab.expect("+a +slow").await;
    let before = runtime.clock().now();
    lab.tell("a", Order::Fail);
    lab.expect("-a -slow +a +slow").await;
    assert_eq!(runtime.clock().now() - before, 3 * SECOND);
    assert!(tree.shutdown().await.is_clean());
}

/// In Erlang a child whose init hangs hangs the supervisor: it answers nobody.
#[apply(sim_test)]
async fn a_hung_start_hangs_nobody(runtime: Runtime) {
    let lab = Lab::new();
    let tree = Supervisor::one_for_one().child(lab.child("a")).start(&runtime).await.unwrap();
    let handle = tree.handle();
    let hangs = lab.child_that("b", |_| Begin::Hang).start_within(2 * SECOND);
    let before = runtime.clock().now();
    let start = runtime.spawn(async move { handle.start_child(hangs).await });
    yields(20).await;
    assert!(matches!(tree.stop_child("a").await, Ok(Exit::Shutdown)));
    tree.restart_child("a").await.unwrap();
    assert_eq!(runtime.clock().now(), before);
    let error = start.await.unwrap().unwrap_err();
    assert!(matches!(error, StartChildError::NotStarted(Exit::Killed | Exit::Late)), "{error}");
    assert_eq!(runtime.clock().now() - before, 2 * SECOND);
    // It can be stopped meanwhile, and whoever waits for its start hears of that.
    let handle = tree.handle();
    let hangs = lab.child_that("b", |_| Begin::Hang);
    let start = runtime.spawn(async move { handle.start_child(hangs.stop(Stop::Kill)).await });
    yields(20).await;
    tree.stop_child("b").await.unwrap();
    assert!(matches!(start.await.unwrap(), Err(StartChildError::Interrupted)));
    assert!(tree.shutdown().await.is_clean());
}

/// A tree with a child that hangs at the first start fails, and leaves nobody.
#[apply(sim_test)]
async fn a_hung_first_start_fails_in_its_time(runtime: Runtime) {
    let lab = Lab::new();
    let hangs = lab.child_that("b", |_| Begin::Hang).start_within(2 * SECOND);
    let before = runtime.clock().now();
    let supervisor = Supervisor::one_for_one().child(lab.child("a")).child(hangs);
    supervisor.start(&runtime).await.unwrap_err();
    assert_eq!(runtime.clock().now() - before, 2 * SECOND);
    lab.expect_nobody();
}

/// otp PR #1287, EEP PR #28: a child that cannot start for a second burns the intensity in a microsecond.
#[apply(sim_test)]
async fn a_restart_storm_does_not_burn_the_intensity(runtime: Runtime) {
    let outage = |backoff: Option<Backoff>| {
        let (lab, clock) = (Lab::new(), runtime.clock().clone());
        let begun = clock.now();
        let up = move |life| life == 1 || clock.now() - begun >= SECOND;
        let child = lab.child_that("a", move |life| if up(life) { Begin::Well } else { Begin::Fail });
        let child = match backoff {
            Some(backoff) => child.backoff(backoff),
            None => child,
        };
        (lab, Supervisor::one_for_one().intensity(5, 10 * SECOND).child(child))
    };
    let (lab, supervisor) = outage(None);
    let mut tree = supervisor.start(&runtime).await.unwrap();
    lab.tell("a", Order::Fail);
    assert_eq!(gave_up(&tree.wait().await), "a");
    let (lab, supervisor) = outage(Some(Backoff::exponential(100 * MS)));
    let tree = supervisor.start(&runtime).await.unwrap();
    lab.tell("a", Order::Fail);
    // After 100, 300, 700 and 1500 ms.
    lab.expect("+a -a -a -a -a +a").await;
    assert!(tree.shutdown().await.is_clean());
}

/// anarlog PR #6870: a restart that was planned for an earlier life comes to a later one.
#[apply(sim_test)]
async fn a_planned_restart_is_not_for_a_later_life(runtime: Runtime) {
    let lab = Lab::new();
    let child = lab.child("a").backoff(Backoff::constant(SECOND));
    let tree = patient(Supervisor::one_for_one()).child(child).start(&runtime).await.unwrap();
    lab.expect("+a").await;
    lab.tell("a", Order::Fail);
    lab.expect("-a").await;
    eventually(|| matches!(tree.snapshot().child("a").unwrap().state, ChildState::Pausing(_))).await;
    drop(tree.stop_child("a").await.unwrap());
    tree.restart_child("a").await.unwrap();
    lab.expect("+a").await;
    runtime.clock().sleep(10 * SECOND).await;
    lab.expect_nothing();
    assert_eq!(tree.snapshot().child("a").unwrap().incarnation, 2);
    assert!(tree.shutdown().await.is_clean());
}

/// background-agents #1445: a shutdown waits for the end of the backoff.
#[apply(sim_test)]
async fn a_shutdown_does_not_wait_for_the_backoff(runtime: Runtime) {
    for supervisor in [Supervisor::one_for_one(), Supervisor::one_for_all()] {
        let lab = Lab::new();
        let child = lab.child("a").backoff(Backoff::constant(3600 * SECOND));
        let tree = patient(supervisor).child(child).child(lab.child("b")).start(&runtime).await.unwrap();
        lab.tell("a", Order::Fail);
        eventually(|| matches!(tree.snapshot().child("a").unwrap().state, ChildState::Pausing(_))).await;
        let before = runtime.clock().now();
        assert!(tree.shutdown().await.is_clean());
        assert_eq!(runtime.clock().now(), before);
        lab.expect_nobody();
    }
}

/// linera #6661: a panic was discarded with the join set, and the shard served on half dead.
#[apply(runtime_test)]
async fn a_panic_is_not_discarded(runtime: Runtime) {
    let lab = Lab::new();
    let supervisor = Supervisor::one_for_one().intensity(0, EVER).child(lab.child("a")).child(lab.child("b"));
    let mut tree = supervisor.start(&runtime).await.unwrap();
    lab.tell("a", Order::Panic);
    assert_eq!(tree.wait().await.to_string(), "gave up on a: panicked: told to");
    lab.expect_nobody();
}

/// suture lists what is stuck one level deep. Here it has a path, however deep.
#[apply(sim_test)]
async fn what_was_killed_is_named_by_path(runtime: Runtime) {
    let lab = Lab::new();
    let deep = Spec::tree("one", {
        let lab = lab.clone();
        move || {
            let lab = lab.clone();
            Supervisor::one_for_one()
                .child(Spec::tree("two", move || Supervisor::one_for_one().child(lab.stubborn("three"))))
        }
    });
    let tree = Supervisor::one_for_one().name("app").child(deep).start(&runtime).await.unwrap();
    let report = tree.shutdown().await;
    assert_eq!(report.to_string(), "stopped, 2 stopped in order\napp/one/two/three: killed");
}

/// ergo#213, AtomVM PR #1958: intensity that is ignored, or kills the wrong one.
#[apply(runtime_test)]
async fn one_restart_too_many_is_too_many_whoever_wants_it(runtime: Runtime) {
    let lab = Lab::new();
    let mut tree = Supervisor::one_for_one()
        .intensity(2, EVER)
        .children([lab.child("a"), lab.child("b"), lab.child("c")])
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c").await;
    for name in ["a", "b"] {
        lab.tell(name, Order::Fail);
        lab.expect(&format!("-{name} +{name}")).await;
    }
    lab.tell("c", Order::Fail);
    assert_eq!(gave_up(&tree.wait().await), "c");
    lab.expect("-c -b -a").await;
}
