//! Parallel children that say when they are ready.

use std::future::pending;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use weirs_runtime::Runtime;
use weirs_scopes::{Ended, Reason, Refusal, Scope, Started, task_scope, try_task_scope};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    task_scope(&runtime, async |s| {
        let waits = s.spawn_ready(|started| async move {
            yields(2).await;
            started.ready("port 80");
            yields(2).await;
            "closed"
        });
        let (value, server) = waits.await.unwrap();
        assert_eq!(value, "port 80");
        assert_eq!(server.await, Ok("closed"));
    })
    .await;
}

/// It may have ended before anybody looks, on another thread, and between two looks.
#[apply(runtime_test)]
async fn a_child_that_was_ready_and_is_over_was_ready(runtime: Runtime) {
    task_scope(&runtime, async |s| {
        for number in 0..500_usize {
            let waits = s.spawn_ready(move |started| async move {
                yields(number % 3).await;
                started.ready(number);
                number + 1
            });
            if number % 5 == 0 {
                yields(4).await;
            }
            let (value, child) = waits.await.unwrap();
            assert_eq!((value, child.await), (number, Ok(number + 1)));
        }
    })
    .await;
}

#[apply(runtime_test)]
async fn every_end_without_a_word_is_told(runtime: Runtime) {
    task_scope(&runtime, async |s| {
        let well = s.spawn_ready(|_: Started<()>| yields(1)).await;
        assert_eq!(well.unwrap_err(), Ended::NotReady);
        let without = s.spawn_ready(|started: Started<()>| {
            drop(started);
            pending::<()>()
        });
        assert_eq!(without.await.unwrap_err(), Ended::NotReady);
        // Somebody else has it, and the child is over.
        let mut kept = None;
        let elsewhere = s.spawn_ready(|started: Started<()>| {
            kept = Some(started);
            yields(2)
        });
        assert_eq!(elsewhere.await.unwrap_err(), Ended::NotReady);
        drop(kept);
        let canceller = s.clone();
        let waits = s.spawn_ready(|started: Started<()>| async move {
            let _started = started;
            pending::<()>().await;
        });
        s.isolate(async move { canceller.cancel(Reason::Requested) });
        assert_eq!(waits.await.unwrap_err(), Ended::Cancelled);
        let late = s.spawn_ready(|started| async move { started.ready(()) }).await;
        assert_eq!(late.unwrap_err(), Ended::Refused(Refusal::Cancelled));
    })
    .await;
    let result: Result<(), &str> = try_task_scope(&runtime, async |s| {
        let fails = s.spawn_ready(|started: Started<()>| async move {
            let _started = started;
            Err::<(), _>("not to be had")
        });
        let _ = fails.await;
        // The body is dropped with the scope.
        pending().await
    })
    .await;
    assert_eq!(result, Err("not to be had"));
    let caught = AssertUnwindSafe(task_scope(&runtime, async |s| {
        let panics = s.spawn_ready(|started: Started<()>| async move {
            let _started = started;
            if true {
                panic!("early");
            }
        });
        let _ = panics.await;
        pending::<()>().await;
    }));
    assert_eq!(caught.catch_unwind().await.unwrap_err().downcast_ref::<&str>(), Some(&"early"));
}

#[apply(runtime_test)]
async fn a_full_scope_refuses(runtime: Runtime) {
    let builder = Scope::builder().limit(NonZeroUsize::MIN);
    let result = builder.run_on(&runtime, async |s| {
        let first = s.spawn(pending::<()>());
        let refused = s.spawn_ready(|started| async move { started.ready(1) }).await;
        assert_eq!(refused.unwrap_err(), Ended::Refused(Refusal::Full));
        first.cancel();
    });
    result.await.unwrap();
}

#[apply(runtime_test)]
async fn until_it_is_ready_a_child_belongs_to_its_caller(runtime: Runtime) {
    let in_flight = Arc::new(InFlight::new());
    task_scope(&runtime, async |s| {
        // With threads it may be ready at the first poll.
        cancel_at_every_poll(
            || {
                let counted = Arc::clone(&in_flight);
                let waits = s.spawn_ready(move |started| async move {
                    let _guard = counted.enter();
                    yields(3).await;
                    started.ready(());
                });
                async { waits.await.unwrap().1.await.unwrap() }
            },
            async |_| {
                // One that is inside a poll is gone after that.
                while s.live() > 0 {
                    yields(1).await;
                }
                assert_eq!(in_flight.now(), 0);
            },
        )
        .await;
    })
    .await;
}
