//! The end that comes with the significant children.

use crate::lab::{Lab, Order, eventually, patient};
use weirs_actors::Exit;
use weirs_actors::supervise::{AutoShutdown, ChildState, Restart, Spec, Strategy, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test};

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
