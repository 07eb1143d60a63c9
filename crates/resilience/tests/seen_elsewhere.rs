//! Failures that were seen in other libraries, looked for here through stacks, on every runtime. The table in
//! the README says where the others are.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use futures_lite::future::{poll_once, yield_now};
use weirs_resilience::{
    Attempt, Breaker, Budget, Circuit, Error, Event, EventKind, GiveUp, Hedge, Jitter, Observer, Reason,
    Retry, Stack,
};
use weirs_runtime::Runtime;
use weirs_testing::{ManualClock, apply, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const LONG: Duration = Duration::from_secs(3_600);

/// A half open circuit let all of a thousand callers through at once.
#[apply(runtime_test)]
async fn no_stampede_through_a_stack(runtime: Runtime) {
    let time = ManualClock::new();
    let breaker = Breaker::consecutive(1).probes(3).pace(Duration::ZERO).clock(time.clock()).build().unwrap();
    let retry = Retry::immediate().retries(3);
    let stack = Stack::builder().clock(runtime.clock()).timeout(LONG).retry(retry).breaker(&breaker);
    let stack = stack.build().unwrap();
    breaker.try_acquire().unwrap().failure();
    time.advance(ms(5_000));
    let begun = AtomicUsize::new(0);
    let calls = (0..1_000).map(|_| {
        stack.call(async |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
            Ok::<_, ()>(())
        })
    });
    let results = join_all(calls).await;
    assert_eq!(begun.load(Ordering::Relaxed), 3);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    assert_eq!((breaker.state(), stack.stats().rejected(Reason::CircuitHalfOpen)), (Circuit::Closed, 997));
}

/// The one probe was dropped with its caller, and the circuit stayed half open for ever.
#[apply(runtime_test)]
async fn no_wedge_when_the_call_of_a_probe_is_dropped(runtime: Runtime) {
    let time = ManualClock::new();
    let breaker =
        Breaker::consecutive(1).lease(LONG).pace(Duration::ZERO).clock(time.clock()).build().unwrap();
    let stack = Stack::builder().clock(runtime.clock()).timeout(LONG).breaker(&breaker).timeout(LONG);
    let stack = stack.build().unwrap();
    breaker.try_acquire().unwrap().failure();
    time.advance(ms(5_000));
    for _ in 0..30 {
        let mut probe = pin!(stack.call(async |_| pending::<Result<(), ()>>().await));
        assert!(poll_once(probe.as_mut()).await.is_none());
        assert_eq!(breaker.state(), Circuit::HalfOpen);
    }
    assert_eq!(stack.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
    assert_eq!((breaker.state(), breaker.stats().probes_lost), (Circuit::Closed, 0));
}

/// Work that hangs was dropped by a timeout outside, and no breaker ever heard of it.
#[apply(runtime_test)]
async fn what_hangs_behind_an_outer_timeout_opens_the_circuit(runtime: Runtime) {
    let clock = runtime.clock();
    let breaker = Breaker::consecutive(20).slow_after(ms(1)).open_for(LONG).clock(clock).build().unwrap();
    let stack = Stack::builder().clock(clock).timeout(ms(1)).breaker(&breaker).build_strict().unwrap();
    let begun = AtomicU32::new(0);
    for call in 0..40 {
        let result = stack.call(async |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            pending::<Result<(), ()>>().await
        });
        assert_eq!(result.await.unwrap_err().is_timeout(), call < 20);
    }
    assert_eq!((begun.load(Ordering::Relaxed), breaker.state()), (20, Circuit::Open));
}

/// Pauses with jitter were nearly twice as long as their cap.
#[apply(runtime_test)]
async fn no_pause_is_over_its_cap(runtime: Runtime) {
    #[derive(Clone, Default)]
    struct Pauses(Arc<Mutex<Vec<Duration>>>);
    impl Observer for Pauses {
        fn on_event(&self, event: &Event<'_>) {
            if let EventKind::Retry { delay, .. } = event.kind() {
                self.0.lock().unwrap().push(delay);
            }
        }
    }
    let cap = Duration::from_micros(200);
    let base = Duration::from_micros(100);
    for jitter in
        [Jitter::Full, Jitter::Equal, Jitter::Proportional(1.0), Jitter::Decorrelated, Jitter::Smooth]
    {
        let pauses = Pauses::default();
        let policy = Retry::exponential(base).cap(cap).jitter(jitter).retries(30);
        let stack = Stack::builder().clock(runtime.clock()).observer(pauses.clone()).retry(policy);
        let report = stack.build().unwrap().call_reported(async |_| Err::<(), _>("down")).await;
        assert_eq!((report.attempts, report.gave_up), (31, Some(GiveUp::Exhausted)));
        assert!(report.last_delay <= cap);
        let pauses = pauses.0.lock().unwrap();
        assert_eq!(pauses.len(), 30);
        assert!(pauses.iter().all(|pause| *pause <= cap), "{jitter}: {pauses:?}");
    }
}

/// A thousand calls that failed together made a thousand retries, though the budget was a fifth. Here with
/// retries and hedges that share one.
#[apply(runtime_test)]
async fn no_storm_through_a_stack(runtime: Runtime) {
    let clock = runtime.clock();
    let budget = Budget::share(0.2).floor(0).time_to_live(LONG).clock(clock).build().unwrap();
    let stack = Stack::builder()
        .clock(clock)
        .retry(Retry::constant(ms(1)).retries(3).budget(&budget))
        .hedge(Hedge::after(Duration::ZERO).max(3).budget(&budget))
        .counted()
        .build()
        .unwrap();
    let calls = (0..1_000).map(|_| {
        stack.call(async |_| {
            yield_now().await;
            yield_now().await;
            Err::<(), _>("down")
        })
    });
    let results = join_all(calls).await;
    assert!(results.iter().all(|result| *result == Err(Error::Inner("down"))));
    let stats = stack.stats();
    assert_eq!(stats.calls.unwrap().attempts, 1_200);
    assert_eq!(stats.retries + stats.hedges, 200);
}

/// All that one asks for at night: what the circuit is, for how long, how often it opened; refusals by
/// reason, attempts, hedges, other answers.
#[apply(sim_test)]
async fn the_statistics_of_a_whole_stack(runtime: Runtime) {
    let clock = runtime.clock();
    let breaker = Breaker::consecutive(3).open_for(LONG).clock(clock).build().unwrap();
    let stack = Stack::builder()
        .named("quotes")
        .clock(clock)
        .counted()
        .fallback(|error: &Error<&str>| error.is_circuit_open().then_some(0))
        .timeout(ms(1_000))
        .retry(Retry::constant(ms(10)).retries(1))
        .hedge(Hedge::after(ms(50)))
        .breaker(&breaker)
        .timeout(ms(100))
        .build()
        .unwrap();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
    let hedged = async |at: Attempt| match at.hedge() {
        0 => pending().await,
        _ => Ok(2),
    };
    assert_eq!(stack.call(hedged).await, Ok(2));
    let failing = async |_| Err("down");
    // An attempt, its hedge, and the retry: the third failure opens the circuit.
    assert_eq!(stack.call(failing).await, Err(Error::Inner("down")));
    assert_eq!(stack.call(failing).await, Ok(0));
    clock.sleep(ms(70)).await;

    let (told, circuit) = (stack.stats(), breaker.stats());
    assert_eq!((circuit.circuit, circuit.openings), (Circuit::Open, 1));
    assert_eq!(circuit.for_time, ms(70));
    let calls = told.calls.unwrap();
    assert_eq!((calls.begun, calls.succeeded, calls.failed, calls.in_flight()), (4, 3, 1, 0));
    assert_eq!((calls.attempts, told.hedges_won, told.fallbacks), (6, 1, 1));
    assert_eq!(told.rejected(Reason::CircuitOpen), circuit.rejected_open);
    assert_eq!(told.rejections(), told.rejected(Reason::CircuitOpen));
    assert!(told.to_string().starts_with("quotes, "), "{told}");
}
