//! Random scripts of parallel scopes in the simulator: what happened is
//! compared with what the rules say.
//!
//! A script is a tree of children drawn from the clock's entropy: each yields some times, may spawn others,
//! and then ends well, fails, panics, cancels its scope, or waits for ever. The scope is awaited, or dropped
//! after some polls. A log of every event is checked afterwards.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures::FutureExt;
use weirs_runtime::{Clock, Runtime};
use weirs_scopes::{Ended, FirstError, Reason, TaskScope, try_task_scope};
use weirs_testing::{apply, sim_test, yields};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Spawned(usize),
    Polled(usize),
    Finished(usize),
    Failed(usize),
    Panicked(usize),
    Cancelled(usize),
    Gone(usize),
}

#[derive(Default)]
struct World {
    log: Mutex<Vec<Event>>,
}

impl World {
    fn say(&self, event: Event) {
        self.log.lock().unwrap().push(event);
    }

    /// The number of a new child.
    fn spawned(&self) -> usize {
        let mut log = self.log.lock().unwrap();
        let number = log.iter().filter(|event| matches!(event, Event::Spawned(_))).count();
        log.push(Event::Spawned(number));
        number
    }
}

struct Life(Arc<World>, usize);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.say(Event::Gone(self.1));
    }
}

type Script = TaskScope<FirstError<usize>>;

/// Spawns one child, of which it says itself what it does.
fn spawn(s: &Script, world: &Arc<World>, clock: &Clock, depth: u32) {
    let number = world.spawned();
    let life = Life(Arc::clone(world), number);
    let (world, clock) = (Arc::clone(world), clock.clone());
    let turns_away = clock.random_below(8) == 0;
    let inner = s.clone();
    let child = s.spawn(async move {
        let _life = life;
        let mut turns = clock.random_below(4);
        std::future::poll_fn(|cx| {
            world.say(Event::Polled(number));
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        if depth > 0 {
            for _ in 0..clock.random_below(3) {
                spawn(&inner, &world, &clock, depth - 1);
            }
        }
        match clock.random_below(24) {
            0 => {
                world.say(Event::Failed(number));
                return Err(number);
            }
            1 => {
                world.say(Event::Panicked(number));
                std::panic::panic_any(number);
            }
            2 => {
                world.say(Event::Cancelled(number));
                inner.cancel(Reason::Requested);
            }
            3 => {
                // Somebody has to end this one: another child, at some time.
                let waits = inner.spawn_named("waits", std::future::pending::<Result<(), usize>>());
                yields(clock.random_below(5) as usize).await;
                waits.cancel();
                assert!(matches!(waits.await, Err(Ended::Cancelled | Ended::Refused(_))));
            }
            _ => yields(clock.random_below(3) as usize).await,
        }
        world.say(Event::Finished(number));
        Ok(())
    });
    if turns_away {
        child.cancel();
    }
}

#[apply(sim_test)]
async fn random_scripts_follow_the_rules(runtime: Runtime) {
    let clock = runtime.clock();
    for _ in 0..8 {
        let world = Arc::new(World::default());
        let most_polls = clock.random_below(12);
        let result = {
            let mut scope = Box::pin(
                AssertUnwindSafe(try_task_scope(&runtime, async |s: Script| {
                    for _ in 0..=clock.random_below(4) {
                        spawn(&s, &world, clock, 3);
                    }
                    yields(clock.random_below(6) as usize).await;
                    Ok(())
                }))
                .catch_unwind(),
            );
            let mut polls = 0;
            std::future::poll_fn(|cx| {
                if most_polls < 4 && polls == most_polls {
                    return Poll::Ready(None);
                }
                polls += 1;
                scope.as_mut().poll(cx).map(Some)
            })
            .await
        };
        check(&world.log.lock().unwrap(), result);
    }
}

type Outcome = Option<Result<Result<(), usize>, Box<dyn std::any::Any + Send>>>;

fn check(log: &[Event], outcome: Outcome) {
    let count = |which: fn(&Event) -> bool| log.iter().filter(|event| which(event)).count();
    let spawned = count(|event| matches!(event, Event::Spawned(_)));
    for number in 0..spawned {
        let at = |event: Event| log.iter().position(|other| *other == event);
        let gone = at(Event::Gone(number)).unwrap_or_else(|| panic!("{number} is left: {log:?}"));
        let times = log.iter().filter(|event| **event == Event::Gone(number)).count();
        assert_eq!(times, 1, "{number} was dropped {times} times: {log:?}");
        let polled_after = log[gone..].contains(&Event::Polled(number));
        assert!(!polled_after, "{number} was polled after its end: {log:?}");
    }
    // The first cause decides, and nobody is polled after it, but for the child that it came from.
    let cause = log.iter().position(|event| matches!(event, Event::Failed(_) | Event::Panicked(_)));
    if let Some(cause) = cause {
        let polled = log[cause..].iter().find(|event| matches!(event, Event::Polled(_)));
        assert!(polled.is_none(), "{polled:?} after the cause: {log:?}");
    }
    let first = cause.map(|cause| log[cause]);
    match outcome {
        None => {}
        Some(Ok(Ok(()))) => assert!(first.is_none(), "{first:?} is lost: {log:?}"),
        Some(Ok(Err(number))) => assert_eq!(first, Some(Event::Failed(number)), "{log:?}"),
        Some(Err(payload)) => {
            let number = *payload.downcast::<usize>().expect("a payload of the script's");
            assert_eq!(first, Some(Event::Panicked(number)), "{log:?}");
        }
    }
}
