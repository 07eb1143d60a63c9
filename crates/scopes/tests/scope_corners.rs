//! Corners of scopes that are none of the fifteen rules.

use std::sync::atomic::{AtomicUsize, Ordering};

use weirs_runtime::Runtime;
use weirs_scopes::{PanicPolicy, Scope, ScopeError, local_scope, scope, try_local_scope, try_scope};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, yields};

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[apply(runtime_test)]
async fn a_panic_may_become_an_error(_: Runtime) {
    let result = Scope::builder()
        .panics(PanicPolicy::AsError)
        .run(async |s| {
            s.spawn(async { panic!("as a value") });
            std::future::pending::<()>().await;
        })
        .await;
    let Err(ScopeError::Panicked(payload)) = result else { panic!("{result:?}") };
    assert_eq!(payload.message(), "as a value");
}

#[apply(runtime_test)]
async fn a_service_that_fails_stops_the_scope(_: Runtime) {
    let result: Result<(), &str> = try_scope(async |s| {
        s.spawn_service("bad", async { Err::<(), _>("the service broke") });
        std::future::pending().await
    })
    .await;
    assert_eq!(result, Err("the service broke"));
}

#[apply(runtime_test)]
async fn errors_of_an_isolated_child_are_its_own(_: Runtime) {
    let result: Result<bool, String> = try_scope(async |s| {
        let isolated = s.isolate(async { Err::<(), _>("mine") });
        Ok(isolated.await == Ok(Err("mine")))
    })
    .await;
    assert_eq!(result, Ok(true));
}

#[apply(runtime_test)]
async fn a_scope_that_is_given_up_leaves_nothing_behind(_: Runtime) {
    let live = AtomicUsize::new(0);
    let polls = cancel_at_every_poll(
        || {
            scope(async |s| {
                // More than one turn's budget, so that the scope has to be polled again and again.
                for number in 0..60 {
                    let live = &live;
                    live.fetch_add(1, Ordering::Relaxed);
                    let guard = OnDrop(move || {
                        live.fetch_sub(1, Ordering::Relaxed);
                    });
                    let inner = s.clone();
                    s.spawn(async move {
                        let _guard = guard;
                        yields(number % 5).await;
                        inner.spawn(yields(2)).await.unwrap();
                    });
                }
                yields(2).await;
            })
        },
        async |k| assert_eq!(live.load(Ordering::Relaxed), 0, "dropped after {k} polls"),
    )
    .await;
    assert!(polls >= 5, "{polls}");
}

#[apply(runtime_test)]
async fn scopes_nest_and_run_in_tasks(runtime: Runtime) {
    let data = vec![1, 2, 3];
    let task = runtime.spawn(async move {
        let sum = AtomicUsize::new(0);
        scope(async |s| {
            for number in &data {
                let sum = &sum;
                s.spawn(async move {
                    scope(async |inner| {
                        for _ in 0..*number {
                            inner.spawn(async { sum.fetch_add(1, Ordering::Relaxed) });
                        }
                    })
                    .await;
                });
            }
        })
        .await;
        sum.into_inner()
    });
    assert_eq!(task.await.unwrap(), 6);
}

#[apply(runtime_test)]
async fn a_snapshot_names_what_lives(_: Runtime) {
    let builder = Scope::builder().named("pages");
    let result = builder.run(async |s| {
        s.spawn_service("cache", std::future::pending::<()>());
        let child = s.spawn_named("fetch", std::future::pending::<()>());
        let text = s.snapshot().to_string();
        assert!(text.starts_with("scope \"pages\": 2 live\n  #1 \"cache\" service, spawned at "), "{text}");
        assert!(text.contains("#2 \"fetch\" spawned at") && text.contains("scope_corners.rs:"), "{text}");
        child.cancel();
    });
    assert!(result.await.is_ok());
}

#[apply(runtime_test)]
async fn local_scopes_take_what_is_not_send(_: Runtime) {
    // On a thread of its own kind: the future that holds an `Rc` lives in this block only.
    let sum = futures::executor::block_on(async {
        let shared = std::rc::Rc::new(std::cell::Cell::new(0));
        local_scope(async |s| {
            for number in 0..4 {
                let shared = std::rc::Rc::clone(&shared);
                s.spawn(async move { shared.set(shared.get() + number) });
            }
        })
        .await;
        let failed: Result<(), _> = try_local_scope(async |s| {
            let shared = &shared;
            s.spawn(async move { Err::<(), _>(std::rc::Rc::clone(shared)) });
            Ok(())
        })
        .await;
        failed.unwrap_err().get()
    });
    assert_eq!(sum, 6);
}

#[test]
fn a_scope_may_be_spawned_anywhere() {
    async fn work(text: &str) -> usize {
        let owned = text.to_owned();
        let sum: Result<usize, std::fmt::Error> = try_scope(async |s| {
            let child = s.spawn(async { Ok(owned.len()) });
            let inner = s.clone();
            s.spawn(async move {
                inner.spawn(async { Ok(text.len()) });
                Ok(())
            });
            Ok(child.await.unwrap())
        })
        .await;
        sum.unwrap()
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let sum = runtime.block_on(async { tokio::spawn(async { work("four").await }).await.unwrap() });
    assert_eq!(sum + smol::block_on(smol::spawn(async { work("four").await })), 8);
}
