//! Dynamic stacks: the same behaviour as that of stacks whose types are known, to the last event.

mod policies;

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::yield_now;
use policies::{Beside, Gate, Log, Repeat};
use weirs_resilience::{
    Attempt, Dynamic, Error, Failure, Policy, Reason, Role, SingleShot, Stack, Timeout, timeout,
};
use weirs_runtime::{Clock, Entropy, Runtime, SeededEntropy, block_on};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[apply(runtime_test)]
async fn a_call_gives_what_the_work_gives(runtime: Runtime) {
    let stack = Stack::dynamic().clock(runtime.clock()).timeout(ms(60_000)).timeout(ms(50_000));
    let stack = stack.build().unwrap();
    let name = String::from("anna");
    let call = stack.call(async |at| {
        yield_now().await;
        if at.number() == 1 { Ok(name.len()) } else { Err("no") }
    });
    assert_eq!(call.await, Ok(4));
    let failed = stack.call(async |_| Err::<usize, _>("broken")).await;
    assert_eq!(failed, Err(Error::Inner("broken")));
}

#[apply(sim_test)]
async fn the_inner_limit_strikes_first(runtime: Runtime) {
    let stack = Stack::dynamic().clock(runtime.clock()).timeout(ms(20)).timeout(ms(5)).build().unwrap();
    let start = runtime.clock().now();
    let error = stack.call(async |_| std::future::pending::<Result<(), ()>>().await).await.unwrap_err();
    assert_eq!(runtime.clock().now() - start, ms(5));
    match error {
        Error::Timeout(timed_out) => assert_eq!(timed_out.place().index(), Some(1)),
        other => panic!("{other:?}"),
    }
}

#[apply(runtime_test)]
async fn calls_at_the_same_time_do_not_share_states(runtime: Runtime) {
    let stack = Stack::dynamic().clock(runtime.clock()).timeout(ms(60_000)).policy(Repeat(3, ms(0)));
    let stack = &stack.build().unwrap();
    let calls = (0..50u32).map(|number| async move {
        let failures = Cell::new(0);
        let call = stack.call(|at: Attempt| {
            let failures = &failures;
            async move {
                yield_now().await;
                failures.set(failures.get() + 1);
                if at.number() > number % 3 { Ok(at.number()) } else { Err(()) }
            }
        });
        assert_eq!(call.await, Ok(number % 3 + 1));
        assert_eq!(failures.get(), number % 3 + 1);
    });
    futures::future::join_all(calls).await;
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_it_gives_everything_back(runtime: Runtime) {
    let log = Log::default();
    let stack = Stack::dynamic::<(), ()>()
        .clock(runtime.clock())
        .policy(Gate("outer", log.clone()))
        .policy(Repeat(3, ms(1)))
        .layer(|layer| layer.timeout(ms(60_000)).policy(Beside(ms(0))))
        .policy(Gate("inner", log.clone()))
        .build()
        .unwrap();
    let make = || {
        stack.call(async |_| {
            yield_now().await;
            yield_now().await;
            Err(())
        })
    };
    cancel_at_every_poll(make, async |_| {
        let (mut held, lines) = (0, log.take());
        for line in &lines {
            held += i32::from(line.contains(" in "));
            held -= i32::from(line.contains(" out ") || line.contains(" abandoned "));
            assert_ne!(line, "LOST", "{lines:?}");
        }
        assert_eq!(held, 0, "{lines:?}");
    })
    .await;
}

/// Numbers from a seed.
struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    fn time(&self) -> Duration {
        ms(self.below(12) + 1)
    }
}

/// Goes by a script through a stack, and tells all that can be seen from outside.
fn play<P, S>(stack: &Stack<P>, time: &ManualClock, dice: &Dice, log: &Log) -> Vec<String>
where
    P: Policy<u64, u64, State = S>,
{
    let clock = time.clock().clone();
    let start = clock.now();
    for _ in 0..3 {
        let call = stack.call(|at: Attempt| {
            let (log, clock) = (log.clone(), clock.clone());
            let (end, takes, polls) = (dice.below(8), dice.time(), dice.below(3));
            async move {
                let number = (at.number(), at.hedge(), at.lane());
                log.write(format!("begins {number:?} {:?}", at.remaining()));
                for _ in 0..polls {
                    yield_now().await;
                }
                if end > 2 {
                    clock.sleep(takes).await;
                }
                log.write(format!("ends {number:?}"));
                match end % 4 {
                    0 => Ok(end),
                    1 if takes > ms(10) => panic!("the work panics"),
                    _ => Err(end),
                }
            }
        });
        let mut call = Box::pin(call);
        let steps = dice.below(40);
        for _ in 0..steps {
            let mut cx = Context::from_waker(Waker::noop());
            match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))) {
                Ok(Poll::Pending) => log.write(format!("pending {:?}", clock.now() - start)),
                Ok(Poll::Ready(result)) => {
                    log.write(format!("ready {:?} {result:?}", clock.now() - start));
                    break;
                }
                Err(_) => {
                    log.write("panicked");
                    break;
                }
            }
            time.advance(ms(dice.below(4)));
        }
        drop(call);
        log.write(format!("dropped, timers {}", time.timers()));
        assert_eq!(time.timers(), 0);
    }
    log.take()
}

/// A stack with every sort of policy, once with its types and once without, goes through the same script: all
/// that happens is the same, and in the same order.
#[test]
fn it_does_the_same_as_a_stack_of_known_types() {
    let seeds = if std::env::var("WEIRS_DEEP").is_ok_and(|deep| deep != "0") { 20_000 } else { 600 };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut seen = [0; 4];
    for seed in 0..seeds {
        let dice = Dice(SeededEntropy::new(seed));
        let (total, each) = (dice.time() * 3, dice.time());
        let (repeat, beside, inner) = (dice.below(3) as u32 + 1, dice.time() / 2, dice.time() / 3);
        let log = Log::default();
        let gate = |name| Gate(name, log.clone());
        let time = ManualClock::new();
        let known = Stack::builder()
            .clock(time.clock())
            .policy(gate("a"))
            .timeout(total)
            .policy(Repeat(repeat, ms(2)))
            .policy(gate("b"))
            .policy(Beside(beside))
            .policy(gate("c"))
            .policy(Beside(inner))
            .timeout(each)
            .policy(gate("d"))
            .build()
            .unwrap();
        let expected = play(&known, &time, &Dice(SeededEntropy::new(!seed)), &log);
        let time = ManualClock::new();
        let dynamic = Stack::dynamic()
            .clock(time.clock())
            .policy(gate("a"))
            .timeout(total)
            .layer(|layer| layer.policy(Repeat(repeat, ms(2))).policy(gate("b")))
            .policy(Beside(beside))
            .policy(gate("c"))
            .layer(|layer| layer.policy(Beside(inner)).timeout(each))
            .policy(gate("d"))
            .build()
            .unwrap();
        assert_eq!(known.plan().to_string(), dynamic.plan().to_string());
        let found = play(&dynamic, &time, &Dice(SeededEntropy::new(!seed)), &log);
        assert_eq!(found, expected, "seed {seed}");
        let any = |part: &str| u32::from(found.iter().any(|line| line.contains(part)));
        let parts = ["panicked", "abandoned", "Timeout", " 1 2"];
        parts.iter().zip(&mut seen).for_each(|(part, seen)| *seen += any(part));
        assert_eq!(any("LOST"), 0, "seed {seed}: {found:?}");
    }
    std::panic::set_hook(hook);
    // The scripts do come to the corners.
    assert!(seen.iter().all(|seen| *seen > 20), "{seen:?}");
}

#[test]
fn the_works_future_goes_before_what_the_policies_hold() {
    struct Last(Log);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.write("the work is gone");
        }
    }
    let log = Log::default();
    let stack = Stack::dynamic::<(), ()>().policy(Gate("gate", log.clone())).build().unwrap();
    let mut call = Box::pin(stack.call(async |_| {
        let _last = Last(log.clone());
        std::future::pending().await
    }));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    let lines = log.take();
    assert_eq!(lines[1..], ["the work is gone", "gate abandoned Some(0)"]);
}

#[test]
fn work_that_runs_once_needs_policies_that_begin_once() {
    let stack = Stack::dynamic().timeout(ms(60_000)).policy(Gate("gate", Log::default()));
    let stack = stack.build_single_shot().unwrap();
    assert_eq!(block_on(stack.call_once(async { Ok::<_, ()>(1) })), Ok(1));
    for repeats in [true, false] {
        let stack = Stack::dynamic::<(), ()>().timeout(ms(1));
        let stack = if repeats { stack.policy(Repeat(2, ms(0))) } else { stack.policy(Beside(ms(1))) };
        assert_eq!(stack.build_single_shot().unwrap_err().field(), "stack.single_shot");
    }
    fn single_shot<P: SingleShot>(_: &Stack<P>) {}
    single_shot(&stack);
}

#[test]
fn settings_that_make_no_sense_are_an_error_at_build() {
    let invalid = Stack::dynamic::<(), ()>().timeout(Duration::ZERO).build().unwrap_err();
    assert_eq!(invalid.field(), "timeout.after");
    let strict = Stack::dynamic::<(), ()>().build_strict().unwrap_err();
    assert_eq!(strict.field(), "stack.order");
    Stack::dynamic::<(), ()>().timeout(ms(1)).build_strict().unwrap();
}

#[test]
fn it_is_told_apart_by_nothing_but_its_type() {
    let stack = Stack::dynamic::<u8, ()>().named("quotes").counted().policy(Timeout::new(ms(300)));
    let stack = stack.build().unwrap();
    assert_eq!(stack.name(), "quotes");
    assert_eq!(stack.plan().parts()[0].role(), Role::Timeout);
    assert_eq!(stack.describe().steps(Failure::Hangs)[0].words(), "ends it after 300ms");
    assert_eq!(block_on(stack.call(async |_| Ok(1))), Ok(1));
    assert_eq!(stack.stats().calls.unwrap().succeeded, 1);
    assert!(format!("{stack:?}").contains("timeout"), "{stack:?}");
    let empty = Stack::dynamic::<u8, ()>().build().unwrap();
    assert_eq!(block_on(empty.call(async |_| Ok(1))), Ok(1));
    assert_eq!(timeout(Duration::ZERO).lints().len(), 0);
    let refused = block_on(timeout(Duration::ZERO).call(async |_| Ok::<_, ()>(())));
    assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Invalid));
}

/// As a field of a struct, behind an `Arc`, in spawned tasks.
#[test]
fn it_is_a_field_and_its_calls_are_send() {
    struct Client {
        stack: Stack<Dynamic<usize, std::io::Error>>,
        name: String,
    }
    impl Client {
        async fn fetch(&self) -> Result<usize, Error<std::io::Error>> {
            self.stack
                .call(async |_| {
                    yield_now().await;
                    Ok(self.name.len())
                })
                .await
        }
    }
    let stack = Stack::dynamic().clock(&Clock::default()).timeout(ms(60_000)).build().unwrap();
    let client = std::sync::Arc::new(Client { stack, name: String::from("anna") });
    let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let shared = client.clone();
    let task = pool.spawn(async move { shared.fetch().await });
    assert_eq!(pool.block_on(task).unwrap().unwrap(), 4);
    assert_eq!(smol::block_on(smol::spawn(async move { client.fetch().await })).unwrap(), 4);
    let stack = Stack::dynamic::<u8, ()>().timeout(ms(1)).build().unwrap();
    let mut call = pin!(stack.call(async |_| Ok(1)));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}
