//! Children that say when they are ready.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{Ended, Reason, Refusal, Scope, Started, local_scope, scope, try_scope};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, yields};

#[apply(runtime_test)]
async fn smoke(_: Runtime) {
    scope(async |s| {
        let (value, child) = s
            .spawn_ready(async |started| {
                yields(3).await;
                started.ready("ready");
                yields(3).await;
                "over"
            })
            .await
            .unwrap();
        assert_eq!((value, child.is_finished()), ("ready", false));
        assert_eq!(child.await, Ok("over"));
    })
    .await;
}

#[apply(runtime_test)]
async fn whoever_waits_hears_of_every_end_before(_: Runtime) {
    scope(async |s| {
        let well = s.spawn_ready(async |_started: Started<()>| yields(1).await).await;
        assert_eq!(well.unwrap_err(), Ended::NotReady);
        let without = s.spawn_ready(async |started: Started<()>| {
            drop(started);
            std::future::pending::<()>().await;
        });
        assert_eq!(without.await.unwrap_err(), Ended::NotReady);
        assert_eq!(s.live(), 0);
        s.cancel(Reason::Requested);
        let late = s.spawn_ready(async |started| started.ready(())).await;
        assert_eq!(late.unwrap_err(), Ended::Refused(Refusal::Cancelled));
    })
    .await;
    scope(async |s| {
        let canceller = s.clone();
        s.spawn(async move {
            yields(2).await;
            canceller.cancel(Reason::Requested);
        });
        let waits = s.spawn_ready(async |_started: Started<()>| std::future::pending::<()>().await);
        assert_eq!(waits.await.unwrap_err(), Ended::Cancelled);
    })
    .await;
    let result: Result<(), &str> = try_scope(async |s| {
        s.spawn_ready(async |_started: Started<()>| Err::<(), _>("not to be had")).await.unwrap();
        unreachable!("the body is dropped with the scope");
    })
    .await;
    assert_eq!(result, Err("not to be had"));
    let caught = AssertUnwindSafe(scope(async |s| {
        let (_, _) = s.spawn_ready(async |_started: Started<()>| panic!("early")).await.unwrap();
    }));
    assert_eq!(caught.catch_unwind().await.unwrap_err().downcast_ref::<&str>(), Some(&"early"));
}

#[apply(runtime_test)]
async fn a_full_scope_refuses(_: Runtime) {
    let builder = Scope::builder().limit(NonZeroUsize::MIN);
    let result = builder.run(async |s| {
        let first = s.spawn(std::future::pending::<()>());
        let refused = s.spawn_ready(async |started| started.ready(1)).await;
        assert_eq!(refused.unwrap_err(), Ended::Refused(Refusal::Full));
        first.cancel();
    });
    result.await.unwrap();
}

#[apply(runtime_test)]
async fn until_it_is_ready_a_child_belongs_to_its_caller(_: Runtime) {
    let in_flight = InFlight::new();
    scope(async |s| {
        let start = || {
            let guard = in_flight.enter();
            s.spawn_ready(async move |started| {
                let _guard = guard;
                yields(3).await;
                started.ready(());
            })
        };
        let gone = async || {
            yields(2).await;
            assert_eq!(in_flight.now(), 0);
        };
        let polls = cancel_at_every_poll(
            || {
                let waits = start();
                async { waits.await.unwrap().1.await.unwrap() }
            },
            async |_| gone().await,
        )
        .await;
        assert!(polls >= 1, "{polls}");
        let wakes = cancel_at_every_wake(
            || {
                let waits = start();
                async { waits.await.unwrap().1.await.unwrap() }
            },
            async |_| {
                yields(9).await;
                assert_eq!(in_flight.now(), 0);
            },
        )
        .await;
        assert!(wakes >= 1, "{wakes}");
    })
    .await;
}

#[test]
fn local_children_say_it_too() {
    block_on(local_scope(async |s| {
        let shared = std::rc::Rc::new(1);
        let (value, child) = s.spawn_ready(async |started| started.ready(shared)).await.unwrap();
        assert_eq!(*value, 1);
        child.await.unwrap();
    }));
}
