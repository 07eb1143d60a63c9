//! Who comes back, and after which end.

use crate::lab::{EVER, Lab, Order, eventually, gave_up, patient};
use weirs_actors::supervise::{ChildState, Restart, Spec, Strategy, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test};

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
