//! The promises of a breaker, among them those that others were seen to break.

use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, select};
use futures_lite::future::yield_now;
use weirs_resilience::{
    Abandoned, Breaker, BreakerBuilder, ByDefault, Circuit, Class, Classify, Counts, Error, Event, EventKind,
    Observer, Reason, Recorded, Stack,
};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn fails() -> Result<(), &'static str> {
    Err("broken")
}

async fn works() -> Result<(), &'static str> {
    Ok(())
}

/// Open, and its time has come.
fn due(settings: BreakerBuilder) -> (Arc<Breaker>, ManualClock) {
    let time = ManualClock::new();
    let breaker = settings.clock(time.clock()).open_for(ms(100)).build().unwrap();
    while breaker.state() == Circuit::Closed {
        breaker.try_acquire().unwrap().failure();
    }
    time.advance(ms(100));
    (breaker, time)
}

#[apply(runtime_test)]
async fn it_opens_refuses_tries_and_closes(_: Runtime) {
    let time = ManualClock::new();
    let breaker = Breaker::consecutive(3).open_for(ms(100)).clock(time.clock()).build().unwrap();
    for _ in 0..3 {
        assert_eq!(breaker.call(fails()).await, Err(Error::Inner("broken")));
    }
    time.advance(ms(40));
    let refused = breaker.call(works()).await.unwrap_err();
    assert_eq!((refused.rejected(), refused.retry_after()), (Some(Reason::CircuitOpen), Some(ms(60))));
    time.advance(ms(60));
    assert_eq!(breaker.call(works()).await, Ok(()));
    assert_eq!(breaker.state(), Circuit::Closed);
    let stats = breaker.stats();
    assert_eq!((stats.openings, stats.rejected_open, stats.generation), (1, 1, 3));
}

/// Seen: all thousand callers who came while the circuit was half open were let through.
#[apply(runtime_test)]
async fn no_stampede_when_it_is_half_open(_: Runtime) {
    let (breaker, _time) = due(Breaker::consecutive(1).probes(3));
    let running = AtomicUsize::new(0);
    let calls = (0..1_000).map(|_| {
        breaker.call(async {
            running.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
            yield_now().await;
            Err::<(), _>("broken")
        })
    });
    let ended = join_all(calls).await;
    assert_eq!(running.load(Ordering::SeqCst), 3);
    let refused = ended.iter().filter(|end| matches!(end, Err(Error::Rejected(_)))).count();
    assert_eq!((refused, breaker.state()), (997, Circuit::Open));
    assert_eq!(breaker.stats().rejected_half_open, 997);
}

/// Seen: the circuit stayed half open for ever when its one probe was dropped.
#[apply(runtime_test)]
async fn no_wedge_when_a_probe_is_dropped(_: Runtime) {
    let (breaker, time) = due(Breaker::consecutive(1).abandoned(Abandoned::Ignored));
    let mut call = Box::pin(breaker.call(pending::<Result<(), ()>>()));
    assert!(call.as_mut().now_or_never().is_none());
    drop(call);
    assert_eq!(breaker.state(), Circuit::HalfOpen);
    let refused = breaker.call(works()).await.unwrap_err();
    time.advance(refused.retry_after().unwrap());
    assert_eq!(breaker.call(works()).await, Ok(()));
    assert_eq!(breaker.state(), Circuit::Closed);
}

/// Seen: a permit that never said anything kept the circuit half open.
#[apply(runtime_test)]
async fn no_wedge_when_a_probe_is_leaked(_: Runtime) {
    let (breaker, time) = due(Breaker::consecutive(1).slow_after(ms(10)));
    std::mem::forget(breaker.try_acquire().unwrap());
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(ms(100)));
    time.advance(ms(100));
    assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
    assert_eq!((breaker.state(), breaker.stats().probes_lost), (Circuit::Closed, 1));
}

/// Seen (a): after 10,000 successes, a window of 100 calls opened only after 10,000 failures in a row.
#[apply(runtime_test)]
async fn a_window_of_calls_slides(_: Runtime) {
    let breaker = Breaker::failure_rate(0.5).window_of_calls(100).build().unwrap();
    for _ in 0..10_000 {
        breaker.call(works()).await.unwrap();
    }
    let mut failures = 0;
    while breaker.state() == Circuit::Closed {
        breaker.call(fails()).await.unwrap_err();
        failures += 1;
    }
    assert_eq!(failures, 50);
}

/// Seen (b): with a window of 50 ms and a call each 60 ms, a half open circuit never closed.
#[apply(runtime_test)]
async fn a_short_window_of_time_does_not_keep_it_half_open(_: Runtime) {
    let time = ManualClock::new();
    let breaker = Breaker::failure_rate(0.5)
        .window_of_time(ms(50), 10)
        .min_calls(1)
        .probes(5)
        .open_for(ms(100))
        .clock(time.clock())
        .build()
        .unwrap();
    breaker.call(fails()).await.unwrap_err();
    time.advance(ms(100));
    for _ in 0..40 {
        breaker.call(works()).await.unwrap();
        time.advance(ms(60));
    }
    assert_eq!(breaker.state(), Circuit::Closed);
}

/// Seen (c): a call that was let through while closed and ended while half open decided the round.
#[apply(runtime_test)]
async fn a_late_result_decides_nothing(_: Runtime) {
    let time = ManualClock::new();
    let settings = Breaker::consecutive(1).open_for(ms(100)).abandoned(Abandoned::Failure);
    let breaker = settings.clock(time.clock()).build().unwrap();
    let late: Vec<_> = (0..3).map(|_| breaker.try_acquire_owned().unwrap()).collect();
    breaker.try_acquire().unwrap().failure();
    time.advance(ms(100));
    let probe = breaker.try_acquire().unwrap();
    let mut late = late.into_iter();
    assert_eq!(late.next().unwrap().success(), Recorded::Stale);
    assert_eq!(late.next().unwrap().failure(), Recorded::Stale);
    drop(late);
    assert_eq!(breaker.state(), Circuit::HalfOpen);
    assert!(breaker.try_acquire().is_err(), "a late result gave a place back that it had not");
    assert_eq!(probe.success(), Recorded::Counted);
    assert_eq!((breaker.state(), breaker.stats().stale), (Circuit::Closed, 3));
}

/// Seen (d): ten panics, none of them counted.
#[apply(runtime_test)]
async fn a_panic_is_a_failure(_: Runtime) {
    let breaker = Breaker::failure_rate(1.0).min_calls(50).build().unwrap();
    let stack = Stack::builder().breaker(&breaker).build().unwrap();
    for _ in 0..10 {
        let alone = breaker.call(async { if true { panic!("on purpose") } else { works().await } });
        AssertUnwindSafe(alone).catch_unwind().await.unwrap_err();
        let stacked = stack.call(async |_| if true { panic!("on purpose") } else { works().await });
        AssertUnwindSafe(stacked).catch_unwind().await.unwrap_err();
        let held = async {
            let _permit = breaker.try_acquire().unwrap();
            if true {
                panic!("on purpose")
            }
        };
        AssertUnwindSafe(held).catch_unwind().await.unwrap_err();
    }
    let judge = breaker.judging(|_: &Result<(), Error<&str>>| panic!("on purpose"));
    AssertUnwindSafe(judge.call(works())).catch_unwind().await.unwrap_err();
    assert_eq!(breaker.stats().counts, Counts { calls: 31, failures: 31, slow: 0 });
    assert_eq!(breaker.stats().abandoned, 0);
}

/// Seen (e): a backend that hangs behind a limit of time outside: no timeout was counted, and half open it
/// was probed without end.
#[apply(sim_test)]
async fn a_hanging_backend_behind_an_outer_timeout_opens_it(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = Breaker::consecutive(20).slow_after(ms(5)).open_for(ms(100)).clock(&clock).build().unwrap();
    let stack = Stack::builder().clock(&clock).timeout(ms(5)).breaker(&breaker).build().unwrap();
    let begun = AtomicUsize::new(0);
    let call = || {
        stack.call(async |_| {
            begun.fetch_add(1, Ordering::SeqCst);
            pending::<Result<(), ()>>().await
        })
    };
    for _ in 0..20 {
        assert!(call().await.unwrap_err().is_timeout());
    }
    assert_eq!((breaker.state(), breaker.stats().abandoned), (Circuit::Open, 20));
    let end = clock.now() + ms(300);
    while clock.now() < end {
        let _ = call().await;
        clock.sleep(ms(1)).await;
    }
    let probes = begun.load(Ordering::SeqCst) - 20;
    assert!((1..=3).contains(&probes), "{probes} probes in 300 ms");
}

/// Callers who lose interest say nothing about the other side.
#[apply(sim_test)]
async fn young_calls_that_are_dropped_count_nowhere(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = Breaker::consecutive(1).slow_after(ms(5)).clock(&clock).build().unwrap();
    let stack = Stack::builder().clock(&clock).timeout(ms(4)).breaker(&breaker).build().unwrap();
    for _ in 0..20 {
        let call = stack.call(async |_| pending::<Result<(), ()>>().await);
        assert!(call.await.unwrap_err().is_timeout());
    }
    assert_eq!((breaker.state(), breaker.stats().abandoned), (Circuit::Closed, 20));
}

/// Seen: a breaker that counted failures without an end opened after five in a million.
#[test]
fn five_failures_among_a_million_successes_do_not_open_it() {
    let breaker = Breaker::consecutive(5).build().unwrap();
    for call in 0..1_000_000 {
        let permit = breaker.try_acquire().unwrap();
        if call % 200_000 == 0 {
            permit.failure()
        } else {
            permit.success()
        };
    }
    assert_eq!(breaker.stats().openings, 0);
}

#[apply(runtime_test)]
async fn probes_are_conserved_wherever_a_call_is_dropped(_: Runtime) {
    let settings = Breaker::consecutive(1).probes(2).pace(Duration::ZERO);
    let (breaker, time) = due(settings.abandoned(Abandoned::Ignored));
    let stack = Stack::builder().clock(time.clock()).breaker(&breaker).timeout(ms(60_000)).build().unwrap();
    let work = async || {
        yield_now().await;
        yield_now().await;
        Err::<(), _>("broken")
    };
    let check = async |_| {
        if breaker.state() == Circuit::HalfOpen {
            let both = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
            assert!(breaker.try_acquire().is_err());
            both.0.ignore();
            both.1.ignore();
        }
    };
    assert_eq!(cancel_at_every_poll(|| stack.call(async |_| work().await), check).await, 2);
    assert_eq!(breaker.state(), Circuit::Open);
    let (breaker, _time) = due(Breaker::consecutive(1).pace(Duration::ZERO));
    let check = async |_| {
        if breaker.state() == Circuit::HalfOpen {
            breaker.try_acquire().unwrap().ignore();
        }
    };
    cancel_at_every_wake(|| breaker.call(work()), check).await;
    assert_eq!(breaker.state(), Circuit::Open);
}

#[apply(runtime_test)]
async fn who_waits_is_told_of_every_way_to_be_ready(runtime: Runtime) {
    let breaker = Breaker::consecutive(1).open_for(ms(1)).clock(runtime.clock()).build().unwrap();
    breaker.ready().await;
    breaker.try_acquire().unwrap().failure();
    breaker.ready().await;
    let probe = breaker.try_acquire().unwrap();
    assert!(breaker.ready().now_or_never().is_none());
    // The probe's end wakes; so does a hand.
    let ready = join_all((0..3).map(|_| breaker.ready()));
    futures::join!(ready, async { probe.success() });
    breaker.force_open("maintenance");
    assert_eq!(breaker.forced_because().as_deref(), Some("maintenance"));
    assert_eq!(breaker.ready_at(), None);
    let polls = cancel_at_every_poll(
        || {
            breaker.force_open("maintenance");
            let hand = async {
                yield_now().await;
                breaker.reset();
            };
            futures::future::join(breaker.ready(), hand)
        },
        async |_| {},
    );
    assert_eq!(polls.await, 2);
    assert_eq!(breaker.forced_because(), None);
}

#[apply(sim_test)]
async fn it_is_ready_at_the_very_time(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = Breaker::consecutive(1).open_for(ms(70)).clock(&clock).build().unwrap();
    breaker.call(fails()).await.unwrap_err();
    let opened = clock.now();
    assert_eq!(breaker.ready_at(), Some(opened + ms(70)));
    breaker.ready().await;
    assert_eq!(clock.now() - opened, ms(70));
}

#[apply(sim_test)]
async fn a_prober_spares_the_callers(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let settings = Breaker::consecutive(1).open_for(ms(100)).lease(ms(1_000)).slow_after(ms(10));
    let breaker = settings.clock(&clock).build().unwrap();
    let ill_until = clock.now() + ms(350);
    let probes = AtomicUsize::new(0);
    let prober = breaker.probe_with(|| async {
        probes.fetch_add(1, Ordering::SeqCst);
        clock.sleep(ms(2)).await;
        if clock.now() < ill_until { Err(()) } else { Ok(()) }
    });
    let callers = async {
        breaker.call(fails()).await.unwrap_err();
        let mut begun = 0;
        while breaker.state() != Circuit::Closed {
            let _ = breaker
                .call(async {
                    begun += 1;
                    fails().await
                })
                .await;
            clock.sleep(ms(1)).await;
        }
        assert_eq!(begun, 0);
        // Probed at 100, 202, 304 and 406.
        assert_eq!(clock.now() - breaker.stats().for_time, ill_until + ms(408 - 350));
    };
    select(Box::pin(callers), Box::pin(prober)).await;
    assert_eq!(probes.load(Ordering::SeqCst), 4);
    // The prober is gone, and callers probe again.
    breaker.call(fails()).await.unwrap_err();
    clock.sleep(ms(100)).await;
    assert_eq!(breaker.call(works()).await, Ok(()));
}

#[apply(sim_test)]
async fn a_prober_that_is_late_does_not_keep_callers_out(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let settings = Breaker::consecutive(1).open_for(ms(100)).lease(ms(200));
    let breaker = settings.clock(&clock).build().unwrap();
    let mut prober = Box::pin(breaker.probe_with(pending::<Result<(), ()>>));
    assert!(prober.as_mut().now_or_never().is_none());
    breaker.call(fails()).await.unwrap_err();
    clock.sleep(ms(100)).await;
    // It has its turn, and hangs.
    assert!(prober.as_mut().now_or_never().is_none());
    assert_eq!(breaker.call(works()).await.unwrap_err().retry_after(), Some(ms(200)));
    clock.sleep(ms(200)).await;
    assert_eq!(breaker.call(works()).await, Ok(()));
    assert_eq!((breaker.state(), breaker.stats().probes_lost), (Circuit::Closed, 1));
}

#[test]
fn a_clock_that_jumps_keeps_nobody_out_for_longer() {
    let time = ManualClock::new();
    time.advance(ms(1_000_000));
    let settings = Breaker::consecutive(1).failure_rate(0.5).window_of_time(ms(100), 10).open_for(ms(100));
    let breaker = settings.lease(ms(50)).clock(time.clock()).build().unwrap();
    breaker.try_acquire().unwrap().failure();
    // An hour back.
    time.set(Instant::from_nanos(0));
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(ms(100)));
    time.advance(ms(100));
    std::mem::forget(breaker.try_acquire().unwrap());
    time.set(Instant::from_nanos(0));
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(ms(50)));
    time.advance(ms(50));
    assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
    // In the window, a clock that was set back stands still.
    assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
    assert_eq!(breaker.stats().counts.calls, 1);
    // And far ahead.
    time.set(Instant::from_nanos(u64::MAX - 1));
    assert_eq!(breaker.stats().counts.calls, 0);
    breaker.try_acquire().unwrap().failure();
    assert!(breaker.try_acquire().is_err());
}

/// An observer that uses the breaker in the middle of its own event.
#[test]
fn events_come_outside_every_lock_and_in_order() {
    #[derive(Default)]
    struct Log {
        breaker: Mutex<Option<Arc<Breaker>>>,
        told: Mutex<Vec<String>>,
    }
    struct Tell(Arc<Log>);
    impl Observer for Tell {
        fn on_event(&self, event: &Event<'_>) {
            let breaker = self.0.breaker.lock().unwrap().clone().unwrap();
            if !matches!(event.kind(), EventKind::Rejected { .. }) {
                let _ = (breaker.stats(), breaker.ready_at(), breaker.snapshot());
            }
            self.0.told.lock().unwrap().push(event.to_string());
        }
    }
    let (log, time) = (Arc::new(Log::default()), ManualClock::new());
    let settings = Breaker::consecutive(1).named("quotes").open_for(ms(100)).clock(time.clock());
    let breaker = settings.observer(Tell(Arc::clone(&log))).build().unwrap();
    *log.breaker.lock().unwrap() = Some(Arc::clone(&breaker));
    let late = breaker.try_acquire().unwrap();
    breaker.try_acquire().unwrap().failure();
    late.success();
    breaker.try_acquire().unwrap_err();
    time.advance(ms(100));
    breaker.try_acquire().unwrap().success();
    breaker.reconfigure(Breaker::consecutive(9)).unwrap();
    drop(breaker.try_acquire().unwrap());
    let told = log.told.lock().unwrap();
    let kinds = ["opened", "generation 0", "circuit is open", "half open", "closed", "settings", "abandoned"];
    assert_eq!(told.len(), kinds.len(), "{told:#?}");
    for (told, kind) in told.iter().zip(kinds) {
        assert!(told.starts_with("quotes: ") && told.contains(kind), "{told}");
    }
    log.breaker.lock().unwrap().take();
}

#[apply(runtime_test)]
async fn a_judge_says_what_counts(_: Runtime) {
    let time = ManualClock::new();
    let settings = Breaker::consecutive(2).open_for(ms(100)).heed_retry_after(ms(10_000));
    let breaker = settings.clock(time.clock()).build().unwrap();
    let judged = breaker.judging(|result: &Result<(), Error<u16>>| match result {
        Err(Error::Inner(404)) => Class::Permanent,
        Err(Error::Inner(499)) => Class::Ignored,
        Err(Error::Inner(429)) => Class::After(ms(700)),
        other => ByDefault.classify(other),
    });
    let stack = Stack::builder().breaker(judged).build().unwrap();
    // The server answered: what it failed at before is no row.
    for status in [500, 404, 500, 499, 404] {
        assert_eq!(stack.call(async |_| Err(status)).await, Err(Error::Inner(status)));
    }
    assert_eq!(breaker.state(), Circuit::Closed);
    for status in [500, 429] {
        assert_eq!(stack.call(async |_| Err(status)).await, Err(Error::Inner(status)));
    }
    let refused = stack.call(async |_| Ok(())).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(ms(700)));
}

#[apply(sim_test)]
async fn slow_calls_open_it(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let settings = Breaker::builder().slow_rate(0.5).slow_after(ms(10)).min_calls(4);
    let breaker = settings.clock(&clock).build().unwrap();
    let call = async |time| {
        breaker
            .call(async {
                clock.sleep(ms(time)).await;
                Ok::<_, ()>(())
            })
            .await
            .unwrap();
    };
    for time in [9, 10, 9] {
        call(time).await;
    }
    assert_eq!(breaker.stats().counts, Counts { calls: 3, failures: 0, slow: 1 });
    call(11).await;
    assert_eq!(breaker.state(), Circuit::Open);
}

#[test]
fn other_settings_keep_what_was_counted() {
    let time = ManualClock::new();
    let breaker = Breaker::failure_rate(0.9).window_of_calls(10).clock(time.clock()).build().unwrap();
    for call in 0..8 {
        let permit = breaker.try_acquire().unwrap();
        if call % 2 == 0 {
            permit.failure()
        } else {
            permit.success()
        };
    }
    let held = breaker.try_acquire().unwrap();
    breaker.reconfigure(Breaker::failure_rate(0.9).window_of_calls(3_000)).unwrap();
    assert_eq!(held.success(), Recorded::Counted);
    assert_eq!(breaker.stats().counts, Counts { calls: 9, failures: 4, slow: 0 });
    breaker.reconfigure(Breaker::failure_rate(0.9).window_of_time(ms(100), 10)).unwrap();
    assert_eq!(breaker.stats().counts, Counts { calls: 9, failures: 4, slow: 0 });
    let mistake = breaker.reconfigure(Breaker::failure_rate(f64::NAN)).unwrap_err();
    assert_eq!(mistake.field(), "breaker.failure_rate");
    time.advance(ms(100));
    assert_eq!(breaker.stats().counts, Counts::default());
    breaker.reconfigure(Breaker::consecutive(1)).unwrap();
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), Circuit::Open);
}

#[test]
fn what_it_knows_survives_a_restart() {
    let settings = || Breaker::failure_rate(0.5).consecutive_failures(9).open_for(ms(100)).min_calls(4);
    let (old, new) = (ManualClock::new(), ManualClock::new());
    new.advance(ms(5_000));
    let before = settings().clock(old.clock()).build().unwrap();
    let after = settings().clock(new.clock()).build().unwrap();
    for _ in 0..3 {
        before.try_acquire().unwrap().failure();
    }
    let stale = after.try_acquire().unwrap();
    after.restore(&before.snapshot());
    assert_eq!(stale.success(), Recorded::Stale);
    assert_eq!((after.stats().consecutive_failures, after.stats().counts.failures), (3, 3));
    before.try_acquire().unwrap().failure();
    old.advance(ms(30));
    after.restore(&before.snapshot());
    assert_eq!(after.try_acquire().unwrap_err().retry_after(), Some(ms(70)));
    assert_eq!((after.stats().openings, after.stats().openings_in_a_row), (1, 1));
    old.advance(ms(70));
    let probe = before.try_acquire().unwrap();
    after.restore(&before.snapshot());
    assert!(after.try_acquire().unwrap().is_probe(), "nobody knows what became of the probes");
    probe.ignore();
    before.force_open("maintenance");
    after.restore(&before.snapshot());
    assert_eq!(after.forced_because().as_deref(), Some("maintenance"));
    assert_eq!(after.try_acquire().unwrap_err().reason(), Reason::CircuitForced);
}

/// Nobody's end of a call is lost or counted twice, whoever runs beside it.
#[apply(runtime_test)]
async fn threads_lose_no_count(runtime: Runtime) {
    let windows: [fn() -> BreakerBuilder; 2] = [
        || Breaker::failure_rate(1.0).window_of_calls(100_000),
        || Breaker::failure_rate(1.0).window_of_time(Duration::from_secs(1_000_000), 3),
    ];
    for window in windows {
        let breaker = window().min_calls(9).slow_rate(1.0).build().unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let breaker = Arc::clone(&breaker);
                runtime.spawn(async move {
                    for call in 0..500_u32 {
                        let permit = breaker.try_acquire().unwrap();
                        let slow = if call % 5 == 0 { Duration::from_secs(1) } else { Duration::ZERO };
                        let class = if call % 7 == task { Class::Failure } else { Class::Success };
                        assert_eq!(permit.record(class, slow), Recorded::Counted);
                        if call % 100 == 0 {
                            yield_now().await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let failures = (0..4).map(|task| (0..500).filter(|call| call % 7 == task).count() as u64).sum();
        assert_eq!(breaker.stats().counts, Counts { calls: 2_000, failures, slow: 400 });
    }
}

/// Borrowed or not, calls can be spawned; all that is public can be sent and shared.
#[test]
fn it_can_be_sent() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    fn shared<T: Send + Sync>() {}
    shared::<Breaker>();
    shared::<weirs_resilience::Breakers<String>>();
    let breaker = Breaker::consecutive(1).build().unwrap();
    drop(sent(breaker.call(works())));
    drop(sent(breaker.ready()));
    drop(sent(breaker.probe_with(works)));
    drop(sent(breaker.try_acquire().unwrap()));
    fn is_future<F: Future>(_: F) {}
    is_future(sent(breaker.judging(ByDefault).call(works())));
}
