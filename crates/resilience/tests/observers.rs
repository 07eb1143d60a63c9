//! What observers are told, and what is counted.

mod policies;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future::yield_now;
use policies::{Beside, Repeat};
use weirs_resilience::{Error, Event, GiveUp, Interest, Observer, Reason, Stack, Timeout};
use weirs_runtime::{Clock, Runtime, block_on};
use weirs_testing::{apply, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Writes down when it was told what.
struct Scribe {
    clock: Clock,
    lines: Mutex<Vec<String>>,
    interest: Interest,
}

impl Scribe {
    fn new(clock: &Clock, interest: Interest) -> Arc<Self> {
        Arc::new(Self { clock: clock.clone(), lines: Mutex::default(), interest })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Observer for Scribe {
    fn interest(&self) -> Interest {
        self.interest
    }

    fn on_event(&self, event: &Event<'_>) {
        let at = self.clock.now().as_nanos() / 1_000_000;
        self.lines.lock().unwrap().push(format!("{at}ms {event}"));
    }
}

#[apply(sim_test)]
async fn what_happens_is_told_in_its_order(runtime: Runtime) {
    let clock = runtime.clock();
    let scribe = Scribe::new(clock, Interest::ALL);
    let stack = Stack::builder().named("quotes").clock(clock).observer(scribe.clone());
    let stack = stack.deadline().timeout(ms(25)).policy(Repeat(9, ms(1))).timeout(ms(10)).build().unwrap();
    let start = clock.now();
    let late = stack.call(async |_| std::future::pending::<Result<(), ()>>().await).await;
    assert!(late.unwrap_err().is_timeout());
    stack.call(async |_| Ok::<_, ()>(())).by(start).await.unwrap_err();
    let from = start.as_nanos() / 1_000_000;
    let at = |after: u64, what: &str| format!("{}ms quotes{what}", from + after);
    assert_eq!(
        scribe.take(),
        [
            at(10, "[3]: timed out after 10ms"),
            at(21, "[3]: timed out after 10ms"),
            at(25, "[1]: timed out after 25ms"),
            at(25, "[0]: refused: too little time is left"),
        ]
    );
    let stats = stack.stats();
    assert_eq!((stats.timeouts, stats.rejected(Reason::Deadline), stats.rejections()), (3, 1, 1));
    assert_eq!((stats.age, stats.gave_up(GiveUp::Budget), stats.calls), (ms(25), 0, None));
}

#[apply(runtime_test)]
async fn nobody_is_told_what_he_does_not_want_to_know(runtime: Runtime) {
    let clock = runtime.clock();
    for (interest, told) in [
        (Interest::TIMEOUTS, 1),
        (Interest::REJECTIONS | Interest::TIMEOUTS, 2),
        (Interest::RETRIES, 0),
        (Interest::NONE, 0),
    ] {
        let scribe = Scribe::new(clock, interest);
        let stack = Stack::builder().clock(clock).observer(scribe.clone());
        let stack = stack.deadline().timeout(Duration::from_nanos(1)).build().unwrap();
        stack.call(async |_| std::future::pending::<Result<(), ()>>().await).await.unwrap_err();
        stack.call(async |_| Ok::<_, ()>(())).by(clock.now()).await.unwrap_err();
        assert_eq!(scribe.take().len(), told, "{interest:?}");
        // It is counted all the same.
        assert_eq!((stack.stats().timeouts, stack.stats().rejections()), (1, 1));
    }
}

/// An observer may call the stack that it observes: no lock is held.
#[test]
fn an_observer_may_call_the_same_stack() {
    type Looked = Stack<weirs_resilience::Dynamic<u8, ()>>;
    #[derive(Default)]
    struct Calls(Mutex<Option<std::sync::Weak<Looked>>>, Mutex<u32>);
    impl Observer for Calls {
        fn on_event(&self, _: &Event<'_>) {
            let stack = self.0.lock().unwrap().take();
            if let Some(stack) = stack.and_then(|stack| stack.upgrade()) {
                let again = block_on(stack.call(async |_| std::future::pending().await));
                assert!(again.unwrap_err().is_timeout());
                assert_eq!(stack.stats().timeouts, 2);
                *self.1.lock().unwrap() += 1;
            }
        }
    }
    let calls = Arc::new(Calls::default());
    let stack = Stack::dynamic().observer(calls.clone()).policy(Timeout::new(ms(1))).build().unwrap();
    let stack = Arc::new(stack);
    *calls.0.lock().unwrap() = Some(Arc::downgrade(&stack));
    block_on(stack.call(async |_| std::future::pending().await)).unwrap_err();
    assert_eq!(*calls.1.lock().unwrap(), 1);
}

#[test]
fn an_observer_that_panics_loses_nothing() {
    struct Panics;
    impl Observer for Panics {
        fn on_event(&self, _: &Event<'_>) {
            panic!("the observer panics");
        }
    }
    let log = policies::Log::default();
    let stack = Stack::builder().counted().observer(Panics).policy(policies::Gate("gate", log.clone()));
    let stack = stack.timeout(ms(1)).build().unwrap();
    let call = || block_on(stack.call(async |_| std::future::pending::<Result<(), ()>>().await));
    catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    // What the gate held was given back, the timeout was counted, and the stack goes on.
    assert!(log.take()[1].starts_with("gate abandoned"));
    let stats = stack.stats();
    assert_eq!((stats.timeouts, stats.calls.unwrap().dropped, stats.calls.unwrap().in_flight()), (1, 1, 0));
    assert_eq!(block_on(stack.call(async |_| Ok::<_, ()>(1))), Ok(1));
}

#[apply(runtime_test)]
async fn calls_are_counted_where_that_is_wished(runtime: Runtime) {
    let stack = Stack::builder().clock(runtime.clock()).named("quotes").counted().timeout(ms(60_000));
    let stack = stack.policy(Repeat(3, ms(0))).policy(Beside(ms(60_000))).build().unwrap();
    for number in 0..10u32 {
        let call = stack.call(|at: weirs_resilience::Attempt| async move {
            yield_now().await;
            if at.number() > number { Ok(()) } else { Err(()) }
        });
        assert_eq!(call.await.is_ok(), number < 3);
    }
    let waits = stack.call(async |_| std::future::pending::<Result<(), ()>>().await);
    let mut waits = Box::pin(waits);
    assert!(futures::poll!(waits.as_mut()).is_pending());
    let calls = stack.clone().stats().calls.unwrap();
    assert_eq!((calls.begun, calls.succeeded, calls.failed, calls.in_flight()), (11, 3, 7, 1));
    assert_eq!(calls.attempts, 1 + 2 + 3 + 7 * 3);
    drop(waits);
    drop(stack.call(async |_| Ok::<_, ()>(())));
    let calls = stack.stats().calls.unwrap();
    assert_eq!((calls.begun, calls.dropped, calls.in_flight(), calls.attempts), (11, 1, 0, 28));
}

#[apply(sim_test)]
async fn stats_are_a_small_table(runtime: Runtime) {
    let stack =
        Stack::builder().clock(runtime.clock()).named("quotes").counted().timeout(ms(5)).build().unwrap();
    stack.call(async |_| Ok::<_, ()>(())).await.unwrap();
    let late = stack.call(async |_| std::future::pending::<Result<(), ()>>().await).await;
    assert!(matches!(late, Err(Error::Timeout(_))));
    assert_eq!(
        stack.stats().to_string(),
        "quotes, 5ms old
         2  calls
         1  successes
         1  failures
         2  attempts
         1  timeouts
"
    );
}

#[test]
fn threads_count_together() {
    let stack = Stack::builder().counted().timeout(ms(60_000)).build().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..1_000 {
                    block_on(stack.call(async |_| Ok::<_, ()>(()))).unwrap();
                }
            });
        }
    });
    assert_eq!(stack.stats().calls.unwrap().succeeded, 4_000);
}
