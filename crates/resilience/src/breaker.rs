//! [`Breaker`]: no calls to the other side while it is ill.

mod builder;
mod call;
mod control;
mod machine;
mod model;
mod permit;
mod policy;
mod probe;
mod ready;
mod settings;
mod shared;
mod stats;
mod waiters;
mod window;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::Clock;

pub use builder::BreakerBuilder;
pub use call::BreakerCall;
pub use machine::{Circuit, Recorded};
pub use permit::{OwnedPermit, Permit};
pub use policy::{Guard, GuardState};
pub use probe::Probed;
pub use ready::Ready;
pub use settings::{Abandoned, OpenFor};
pub use stats::{BreakerSnapshot, BreakerStats};
pub use window::Counts;

/// The machine by itself, for tests.
#[doc(hidden)]
pub mod breaker_model {
    pub use super::machine::{End, Refused, Ticket};
    pub use super::model::{BreakerModel, Input, Output};
    pub use super::window::Mark;
}

use crate::attempt::nanos;
use crate::observe::tell;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::{
    ByDefault, Class, Event, EventKind, Interest, Invalid, Observer, Place, Reason, Rejection, Scene,
};
use machine::{End, Machine, Refused, Ticket, Word};
use permit::{Back, Held};
use settings::Settings;
use shared::{Gate, Ledger, Shape, SharedWindow};
use waiters::Waiters;
use window::{Mark, Window};

/// A circuit breaker: refuses calls for a while when too many have failed, and then lets a few through to see
/// whether they go well.
///
/// A server that is ill gets no better by more calls, and its callers have better things to do than to wait
/// for it. A breaker is shared by all who call the same server; it is used [alone](Self::call), with
/// [permits](Self::try_acquire), or [in a stack](crate::StackBuilder::breaker).
///
/// - Each permit knows the circuit's generation: a result that comes late, from before the circuit changed,
///   is never counted.
/// - A call that is dropped gives its place back, and counts as a failure if it was old enough
///   ([`Abandoned`]). One that panics is a failure.
/// - A probe that says nothing is lost after its [lease](BreakerBuilder::lease), and another is let through:
///   no timer runs for that, and no circuit stays half open for ever.
/// - A call that goes well while the circuit is closed writes nothing that threads share, or one number if
///   there is a window.
/// - A clock that is set back makes no call wait for longer than it had to anyway.
///
/// # Examples
/// ```
/// use weirs_resilience::{Breaker, Circuit, Error};
/// use weirs_runtime::block_on;
///
/// # block_on(async {
/// let breaker = Breaker::consecutive(2).build().unwrap();
/// for _ in 0..2 {
///     let failed = breaker.call(async { Err::<(), _>("unreachable") }).await;
///     assert_eq!(failed, Err(Error::Inner("unreachable")));
/// }
/// assert_eq!(breaker.state(), Circuit::Open);
/// let refused = breaker.call(async { Ok::<_, &str>(()) }).await.unwrap_err();
/// assert!(refused.is_circuit_open());
/// # });
/// ```
pub struct Breaker {
    word: AtomicU64,
    /// Nobody is admitted before that time, as reckoned at this one.
    until: AtomicU64,
    latest: AtomicU64,
    slow_after: AtomicU64,
    gate: Gate,
    core: Mutex<Core>,
    waiters: Waiters,
    counted: Counted,
    clock: Clock,
    name: Arc<str>,
    observer: Option<Arc<dyn Observer>>,
    interest: Interest,
}

/// In nanoseconds: so near to the time of the next try the exact clock is asked.
const NEARLY: u64 = 20_000_000;

/// Under the lock. No user code runs while it is held.
struct Core {
    machine: Machine,
    ledger: Ledger,
    /// Why a hand opened it.
    because: Option<Cow<'static, str>>,
}

/// What is counted of all that is not the happy path.
struct Counted {
    rejected: [AtomicU64; 3],
    stale: AtomicU64,
    abandoned: AtomicU64,
    probes_lost: AtomicU64,
}

impl Breaker {
    /// A breaker without a rule: it needs one.
    pub fn builder() -> BreakerBuilder {
        BreakerBuilder::new()
    }

    /// A breaker that opens after so many failures in a row.
    pub fn consecutive(failures: u32) -> BreakerBuilder {
        BreakerBuilder::new().consecutive_failures(failures)
    }

    /// A breaker that opens when this part of the last 100 calls failed.
    pub fn failure_rate(rate: f64) -> BreakerBuilder {
        BreakerBuilder::new().failure_rate(rate)
    }

    fn new(settings: &Settings, name: Arc<str>, clock: Clock, observer: Option<Arc<dyn Observer>>) -> Self {
        let (gate, ledger) = Gate::new(settings);
        let machine = Machine::new(*settings, clock.now().as_nanos());
        let breaker = Self {
            word: AtomicU64::new(machine.word().0),
            until: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            slow_after: AtomicU64::new(settings.slow_after),
            gate,
            core: Mutex::new(Core { machine, ledger, because: None }),
            waiters: Waiters::default(),
            counted: Counted {
                rejected: [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)],
                stale: AtomicU64::new(0),
                abandoned: AtomicU64::new(0),
                probes_lost: AtomicU64::new(0),
            },
            clock,
            name,
            interest: observer.as_ref().map_or(Interest::NONE, |observer| observer.interest()),
            observer,
        };
        breaker.change(|now, machine, window| {
            let _ = machine;
            window.clear(now);
        });
        breaker
    }

    /// Runs `work` if the circuit lets it, and counts how it ended: an error is a failure.
    ///
    /// With a judge of one's own, use the `call` of [`judging`](Self::judging).
    ///
    /// # Waiting
    /// As long as the work. Lazy: nothing happens before the first poll.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the work is dropped first; then its place is given back, and it counts as
    /// [`Abandoned`] says.
    ///
    /// # Panics
    /// It passes on a panic of the work, which counts as a failure.
    ///
    /// # Errors
    /// The work's own, or [`Error::Rejected`](crate::Error::Rejected).
    #[inline]
    pub fn call<T, E, Fut>(&self, work: Fut) -> BreakerCall<'_, Fut, ByDefault>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        BreakerCall::new(self, &ByDefault, work)
    }

    /// The same breaker with a judge of one's own: for a [stack](crate::StackBuilder::breaker), or to
    /// [call](Guard::call).
    ///
    /// # Examples
    /// A page that is not there is no sign of an ill server:
    /// ```
    /// use weirs_resilience::{Breaker, Class, Error, Stack};
    /// use weirs_runtime::block_on;
    ///
    /// let breaker = Breaker::consecutive(1).build().unwrap();
    /// let judged = breaker.judging(|result: &Result<u32, Error<u16>>| match result {
    ///     Ok(_) => Class::Success,
    ///     Err(Error::Inner(404)) => Class::Permanent,
    ///     Err(_) => Class::Failure,
    /// });
    /// let stack = Stack::builder().breaker(judged).build().unwrap();
    /// assert_eq!(block_on(stack.call(async |_| Err::<u32, u16>(404))), Err(Error::Inner(404)));
    /// assert_eq!(block_on(stack.call(async |_| Ok::<u32, u16>(1))), Ok(1));
    /// ```
    pub fn judging<C>(self: &Arc<Self>, judge: C) -> Guard<C> {
        Guard::new(Arc::clone(self), judge)
    }

    /// Asks to be let through now, for work that is no future.
    ///
    /// It reads the clock if it matters how long the call takes.
    ///
    /// # Errors
    /// A refusal, with the time after which it is worth asking again.
    ///
    /// # Examples
    /// ```
    /// use weirs_resilience::{Breaker, Recorded};
    ///
    /// let breaker = Breaker::failure_rate(0.5).build().unwrap();
    /// let permit = breaker.try_acquire().unwrap();
    /// assert_eq!(permit.success(), Recorded::Counted);
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejection> {
        Ok(Permit::new(self, self.admit_free()?))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that keeps the breaker.
    ///
    /// # Errors
    /// The same.
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<OwnedPermit, Rejection> {
        Ok(OwnedPermit::new(Arc::clone(self), self.admit_free()?))
    }

    /// Tries the other side by itself, so that no caller has to be the probe: the future to be driven, which
    /// never ends.
    ///
    /// When an open circuit's time has come, it calls `probe` as often as it takes, and counts an error as a
    /// failure. While it is there, callers are refused in a half open circuit; only if it is late by the
    /// [lease](BreakerBuilder::lease), they probe again as ever. A probe should have a limit of time.
    ///
    /// # Waiting
    /// For ever.
    ///
    /// # Cancel safety
    /// Dropped, callers probe again. A probe that runs is dropped and gives its place back.
    ///
    /// # Panics
    /// It passes on a panic of the probe, which counts as a failure.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use futures_lite::future::race;
    /// use weirs_resilience::{Breaker, Circuit};
    /// use weirs_runtime::block_on;
    ///
    /// let breaker = Breaker::consecutive(1).open_for(Duration::from_millis(5)).build().unwrap();
    /// breaker.try_acquire().unwrap().failure();
    /// let prober = breaker.probe_with(|| async { Ok::<_, ()>(()) });
    /// let closed = async {
    ///     breaker.ready().await;
    /// };
    /// block_on(race(closed, async { match prober.await {} }));
    /// assert_eq!(breaker.state(), Circuit::Closed);
    /// ```
    pub fn probe_with<F, Fut, T, E>(&self, probe: F) -> impl Future<Output = Probed> + use<'_, F, Fut, T, E>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        probe::run(self, probe)
    }

    /// What it does with calls. An open circuit is open until somebody comes after its time.
    #[inline]
    pub fn state(&self) -> Circuit {
        Word(self.word.load(Ordering::Acquire)).circuit()
    }

    /// Its name, empty if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The clock whose time counts.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    #[inline]
    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    /// Where a few milliseconds do not matter, the clock that costs a quarter.
    #[inline]
    fn now_or_about(&self, about: bool) -> u64 {
        if about { self.clock.coarse_now().as_nanos() } else { self.now() }
    }

    /// For how long calls take.
    #[inline]
    fn now_of_calls(&self, shape: Shape) -> u64 {
        self.now_or_about(shape.has_coarse_calls())
    }

    /// For whoever has no poll at which he could find out that the call takes long.
    #[inline]
    fn admit_free(&self) -> Result<Held, Rejection> {
        let mut held = self.admit(false, None).map_err(|refused| {
            let after = refused.after.map(Duration::from_nanos);
            Rejection::new(refused.reason, Place::ALONE).retry_after_of(after)
        })?;
        let shape = self.gate.shape();
        if held.is_unknown() && (shape.is_timed() || shape.is_by_age()) {
            held.began = self.now_of_calls(shape);
        }
        Ok(held)
    }

    /// Whether a call may go through.
    #[inline]
    fn admit(&self, prober: bool, scene: Option<Scene<'_>>) -> Result<Held, Refused> {
        let word = Word(self.word.load(Ordering::Acquire));
        if !word.passes() {
            return self.admit_slowly(word, prober, scene);
        }
        let shape = self.gate.shape();
        let began = if shape.is_timed() { self.now_of_calls(shape) } else { Held::UNKNOWN };
        Ok(Held { ticket: Ticket { key: word.key(), slot: 0 }, began })
    }

    #[inline(never)]
    fn admit_slowly(&self, word: Word, prober: bool, scene: Option<Scene<'_>>) -> Result<Held, Refused> {
        let circuit = word.circuit();
        if circuit == Circuit::ForcedOpen {
            return Err(self.refuse(Refused { reason: Reason::CircuitForced, after: None }, scene));
        }
        // Long before the time has come, it is enough to know it about. A coarse clock is behind, so the wait
        // that is told is rather too long than too short.
        let mut now = self.now_or_about(true);
        let mut wait = self.until.load(Ordering::Acquire).saturating_sub(now);
        if wait <= NEARLY || now < self.latest.load(Ordering::Relaxed) {
            now = self.now();
            wait = self.until.load(Ordering::Acquire).saturating_sub(now);
        }
        // Before the latest time that it has seen, the clock was set back.
        if wait > 0 && now >= self.latest.load(Ordering::Relaxed) && !prober {
            let half = circuit == Circuit::HalfOpen;
            let reason = if half { Reason::CircuitHalfOpen } else { Reason::CircuitOpen };
            return Err(self.refuse(Refused { reason, after: Some(wait) }, scene));
        }
        let now = if prober { self.now() } else { now };
        let (admitted, event) = self.change_at(now, |machine, window| machine.acquire(window, now, prober));
        if let Some(event) = event {
            if matches!(event, EventKind::ProbeLost { .. }) {
                self.counted.probes_lost.fetch_add(1, Ordering::Relaxed);
            }
            // An observer that panics: the place of the call that does not begin is given back.
            let back = Back(self, admitted.as_ref().ok().copied());
            self.tell(scene, event);
            std::mem::forget(back);
        }
        match admitted {
            Ok(ticket) => Ok(Held { ticket, began: now }),
            Err(refused) => Err(self.refuse(refused, scene)),
        }
    }

    #[inline]
    fn refuse(&self, refused: Refused, _: Option<Scene<'_>>) -> Refused {
        let index = match refused.reason {
            Reason::CircuitOpen => 0,
            Reason::CircuitHalfOpen => 1,
            _ => 2,
        };
        self.counted.rejected[index].fetch_add(1, Ordering::Relaxed);
        if self.interest.contains(Interest::REJECTIONS) {
            let retry_after = refused.after.map(Duration::from_nanos);
            // The stack tells of it by itself.
            self.tell(None, EventKind::Rejected { reason: refused.reason, retry_after });
        }
        refused
    }

    /// A call ended so.
    #[inline]
    fn finish(&self, held: Held, class: Class, scene: Option<Scene<'_>>) -> Recorded {
        let key = held.ticket.key;
        // A success among successes in a row changes nothing: it is enough to look.
        if matches!(class, Class::Success)
            && self.gate.shape().is_plain()
            && key.counts()
            && self.word.load(Ordering::Acquire) == key.0
        {
            return Recorded::Counted;
        }
        self.finish_counted(held, class, scene)
    }

    #[inline(never)]
    fn finish_counted(&self, held: Held, class: Class, scene: Option<Scene<'_>>) -> Recorded {
        let shape = self.gate.shape();
        let now = (shape.is_timed() && !held.is_unknown()).then(|| self.now_of_calls(shape));
        let slow = now.is_some_and(|now| self.is_slow(now.saturating_sub(held.began)));
        // What changes the circuit asks for the exact time.
        let exact = now.filter(|_| !shape.has_coarse_calls());
        self.finish_with(held.ticket, class, slow, exact, scene)
    }

    /// A call ended so, and took so long.
    fn finish_after(&self, ticket: Ticket, class: Class, elapsed: Duration) -> Recorded {
        let slow = self.gate.shape().is_timed() && self.is_slow(nanos(elapsed));
        self.finish_with(ticket, class, slow, None, None)
    }

    #[inline]
    fn is_slow(&self, elapsed: u64) -> bool {
        elapsed >= self.slow_after.load(Ordering::Relaxed)
    }

    #[inline]
    fn finish_with(
        &self,
        ticket: Ticket,
        class: Class,
        slow: bool,
        now: Option<u64>,
        scene: Option<Scene<'_>>,
    ) -> Recorded {
        let is_good = matches!(class, Class::Success | Class::Permanent);
        if is_good && !slow && ticket.key.counts() {
            let shape = self.gate.shape();
            let counted = if shape.counts() {
                self.gate.count(shape, &self.word, ticket.key.0, || {
                    now.unwrap_or_else(|| self.now_or_about(shape.has_coarse_buckets()))
                })
            } else {
                self.word.load(Ordering::Acquire) == ticket.key.0
            };
            if counted {
                return Recorded::Counted;
            }
        }
        let end = match class {
            Class::Ignored => End::Ignored,
            _ => End::Counts(Mark { failure: !is_good, slow }),
        };
        let after = match class {
            Class::After(after) => Some(nanos(after)),
            _ => None,
        };
        self.record(ticket, end, after, now, scene)
    }

    /// Under the lock.
    #[inline(never)]
    fn record(
        &self,
        ticket: Ticket,
        end: End,
        after: Option<u64>,
        now: Option<u64>,
        scene: Option<Scene<'_>>,
    ) -> Recorded {
        let word = Word(self.word.load(Ordering::Acquire));
        let says_nothing = end == End::Ignored || word.circuit() == Circuit::Disabled;
        if says_nothing && !ticket.is_probe() && word.key() == ticket.key {
            return Recorded::Ignored;
        }
        let shape = self.gate.shape();
        let draw = match end {
            End::Counts(_) if shape.is_by_chance() => self.clock.random_f64(),
            _ => 0.5,
        };
        let now = now.unwrap_or_else(|| self.now());
        let (recorded, event) =
            self.change_at(now, |machine, window| machine.record(window, now, ticket, end, after, draw));
        if recorded == Recorded::Stale {
            self.counted.stale.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(event) = event {
            self.tell(scene, event);
        }
        recorded
    }

    /// A call was dropped in the middle.
    #[cold]
    fn abandon(&self, held: Held, panicked: bool, scene: Option<Scene<'_>>) {
        let shape = self.gate.shape();
        let now = self.now();
        let is_old = !held.is_unknown() && self.is_slow(now.saturating_sub(held.began));
        let mark = Mark { failure: true, slow: is_old && shape.is_timed() };
        let failure = panicked || shape.drop_fails() || shape.is_by_age() && is_old;
        if !panicked {
            self.counted.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        let end = if failure { End::Counts(mark) } else { End::Ignored };
        self.record(held.ticket, end, None, Some(now), scene);
        if !panicked {
            self.tell(scene, EventKind::Abandoned { failure });
        }
    }

    fn change<R>(&self, change: impl FnOnce(u64, &mut Machine, &mut SharedWindow<'_>) -> R) -> R {
        let now = self.now();
        self.change_at(now, |machine, window| change(now, machine, window))
    }

    fn change_at<R>(&self, now: u64, change: impl FnOnce(&mut Machine, &mut SharedWindow<'_>) -> R) -> R {
        self.change_core_at(now, None, |_, core, gate, settings| {
            let mut window = SharedWindow { gate, ledger: &mut core.ledger, settings };
            change(&mut core.machine, &mut window)
        })
    }

    fn change_core<R>(
        &self,
        settings: Option<&Settings>,
        change: impl FnOnce(u64, &mut Core, &Gate, &Settings) -> R,
    ) -> R {
        self.change_core_at(self.now(), settings, change)
    }

    /// Changes what is under the lock, shows it to those who only look, and wakes those who wait.
    fn change_core_at<R>(
        &self,
        now: u64,
        settings: Option<&Settings>,
        change: impl FnOnce(u64, &mut Core, &Gate, &Settings) -> R,
    ) -> R {
        let mut core = lock(&self.core);
        let settings = *settings.unwrap_or(core.machine.settings());
        let (before, before_at) = (core.machine.word(), core.machine.admits_at(false));
        let output = change(now, &mut core, &self.gate, &settings);
        let Core { machine, ledger, because } = &mut *core;
        let (after, at) = (machine.word(), machine.admits_at(false));
        if after.circuit() != Circuit::ForcedOpen {
            *because = None;
        }
        self.until.store(at.unwrap_or(u64::MAX), Ordering::Release);
        self.latest.store(machine.latest(), Ordering::Relaxed);
        // First the word and then the gate: see the rules of the gate.
        self.word.store(after.0, Ordering::Release);
        if after.counts() && ledger.has_window() {
            let calls = SharedWindow { gate: &self.gate, ledger, settings: &settings }.counts(now).calls;
            ledger.set_open(&self.gate, after == after.key() && calls >= settings.min_calls());
        }
        drop(core);
        if before.key() != after.key() || before_at != at {
            self.waiters.wake();
        }
        output
    }

    fn tell(&self, scene: Option<Scene<'_>>, event: EventKind) {
        if let Some(observer) = &self.observer {
            if self.interest.contains(event.interest()) {
                tell(&**observer, &Event::new(&self.name, Place::ALONE, event));
            }
        }
        if let Some(scene) = scene {
            scene.tell(event);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
