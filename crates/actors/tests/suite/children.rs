//! Adding, stopping, restarting and deleting children.

use std::time::Duration;

use super::pool;
use crate::lab::{Begin, EVER, Lab};
use weirs_actors::Exit;
use weirs_actors::supervise::{
    AutoShutdown, CommandError, PoolError, StartChildError, Stop, Strategy, Supervisor,
};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test};

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
