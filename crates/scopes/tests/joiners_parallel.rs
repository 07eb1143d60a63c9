//! Joiners of parallel scopes: `gather_on`.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use weirs_runtime::Runtime;
use weirs_scopes::joiners::{self, Flow, Joiner, Outcome};
use weirs_scopes::{CancelToken, ChildId, PanicPolicy, Reason, Scope, ScopeError};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let squares = Scope::builder().gather_on(&runtime, joiners::outputs(), async |s| {
        for number in 0..100_u64 {
            s.spawn(async move {
                yields(number as usize % 3).await;
                number * number
            });
        }
    });
    assert_eq!(squares.await.unwrap(), (0..100).map(|n| n * n).collect::<Vec<_>>());
}

#[apply(runtime_test)]
async fn the_first_success_ends_the_rest(runtime: Runtime) {
    let live = Arc::new(());
    let won = Scope::builder().gather_on(&runtime, joiners::any_ok(), async |s| {
        s.spawn(async { Err("down") });
        for _ in 0..10 {
            let live = Arc::clone(&live);
            s.spawn(async move {
                let _live = live;
                pending::<Result<u32, &str>>().await
            });
        }
        s.spawn(async {
            yields(2).await;
            Ok(7)
        });
    });
    assert_eq!(won.await.unwrap(), 7);
    assert_eq!(Arc::strong_count(&live), 1, "all have ended");
}

#[apply(runtime_test)]
async fn a_quorum_fails_when_it_cannot_come(runtime: Runtime) {
    let quorum = joiners::quorum(2.try_into().unwrap(), 3.try_into().unwrap()).unwrap();
    let result = Scope::builder().gather_on(&runtime, quorum, async |s| {
        for number in 0..3 {
            s.spawn(async move { if number == 0 { pending().await } else { Err::<u32, _>(number) } });
        }
    });
    assert!(matches!(result.await, Err(ScopeError::Failed(_))));
}

#[apply(runtime_test)]
async fn a_cancel_from_above_is_told(runtime: Runtime) {
    let token = CancelToken::new();
    let result = Scope::builder().under(&token).gather_on(&runtime, joiners::all(), async |s| {
        s.spawn(pending::<Result<(), ()>>());
        token.cancel(Reason::Shutdown);
    });
    assert!(matches!(result.await, Err(ScopeError::Cancelled(Reason::Shutdown))));
}

#[apply(sim_test)]
async fn what_is_there_at_the_deadline(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let partial = joiners::until_deadline(joiners::all_settled());
    let builder = Scope::builder().deadline(clock.now() + Duration::from_millis(10));
    let result = builder.gather_on(&runtime, partial, async |s| {
        for wait in [5, 15] {
            let clock = clock.clone();
            s.spawn(async move { clock.sleep(Duration::from_millis(wait)).await });
        }
    });
    let result = result.await.unwrap();
    assert!(!result.complete);
    let Ok(outcomes) = result.result;
    assert!(matches!(outcomes[..], [Outcome::Output(()), Outcome::Cancelled(Reason::Deadline)]));
}

#[apply(runtime_test)]
async fn a_panic_of_a_child_is_the_scopes(runtime: Runtime) {
    let builder = Scope::builder().panics(PanicPolicy::AsError);
    let result = builder.gather_on(&runtime, joiners::discard(), async |s| {
        s.spawn(async { panic!("out of luck") });
        s.spawn(pending::<Result<(), ()>>());
    });
    assert!(result.await.unwrap_err().is_panic());
}

/// Counts, and would see two calls at once.
struct OneAtATime {
    inside: Arc<AtomicUsize>,
    spawned: usize,
    ended: usize,
}

impl Joiner<u64> for OneAtATime {
    type Out = (usize, usize);
    type Error = std::convert::Infallible;

    fn on_spawn(&mut self, _: ChildId) {
        self.spawned += 1;
    }

    fn on_end(&mut self, _: ChildId, _: Outcome<u64>) -> Flow {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0);
        std::thread::yield_now();
        self.ended += 1;
        assert_eq!(self.inside.fetch_sub(1, Ordering::SeqCst), 1);
        Flow::Continue
    }

    fn finish(self, _: &joiners::Cause) -> Result<(usize, usize), Self::Error> {
        Ok((self.spawned, self.ended))
    }
}

#[apply(runtime_test)]
async fn a_joiner_is_told_one_thing_at_a_time(runtime: Runtime) {
    let joiner = OneAtATime { inside: Arc::default(), spawned: 0, ended: 0 };
    let counts = Scope::builder().gather_on(&runtime, joiner, async |s| {
        for number in 0..500_u64 {
            s.spawn(async move { number });
        }
        // One that is cancelled by its handle is told of, too.
        s.spawn(pending()).cancel();
    });
    assert_eq!(counts.await.unwrap(), (501, 501));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll(runtime: Runtime) {
    let live = Arc::new(());
    let make = || {
        let (live, runtime) = (Arc::clone(&live), runtime.clone());
        async move {
            let gathered = Scope::builder().gather_on(&runtime, joiners::outputs(), async |s| {
                for steps in 0..3 {
                    let live = Arc::clone(&live);
                    s.spawn(async move {
                        yields(steps).await;
                        drop(live);
                        steps
                    });
                }
            });
            assert_eq!(gathered.await.unwrap(), [0, 1, 2]);
        }
    };
    cancel_at_every_poll(make, async |_| {
        // Those that another thread was polling end with that poll.
        while Arc::strong_count(&live) > 1 {
            yields(1).await;
        }
    })
    .await;
}

#[apply(runtime_test)]
async fn a_joiner_in_a_scope_ends_with_it(runtime: Runtime) {
    let live = Arc::new(());
    let result = weirs_scopes::task_scope(&runtime, async |outer| {
        let canceller = outer.clone();
        let gathers = Scope::builder().gather_in(&outer, joiners::outputs(), async |s| {
            let live = Arc::clone(&live);
            s.spawn(async move {
                let _live = live;
                pending::<u32>().await
            });
            canceller.cancel("enough");
            pending().await
        });
        gathers.await
    });
    assert!(matches!(result.await, Err(ScopeError::Cancelled(_))));
    assert_eq!(Arc::strong_count(&live), 1, "all have ended");
}
