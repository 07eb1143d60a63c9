//! What a builder gives to parallel scopes: a deadline that handles know of, nesting, all errors, and word of
//! what was skipped.

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::Runtime;
use weirs_scopes::{CancelToken, Reason, Scope, ScopeError, TaskScope, task_scope};
use weirs_testing::{apply, runtime_test, sim_test, yields};

const SECOND: Duration = Duration::from_secs(1);

#[apply(sim_test)]
async fn handles_know_of_the_deadline(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let at = clock.now() + 10 * SECOND;
    let token = CancelToken::with_clock(clock.clone()).child_until(at + SECOND);
    let result = Scope::builder().under(&token).deadline(at).run_on(&runtime, async |s| {
        assert_eq!((s.deadline(), s.remaining()), (Some(at), Some(10 * SECOND)));
        clock.sleep(4 * SECOND).await;
        assert_eq!(s.remaining(), Some(6 * SECOND));
        let inner = s.nested().run_in(&s, async |inner| (inner.deadline(), inner.remaining())).await;
        assert_eq!(inner.unwrap(), (Some(at), Some(6 * SECOND)));
        let sooner = s.nested().deadline(at - SECOND).run_in(&s, async |inner| inner.deadline()).await;
        assert_eq!(sooner.unwrap(), Some(at - SECOND));
        let within = s.scope(async |inner| inner.remaining()).await;
        assert_eq!(within, Some(6 * SECOND), "that of the scope around");
    });
    result.await.unwrap();
    let above = Scope::builder().under(&token).run_on(&runtime, async |s| s.deadline());
    assert_eq!(above.await.unwrap(), Some(at + SECOND));
    assert_eq!(task_scope(&runtime, async |s| (s.deadline(), s.remaining())).await, (None, None));
}

#[apply(sim_test)]
async fn a_nested_scope_has_no_longer_grace(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let start = clock.now();
    let builder = Scope::builder().grace(2 * SECOND);
    let result = builder.run_on(&runtime, async |s| {
        let canceller = s.clone();
        let inner = s.nested().grace(60 * SECOND).run_in(&s, async |inner: TaskScope| {
            inner.spawn(pending::<()>());
            canceller.cancel(Reason::Shutdown);
            pending::<()>().await;
        });
        let result = inner.await;
        assert!(matches!(result, Err(ScopeError::Cancelled(Reason::Shutdown))), "{result:?}");
        assert_eq!(clock.now(), start + 2 * SECOND);
    });
    // The end of both graces is one moment: whichever comes first.
    let _ = result.await;
    assert_eq!(clock.now(), start + 2 * SECOND);
}

#[apply(runtime_test)]
async fn all_errors_are_kept(runtime: Runtime) {
    let most = NonZeroUsize::new(3).unwrap();
    let collects = Scope::builder().collect_errors(most).keep_going();
    let result: Result<(), _> = collects
        .try_run_on(&runtime, async |s| {
            for number in 0..10_usize {
                s.spawn(async move {
                    yields(number % 3).await;
                    if number % 2 == 0 { Err(number) } else { Ok(()) }
                });
            }
            Ok(())
        })
        .await;
    let Err(ScopeError::Failed(errors)) = result else { panic!("five fail") };
    assert_eq!((errors.len(), errors.dropped()), (3, 2));
    assert!(errors.iter().all(|(child, number)| child.number() == *number as u64 + 1));

    let within = task_scope(&runtime, async |outer| {
        let collects = Scope::builder().collect_errors(most);
        let failed: Result<(), ScopeError<_>> = collects
            .try_run_in(&outer, async |s| {
                s.spawn(pending::<Result<(), &str>>());
                s.spawn(async { Err::<(), _>("stops") });
                pending().await
            })
            .await;
        failed
    });
    let Err(ScopeError::Failed(errors)) = within.await else { panic!("it fails") };
    assert_eq!((errors.len(), *errors.first(), errors.cancelled().is_none()), (1, "stops", true));
}

#[apply(sim_test)]
async fn what_was_deferred_and_not_run_is_told(runtime: Runtime) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let builder = || {
        let told = Arc::clone(&told);
        let hook = move |skipped: &weirs_scopes::Skipped| {
            told.lock().unwrap().push((skipped.count(), skipped.scope().map(str::to_owned)));
        };
        Scope::builder().named("cleans").cleanup(SECOND).on_skipped(hook)
    };
    let result = builder().run_on(&runtime, async |s| {
        s.defer(async { unreachable!("there is no time") });
        s.defer(pending());
        s.defer(async {});
    });
    result.await.unwrap();
    assert_eq!(told.lock().unwrap().drain(..).collect::<Vec<_>>(), [(2, Some("cleans".to_owned()))]);

    // Dropped half-way, nobody is there to run it; within another one, that runs it.
    let scope = builder().run_on(&runtime, async |s| {
        s.defer(async { unreachable!("nobody runs it") });
        pending::<()>().await;
    });
    assert!(scope.now_or_never().is_none());
    assert_eq!(told.lock().unwrap().drain(..).count(), 1);
    let ran = Arc::new(AtomicUsize::new(0));
    task_scope(&runtime, async |outer| {
        let scope = builder().run_in(&outer, async |s| {
            let ran = Arc::clone(&ran);
            s.defer(async move {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            pending::<()>().await;
        });
        assert!(scope.now_or_never().is_none());
    })
    .await;
    assert_eq!((ran.load(Ordering::Relaxed), told.lock().unwrap().len()), (1, 0));
    // All was run: nothing to tell.
    builder().run_on(&runtime, async |s| s.defer(async {})).await.unwrap();
    assert!(told.lock().unwrap().is_empty());
}

#[apply(sim_test)]
async fn the_places_of_what_was_skipped_are_told(runtime: Runtime) {
    let places = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&places);
    let builder = Scope::builder().cleanup(Duration::ZERO).on_skipped(move |skipped| {
        seen.lock().unwrap().extend(skipped.places().iter().map(|place| place.line()));
    });
    let line = line!() + 3;
    builder
        .run_on(&runtime, async |s| {
            s.defer(pending());
            s.defer(pending());
        })
        .await
        .unwrap();
    assert_eq!(*places.lock().unwrap(), [line + 1, line]);
}
