//! [`BreakerModel`]: the machine with a window in plain words, for tests.

use std::time::Duration;

use super::machine::{End, Machine, Recorded, Refused, Ticket};
use super::settings::Settings;
use super::window::{Counts, PlainWindow, Window};
use super::{BreakerBuilder, Circuit};
use crate::attempt::nanos;
use crate::{EventKind, Invalid};

/// What may happen to a breaker.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody wants in.
    Acquire,
    /// Somebody who probes out of band wants in.
    Probe,
    /// A call ended; the other side may have said when to come again.
    Record(Ticket, End, Option<Duration>),
    /// A hand sets the circuit.
    Force(Circuit),
    /// A hand closes the circuit.
    Reset,
    /// Other settings.
    Reconfigure(BreakerBuilder),
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Come in.
    Admitted(Ticket),
    /// Stay out.
    Refused(Refused),
    /// Thanks.
    Recorded(Recorded),
    /// As you wish.
    Done,
}

/// A breaker without a clock and without atomics: the model of [`Breaker`](crate::Breaker).
#[derive(Clone, Debug)]
pub struct BreakerModel {
    machine: Machine,
    window: PlainWindow,
}

impl BreakerModel {
    /// A closed one. Name, clock and observer are not looked at; jitter is always in the middle.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn new(settings: &BreakerBuilder, now: u64) -> Result<Self, Invalid> {
        let settings: Settings = settings.settings;
        settings.check()?;
        let mut window = PlainWindow::new(settings.window());
        window.clear(now);
        Ok(Self { machine: Machine::new(settings, now), window })
    }

    /// This happens, at that time in nanoseconds.
    pub fn step(&mut self, now: u64, input: Input) -> (Output, Option<EventKind>) {
        let Self { machine, window } = self;
        match input {
            Input::Acquire | Input::Probe => {
                let (result, event) = machine.acquire(window, now, matches!(input, Input::Probe));
                (result.map_or_else(Output::Refused, Output::Admitted), event)
            }
            Input::Record(ticket, end, after) => {
                let (recorded, event) = machine.record(window, now, ticket, end, after.map(nanos), 0.5);
                (Output::Recorded(recorded), event)
            }
            Input::Force(circuit) => (Output::Done, Some(machine.force(window, now, circuit))),
            Input::Reset => (Output::Done, Some(machine.force(window, now, Circuit::Closed))),
            Input::Reconfigure(builder) => {
                machine.reconfigure(window, now, builder.settings);
                (Output::Done, None)
            }
        }
    }

    /// What it does with calls.
    pub fn circuit(&self) -> Circuit {
        self.machine.word().circuit()
    }

    /// Whether slow calls count.
    pub fn counts_slow(&self) -> bool {
        self.machine.settings().times_calls()
    }

    /// How often it changed.
    pub fn generation(&self) -> u32 {
        self.machine.word().generation()
    }

    /// What is in the window.
    pub fn counts(&mut self, now: u64) -> Counts {
        self.window.counts(now)
    }

    /// The earliest time at which it admits, if nothing happens until then; `None` if only a hand can open
    /// it.
    pub fn admits_at(&self) -> Option<u64> {
        self.machine.admits_at(false)
    }
}
