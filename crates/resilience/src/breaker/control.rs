//! What a hand does to a breaker: open, close, look, keep, set anew.

use std::borrow::Cow;
use std::time::Duration;

use super::shared::SharedWindow;
use super::window::Window;
use super::{Breaker, BreakerBuilder, BreakerSnapshot, BreakerStats, Circuit, Counted};
use crate::sync::{AtomicU64, Ordering, lock};
use crate::{EventKind, Invalid};

impl Breaker {
    /// Opens the circuit, until [`reset`](Self::reset) or another hand. The reason is for people.
    pub fn force_open(&self, because: impl Into<Cow<'static, str>>) {
        self.force(Circuit::ForcedOpen, Some(because.into()));
    }

    /// Lets all calls through, and counts nothing, until [`reset`](Self::reset) or another hand.
    pub fn disable(&self) {
        self.force(Circuit::Disabled, None);
    }

    /// Lets all calls through and counts them, and tells once when it would have opened: until
    /// [`reset`](Self::reset) or another hand.
    pub fn metrics_only(&self) {
        self.force(Circuit::MetricsOnly, None);
    }

    /// Closes the circuit, and forgets what was counted in the window and how often it opened in a row.
    pub fn reset(&self) {
        self.force(Circuit::Closed, None);
    }

    /// Why a hand opened it, while it is open for that.
    pub fn forced_because(&self) -> Option<Cow<'static, str>> {
        lock(&self.core).because.clone()
    }

    fn force(&self, circuit: Circuit, because: Option<Cow<'static, str>>) {
        let event = self.change_core(None, |now, core, gate, settings| {
            core.because = because;
            let mut window = SharedWindow { gate, ledger: &mut core.ledger, settings };
            core.machine.force(&mut window, now, circuit)
        });
        self.tell(None, event);
    }

    /// Goes on with other settings. The circuit stays what it is, and a new window begins with what was
    /// counted in the old one. A round of probes begins anew. Name, clock and observer stay.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing is changed.
    pub fn reconfigure(&self, settings: BreakerBuilder) -> Result<(), Invalid> {
        let settings = settings.settings;
        settings.check()?;
        let generation = self.change_core(Some(&settings), |now, core, gate, settings| {
            let mut window = SharedWindow { gate, ledger: &mut core.ledger, settings };
            core.machine.reconfigure(&mut window, now, *settings);
            core.ledger.set_shape(gate, settings);
            self.slow_after.store(settings.slow_after, Ordering::Relaxed);
            core.machine.word().generation()
        });
        self.tell(None, EventKind::Reconfigured { generation });
        Ok(())
    }

    /// What it knows of the other side, to be kept over a restart.
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.change_core(None, |now, core, gate, settings| {
            let mut window = SharedWindow { gate, ledger: &mut core.ledger, settings };
            let machine = &core.machine;
            let circuit = machine.word().circuit();
            let rest = machine.until().saturating_sub(now);
            BreakerSnapshot {
                circuit,
                opens_in: (circuit == Circuit::Open).then_some(Duration::from_nanos(rest)),
                forced_because: core.because.clone().map(Cow::into_owned),
                trips: machine.trips(),
                openings: machine.openings,
                consecutive_failures: machine.word().0 as u32,
                counts: window.counts(now),
            }
        })
    }

    /// Goes on with what another knew. Calls that run are of an older generation.
    ///
    /// Nobody knows what became of another's probes: half open becomes open, and the next call is a probe.
    ///
    /// # Examples
    /// ```
    /// use weirs_resilience::{Breaker, Circuit};
    ///
    /// let before = Breaker::consecutive(1).build().unwrap();
    /// before.try_acquire().unwrap().failure();
    /// let after = Breaker::consecutive(1).build().unwrap();
    /// after.restore(&before.snapshot());
    /// assert_eq!(after.state(), Circuit::Open);
    /// ```
    pub fn restore(&self, kept: &BreakerSnapshot) {
        let because = kept.forced_because.clone().map(Cow::Owned);
        self.change_core(None, |now, core, gate, settings| {
            core.because = because;
            let mut window = SharedWindow { gate, ledger: &mut core.ledger, settings };
            core.machine.restore(&mut window, now, kept);
        });
    }

    /// What it looks like now.
    pub fn stats(&self) -> BreakerStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counted { rejected, stale, abandoned, probes_lost } = &self.counted;
        self.change(|now, machine, window| {
            let word = machine.word();
            BreakerStats {
                circuit: word.circuit(),
                for_time: Duration::from_nanos(now.saturating_sub(machine.since())),
                generation: word.generation(),
                openings: machine.openings,
                openings_in_a_row: machine.trips(),
                consecutive_failures: word.0 as u32,
                counts: window.counts(now),
                rejected_open: load(&rejected[0]),
                rejected_half_open: load(&rejected[1]),
                rejected_forced: load(&rejected[2]),
                stale: load(stale),
                abandoned: load(abandoned),
                probes_lost: load(probes_lost),
            }
        })
    }

    /// Whether nothing speaks against the other side.
    pub(crate) fn is_idle(&self) -> bool {
        self.change(|now, machine, window| {
            let word = machine.word();
            word.circuit() == Circuit::Closed && word == word.key() && window.counts(now).failures == 0
        })
    }
}
