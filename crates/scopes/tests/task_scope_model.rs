//! Random scripts of parallel scopes in the simulator: what happened is
//! compared with what the rules say.
//!
//! A script is a tree of children drawn from the clock's entropy: each yields some times, may spawn others,
//! and then ends well, fails, panics, cancels its scope, or waits for ever. The scope is awaited, or dropped
//! after some polls. A log of every event is checked afterwards.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::{Ended, FirstError, Reason, Scope, ScopeBuilder, TaskScope, try_task_scope};
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

/// What happened, when, and to whom: a child of a scope, both by number.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    scope: usize,
    child: usize,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Spawned {
        service: bool,
    },
    Polled,
    Gone,
    /// The scope is cancelled, or has failed.
    Stopped,
    /// The scope has returned, or its drop has.
    Over,
}

/// Scopes that were built, within each other.
#[derive(Clone)]
struct Built {
    clock: Clock,
    log: Arc<Mutex<Vec<Entry>>>,
    /// The limit and the grace of each scope.
    scopes: Arc<Mutex<Vec<(usize, Duration)>>>,
}

struct Leaves {
    built: Built,
    scope: usize,
    child: usize,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.built.say(self.scope, self.child, What::Gone);
    }
}

impl Built {
    fn say(&self, scope: usize, child: usize, what: What) {
        self.log.lock().unwrap().push(Entry { at: self.clock.now(), scope, child, what });
    }

    fn life(&self, scope: usize, service: bool) -> Leaves {
        let child = {
            let log = self.log.lock().unwrap();
            log.iter().filter(|entry| matches!(entry.what, What::Spawned { .. })).count()
        };
        self.say(scope, child, What::Spawned { service });
        Leaves { built: self.clone(), scope, child }
    }

    /// Runs a scope in another, or on the runtime; awaits it, or drops it half-way.
    fn run(self, around: Around, depth: u32) -> BoxFuture<'static, ()> {
        let random = |most| self.clock.random_below(most);
        let limit = 1 + random(4) as usize;
        let grace = Duration::from_secs(random(3));
        let deadline = (random(4) == 0).then(|| self.clock.now() + Duration::from_secs(1 + random(5)));
        let most_polls = match random(3) {
            0 => random(12) as usize,
            _ => usize::MAX,
        };
        let builder = Scope::builder().limit(NonZeroUsize::new(limit).unwrap()).grace(grace);
        let builder = deadline.into_iter().fold(builder, ScopeBuilder::deadline);
        let number = {
            let mut scopes = self.scopes.lock().unwrap();
            scopes.push((limit, grace));
            scopes.len() - 1
        };
        let built = self.clone();
        let body = move |s: Script| async move {
            let told = built.clone();
            s.token().on_cancel(move |_| told.say(number, usize::MAX, What::Stopped)).detach();
            for _ in 0..built.clock.random_below(3) {
                let life = built.life(number, true);
                s.spawn_service("serves", Self::live(life, Box::pin(pending())));
            }
            for _ in 0..built.clock.random_below(8) {
                // One that is refused is over as well.
                let life = built.life(number, false);
                let child = built.clone().child(s.clone(), depth);
                drop(s.spawn_when_free(Self::live(life, child)).await);
            }
            Ok(())
        };
        let mut scope: BoxFuture<'static, _> = match around {
            Around::Runtime(runtime) => Box::pin(builder.try_run_on(&runtime, body)),
            Around::Scope(outer) => Box::pin(builder.try_run_in(&outer, body)),
        };
        Box::pin(async move {
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                if polls > most_polls { Poll::Ready(()) } else { scope.as_mut().poll(cx).map(drop) }
            })
            .await;
            drop(scope);
            self.say(number, usize::MAX, What::Over);
        })
    }

    /// Says when it is polled, and dropped.
    async fn live(life: Leaves, child: BoxFuture<'static, Result<(), usize>>) -> Result<(), usize> {
        let mut child = child;
        let result = poll_fn(|cx| {
            life.built.say(life.scope, life.child, What::Polled);
            child.as_mut().poll(cx)
        });
        let result = result.await;
        drop(child);
        drop(life);
        result
    }

    fn child(self, s: Script, depth: u32) -> BoxFuture<'static, Result<(), usize>> {
        Box::pin(async move {
            let clock = self.clock.clone();
            yields(clock.random_below(3) as usize).await;
            match clock.random_below(16) {
                0 => return Err(1),
                1 => drop(s.cancel(Reason::Requested)),
                2 => pending().await,
                3..=6 if depth > 0 => self.run(Around::Scope(s), depth - 1).await,
                7..=9 => clock.sleep(Duration::from_millis(clock.random_below(4000))).await,
                10 => drop(s.token().cancelled().await),
                _ => yields(clock.random_below(4) as usize).await,
            }
            Ok(())
        })
    }

    fn check(&self) {
        let log = self.log.lock().unwrap();
        for (scope, (limit, grace)) in self.scopes.lock().unwrap().iter().enumerate() {
            let mut alive = BTreeMap::new();
            let (mut began, mut stopped, mut over) = (Vec::new(), None::<Instant>, false);
            for entry in log.iter().filter(|entry| entry.scope == scope) {
                assert!(!over, "{entry:?} after the end of its scope: {log:?}");
                match entry.what {
                    What::Spawned { service } => drop(alive.insert(entry.child, service)),
                    What::Polled => {
                        let Some(service) = alive.get(&entry.child) else {
                            panic!("{entry:?} after its end: {log:?}")
                        };
                        if !service && !began.contains(&entry.child) {
                            began.push(entry.child);
                        }
                        assert!(began.len() <= *limit, "more than {limit} at {entry:?}: {log:?}");
                        let late = stopped.is_some_and(|at| !grace.is_zero() && entry.at > at + *grace);
                        assert!(service | !late, "{entry:?} after the grace: {log:?}");
                    }
                    What::Gone => {
                        let service = alive.remove(&entry.child);
                        assert!(service.is_some(), "{entry:?} twice: {log:?}");
                        let first = service == Some(true) && began.iter().any(|one| alive.contains_key(one));
                        assert!(!first, "a service ended before the children, {entry:?}: {log:?}");
                        began.retain(|other| *other != entry.child);
                    }
                    What::Stopped => stopped = stopped.or(Some(entry.at)),
                    What::Over => {
                        over = true;
                        assert!(alive.is_empty(), "{alive:?} are left in {scope}: {log:?}");
                    }
                }
            }
        }
    }
}

enum Around {
    Runtime(Runtime),
    Scope(Script),
}

#[apply(sim_test)]
async fn scopes_in_scopes_with_limits_grace_services_and_drops(runtime: Runtime) {
    for _ in 0..4 {
        let built = Built { clock: runtime.clock().clone(), log: Arc::default(), scopes: Arc::default() };
        // A child may wait for ever: somebody has to cancel it at last.
        let clock = runtime.clock();
        let last = Duration::from_secs(1000);
        let _ = clock.timeout(last, built.clone().run(Around::Runtime(runtime.clone()), 2)).await;
        built.check();
    }
}
