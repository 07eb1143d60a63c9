//! Random scripts in the simulator, beside a reference state machine that says what may happen.
//!
//! A script is drawn from the clock's entropy as it runs: children yield, sleep, spawn children and services
//! (at once, or when there is room), defer, cancel each other or their scope, close it, fail, panic, or wait
//! for ever. The scope has a limit, a deadline, a time of grace and a budget for cleanup, or not. It is
//! awaited, or dropped or forgotten after some polls. Every step is told to the [`Machine`], which says of
//! each whether it may be, foretells every refusal, and in the end the outcome.

mod machine;

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::{CancelToken, Child, FirstError, Reason, Refusal, Scope, ScopeError};
use weirs_testing::{apply, sim_test, yields};

use machine::{BODY, Cause, Kind, Machine, Outcome};

/// A script, and the machine beside it.
struct World<'c> {
    clock: &'c Clock,
    above: CancelToken,
    machine: Mutex<Machine>,
}

type Script<'w> = Scope<'w, FirstError<usize>>;

impl World<'_> {
    fn random(&self, below: u64) -> u64 {
        self.clock.random_below(below)
    }

    /// Tells the machine. What it finds wrong is kept until [`check`](Self::check): here a panic would be
    /// taken for one of the script's.
    fn tell(&self, what: impl std::fmt::Debug, step: impl FnOnce(&mut Machine, Instant)) {
        let now = self.clock.now();
        let mut machine = self.lock();
        machine.log.push(format!("{now:?} {what:?}"));
        if let Err(wrong) = std::panic::catch_unwind(AssertUnwindSafe(|| step(&mut machine, now))) {
            let text = wrong.downcast_ref::<String>().cloned();
            let text = text.or_else(|| wrong.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            machine.wrong.get_or_insert(text.unwrap_or_default());
        }
    }

    fn check(&self) {
        let machine = self.lock();
        if let Some(wrong) = &machine.wrong {
            panic!("{wrong}\n{}", machine.log.join("\n"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The deadline strikes inside of the scope: the token tells.
    fn look(&self, s: &Script<'_>) {
        if let Some(reason) = s.token().reason() {
            let settled = {
                let machine = self.lock();
                machine.stopped.is_some() || machine.cleaning
            };
            if !settled {
                self.tell(("sees", reason.to_string()), |machine, now| {
                    assert!(reason == Reason::Deadline && now >= machine.deadline, "cancelled by nobody");
                    machine.stop(Cause::Cancelled(reason), now);
                });
            }
        }
    }
}

struct Life<'w>(&'w World<'w>, usize);

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.0.tell(("gone", self.1), |machine, now| machine.gone(self.1, now));
    }
}

/// Tells of every poll, and of the end of a future that was never polled as well.
fn told<'w, F: Future>(
    world: &'w World<'w>,
    s: Script<'w>,
    number: usize,
    future: F,
) -> impl Future<Output = F::Output> + use<'w, F> {
    let life = Life(world, number);
    async move {
        let _life = life;
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            world.look(&s);
            world.tell(("polled", number), |machine, now| machine.polled(number, now));
            future.as_mut().poll(cx)
        })
        .await
    }
}

/// Waits for a while, or not.
async fn idles(world: &World<'_>) {
    match world.random(12) {
        0..5 => yields(world.random(4) as usize).await,
        5..8 => world.clock.sleep(Duration::from_millis(world.random(5))).await,
        _ => {}
    }
}

/// A child of any sort, which says itself what it does.
fn unit<'w>(
    s: &Script<'w>,
    world: &'w World<'w>,
    kind: Kind,
    depth: u32,
) -> (usize, impl Future<Output = Result<usize, usize>> + Send + use<'w>) {
    let number = world.lock().make(kind);
    (number, life(s, world, kind, number, depth))
}

fn life<'w>(
    s: &Script<'w>,
    world: &'w World<'w>,
    kind: Kind,
    number: usize,
    depth: u32,
) -> impl Future<Output = Result<usize, usize>> + Send + use<'w> {
    let inner = s.clone();
    let acts = async move {
        let mut handles = Vec::new();
        idles(world).await;
        for _ in 0..world.random(4) {
            if depth > 0 {
                act(&inner, world, depth, &mut handles).await;
            }
            idles(world).await;
        }
        end(world, kind, number).await
    };
    told(world, s.clone(), number, acts)
}

async fn end(world: &World<'_>, kind: Kind, number: usize) -> Result<usize, usize> {
    match world.random(if kind == Kind::Body { 60 } else { 16 }) {
        0 => {
            world.tell(("fails", number), |machine, now| machine.failed(number, now));
            return Err(number);
        }
        1 => {
            world.tell(("panics", number), |machine, now| machine.panicked(number, now));
            std::panic::panic_any(number);
        }
        2 => std::future::pending().await,
        3..5 if kind == Kind::Service => std::future::pending().await,
        _ => {}
    }
    world.tell(("ends", number), |machine, _| {
        machine.ended(number);
        if kind == Kind::Body {
            machine.value = Some(number);
        }
    });
    Ok(number)
}

type Handles<'w> = Vec<(usize, Child<'w, usize>)>;

/// One thing that a child may do to its scope.
async fn act<'w>(s: &Script<'w>, world: &'w World<'w>, depth: u32, handles: &mut Handles<'w>) {
    world.look(s);
    match world.random(20) {
        0..6 => {
            let (number, child) = unit(s, world, Kind::Child, depth - 1);
            let foretold = foretell(s, world, Kind::Child, number);
            match s.try_spawn(boxed(child)) {
                Ok(handle) => {
                    world.tell(("spawned", number), |machine, _| {
                        assert_eq!(foretold, Ok(()));
                        machine.spawned(number);
                    });
                    handles.push((number, handle));
                }
                Err(rejected) => refused(world, number, foretold, rejected.why()),
            }
        }
        6..9 => {
            let (number, child) = unit(s, world, Kind::Child, depth - 1);
            if let Some(handle) = when_free(s, world, number, boxed(child)).await {
                handles.push((number, handle));
            }
        }
        9..11 => {
            let (number, service) = unit(s, world, Kind::Service, depth - 1);
            let foretold = foretell(s, world, Kind::Service, number);
            if foretold.is_ok() {
                world.tell(("serves", number), |machine, _| machine.spawned(number));
            }
            s.spawn_service("service", boxed(service));
        }
        11..14 => {
            let number = world.lock().make(Kind::Deferred);
            world.tell(("deferred", number), |machine, _| machine.spawned(number));
            let cleanup = boxed(life(s, world, Kind::Deferred, number, depth - 1));
            s.defer(async move {
                // An error of cleanup has nobody to go to.
                let _ = cleanup.await;
            });
        }
        14 => {
            let (first, within) = (!s.token().is_cancelled(), world.random(2) == 0);
            world.tell(("cancels the scope", within), |machine, now| {
                machine.from_within |= first && within;
                if machine.stopped.is_none() && !machine.cleaning {
                    machine.requested.get_or_insert(machine.poll);
                    machine.stop(Cause::Cancelled(Reason::Requested), now);
                }
            });
            match within {
                true => s.cancel(Reason::Requested),
                false => world.above.cancel(Reason::Requested),
            };
            assert!(s.token().is_cancelled());
        }
        15 if world.random(3) == 0 => {
            world.tell("closes", |machine, _| machine.closed = true);
            s.close();
        }
        15..18 => {
            if let Some((number, handle)) = handles.pop() {
                world.tell(("cancels", number), |machine, _| machine.cancelled.push(number));
                handle.cancel();
            }
        }
        _ => {
            if let Some((number, handle)) = handles.pop() {
                if let Ok(value) = handle.await {
                    assert_eq!(value, number);
                }
            }
        }
    }
}

fn boxed<'w, T>(future: impl Future<Output = T> + Send + 'w) -> futures::future::BoxFuture<'w, T> {
    Box::pin(future)
}

fn foretell(s: &Script<'_>, world: &World<'_>, kind: Kind, number: usize) -> Result<(), Refusal> {
    world.lock().foretell(kind, number, s.token().is_cancelled())
}

fn refused(world: &World<'_>, number: usize, foretold: Result<(), Refusal>, why: Refusal) {
    world.tell(("refused", number, why), |_, _| assert_eq!(foretold, Err(why)));
}

/// Spawns when there is room, and tells the machine who waits.
async fn when_free<'w>(
    s: &Script<'w>,
    world: &'w World<'w>,
    number: usize,
    child: futures::future::BoxFuture<'w, Result<usize, usize>>,
) -> Option<Child<'w, usize>> {
    let mut waits = pin!(s.spawn_when_free(child));
    std::future::poll_fn(|cx| {
        let foretold = foretell(s, world, Kind::Child, number);
        match waits.as_mut().poll(cx) {
            Poll::Pending => {
                world.tell(("waits", number), |machine, _| {
                    assert_eq!(foretold, Err(Refusal::Full));
                    if !machine.waiting.contains(&number) {
                        machine.waiting.push(number);
                    }
                });
                Poll::Pending
            }
            Poll::Ready(Ok(handle)) => {
                world.tell(("spawned", number), |machine, _| {
                    assert_eq!(foretold, Ok(()));
                    machine.spawned(number);
                });
                Poll::Ready(Some(handle))
            }
            Poll::Ready(Err(rejected)) => {
                refused(world, number, foretold, rejected.why());
                Poll::Ready(None)
            }
        }
    })
    .await
}

#[apply(sim_test)]
async fn random_scripts_follow_the_rules(runtime: Runtime) {
    let clock = runtime.clock();
    for _ in 0..16 {
        // What is forgotten keeps its borrow of the world for ever.
        let world: &World<'static> = Box::leak(Box::new(world(Box::leak(Box::new(clock.clone())))));
        script(world).await;
        world.check();
    }
}

fn world(clock: &Clock) -> World<'_> {
    let limit = if clock.random_below(2) == 0 { 1 + clock.random_below(4) as usize } else { usize::MAX };
    let grace = Duration::from_millis(clock.random_below(3) * 4);
    let deadline = clock.now() + Duration::from_millis(1 + clock.random_below(30));
    let machine = Machine::new(limit, grace, deadline);
    World { clock, above: CancelToken::with_clock(clock.clone()), machine: Mutex::new(machine) }
}

async fn script(world: &'static World<'static>) {
    let skipped = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&skipped);
    let (limit, grace, deadline) = {
        let machine = world.lock();
        (machine.limit, machine.grace, machine.deadline)
    };
    let builder = Scope::builder()
        .clock(world.clock)
        .limit(NonZeroUsize::new(limit).unwrap())
        .grace(grace)
        .deadline(deadline)
        .under(&world.above)
        .cleanup(Duration::from_millis(world.random(20)))
        .on_skipped(move |skipped| *seen.lock().unwrap() = skipped.count());
    let body = |s: Script<'static>| life(&s, world, Kind::Body, BODY, 3);
    let mut scope = Box::pin(AssertUnwindSafe(builder.try_run(body)).catch_unwind());

    let last_poll = world.random(30);
    let ended = std::future::poll_fn(|cx| {
        let poll = {
            let mut machine = world.lock();
            machine.poll += 1;
            machine.poll
        };
        if last_poll < 8 && poll > last_poll {
            return Poll::Ready(None);
        }
        let polled = scope.as_mut().poll(cx);
        if polled.is_pending() {
            world.tell("rests", |machine, now| machine.rests(now));
            world.check();
        }
        polled.map(Some)
    })
    .await;

    let Some(ended) = ended else {
        if world.random(3) == 0 {
            world.lock().forgotten = true;
            std::mem::forget(scope);
            yields(9).await;
            return;
        }
        // Before its first poll the body does not exist.
        let begun = world.lock().poll > 1;
        world.lock().dropped = true;
        drop(scope);
        if begun {
            world.tell("dropped", |machine, _| {
                machine.is_over();
                assert_eq!(machine.skipped, *skipped.lock().unwrap());
            });
        }
        return;
    };
    let outcome = match ended {
        Ok(Ok(value)) => Outcome::Value(value),
        Ok(Err(ScopeError::Failed(number))) => Outcome::Failed(number),
        Ok(Err(ScopeError::Cancelled(reason))) => Outcome::Cancelled(reason),
        Ok(Err(other)) => panic!("{other:?}"),
        Err(payload) => Outcome::Panicked(*payload.downcast::<usize>().expect("a payload of the script's")),
    };
    world.tell(("outcome", &outcome), |machine, _| {
        machine.is_over();
        assert_eq!(machine.skipped, *skipped.lock().unwrap());
        let foretold = machine.foretell_outcome();
        assert!(foretold.contains(&outcome), "{outcome:?} is not one of {foretold:?}");
    });
}
