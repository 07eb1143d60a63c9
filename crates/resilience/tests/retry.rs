//! The promises of a retry.
// tidy: allow(size): the model of a retry stands beside the promises that it repeats

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::join_all;
use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use weirs_resilience::{
    Attempt, Backoff, Budget, Class, Error, Event, EventKind, GiveUp, Inner, Interest, Jitter, Observer,
    Part, Plan, Policy, Reason, Retry, Role, Scene, Stack, Turn, retry,
};
use weirs_runtime::{Clock, Entropy, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A policy that refuses when it is told to.
struct Gate<F>(F);

impl<F> Part for Gate<F> {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Other, "gate");
    }
}

impl<T, E, F: Fn() -> Option<Option<Duration>>> Policy<T, E> for Gate<F> {
    type State = bool;

    fn begin(&self) -> bool {
        false
    }

    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        runs: &mut bool,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        if !*runs {
            if let Some(retry_after) = (self.0)() {
                return Poll::Ready(Err(turn.reject(Reason::Other, retry_after)));
            }
        }
        let polled = inner.poll(turn, at);
        *runs = polled.is_pending();
        polled
    }

    fn abandon(&self, runs: &mut bool, _: Scene<'_>) {
        *runs = false;
    }
}

/// Every kind, with room for exactly so many retries of so many calls that run at once.
fn budgets(clock: &Clock, calls: u32, retries: u32) -> Vec<Budget> {
    let share = f64::from(retries) / f64::from(calls);
    let hour = Duration::from_secs(3600);
    vec![
        Budget::share(share).floor(0).time_to_live(hour).clock(clock).build().unwrap(),
        Budget::tokens(retries).cost(1).timeout_cost(1).reward(0).build().unwrap(),
        Budget::in_flight(share).at_least(0).build().unwrap(),
    ]
}

#[apply(runtime_test)]
async fn the_last_real_error_is_what_the_caller_gets(runtime: Runtime) {
    let policy = Retry::constant(ms(1)).retries(3);
    let stack = Stack::builder().clock(runtime.clock()).retry(policy).build().unwrap();
    let report = stack.call_reported(async |at| Err::<(), _>(at.number())).await;
    assert_eq!(report.result, Err(Error::Inner(4)));
    assert_eq!((report.attempts, report.gave_up, report.last_delay), (4, Some(GiveUp::Exhausted), ms(1)));
    let report =
        stack.call_reported(async |at| if at.number() < 3 { Err(()) } else { Ok(at.number()) }).await;
    assert_eq!((report.result, report.attempts, report.gave_up), (Ok(3), 3, None));
}

#[apply(sim_test)]
async fn the_schedule_is_exact(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let policy = Retry::exponential(ms(50)).cap(ms(150)).retries(4);
    let stack = Stack::builder().clock(&clock).retry(policy).build().unwrap();
    let begun = RefCell::new(Vec::new());
    let start = clock.now();
    let failed = stack.call(async |_| {
        begun.borrow_mut().push(clock.now() - start);
        clock.sleep(ms(7)).await;
        Err::<(), _>(())
    });
    assert_eq!(failed.await, Err(Error::Inner(())));
    assert_eq!(*begun.borrow(), [0, 57, 164, 321, 478].map(ms));
    assert_eq!(clock.now() - start, ms(485));
}

#[apply(runtime_test)]
async fn what_would_fail_again_is_not_made_again(runtime: Runtime) {
    let policy = Retry::constant(ms(1)).when(|error: &u32| *error != 2);
    let stack = Stack::builder().clock(runtime.clock()).retry(policy).build().unwrap();
    let report = stack.call_reported(async |at| Err::<(), _>(at.number())).await;
    assert_eq!(report.result, Err(Error::Inner(2)));
    assert_eq!((report.attempts, report.gave_up), (2, Some(GiveUp::Permanent)));
}

#[apply(runtime_test)]
async fn what_may_have_been_sent_is_not_made_again(runtime: Runtime) {
    let policy = Retry::immediate().only_if_not_sent(|sent: &Option<bool>| *sent);
    let stack = Stack::builder().clock(runtime.clock()).retry(policy).timeout(ms(60_000)).build().unwrap();
    for (sent, attempts) in [(Some(false), 4), (Some(true), 1), (None, 1)] {
        let report = stack.call_reported(async |_| Err::<(), _>(sent)).await;
        assert_eq!((report.result, report.attempts), (Err(Error::Inner(sent)), attempts));
    }
    let policy = Retry::immediate().only_if_not_sent(|_: &()| Some(false));
    let stack = Stack::builder().clock(runtime.clock()).retry(policy).timeout(ms(1)).build().unwrap();
    let report = stack.call_reported(async |_| pending::<Result<(), ()>>().await).await;
    assert!(report.result.unwrap_err().is_timeout());
    assert_eq!(report.attempts, 1);
}

#[apply(sim_test)]
async fn the_other_side_may_ask_for_a_longer_pause(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let policy =
        Retry::exponential(ms(10)).cap(ms(500)).retries(9).classify(|result: &Result<(), Error<u64>>| {
            match result {
                Ok(()) => Class::Success,
                Err(Error::Inner(0)) => Class::Failure,
                Err(Error::Inner(millis)) => Class::After(ms(*millis)),
                Err(_) => Class::Ignored,
            }
        });
    let stack = Stack::builder().clock(&clock).retry(policy).build().unwrap();
    // It begins anew after it was asked; a shorter wish does not shorten; no wish goes over the cap.
    let asked = [0, 0, 200, 0, 0, 3, 0, 9_000, 0, 0];
    let begun = RefCell::new(Vec::new());
    let last = Cell::new(clock.now());
    let failed = stack.call(async |at: Attempt| {
        begun.borrow_mut().push(clock.now() - last.replace(clock.now()));
        Err(asked[at.number() as usize - 1])
    });
    assert_eq!(failed.await, Err(Error::Inner(0)));
    assert_eq!(*begun.borrow(), [0, 10, 20, 200, 10, 20, 40, 10, 500, 10].map(ms));
}

#[apply(runtime_test)]
async fn a_refusal_is_not_tried_again_and_costs_nothing(runtime: Runtime) {
    for budget in budgets(runtime.clock(), 1, 1) {
        let gate = Gate(|| Some(Some(ms(60_000))));
        let policy = Retry::immediate().budget(&budget);
        let stack = Stack::builder().clock(runtime.clock()).retry(policy).policy(gate).build().unwrap();
        let report = stack.call_reported(async |_| Ok::<_, ()>(())).await;
        assert_eq!(report.result.unwrap_err().rejected(), Some(Reason::Other));
        assert_eq!((report.attempts, report.gave_up), (0, Some(GiveUp::Refused)));
        assert_eq!((budget.stats().running, budget.stats().refused), (0, 0));
    }
}

#[apply(runtime_test)]
async fn a_refused_retry_gives_the_real_error_and_its_cost_back(runtime: Runtime) {
    for budget in budgets(runtime.clock(), 1, 1) {
        let asked = Cell::new(0);
        let gate = Gate(|| (asked.replace(asked.get() + 1) > 0).then_some(None));
        let policy = Retry::constant(ms(1)).budget(&budget);
        let stack = Stack::builder().clock(runtime.clock()).retry(policy).policy(gate).build().unwrap();
        let report = stack.call_reported(async |_| Err::<(), _>("the cause")).await;
        assert_eq!(report.result, Err(Error::Inner("the cause")));
        assert_eq!((report.attempts, report.gave_up), (1, Some(GiveUp::Refused)));
        let stats = budget.stats();
        assert_eq!((stats.running, stats.refused), (0, 0), "{budget:?}");
        // Nothing runs, so a share of that is nothing.
        let none = format!("{budget:?}").contains("calls that run");
        assert_eq!(stats.available, u64::from(!none), "{budget:?}");
    }
}

#[apply(sim_test)]
async fn it_waits_until_it_is_let_in(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let budget = Budget::tokens(1).cost(1).timeout_cost(1).build().unwrap();
    let opens = clock.now() + ms(300);
    let gate = |clock: Clock| Gate(move || (clock.now() < opens).then(|| Some(ms(70))));
    let policy = || Retry::immediate().retries(1).budget(&budget).wait_for_ready();
    let stack = Stack::builder().clock(&clock).retry(policy()).policy(gate(clock.clone())).build().unwrap();
    let start = clock.now();
    // Only if the deadline allows: 70 ms fit three times into 250.
    let late = stack.call_reported(async |_| Ok::<_, ()>(())).by(start + ms(250)).await;
    assert_eq!(late.result.unwrap_err().rejected(), Some(Reason::Other));
    assert_eq!((late.gave_up, late.elapsed), (Some(GiveUp::Deadline), ms(210)));
    let waited = stack.call_reported(async |at| Ok::<_, ()>(at.number())).await;
    assert_eq!((waited.result, waited.attempts, waited.elapsed), (Ok(1), 1, ms(140)));
    assert_eq!(budget.stats().available, 1);
    // A refusal that says "at once", for ever, starves nobody.
    let stack =
        Stack::builder().clock(&clock).retry(policy()).policy(Gate(|| Some(Some(ms(0))))).build().unwrap();
    let refused = stack.call_reported(async |_| Ok::<_, ()>(())).by(clock.now() + ms(100)).await;
    assert_eq!(refused.elapsed, ms(99));
}

#[apply(sim_test)]
async fn no_pause_whose_end_is_too_late(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let policy = || Retry::constant(ms(40)).retries(9);
    let fail = async |at: Attempt| {
        clock.sleep(ms(10)).await;
        Err::<(), _>(at.number())
    };
    // Attempts begin at 0, 50, 100; the next would at 150.
    for (limit, attempts) in [(151, 4), (150, 3), (149, 3), (100, 2)] {
        let start = clock.now();
        let stack = Stack::builder().clock(&clock).timeout(ms(limit)).retry(policy()).build().unwrap();
        let report = stack.call_reported(fail).await;
        // The fourth of 151 has one millisecond, and needs ten.
        if limit == 151 {
            assert!(report.result.unwrap_err().is_timeout());
            continue;
        }
        assert_eq!(report.result, Err(Error::Inner(attempts)));
        assert_eq!(report.gave_up, Some(GiveUp::Deadline));
        assert_eq!(clock.now() - start, ms(u64::from(attempts) * 50 - 40));
        // The same by a deadline of the call itself, which nobody else enforces.
        let stack = Stack::builder().clock(&clock).retry(policy()).build().unwrap();
        let result = stack.call(fail).by(clock.now() + ms(limit)).await;
        assert_eq!(result, Err(Error::Inner(attempts)));
    }
    let policy = policy().min_attempt_time(ms(10));
    let stack = Stack::builder().clock(&clock).timeout(ms(155)).retry(policy).build().unwrap();
    assert_eq!(stack.call(fail).await, Err(Error::Inner(3)));
    // Ready at once, so that no timer runs yet.
    let policy = Retry::constant(ms(40)).retries(9);
    let stack = Stack::builder().clock(&clock).timeout(ms(39)).retry(policy).build().unwrap();
    assert_eq!(stack.call(async |at| Err::<(), _>(at.number())).await, Err(Error::Inner(1)));
}

/// Envoy#30205: a thousand calls failed together, and a thousand retries passed a budget of a fifth, for
/// those that paused were not counted.
#[apply(runtime_test)]
async fn a_storm_stays_within_the_budget(runtime: Runtime) {
    for budget in budgets(runtime.clock(), 1_000, 200) {
        let policy = Retry::constant(ms(1)).retries(3).budget(&budget);
        let stack = Stack::builder().clock(runtime.clock()).retry(policy).build().unwrap();
        let attempts = Cell::new(0);
        let calls = (0..1_000).map(|_| {
            stack.call(async |_| {
                attempts.set(attempts.get() + 1);
                yield_now().await;
                Err::<(), _>("down")
            })
        });
        let results = join_all(calls).await;
        assert!(results.iter().all(|result| *result == Err(Error::Inner("down"))));
        let retries = attempts.get() - 1_000;
        // Places in flight are free again when a retry is over, while others still run.
        let again = if format!("{budget:?}").contains("calls that run") { 3 } else { 1 };
        assert!((200..=200 * again).contains(&retries), "{retries}: {budget:?}");
        assert_eq!(budget.stats().running, 0);
        assert!(budget.stats().refused >= 800 / again);
    }
}

#[apply(runtime_test)]
async fn whenever_it_is_dropped_the_budget_is_right(runtime: Runtime) {
    for budget in budgets(runtime.clock(), 1, 60) {
        let policy = Retry::constant(ms(1)).retries(3).budget(&budget);
        let stack = Stack::builder().clock(runtime.clock()).retry(policy).build().unwrap();
        let begun = Cell::new(0_u64);
        let calls = Cell::new(0_u64);
        let spent = Cell::new(0_u64);
        let make = || {
            begun.set(0);
            calls.set(calls.get() + 1);
            stack.call(async |_| {
                begun.set(begun.get() + 1);
                yield_now().await;
                Err::<(), _>("down")
            })
        };
        let polls = cancel_at_every_poll(make, async |k| {
            // Nothing happens before the first poll.
            calls.set(calls.get() - u64::from(k == 0));
            spent.set(spent.get() + begun.get().saturating_sub(1));
            let words = format!("{budget:?}");
            let expected = match words {
                _ if words.contains("tokens") => 60 - spent.get(),
                _ if words.contains("calls that run") => 0,
                _ => 60 * calls.get() - spent.get(),
            };
            let stats = budget.stats();
            assert_eq!((stats.available, stats.running), (expected, 0), "dropped after {k} polls: {words}");
        });
        // Four attempts and three pauses, a poll or more each.
        assert!(polls.await >= 7);
    }
}

#[test]
fn a_panic_gives_back_what_is_not_spent() {
    for budget in budgets(&Clock::default(), 1, 4) {
        let stack = retry(Retry::immediate().budget(&budget));
        let mut call = Box::pin(stack.call(async |at: Attempt| match at.number() {
            1 => Err::<(), _>(()),
            _ => panic!("on purpose"),
        }));
        let mut cx = Context::from_waker(Waker::noop());
        let poll = || call.as_mut().poll(&mut cx).is_ready();
        catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
        drop(call);
        let words = format!("{budget:?}");
        let expected = if words.contains("calls that run") { 0 } else { 3 };
        assert_eq!((budget.stats().available, budget.stats().running), (expected, 0), "{words}");
    }
}

#[apply(runtime_test)]
async fn tokens_come_back_with_success(runtime: Runtime) {
    let budget = Budget::tokens(20).build().unwrap();
    let policy = Retry::immediate().retries(1).budget(&budget);
    let stack = Stack::builder().clock(runtime.clock()).retry(policy).timeout(ms(1)).build().unwrap();
    // One that fails costs five, one that goes well the second time nothing.
    let _ = stack.call(async |_| Err::<(), _>(())).await;
    stack.call(async |at| if at.number() == 1 { Err(()) } else { Ok(()) }).await.unwrap();
    assert_eq!(budget.stats().available, 3);
    // After a timeout it costs ten: five are left.
    let _ = stack.call(async |_| pending::<Result<(), ()>>().await).await;
    assert_eq!(budget.stats().available, 1);
    for _ in 0..5 {
        stack.call(async |_| Ok::<_, ()>(())).await.unwrap();
    }
    assert_eq!(budget.stats().available, 2);
}

#[apply(runtime_test)]
async fn throttling_counts_failures_and_successes(runtime: Runtime) {
    let budget = Budget::throttling(10, 1.0).build().unwrap();
    let stack =
        Stack::builder().clock(runtime.clock()).retry(Retry::immediate().budget(&budget)).build().unwrap();
    let attempts = async || stack.call_reported(async |_| Err::<(), _>(())).await.attempts;
    assert_eq!([attempts().await, attempts().await, attempts().await], [4, 1, 1]);
    for _ in 0..3 {
        stack.call(async |_| Ok::<_, ()>(())).await.unwrap();
    }
    assert_eq!(attempts().await, 2);
}

#[apply(runtime_test)]
async fn a_call_is_counted_once_by_those_who_share_a_budget(runtime: Runtime) {
    let budget =
        Budget::share(1.0).floor(0).time_to_live(ms(3_600_000)).clock(runtime.clock()).build().unwrap();
    let policy = || Retry::immediate().retries(1).budget(&budget);
    let stack = Stack::builder().clock(runtime.clock()).retry(policy()).retry(policy()).build().unwrap();
    for _ in 0..10 {
        stack.call(async |_| Ok::<_, ()>(())).await.unwrap();
    }
    assert_eq!(budget.stats().available, 10);
}

#[apply(runtime_test)]
async fn retries_inside_of_retries_know_of_each_other(runtime: Runtime) {
    let stack = |policy: Retry| Stack::builder().clock(runtime.clock()).retry(policy).build().unwrap();
    let (outer, inner) = (stack(Retry::immediate().retries(2)), stack(Retry::immediate().retries(1)));
    let seen = RefCell::new(Vec::new());
    let note = async |at: Attempt| {
        seen.borrow_mut().push((at.number(), at.amplification(), at.depth()));
        Err::<(), _>(())
    };
    let _ = outer.call(async |at| inner.call(note).under(at).await.map_err(|_| ())).await;
    assert_eq!(seen.take(), [(1, 1, 1), (2, 2, 1), (1, 2, 1), (2, 4, 1), (1, 3, 1), (2, 6, 1)]);
    // The same in one stack.
    let (outer, inner) = (Retry::immediate().retries(2), Retry::immediate().retries(1));
    let both = Stack::builder().clock(runtime.clock()).retry(outer).retry(inner).build().unwrap();
    let _ = both.call(note).await;
    assert_eq!(seen.take(), [(1, 1, 0), (2, 2, 0), (1, 2, 0), (2, 4, 0), (1, 3, 0), (2, 6, 0)]);
    // Guarded.
    let outer = stack(Retry::immediate().retries(2));
    let inner = stack(Retry::immediate().retries(1).max_amplification(2));
    let gave_up = RefCell::new(Vec::new());
    let _ = outer
        .call(async |at| {
            let report = inner.call_reported(note).under(at).await;
            gave_up.borrow_mut().push(report.gave_up.unwrap());
            report.result.map_err(|_| ())
        })
        .await;
    assert_eq!(seen.take().len(), 4);
    assert_eq!(*gave_up.borrow(), [GiveUp::Exhausted, GiveUp::Amplified, GiveUp::Amplified]);
}

#[apply(runtime_test)]
async fn work_that_fails_at_once_lets_others_have_their_turn(runtime: Runtime) {
    let stack =
        Stack::builder().clock(runtime.clock()).retry(Retry::immediate().retries(u32::MAX)).build().unwrap();
    let endless = async { stack.call(async |_| Err::<(), _>(())).await.is_err() };
    let other = async {
        yield_now().await;
        false
    };
    assert!(!endless.or(other).await);
}

#[test]
fn a_success_at_once_does_not_look_at_the_clock() {
    let time = ManualClock::new();
    let budget = Budget::tokens(500).build().unwrap();
    let policy = Retry::exponential(ms(50)).jitter(Jitter::Full).budget(&budget);
    let stack = Stack::builder().clock(time.clock()).retry(policy).build().unwrap();
    let before = time.times_read();
    weirs_runtime::block_on(stack.call(async |_| Ok::<_, ()>(()))).unwrap();
    assert_eq!((time.times_read() - before, time.timers_set()), (0, 0));
}

#[apply(runtime_test)]
async fn it_tells_what_it_does(runtime: Runtime) {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<EventKind>>>);
    impl Observer for Log {
        fn interest(&self) -> Interest {
            Interest::RETRIES
        }
        fn on_event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(event.kind());
        }
    }
    let log = Log::default();
    let budget = Budget::tokens(1).cost(1).timeout_cost(1).build().unwrap();
    let policy = Retry::constant(ms(1)).budget(&budget);
    let stack = Stack::builder().clock(runtime.clock()).observer(log.clone()).retry(policy).build().unwrap();
    let _ = stack.call(async |_| Err::<(), _>(())).await;
    let expected = [
        EventKind::Retry { attempt: 1, delay: ms(1) },
        EventKind::BudgetSpent,
        EventKind::GaveUp { attempts: 2, reason: GiveUp::Budget },
    ];
    assert_eq!(*log.0.lock().unwrap(), expected);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let base = ms(50);
    for (policy, field) in [
        (Retry::exponential(base).retries(0), "retry.retries"),
        (Retry::exponential(base).max_amplification(0), "retry.max_amplification"),
        (Retry::exponential(base).cap(ms(49)), "backoff.cap"),
        (Retry::exponential(base).factor(f64::NAN), "backoff.factor"),
        (Retry::with(Backoff::linear(base).jitter(Jitter::Smooth)), "backoff.jitter"),
    ] {
        assert_eq!(Stack::builder().retry(policy.clone()).build().unwrap_err().field(), field);
        let refused = weirs_runtime::block_on(retry(policy).call(async |_| Ok::<_, ()>(())));
        assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Invalid));
    }
    let plan = Stack::builder().retry(Retry::decorrelated(base).cap(ms(900))).build().unwrap().plan();
    let words = "up to 3 times again; exponential from 50ms, factor 3, at most 900ms, decorrelated jitter";
    assert_eq!(plan.parts()[0].words(), words);
}

/// What one attempt comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Well,
    Fails(u64),
    Permanent(u64),
    After(u64),
    Hangs,
    Refused(Option<u64>),
}

/// Random scripts against the rules as one reads them.
#[apply(sim_test)]
async fn it_does_what_the_model_does(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let chance = SeededEntropy::new(clock.random_u64());
    let below = |bound: u64| chance.next_u64() % bound;
    for _ in 0..20 {
        let script: Vec<_> = (0..12)
            .map(|_| match below(12) {
                0..6 => Outcome::Fails(below(30)),
                6 => Outcome::Permanent(below(30)),
                7 => Outcome::After(below(200)),
                8 => Outcome::Hangs,
                9 => Outcome::Refused(None),
                10 => Outcome::Refused(Some(1 + below(60))),
                _ => Outcome::Well,
            })
            .collect();
        let (retries, tokens, limit) = (1 + below(6) as u32, below(8) as u32, 1 + below(1_000));
        let waits = below(2) == 0;

        // The model, in milliseconds: pauses of 10, 20, 40, 80, 100; attempts of 50 at most.
        let (mut now, mut left, mut retried, mut growth) = (0, tokens, 0, 0);
        let mut last = None;
        let mut paid = false;
        let expected = 'call: {
            for outcome in &script {
                let (result, takes, after) = match *outcome {
                    Outcome::Well => (Ok(()), 0, None),
                    Outcome::Fails(takes) | Outcome::Permanent(takes) => (Err("failed"), takes, None),
                    Outcome::After(after) => (Err("failed"), 0, Some(after)),
                    Outcome::Hangs => (Err("timeout"), 50, None),
                    Outcome::Refused(after) => match after.filter(|after| waits && now + after < limit) {
                        Some(after) => {
                            now += after;
                            continue;
                        }
                        None => {
                            left += u32::from(paid);
                            break 'call last.unwrap_or(Err("refused"));
                        }
                    },
                };
                // What ends just at the deadline has ended.
                if now + takes > limit {
                    now = limit;
                    break 'call Err("deadline");
                }
                now += takes;
                if result.is_ok() {
                    left += u32::from(paid);
                    break 'call Ok(());
                }
                last = Some(result);
                if matches!(outcome, Outcome::Permanent(_)) || retried == retries {
                    break 'call result;
                }
                let backoff = (10 << growth).min(100);
                growth = if after.is_some() { 0 } else { growth + 1 };
                let delay = backoff.max(after.unwrap_or(0)).min(100);
                if now + delay >= limit || left == 0 {
                    break 'call result;
                }
                left -= 1;
                (paid, retried, now) = (true, retried + 1, now + delay);
            }
            unreachable!("no call has so many attempts")
        };

        let at = Cell::new(0);
        let budget = Budget::tokens(tokens.max(1)).cost(1).timeout_cost(1).reward(0).build().unwrap();
        if tokens == 0 {
            budget.try_withdraw().unwrap().spend();
        }
        let step = || script[at.replace(at.get() + 1)];
        let gate = Gate(|| match script[at.get()] {
            Outcome::Refused(after) => {
                at.set(at.get() + 1);
                Some(after.map(ms))
            }
            _ => None,
        });
        let policy = Retry::exponential(ms(10)).cap(ms(100)).retries(retries).budget(&budget);
        let policy = if waits { policy.wait_for_ready() } else { policy };
        let policy = policy.classify(|result: &Result<(), Error<Outcome>>| match result {
            Ok(()) => Class::Success,
            Err(Error::Inner(Outcome::Permanent(_))) => Class::Permanent,
            Err(Error::Inner(Outcome::After(after))) => Class::After(ms(*after)),
            Err(Error::Rejected(_)) => Class::Ignored,
            Err(_) => Class::Failure,
        });
        let stack = Stack::builder()
            .clock(&clock)
            .deadline()
            .retry(policy)
            .policy(gate)
            .timeout(ms(50))
            .build()
            .unwrap();
        let start = clock.now();
        let call = stack.call(async |_| {
            let outcome = step();
            match outcome {
                Outcome::Well => return Ok(()),
                Outcome::Fails(takes) | Outcome::Permanent(takes) if takes > 0 => {
                    clock.sleep(ms(takes)).await
                }
                Outcome::Hangs => pending().await,
                _ => {}
            }
            Err(outcome)
        });
        let got = match call.by(start + ms(limit)).await {
            Ok(()) => Ok(()),
            Err(Error::Inner(_)) => Err("failed"),
            Err(Error::Timeout(timed_out)) if timed_out.place().index() == Some(0) => Err("deadline"),
            Err(Error::Timeout(_)) => Err("timeout"),
            Err(_) => Err("refused"),
        };
        let seen = (got, clock.now() - start, budget.stats().available);
        assert_eq!(
            seen,
            (expected, ms(now), u64::from(left)),
            "{script:?} {retries} {tokens} {limit} {waits}"
        );
    }
}

/// With a budget and a closure that judges, in a task of an executor with threads.
#[test]
fn calls_that_borrow_are_send() {
    async fn fetch(name: &str, at: Attempt) -> Result<usize, u32> {
        yield_now().await;
        if at.number() < 3 { Err(at.number()) } else { Ok(name.len()) }
    }
    let name = String::from("anna");
    let work = async move {
        let policy = Retry::constant(ms(1)).budget(&Budget::default()).when(|error: &u32| *error < 3);
        let stack = Stack::builder().timeout(ms(60_000)).retry(policy).build().unwrap();
        stack.call(async |at| fetch(&name, at).await).await
    };
    assert_eq!(smol::block_on(smol::spawn(work)), Ok(4));
}
