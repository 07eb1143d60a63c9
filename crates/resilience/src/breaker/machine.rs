//! [`Machine`]: when a circuit opens and closes. It has no clock and no atomics: time is a number that it is
//! given.

use std::fmt;

use weirs_runtime::Instant;

use super::BreakerSnapshot;
use super::settings::{Settings, Span};
use super::window::{Mark, Window};
use crate::attempt::nanos;
use crate::{EventKind, Reason};

/// What a circuit does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Circuit {
    /// Calls pass, and are counted.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls pass, the probes; their ends decide.
    HalfOpen,
    /// Calls are refused until a hand closes it.
    ForcedOpen,
    /// Calls pass, and nothing is counted.
    Disabled,
    /// Calls pass and are counted; it only tells when it would have opened.
    MetricsOnly,
}

impl Circuit {
    const ALL: [Self; 6] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::Disabled, Self::MetricsOnly];
}

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half open",
            Self::ForcedOpen => "forced open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics only",
        })
    }
}

/// The state in one number: state 3 bits, generation 29, consecutive failures 32. So whoever only looks needs
/// no lock, and a permit remembers what it was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    const GENERATIONS: u32 = (1 << 29) - 1;

    pub(super) const fn new(circuit: Circuit, generation: u32, failures: u32) -> Self {
        Self((circuit as u64) << 61 | (generation as u64) << 32 | failures as u64)
    }

    pub(super) fn circuit(self) -> Circuit {
        Circuit::ALL[(self.0 >> 61) as usize]
    }

    pub(super) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & Self::GENERATIONS
    }

    /// The same without failures: what a permit keeps.
    #[inline]
    pub(super) const fn key(self) -> Self {
        Self(self.0 >> 32 << 32)
    }

    /// Whether calls pass that need not be remembered.
    #[inline]
    pub(super) const fn passes(self) -> bool {
        matches!(self.0 >> 61, 0 | 4 | 5)
    }

    /// Whether calls are counted and do not decide one by one.
    #[inline]
    pub(super) const fn counts(self) -> bool {
        matches!(self.0 >> 61, 0 | 5)
    }
}

/// What a call was admitted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(super) key: Word,
    /// Which of the probes' places it has.
    pub(super) slot: u8,
}

impl Ticket {
    /// The breaker's generation when it was admitted.
    pub fn generation(self) -> u32 {
        self.key.generation()
    }

    /// Whether its end decides about the circuit.
    pub fn is_probe(self) -> bool {
        self.key.circuit() == Circuit::HalfOpen
    }
}

/// A refusal, and after how many nanoseconds it is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// None if only a hand can change it.
    pub after: Option<u64>,
}

/// Whether the end of a call was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recorded {
    /// It was.
    Counted,
    /// The circuit has changed since the call was admitted: the end says nothing about the circuit as it is,
    /// and was not counted.
    Stale,
    /// It says nothing, or the circuit is [disabled](Circuit::Disabled).
    Ignored,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It counts nowhere, and gives its place back.
    Ignored,
    /// So.
    Counts(Mark),
}

/// All that decides.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    settings: Settings,
    circuit: Circuit,
    generation: u32,
    /// Failures in a row.
    failures: u32,
    /// When the circuit became what it is.
    since: u64,
    /// Open: when it tries the other side again, and how long it is open in all.
    until: u64,
    span: u64,
    /// How often it opened without a while of peace between.
    trips: u32,
    round: Round,
    /// Told already that it would have opened.
    told: bool,
    /// Somebody probes out of band.
    pub(super) probers: u32,
    pub(super) openings: u64,
}

/// A round of probes.
#[derive(Clone, Debug, Default)]
struct Round {
    /// When the probe in each place began; [`FREE`] if none is out there.
    places: Vec<u64>,
    used: u32,
    ok: u32,
    failed: u32,
    /// How many began in this round: more than places when some were given back.
    begun: u32,
    latest: u64,
}

const FREE: u64 = u64::MAX;

impl Machine {
    pub(super) fn new(settings: Settings, now: u64) -> Self {
        Self {
            settings,
            circuit: Circuit::Closed,
            generation: 0,
            failures: 0,
            since: now,
            until: 0,
            span: 0,
            trips: 0,
            round: Round::default(),
            told: false,
            probers: 0,
            openings: 0,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn word(&self) -> Word {
        Word::new(self.circuit, self.generation, self.failures)
    }

    pub(super) fn since(&self) -> u64 {
        self.since
    }

    pub(super) fn trips(&self) -> u32 {
        self.trips
    }

    /// When an open circuit tries the other side again.
    pub(super) fn until(&self) -> u64 {
        self.until
    }

    /// The earliest time at which a call can be admitted, if nothing happens until then.
    pub(super) fn admits_at(&self, prober: bool) -> Option<u64> {
        let users = |at: u64| if self.probers > 0 && !prober { self.reserved_until().max(at) } else { at };
        match self.circuit {
            Circuit::Closed | Circuit::Disabled | Circuit::MetricsOnly => Some(0),
            Circuit::ForcedOpen => None,
            Circuit::Open => Some(users(self.until)),
            Circuit::HalfOpen => Some(users(self.round_admits_at())),
        }
    }

    /// The latest time that the circuit has seen of which waits are reckoned.
    pub(super) fn latest(&self) -> u64 {
        self.since.max(self.round.latest)
    }

    /// As long as somebody probes out of band, users do not, unless he is late.
    fn reserved_until(&self) -> u64 {
        let due = if self.circuit == Circuit::Open { self.until } else { self.since };
        due.saturating_add(self.settings.lease())
    }

    fn round_admits_at(&self) -> u64 {
        let round = &self.round;
        if round.used < self.settings.probes {
            let paced = round.begun >= self.settings.probes;
            return if paced { round.latest.saturating_add(self.settings.pace()) } else { 0 };
        }
        let oldest = round.places.iter().copied().min().unwrap_or(0);
        oldest.saturating_add(self.settings.lease())
    }

    pub(super) fn acquire(
        &mut self,
        window: &mut impl Window,
        now: u64,
        prober: bool,
    ) -> (Result<Ticket, Refused>, Option<EventKind>) {
        self.if_set_back(now);
        let reason = match self.circuit {
            Circuit::Closed | Circuit::Disabled | Circuit::MetricsOnly => {
                return (Ok(Ticket { key: self.word().key(), slot: 0 }), None);
            }
            Circuit::ForcedOpen => {
                return (Err(Refused { reason: Reason::CircuitForced, after: None }), None);
            }
            Circuit::Open => Reason::CircuitOpen,
            Circuit::HalfOpen => Reason::CircuitHalfOpen,
        };
        let at = self.admits_at(prober).unwrap_or(FREE);
        if now < at {
            return (Err(Refused { reason, after: Some(at - now) }), None);
        }
        let event = if self.circuit == Circuit::Open {
            self.become_(Circuit::HalfOpen, window, now);
            Some(EventKind::HalfOpened { generation: self.generation })
        } else if self.round.used >= self.settings.probes {
            // The oldest probe is lost: whatever it says later is of another generation.
            self.become_(Circuit::HalfOpen, window, now);
            Some(EventKind::ProbeLost { generation: self.generation })
        } else {
            None
        };
        (Ok(self.grant(now)), event)
    }

    fn grant(&mut self, now: u64) -> Ticket {
        let round = &mut self.round;
        let slot = round.places.iter().position(|began| *began == FREE).unwrap_or_else(|| {
            round.places.push(FREE);
            round.places.len() - 1
        });
        round.places[slot] = now;
        round.used += 1;
        round.begun += 1;
        round.latest = now;
        Ticket { key: self.word().key(), slot: slot as u8 }
    }

    /// The end of a call. `after` is what the other side said about when to come again, `draw` a number
    /// between 0 and 1.
    pub(super) fn record(
        &mut self,
        window: &mut impl Window,
        now: u64,
        ticket: Ticket,
        end: End,
        after: Option<u64>,
        draw: f64,
    ) -> (Recorded, Option<EventKind>) {
        if ticket.key != self.word().key() {
            return (Recorded::Stale, Some(EventKind::Stale { generation: ticket.generation() }));
        }
        match (self.circuit, end) {
            (Circuit::HalfOpen, _) => self.record_probe(window, now, ticket, end, after, draw),
            (Circuit::Closed | Circuit::MetricsOnly, End::Counts(mark)) => {
                (Recorded::Counted, self.record_counted(window, now, mark, after, draw))
            }
            // No permit is of a circuit that refuses.
            _ => (Recorded::Ignored, None),
        }
    }

    fn record_probe(
        &mut self,
        window: &mut impl Window,
        now: u64,
        ticket: Ticket,
        end: End,
        after: Option<u64>,
        draw: f64,
    ) -> (Recorded, Option<EventKind>) {
        self.round.places[usize::from(ticket.slot)] = FREE;
        let End::Counts(mark) = end else {
            self.round.used -= 1;
            return (Recorded::Ignored, None);
        };
        let (probes, needed) = (self.settings.probes, self.settings.needed());
        if mark.failure || mark.slow {
            self.round.failed += 1;
            let decided = self.round.failed > probes - needed;
            return (Recorded::Counted, decided.then(|| self.open(window, now, after, draw)));
        }
        self.round.ok += 1;
        let decided = self.round.ok >= needed;
        (Recorded::Counted, decided.then(|| self.close(window, now)))
    }

    fn record_counted(
        &mut self,
        window: &mut impl Window,
        now: u64,
        mark: Mark,
        after: Option<u64>,
        draw: f64,
    ) -> Option<EventKind> {
        if self.settings.consecutive.is_some() {
            self.failures = if mark.failure { self.failures.saturating_add(1) } else { 0 };
        }
        let (counts, grew) = window.record(now, mark);
        let in_a_row = mark.failure && self.settings.consecutive.is_some_and(|most| self.failures >= most);
        // A success can only lower the rates, but for the one that makes them mean something.
        let may_trip = mark.failure || mark.slow || grew && counts.calls == self.settings.min_calls();
        if !(in_a_row || may_trip && self.settings.trips(counts)) {
            return None;
        }
        if self.circuit == Circuit::MetricsOnly {
            let first = !std::mem::replace(&mut self.told, true);
            return first.then_some(EventKind::WouldOpen { generation: self.generation });
        }
        let in_peace = match self.settings.window() {
            Some(Span::Calls(calls)) => counts.calls >= u64::from(calls),
            Some(Span::Time { length, .. }) => now.saturating_sub(self.since) >= length,
            None => now.saturating_sub(self.since) >= self.span,
        };
        if in_peace {
            self.trips = 0;
        }
        Some(self.open(window, now, after, draw))
    }

    fn open(&mut self, window: &mut impl Window, now: u64, after: Option<u64>, draw: f64) -> EventKind {
        let said = self.settings.heed.and_then(|cap| after.map(|after| after.min(cap)));
        let own = self.settings.open_for.span(self.trips, draw);
        self.open_for(window, now, said.filter(|said| *said > 0).unwrap_or(own));
        self.trips = self.trips.saturating_add(1);
        self.openings = self.openings.saturating_add(1);
        let until = Some(Instant::from_nanos(self.until));
        EventKind::Opened { generation: self.generation, until }
    }

    fn open_for(&mut self, window: &mut impl Window, now: u64, span: u64) {
        self.become_(Circuit::Open, window, now);
        self.span = span;
        self.until = now.saturating_add(span);
    }

    fn close(&mut self, window: &mut impl Window, now: u64) -> EventKind {
        self.become_(Circuit::Closed, window, now);
        EventKind::Closed { generation: self.generation }
    }

    /// Another generation begins: what was admitted before it is stale.
    fn become_(&mut self, circuit: Circuit, window: &mut impl Window, now: u64) {
        self.circuit = circuit;
        self.generation = self.generation.wrapping_add(1) & Word::GENERATIONS;
        self.failures = 0;
        self.since = now;
        self.told = false;
        self.round.places.fill(FREE);
        self.round = Round { places: std::mem::take(&mut self.round.places), ..Round::default() };
        window.clear(now);
    }

    /// By hand.
    pub(super) fn force(&mut self, window: &mut impl Window, now: u64, circuit: Circuit) -> EventKind {
        if circuit == Circuit::Closed {
            self.trips = 0;
        }
        self.become_(circuit, window, now);
        match circuit {
            Circuit::ForcedOpen => {
                self.openings = self.openings.saturating_add(1);
                EventKind::Opened { generation: self.generation, until: None }
            }
            _ => EventKind::Closed { generation: self.generation },
        }
    }

    /// Other settings; the state stays. Only a round of probes begins anew: it was of another size.
    pub(super) fn reconfigure(&mut self, window: &mut impl Window, now: u64, settings: Settings) {
        let (old, new) = (self.settings.window(), settings.window());
        self.settings = settings;
        if self.circuit == Circuit::HalfOpen {
            self.become_(Circuit::HalfOpen, window, now);
            self.round.places.truncate(settings.probes as usize);
        }
        if settings.consecutive.is_none() {
            self.failures = 0;
        }
        if old != new {
            let counts = window.counts(now);
            window.reshape(now, new, counts);
        }
    }

    /// As it was when it was kept.
    pub(super) fn restore(&mut self, window: &mut impl Window, now: u64, kept: &BreakerSnapshot) {
        match kept.circuit {
            // Nobody knows what became of the probes: the next call is one.
            Circuit::HalfOpen => self.open_for(window, now, 0),
            Circuit::Open => {
                let rest = kept.opens_in.unwrap_or_default();
                self.open_for(window, now, nanos(rest));
            }
            circuit => self.become_(circuit, window, now),
        }
        self.span = self.span.max(self.settings.open_for.span(0, 0.5));
        self.trips = kept.trips;
        self.openings = kept.openings;
        if self.word().counts() {
            self.failures = self.settings.consecutive.map_or(0, |_| kept.consecutive_failures);
            window.reshape(now, self.settings.window(), kept.counts);
        }
    }

    /// A clock that was set back makes nothing wait for longer than it had to anyway.
    pub(super) fn if_set_back(&mut self, now: u64) {
        if now >= self.latest() || !matches!(self.circuit, Circuit::Open | Circuit::HalfOpen) {
            return;
        }
        self.since = self.since.min(now);
        if self.until.saturating_sub(now) > self.span {
            self.until = now.saturating_add(self.span);
        }
        self.round.latest = self.round.latest.min(now);
        self.round
            .places
            .iter_mut()
            .filter(|began| **began != FREE)
            .for_each(|began| *began = now.min(*began));
    }
}
