//! [`Chaos`]: faults on purpose, to see what becomes of them.

mod faults;
mod latency;
mod switch;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use weirs_runtime::{Entropy, Instant, SeededEntropy, Sleep};

pub use faults::Faults;
use faults::{Drawn, Fault};
pub use latency::Latency;
pub use switch::{ChaosStats, ChaosSwitch};

use crate::{
    Attempt, Chain, Error, EventKind, Inner, Invalid, Part, Plan, Policy, Role, Scene, SingleShot,
    StackBuilder, Turn,
};

/// Makes faults on purpose: errors, delays, other results, hangs, panics, and work that is dropped half-way.
///
/// It belongs innermost, in place of the far end. It is off until its [switch](Chaos::switch) is on, and then
/// costs one look at that. With the same seed the k-th attempt has the same fault, whatever the faults
/// before it were.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Chaos, Faults, Latency, Stack};
/// use weirs_runtime::block_on;
///
/// // A tenth of all attempts fail, a fifth is slow.
/// let faults = Faults::new()
///     .error(0.1, || "broken on purpose")
///     .latency(0.2, Latency::Uniform(Duration::from_millis(1), Duration::from_millis(2)));
/// let chaos = Chaos::always(faults).seed(7);
/// let switch = chaos.switch();
/// let stack = Stack::builder().timeout(Duration::from_secs(1)).chaos(chaos).build().unwrap();
///
/// switch.enable();
/// let failed = (0..1_000).filter(|_| block_on(stack.call(async |_| Ok(()))).is_err()).count();
/// assert!((50..150).contains(&failed));
/// assert_eq!(switch.stats().errors, failed as u64);
/// ```
/// A minute of health, an outage, a brown-out, and again:
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Chaos, Faults, Latency};
///
/// let seconds = Duration::from_secs;
/// let chaos = Chaos::<(), &str>::script()
///     .phase(seconds(60), Faults::new())
///     .phase(seconds(30), Faults::new().error(1.0, || "down"))
///     .phase(
///         seconds(45),
///         Faults::new().error(0.3, || "busy").latency(0.8, Latency::Exponential(seconds(1))),
///     )
///     .repeated()
///     .enabled(true);
/// # let _ = chaos;
/// ```
pub struct Chaos<T, E> {
    phases: Vec<(Duration, Faults<T, E>)>,
    repeats: bool,
    start: Option<Instant>,
    seed: Option<SeededEntropy>,
    only_if: Option<Box<Chosen>>,
    switch: ChaosSwitch,
}

type Chosen = dyn Fn(&Attempt) -> bool + Send + Sync;

impl<T, E> Chaos<T, E> {
    /// The same faults at all times.
    pub fn always(faults: Faults<T, E>) -> Self {
        Self::script().phase(Duration::MAX, faults)
    }

    /// Faults by time: [phases](Chaos::phase) one after another, and then none.
    pub fn script() -> Self {
        Self {
            phases: Vec::new(),
            repeats: false,
            start: None,
            seed: None,
            only_if: None,
            switch: ChaosSwitch::default(),
        }
    }

    /// For so long, after the phases that are there already, these faults.
    #[must_use = "the chaos is given back"]
    pub fn phase(mut self, lasts: Duration, faults: Faults<T, E>) -> Self {
        self.phases.push((lasts, faults));
        self
    }

    /// After the last phase the first comes again.
    #[must_use = "the chaos is given back"]
    pub fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// The script begins then. If nothing is said, it begins with the first attempt that comes while it is
    /// on.
    #[must_use = "the chaos is given back"]
    pub fn starting_at(mut self, start: Instant) -> Self {
        self.start = Some(start);
        self
    }

    /// Chance of its own, from this seed. If nothing is said, it is the clock's.
    #[must_use = "the chaos is given back"]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(SeededEntropy::new(seed));
        self
    }

    /// Only these attempts; the others do not count.
    #[must_use = "the chaos is given back"]
    pub fn only_if(mut self, chosen: impl Fn(&Attempt) -> bool + Send + Sync + 'static) -> Self {
        self.only_if = Some(Box::new(chosen));
        self
    }

    /// Whether it is on; it is not, if nothing is said.
    #[must_use = "the chaos is given back"]
    pub fn enabled(self, enabled: bool) -> Self {
        match enabled {
            true => self.switch.enable(),
            false => self.switch.disable(),
        }
        self
    }

    /// Switched by that, which may switch others too.
    #[must_use = "the chaos is given back"]
    pub fn switched_by(mut self, switch: &ChaosSwitch) -> Self {
        self.switch = switch.clone();
        self
    }

    /// What turns it on and off, and counts.
    pub fn switch(&self) -> ChaosSwitch {
        self.switch.clone()
    }

    fn check(&self) -> Result<(), Invalid> {
        if self.phases.is_empty() {
            return Err(Invalid::new("chaos.phases", "there are none"));
        }
        if self.phases.iter().any(|(lasts, _)| lasts.is_zero()) {
            return Err(Invalid::new("chaos.phase", "no time at all"));
        }
        self.phases.iter().try_for_each(|(_, faults)| faults.check())
    }

    /// Which phase it is.
    fn phase_now(&self, turn: &Turn<'_, '_>) -> Option<usize> {
        if let ([(Duration::MAX, _)], None) = (&self.phases[..], self.start) {
            return Some(0);
        }
        let now = turn.clock().now();
        let start = match self.start {
            Some(start) => start,
            None => self.switch.started(now),
        };
        if now < start {
            return None;
        }
        let mut since = now.saturating_since(start).as_nanos();
        let whole: u128 = self.phases.iter().map(|(lasts, _)| lasts.as_nanos()).sum();
        if self.repeats {
            since %= whole;
        }
        self.phases.iter().position(|(lasts, _)| match since.checked_sub(lasts.as_nanos()) {
            Some(left) => {
                since = left;
                false
            }
            None => true,
        })
    }

    #[cold]
    fn draw(&self, turn: &Turn<'_, '_>, at: &Attempt) -> ChaosState {
        if self.only_if.as_ref().is_some_and(|chosen| !chosen(at)) {
            return ChaosState(Stage::Works);
        }
        // One number an attempt, so that what an attempt needs does not change what the next one gets.
        let number = match &self.seed {
            Some(seed) => seed.next_u64(),
            None => turn.clock().random_u64(),
        };
        let Some(phase) = self.phase_now(turn) else { return ChaosState(Stage::Works) };
        let Drawn { delay, fault } = self.phases[phase].1.draw(number);
        let timer = delay.map(|delay| {
            self.switch.count(|counts| &counts.delays);
            turn.tell(EventKind::FaultInjected { fault: "latency" });
            turn.clock().sleep(delay)
        });
        ChaosState(Stage::Begins { timer, fault, phase })
    }

    fn fault(&self, phase: usize, fault: usize) -> &Fault<T, E> {
        &self.phases[phase].1.faults[fault].1
    }
}

impl<T, E> fmt::Debug for Chaos<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos")
            .field("phases", &self.phases)
            .field("repeats", &self.repeats)
            .field("switch", &self.switch)
            .finish_non_exhaustive()
    }
}

impl<T, E> SingleShot for Chaos<T, E> {}

impl<T, E> Part for Chaos<T, E> {
    fn explain(&self, plan: &mut Plan) {
        let words = match self.switch.is_enabled() {
            true => "makes faults on purpose",
            false => "makes faults on purpose; it is off",
        };
        plan.part(Role::Chaos, "chaos").says(words).check(self.check());
    }
}

/// What a [`Chaos`] remembers of one call.
#[derive(Debug)]
pub struct ChaosState(Stage);

#[derive(Debug)]
enum Stage {
    New,
    Begins {
        timer: Option<Sleep>,
        fault: Option<usize>,
        phase: usize,
    },
    Works,
    Hangs,
    /// The work is dropped after so many polls more.
    Dies {
        polls: u32,
        fault: usize,
        phase: usize,
    },
    Loses {
        fault: usize,
        phase: usize,
    },
}

impl<T, E> Policy<T, E> for Chaos<T, E> {
    type State = ChaosState;

    #[inline]
    fn begin(&self) -> ChaosState {
        ChaosState(Stage::New)
    }

    #[inline]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut ChaosState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        if let Stage::New = state.0 {
            // What began while it was off stays as it is.
            state.0 = Stage::Works;
            if self.switch.is_enabled() {
                *state = self.draw(turn, &at);
            }
        }
        if let Stage::Works = state.0 {
            let result = ready!(inner.poll(turn, at));
            state.0 = Stage::New;
            return Poll::Ready(result);
        }
        // It is there in place of the far end: to a budget further out, this attempt was made.
        turn.tally.reached = true;
        let result = ready!(self.poll_faulty(state, turn, at, inner));
        state.0 = Stage::New;
        Poll::Ready(result)
    }

    #[inline]
    fn abandon(&self, state: &mut ChaosState, _: Scene<'_>) {
        state.0 = Stage::New;
    }
}

impl<T, E> Chaos<T, E> {
    #[cold]
    fn poll_faulty<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut ChaosState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        if let Stage::Begins { timer, fault, phase } = &mut state.0 {
            if let Some(timer) = timer {
                ready!(Pin::new(timer).poll(turn.context()));
            }
            let (drawn, phase) = (*fault, *phase);
            state.0 = Stage::Works;
            if let Some(fault) = drawn {
                let made = self.fault(phase, fault);
                self.switch.count_fault(made);
                turn.tell(EventKind::FaultInjected { fault: made.name() });
                match made {
                    Fault::Result(make, _) => return Poll::Ready(make().map_err(Error::Inner)),
                    Fault::Hang => state.0 = Stage::Hangs,
                    Fault::Panic => {
                        state.0 = Stage::New;
                        panic!("a panic on purpose, by chaos");
                    }
                    Fault::Die(polls, _) => state.0 = Stage::Dies { polls: *polls, fault, phase },
                    Fault::Lose(_) => state.0 = Stage::Loses { fault, phase },
                }
            }
        }
        match &mut state.0 {
            Stage::Hangs => Poll::Pending,
            Stage::Dies { polls, fault, phase } => {
                if *polls > 0 {
                    if let Poll::Ready(result) = inner.poll(turn, at) {
                        return Poll::Ready(result);
                    }
                    *polls -= 1;
                    if *polls > 0 {
                        return Poll::Pending;
                    }
                    inner.cancel(turn.scene(), at.lane());
                }
                match self.fault(*phase, *fault) {
                    Fault::Die(_, make) => Poll::Ready(Err(Error::Inner(make()))),
                    _ => unreachable!("it was drawn"),
                }
            }
            Stage::Loses { fault, phase } => match (ready!(inner.poll(turn, at)), self.fault(*phase, *fault))
            {
                (Ok(lost), Fault::Lose(make)) => {
                    drop(lost);
                    Poll::Ready(Err(Error::Inner(make())))
                }
                (failed, _) => Poll::Ready(failed),
            },
            Stage::New | Stage::Works | Stage::Begins { .. } => inner.poll(turn, at),
        }
    }
}

impl<P: Part> StackBuilder<P> {
    /// Faults on purpose; innermost.
    pub fn chaos<T, E>(self, chaos: Chaos<T, E>) -> StackBuilder<Chain<P, Chaos<T, E>>> {
        self.policy(chaos)
    }
}
