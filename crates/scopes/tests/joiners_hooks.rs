//! Joiners of one's own: what they are told, when, and what becomes of their panics.

use std::future::pending;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::{LocalRuntime, Runtime};
use weirs_scopes::joiners::{self, Cause, Flow, Joiner, OnCancel, Outcome};
use weirs_scopes::{ChildId, PanicPolicy, Reason, Refusal, Scope, ScopeError};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, runtime_test_local, sim_test, yields};

/// Writes down what it is told.
struct Diary<'a> {
    log: &'a Mutex<Vec<String>>,
    /// How many ends are enough.
    enough: usize,
    on_cancel: OnCancel,
    panics_at: &'static str,
}

impl<'a> Diary<'a> {
    fn new(log: &'a Mutex<Vec<String>>) -> Self {
        Self { log, enough: usize::MAX, on_cancel: OnCancel::GiveUp, panics_at: "nothing" }
    }

    fn say(&self, what: String) {
        let panics = what.starts_with(self.panics_at);
        self.log.lock().unwrap().push(what);
        if panics {
            std::panic::panic_any(self.panics_at);
        }
    }
}

impl Joiner<u32> for Diary<'_> {
    type Out = Cause;
    type Error = &'static str;

    fn on_spawn(&mut self, id: ChildId) {
        self.say(format!("spawned {}", id.number()));
    }

    fn on_close(&mut self) -> Flow {
        self.say("closed".to_owned());
        Flow::Continue
    }

    fn on_end(&mut self, id: ChildId, outcome: Outcome<u32>) -> Flow {
        let what = match outcome {
            Outcome::Output(value) => value.to_string(),
            Outcome::Cancelled(why) => format!("cancelled, {why}"),
            Outcome::Panicked => "panicked".to_owned(),
            _ => "something new".to_owned(),
        };
        self.say(format!("ended {}: {what}", id.number()));
        self.enough -= 1;
        if self.enough == 0 { Flow::Stop("enough".into()) } else { Flow::Continue }
    }

    fn on_cancel(&mut self, why: &Reason) -> OnCancel {
        self.say(format!("cancelled: {why}"));
        self.on_cancel
    }

    fn finish(self, cause: &Cause) -> Result<Cause, &'static str> {
        self.say("finish".to_owned());
        Ok(cause.clone())
    }
}

fn read(log: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[apply(runtime_test)]
async fn a_joiner_is_told_everything_in_order(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let cause = Scope::builder()
        .gather(Diary::new(&log), async |s| {
            let first = s.spawn(async {
                yields(2).await;
                1
            });
            s.spawn(pending()).cancel();
            first.await.unwrap();
            s.spawn(async { 3 });
            s.close();
        })
        .await;
    assert_eq!(cause.unwrap(), Cause::Complete);
    let told = [
        "spawned 1",
        "spawned 2",
        "ended 2: cancelled, requested",
        "ended 1: 1",
        "spawned 3",
        "closed",
        "ended 3: 3",
        "finish",
    ];
    assert_eq!(read(&log), told);
}

#[apply(runtime_test)]
async fn nothing_is_told_after_a_stop(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let cause = Scope::builder()
        .gather(Diary { enough: 1, ..Diary::new(&log) }, async |s| {
            for number in 0..3 {
                s.spawn(async move { number });
            }
            s.spawn(pending());
            yields(1).await;
            unreachable!("the body is cancelled like the rest");
        })
        .await;
    assert_eq!(cause.unwrap(), Cause::Stopped);
    assert_eq!(read(&log), ["spawned 1", "spawned 2", "spawned 3", "spawned 4", "ended 1: 0", "finish"]);
}

#[apply(runtime_test)]
async fn after_a_stop_the_scope_refuses_and_tells_the_reason(_: Runtime) {
    let (log, dropped) = (&Mutex::new(Vec::new()), &AtomicUsize::new(0));
    let late = move || OnDrop(dropped);
    let builder = Scope::builder().grace(Duration::MAX);
    let joiner = joiners::any_ok::<OnDrop<'_>, ()>();
    let first = builder
        .gather(joiner, async |s| {
            s.spawn(async move { Ok(late()) });
            let inner = s.clone();
            s.spawn(async move {
                // There is a time of grace, so it hears of it.
                assert_eq!(inner.token().cancelled().await, Reason::NotNeeded);
                let rejected = inner.try_spawn(async move { Ok(late()) }).unwrap_err();
                log.lock().unwrap().push(rejected.why());
                Ok(late())
            });
        })
        .await
        .unwrap();
    assert_eq!(*log.lock().unwrap(), [Refusal::Cancelled]);
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "the late value is dropped");
    drop(first);
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[apply(runtime_test)]
async fn services_deferred_and_isolated_children_are_not_told_of(_: Runtime) {
    let log = Mutex::new(Vec::new());
    Scope::builder()
        .gather(Diary::new(&log), async |s| {
            s.spawn_service("ends", async { 7 });
            s.spawn_service("waits", pending());
            s.defer(async {});
            s.isolate(pending::<()>()).cancel();
            let isolated = s.isolate(async { "another type" });
            assert_eq!(isolated.await, Ok("another type"));
            assert_eq!(s.spawn(async { 6 }).await, Ok(()));
        })
        .await
        .unwrap();
    assert_eq!(read(&log), ["spawned 5", "ended 5: 6", "finish"]);
}

#[apply(runtime_test)]
async fn a_joiner_may_want_to_finish_what_was_cancelled(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let token = weirs_scopes::CancelToken::new();
    let joiner = Diary { on_cancel: OnCancel::Finish, ..Diary::new(&log) };
    let cause = Scope::builder()
        .under(&token)
        .gather(joiner, async |s| {
            s.spawn(async { 1 });
            s.spawn(pending());
            s.spawn(pending());
            yields(1).await;
            token.cancel("from above");
        })
        .await;
    assert_eq!(cause.unwrap(), Cause::Cancelled(token.reason().unwrap()));
    let told = [
        "spawned 1",
        "spawned 2",
        "spawned 3",
        "ended 1: 1",
        "cancelled: from above",
        "ended 3: cancelled, from above",
        "ended 2: cancelled, from above",
        "finish",
    ];
    assert_eq!(read(&log), told);
}

#[apply(runtime_test)]
async fn a_joiner_that_gives_up_is_not_told_more(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let error = Scope::builder()
        .gather(Diary::new(&log), async |s| {
            s.spawn(pending());
            s.cancel(Reason::Shutdown);
        })
        .await
        .unwrap_err();
    assert!(matches!(error, ScopeError::Cancelled(Reason::Shutdown)), "{error:?}");
    assert_eq!(read(&log), ["spawned 1", "cancelled: the program is shutting down"]);
}

#[apply(runtime_test)]
async fn a_stop_wins_over_a_later_cancel(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let joiner = Diary { enough: 1, ..Diary::new(&log) };
    let cause = Scope::builder()
        .grace(Duration::MAX)
        .gather(joiner, async |s| {
            s.spawn(async { 1 });
            s.token().cancelled().await;
            s.cancel("too late");
        })
        .await;
    assert_eq!(cause.unwrap(), Cause::Stopped);
}

#[apply(runtime_test)]
async fn a_panic_in_a_joiner_is_a_panic_of_the_scope(_: Runtime) {
    for at in ["spawned 1", "closed", "ended 1", "ended 2", "cancelled: ", "finish"] {
        for policy in [PanicPolicy::Propagate, PanicPolicy::AsError] {
            let (log, dropped) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
            let joiner = Diary { panics_at: at, ..Diary::new(&log) };
            let run = Scope::builder().panics(policy).gather(joiner, async |s| {
                let guard = OnDrop(&dropped);
                s.spawn(async { 1 });
                s.spawn(async move {
                    let _guard = guard;
                    yields(2).await;
                    2
                });
                s.close();
                yields(4).await;
                if at.starts_with("cancelled") {
                    s.cancel(Reason::Requested);
                    pending().await
                }
            });
            match (AssertUnwindSafe(run).catch_unwind().await, policy) {
                (Err(payload), PanicPolicy::Propagate) => assert_eq!(payload.downcast_ref(), Some(&at)),
                (Ok(Err(ScopeError::Panicked(payload))), PanicPolicy::AsError) => {
                    assert_eq!(payload.into_inner().downcast_ref(), Some(&at));
                }
                (other, _) => panic!("{at}: {other:?}"),
            }
            assert_eq!(dropped.into_inner(), 1);
            let told = read(&log);
            assert!(told.last().unwrap().starts_with(at), "told after the panic at {at}: {told:?}");
        }
    }
}

#[apply(runtime_test)]
async fn a_child_that_panics_is_told_and_not_finished(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let joiner = Diary { on_cancel: OnCancel::Finish, ..Diary::new(&log) };
    let run = Scope::builder().gather(joiner, async |s| {
        s.spawn(async { panic!("in a child") });
        pending().await
    });
    let payload = AssertUnwindSafe(run).catch_unwind().await.unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"in a child"));
    assert_eq!(read(&log), ["spawned 1", "ended 1: panicked"]);
}

#[apply(runtime_test)]
async fn a_value_whose_destructor_panics_is_a_panic_of_the_scope(_: Runtime) {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any("dropped");
        }
    }
    let run = Scope::builder().gather(joiners::discard_all(), async |s| {
        s.spawn(async { Bomb });
        pending().await
    });
    let payload = AssertUnwindSafe(run).catch_unwind().await.unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"dropped"));
}

struct OnDrop<'a>(&'a AtomicUsize);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[apply(runtime_test)]
async fn a_scope_that_is_given_up_drops_its_joiner_and_the_values(_: Runtime) {
    let (made, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let kept = Mutex::new(None);
    let polls = cancel_at_every_poll(
        || {
            Scope::builder().limit(NonZeroUsize::new(3).unwrap()).gather(joiners::all(), async |s| {
                *kept.lock().unwrap() = Some(s.clone());
                // More than some turns of the scope.
                for number in 0..120 {
                    let (made, dropped) = (&made, &dropped);
                    let child = s.spawn_when_free(async move {
                        yields(number % 5).await;
                        made.fetch_add(1, Ordering::Relaxed);
                        Ok::<_, ()>(OnDrop(dropped))
                    });
                    child.await.unwrap();
                }
            })
        },
        async |k| {
            let made = made.swap(0, Ordering::Relaxed);
            assert_eq!(dropped.swap(0, Ordering::Relaxed), made, "after {k} polls, with a handle left");
            *kept.lock().unwrap() = None;
        },
    )
    .await;
    assert!(polls > 4);
}

#[apply(runtime_test_local)]
async fn children_joiners_and_values_may_stay_on_their_thread(_: LocalRuntime) {
    let shared = Rc::new(7);
    let values = Scope::builder()
        .gather_local(joiners::all(), async |s| {
            for turns in 0..2 {
                let shared = Rc::clone(&shared);
                s.spawn(async move {
                    yields(turns).await;
                    Ok::<_, Rc<()>>(shared)
                });
            }
        })
        .await;
    assert_eq!(values.unwrap(), [shared.clone(), shared]);
}

#[apply(sim_test)]
async fn what_is_there_at_the_deadline_is_kept(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let builder = || Scope::builder().clock(clock).deadline(clock.now() + Duration::from_secs(2));
    let partial = builder()
        .gather(joiners::until_deadline(joiners::all_settled()), async |s| {
            for seconds in 1..=3 {
                s.spawn(async move {
                    clock.sleep(Duration::from_secs(seconds)).await;
                    seconds
                });
            }
        })
        .await
        .unwrap();
    assert_eq!(clock.now() - start, Duration::from_secs(2));
    // What is ready when the deadline comes is delivered.
    let expected = [Outcome::Output(1), Outcome::Output(2), Outcome::Cancelled(Reason::Deadline)];
    assert_eq!(partial.result, Ok(expected.to_vec()));
    assert!(!partial.complete);

    let partial = builder()
        .gather(joiners::until_deadline(joiners::first_n(NonZeroUsize::MAX)), async |s| {
            s.spawn(async { Ok::<_, ()>(1) });
            pending().await
        })
        .await
        .unwrap();
    assert_eq!(partial.result.unwrap_err().values(), [1]);
    assert!(!partial.complete);

    let partial = builder()
        .gather(joiners::until_deadline(joiners::outputs()), async |s| drop(s.spawn(async { 1 })))
        .await
        .unwrap();
    assert!(partial.complete);
    assert_eq!(partial.result, Ok(vec![1]));
}

#[apply(sim_test)]
async fn who_ends_in_the_time_of_grace_is_told(runtime: Runtime) {
    let clock = runtime.clock();
    let log = Mutex::new(Vec::new());
    let joiner = Diary { on_cancel: OnCancel::Finish, ..Diary::new(&log) };
    let cause = Scope::builder()
        .clock(clock)
        .deadline(clock.now() + Duration::from_secs(1))
        .grace(Duration::from_secs(1))
        .gather(joiner, async |s| {
            let inner = s.clone();
            s.spawn(async move {
                inner.token().cancelled().await;
                1
            });
            s.spawn(pending());
        })
        .await;
    assert_eq!(cause.unwrap(), Cause::Cancelled(Reason::Deadline));
    let told = [
        "spawned 1",
        "spawned 2",
        "cancelled: the deadline has passed",
        "ended 1: 1",
        "ended 2: cancelled, the deadline has passed",
        "finish",
    ];
    assert_eq!(read(&log), told);
}

#[apply(sim_test)]
async fn a_deadline_in_the_past_is_told_and_the_body_does_not_begin(runtime: Runtime) {
    let clock = runtime.clock();
    let log = Mutex::new(Vec::new());
    let joiner = Diary { on_cancel: OnCancel::Finish, ..Diary::new(&log) };
    let builder = Scope::builder().clock(clock).deadline(clock.now());
    let cause = builder.gather(joiner, async |_| unreachable!()).await;
    assert_eq!(cause.unwrap(), Cause::Cancelled(Reason::Deadline));
    assert_eq!(read(&log), ["cancelled: the deadline has passed", "finish"]);
}
