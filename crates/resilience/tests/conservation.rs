//! Whatever happens to a call through a whole stack, what it held is given back: dropped after every poll, in
//! stacks from a seed, with panics, work that never wakes, and a clock that jumps.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use weirs_limiters::{Quota, Rate, RateLimiter, Semaphore};
use weirs_resilience::{
    Attempt, Breaker, Budget, Bulkhead, Chaos, Circuit, Class, Dynamic, Ended, Error, Faults, Hedge, Latency,
    Policy, Rejection, Retry, Root, Stack, StackBuilder, from_async, from_hooks,
};
use weirs_runtime::{Clock, Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{InFlight, ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const LONG: Duration = Duration::from_secs(3_600);

/// Numbers from a seed.
struct Dice(SeededEntropy);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    fn below(&self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    fn time(&self) -> Duration {
        ms(self.below(12) + 1)
    }
}

/// All that the policies of a stack share, and by what one sees that all of it is there.
#[derive(Clone)]
struct Held {
    clock: Clock,
    bulkhead: Arc<Bulkhead>,
    places: Arc<Semaphore>,
    rate: Arc<RateLimiter>,
    breaker: Arc<Breaker>,
    budget: Budget,
    /// Beginnings without an end, as a hook sees them.
    open: Arc<AtomicI64>,
    /// The work that lives.
    lives: InFlight,
}

const TOKENS: u32 = 5;

/// What a policy has to be for a stack of either form.
trait Whole: Policy<u64, u64, State: Send + 'static> + Send + Sync + 'static {}

impl<P: Policy<u64, u64, State: Send + 'static> + Send + Sync + 'static> Whole for P {}

impl Held {
    fn new(clock: &Clock, dice: &Dice) -> Self {
        let breaker = Breaker::consecutive(2 + dice.below(3) as u32).probes(1).pace(Duration::ZERO);
        // A probe that is not given back would be seen for an hour.
        let breaker = breaker.open_for(dice.time()).slow_after(dice.time()).lease(LONG).clock(clock);
        let budget = match dice.below(3) {
            0 => Budget::tokens(10 * TOKENS).build(),
            1 => Budget::in_flight(0.5).at_least(TOKENS).build(),
            _ => Budget::share(0.5).floor(TOKENS).clock(clock).build(),
        };
        let rate = Quota::new(Rate::per_second(1_000), 3).unwrap();
        Self {
            clock: clock.clone(),
            bulkhead: Arc::new(Bulkhead::new(1 + dice.below(2)).queue(1).wait_at_most(dice.time())),
            places: Arc::new(Semaphore::builder(2).clock(clock.clone()).build()),
            rate: Arc::new(RateLimiter::builder(rate).clock(clock.clone()).build()),
            breaker: breaker.build().unwrap(),
            budget: budget.unwrap(),
            open: Arc::default(),
            lives: InFlight::new(),
        }
    }

    /// Some policies in some order, each once.
    fn some(&self, dice: &Dice) -> Stack<Dynamic<u64, u64>> {
        let mut stack = Stack::dynamic().clock(&self.clock);
        let mut left: Vec<u64> = (0..12).collect();
        for _ in 0..=dice.below(12) {
            let which = left.swap_remove(dice.below(left.len() as u64) as usize);
            stack = match which {
                0 => stack.layer(|add| {
                    add.fallback(|error: &Error<u64>| matches!(error, Error::Inner(7)).then_some(7))
                }),
                1 | 2 => stack.timeout(dice.time() * 2),
                3 => {
                    let pause = if dice.below(2) == 0 { Duration::ZERO } else { dice.time() / 3 };
                    let retry = Retry::constant(pause).retries(2).budget(&self.budget);
                    stack.layer(|add| add.retry(retry))
                }
                4 => {
                    let hedge = Hedge::after(dice.time() / 3).max(2).budget(&self.budget);
                    stack.layer(|add| add.hedge(hedge))
                }
                5 => stack.layer(|add| add.rate_limit(Arc::clone(&self.rate))),
                6 => stack.layer(|add| add.breaker(&self.breaker)),
                7 => stack.layer(|add| add.bulkhead(Arc::clone(&self.bulkhead))),
                8 => stack.layer(|add| add.limit(Arc::clone(&self.places))),
                9 => stack.layer(|add| add.chaos(self.chaos(dice))),
                10 => stack.layer(|add| add.policy(self.hooks())),
                _ => stack.layer(|add| {
                    add.policy(from_async(|mut next, at: Attempt| async move {
                        match next.run(at).await {
                            Err(Error::Inner(_)) => next.run(at).await,
                            result => result,
                        }
                    }))
                }),
            };
        }
        stack.build().unwrap()
    }

    /// All of them in a good order, their types known.
    fn all(&self, dice: &Dice, faults: bool) -> Stack<impl Whole> {
        self.chain(Stack::builder().clock(&self.clock), dice, faults).build().unwrap()
    }

    /// The same, the types gone.
    fn all_dynamic(&self, dice: &Dice, faults: bool) -> Stack<Dynamic<u64, u64>> {
        Stack::dynamic().clock(&self.clock).layer(|add| self.chain(add, dice, faults)).build().unwrap()
    }

    fn chain(&self, stack: StackBuilder<Root>, dice: &Dice, faults: bool) -> StackBuilder<impl Whole> {
        stack
            .fallback(|error: &Error<u64>| matches!(error, Error::Inner(7)).then_some(7))
            .timeout(dice.time() * 3)
            .retry(Retry::constant(dice.time() / 3).retries(2).budget(&self.budget))
            .hedge(Hedge::after(dice.time() / 3).max(2).budget(&self.budget))
            .rate_limit(Arc::clone(&self.rate))
            .breaker(&self.breaker)
            .bulkhead(Arc::clone(&self.bulkhead))
            .limit(Arc::clone(&self.places))
            .policy(self.hooks())
            .timeout(dice.time() * 2)
            .chaos(self.chaos(dice).enabled(faults))
    }

    fn hooks(&self) -> impl Whole {
        let (begun, ended) = (self.open.clone(), self.open.clone());
        from_hooks(
            move |_: &Attempt| {
                begun.fetch_add(1, Ordering::Relaxed);
                Ok::<(), Rejection>(())
            },
            move |(), _: Ended<'_, u64, u64>| {
                ended.fetch_sub(1, Ordering::Relaxed);
            },
        )
    }

    fn chaos(&self, dice: &Dice) -> Chaos<u64, u64> {
        let late = Latency::Uniform(ms(0), dice.time());
        let faults = Faults::new().latency(0.2, late).error(0.1, || 7).hang(0.1).panic(0.05);
        let faults = faults.cancel(0.1, 2, || 1).lost_answer(0.1, || 2);
        Chaos::script()
            .phase(LONG / 2, faults)
            .starting_at(self.clock.now())
            .seed(dice.below(1_000))
            .enabled(true)
    }

    async fn work(self, fate: u64, takes: Duration, yields: u64) -> Result<u64, u64> {
        let _lives = self.lives.enter();
        for _ in 0..yields {
            yield_now().await;
        }
        match fate {
            0..5 => self.clock.sleep(takes).await,
            // Nobody ever wakes it.
            5 => pending().await,
            6 => panic!("the work panics"),
            _ => {}
        }
        match fate % 3 {
            0 => Ok(fate),
            _ => Err(fate),
        }
    }

    /// Nothing of any call is left.
    fn check(&self, seen: &mut Seen) {
        let bulkhead = self.bulkhead.stats();
        assert_eq!((bulkhead.taken, bulkhead.waiting), (0, 0), "{bulkhead:?}");
        let places = self.places.stats();
        assert_eq!((places.held, places.waiting), (0, 0), "{places:?}");
        assert_eq!(self.rate.stats().waiting, 0);
        assert_eq!(self.budget.stats().running, 0);
        assert!(self.budget.stats().available <= u64::from(TOKENS) + 10, "{:?}", self.budget.stats());
        assert_eq!(self.open.load(Ordering::Relaxed), 0);
        assert_eq!(self.lives.now(), 0);
        // Whatever the circuit is, when its time has come somebody is let through, and so is the next if
        // that one goes away.
        if self.breaker.state() != Circuit::HalfOpen {
            return;
        }
        seen.half_open += 1;
        for _ in 0..3 {
            drop(self.breaker.try_acquire().expect("the probe was given back"));
        }
    }
}

/// How often the scripts came to the corners.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    answers: u32,
    refusals: u32,
    panics: u32,
    drops: u32,
    half_open: u32,
}

type Calls<'c> = Vec<Option<Pin<Box<dyn Future<Output = Result<u64, Error<u64>>> + 'c>>>>;

/// Three calls at once, by a script; the first is dropped after its k-th poll. Whether it was pending then.
fn play<P, S>(stack: &Stack<P>, held: &Held, time: &ManualClock, dice: &Dice, k: u64, seen: &mut Seen) -> bool
where
    P: Policy<u64, u64, State = S>,
{
    let mut calls: Calls<'_> = Vec::new();
    for _ in 0..3 {
        calls.push(Some(Box::pin(
            stack.call(|_| held.clone().work(dice.below(9), dice.time(), dice.below(3))),
        )));
    }
    let mut first_was_pending = k == 0;
    if k == 0 {
        calls[0] = None;
    }
    for step in 1..=24 {
        for (index, slot) in calls.iter_mut().enumerate() {
            let Some(call) = slot else { continue };
            let mut cx = Context::from_waker(Waker::noop());
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)));
            let is_over = match polled {
                Ok(Poll::Pending) => false,
                Ok(Poll::Ready(result)) => {
                    seen.answers += u32::from(result.is_ok());
                    seen.refusals += u32::from(matches!(result, Err(Error::Rejected(_))));
                    true
                }
                Err(_) => {
                    seen.panics += 1;
                    true
                }
            };
            let goes = index == 0 && step == k;
            if goes && !is_over {
                first_was_pending = true;
                seen.drops += 1;
            }
            if is_over || goes || dice.below(24) == 0 {
                *slot = None;
            }
        }
        match dice.below(40) {
            0 => time.set(Instant::from_nanos(time.clock().now().as_nanos().saturating_sub(20_000_000))),
            1 => time.advance(ms(500)),
            _ => time.advance(ms(dice.below(4))),
        }
    }
    drop(calls);
    first_was_pending
}

/// After all that, and when all times are over, a call goes through as if nothing had been.
fn is_as_new<P, S>(stack: &Stack<P>, held: &Held, time: &ManualClock, seen: &mut Seen)
where
    P: Policy<u64, u64, State = S>,
{
    held.check(seen);
    assert_eq!(time.timers(), 0);
    time.advance(LONG);
    let mut call = Box::pin(stack.call(async |_| Ok(42)));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(Ok(42)));
    drop(call);
    held.check(seen);
}

#[test]
fn dropped_after_every_poll_any_stack_is_as_new() {
    let seeds = if std::env::var("WEIRS_DEEP").is_ok_and(|deep| deep != "0") { 5_000 } else { 400 };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut seen = Seen::default();
    let played = catch_unwind(AssertUnwindSafe(|| {
        for seed in 0..seeds {
            for known in [true, false] {
                for k in 0..24 {
                    let (time, dice) = (ManualClock::new(), Dice::new(seed));
                    time.advance(LONG);
                    let held = Held::new(time.clock(), &dice);
                    let was_pending = catch_unwind(AssertUnwindSafe(|| match known {
                        true => {
                            let stack = held.all(&dice, true);
                            let was_pending = play(&stack, &held, &time, &dice, k, &mut seen);
                            is_as_new(&stack, &held, &time, &mut seen);
                            was_pending
                        }
                        false => {
                            let stack = held.some(&dice);
                            let was_pending = play(&stack, &held, &time, &dice, k, &mut seen);
                            is_as_new(&stack, &held, &time, &mut seen);
                            was_pending
                        }
                    }));
                    match was_pending {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(payload) => {
                            let why = payload.downcast_ref::<String>();
                            return Some(format!("seed {seed}, types known {known}, poll {k}: {why:?}"));
                        }
                    }
                }
            }
        }
        None
    }));
    std::panic::set_hook(hook);
    assert_eq!(played.expect("no panic elsewhere"), None);
    let Seen { answers, refusals, panics, drops, half_open } = seen;
    assert!([answers, refusals, panics, drops, half_open].iter().all(|seen| *seen > 100), "{seen:?}");
}

/// On every runtime, in both forms: a call that fails, pauses, is hedged, and then goes well.
#[apply(runtime_test)]
async fn a_whole_stack_is_dropped_at_every_poll(runtime: Runtime) {
    for dynamic in [false, true] {
        let (last, clock) = (RefCell::new(None), runtime.clock());
        let make = || {
            let dice = Dice::new(11);
            let held = Held::new(clock, &dice);
            *last.borrow_mut() = Some(held.clone());
            async move {
                let work = |at: Attempt| held.clone().work(if at.number() == 1 { 1 } else { 3 }, ms(1), 2);
                match dynamic {
                    false => held.all(&dice, false).call(work).await,
                    true => held.all_dynamic(&dice, false).call(work).await,
                }
            }
        };
        let check = async |_| last.take().unwrap().check(&mut Seen::default());
        assert!(cancel_at_every_poll(make, check).await >= 3);
    }
}

/// Nobody ever wakes the work: the limits of time end it, to the nanosecond.
#[apply(sim_test)]
async fn work_that_never_wakes_ends_in_time(runtime: Runtime) {
    const MOST: Duration = Duration::from_millis(3 * 12);
    for seed in 0..20 {
        let (dice, clock) = (Dice::new(seed), runtime.clock());
        let held = Held::new(clock, &dice);
        let mut seen = Seen::default();
        let known = held.all(&dice, false);
        let dynamic = held.all_dynamic(&dice, false);
        for _ in 0..3 {
            let start = clock.now();
            let late = known.call(|_| held.clone().work(5, LONG, 0)).await.unwrap_err();
            assert!(late.is_timeout() || late.rejected().is_some(), "{late:?}");
            assert!(clock.now() - start <= MOST, "{:?}", clock.now() - start);
            held.check(&mut seen);
            let start = clock.now();
            dynamic.call(|_| held.clone().work(5, LONG, 0)).await.unwrap_err();
            assert!(clock.now() - start <= MOST);
            held.check(&mut seen);
        }
    }
}

/// An hour ahead in the middle of a call: it is late. An hour back: it goes on, and ends at the latest when
/// the clock has come again to where it was to end.
#[test]
fn a_clock_that_jumps_keeps_nothing() {
    for (seed, back) in (0..40).flat_map(|seed| [(seed, false), (seed, true)]) {
        let (time, dice) = (ManualClock::new(), Dice::new(seed));
        time.advance(LONG * 2);
        let held = Held::new(time.clock(), &dice);
        let stack = held.all(&dice, false);
        let mut call = Box::pin(stack.call(|_| held.clone().work(5, LONG, 1)));
        let mut poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        time.advance(ms(1));
        assert!(poll().is_pending());
        if back {
            time.set(time.clock().now() - LONG);
            for _ in 0..3 {
                assert!(poll().is_pending());
            }
            time.advance(LONG);
        }
        time.advance(LONG);
        assert!(matches!(poll(), Poll::Ready(Err(_))), "seed {seed}");
        drop(call);
        held.breaker.reset();
        is_as_new(&stack, &held, &time, &mut Seen::default());
    }
}

/// Whichever closure of the user's panics: the panic is the caller's, nothing is kept, and the next call goes
/// through.
#[apply(runtime_test)]
async fn whichever_closure_panics_nothing_is_kept(runtime: Runtime) {
    const CLOSURES: usize = 12;
    for armed in 0..CLOSURES {
        for dynamic in [false, true] {
            let clock = runtime.clock();
            // No call is slow here, not even on a busy machine: it would count for a failure more.
            let breaker = Breaker::consecutive(2).probes(1).lease(LONG).clock(clock).build().unwrap();
            let held = Held { breaker, ..Held::new(clock, &Dice::new(armed as u64)) };
            let bomb = Bomb(Arc::new(AtomicUsize::new(armed)));
            let whole = |add| bomb.chain(&held, add);
            let known = whole(Stack::builder().clock(clock)).build().unwrap();
            let gone = Stack::dynamic().clock(clock).layer(whole).build().unwrap();
            let work = |_| {
                bomb.tick(0);
                let (bomb, lives) = (bomb.clone(), held.lives.enter());
                async move {
                    let _lives = lives;
                    yield_now().await;
                    bomb.tick(1);
                    Err(1)
                }
            };
            let panicked = match dynamic {
                false => AssertUnwindSafe(known.call(work)).catch_unwind().await.is_err(),
                true => AssertUnwindSafe(gone.call(work)).catch_unwind().await.is_err(),
            };
            assert!(panicked, "closure {armed}");
            held.check(&mut Seen::default());
            // What began is counted when the attempt did not go on.
            assert!(armed > 1 || held.breaker.stats().consecutive_failures == 1, "closure {armed}");

            bomb.0.store(usize::MAX, Ordering::Relaxed);
            held.breaker.reset();
            let well = match dynamic {
                false => known.call(async |_| Ok(1)).await,
                true => gone.call(async |_| Ok(1)).await,
            };
            assert_eq!(well, Ok(1), "closure {armed}");
        }
    }
}

/// Panics in the closure of that number.
#[derive(Clone)]
struct Bomb(Arc<AtomicUsize>);

impl Bomb {
    fn is_armed(&self, number: usize) -> bool {
        self.0.load(Ordering::Relaxed) == number
    }

    fn tick(&self, number: usize) {
        assert!(!self.is_armed(number), "armed: {number}");
    }

    fn chain(&self, held: &Held, stack: StackBuilder<Root>) -> StackBuilder<impl Whole> {
        let bomb = || self.clone();
        let (fallback, retry, when, hedge, delay) = (bomb(), bomb(), bomb(), bomb(), bomb());
        let (breaker, before, after, chosen, make) = (bomb(), bomb(), bomb(), bomb(), bomb());
        let judge = move |bomb: Self, number| {
            move |result: &Result<u64, Error<u64>>| {
                bomb.tick(number);
                if result.is_ok() { Class::Success } else { Class::Failure }
            }
        };
        let hooks = from_hooks(
            move |_: &Attempt| {
                before.tick(7);
                Ok::<(), Rejection>(())
            },
            move |(), _: Ended<'_, u64, u64>| after.tick(8),
        );
        let hedges = Hedge::after(Duration::ZERO).delay_with(move |_, _| {
            delay.tick(10);
            Duration::ZERO
        });
        let hedges = hedges.when(move |_| {
            when.tick(4);
            true
        });
        let faults = Faults::new().error(1.0, move || {
            make.tick(11);
            1
        });
        let chaos = Chaos::always(faults).enabled(true).only_if(move |_| {
            chosen.tick(9);
            chosen.is_armed(11)
        });
        stack
            .fallback(move |_: &Error<u64>| {
                fallback.tick(2);
                None
            })
            .timeout(LONG)
            .retry(Retry::immediate().retries(1).budget(&held.budget).classify(judge(retry, 3)))
            .hedge(hedges.budget(&held.budget).judging(judge(hedge, 5)))
            .breaker(held.breaker.judging(judge(breaker, 6)))
            .bulkhead(Arc::clone(&held.bulkhead))
            .limit(Arc::clone(&held.places))
            .policy(hooks)
            .timeout(LONG)
            .chaos(chaos)
    }
}
