//! [`Machine`]: what a scope is allowed to do.

use std::time::Duration;

use weirs_runtime::Instant;
use weirs_scopes::{Reason, Refusal};

pub(crate) const BODY: usize = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Body,
    Child,
    Service,
    Deferred,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Its future is made, and nobody took it.
    New,
    Live,
    /// It came to its end by itself, and its future is about to be dropped.
    Ended,
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Failed(usize),
    Panicked,
    Cancelled(Reason),
}

/// What a scope is allowed to do.
pub(crate) struct Machine {
    pub(crate) limit: usize,
    pub(crate) grace: Duration,
    pub(crate) deadline: Instant,
    pub(crate) units: Vec<(Kind, Status)>,
    /// Cancelled by their handles, so that they are not polled again.
    pub(crate) cancelled: Vec<usize>,
    pub(crate) closed: bool,
    /// In which poll of the scope it was cancelled by request.
    pub(crate) requested: Option<u64>,
    /// Its own handle was the first to cancel it.
    pub(crate) from_within: bool,
    /// When it was stopped, and why; several if they came in one poll of the scope.
    pub(crate) stopped: Option<(Instant, u64)>,
    pub(crate) causes: Vec<Cause>,
    pub(crate) first_panic: Option<usize>,
    pub(crate) value: Option<usize>,
    /// Whoever waits for room, in order.
    pub(crate) waiting: Vec<usize>,
    /// What is deferred and did not begin.
    pub(crate) deferred: Vec<usize>,
    pub(crate) running: Option<usize>,
    /// The first of them began: the outcome is settled, but for a panic.
    pub(crate) cleaning: bool,
    pub(crate) skipped: usize,
    pub(crate) dropped: bool,
    pub(crate) forgotten: bool,
    pub(crate) poll: u64,
    pub(crate) log: Vec<String>,
    pub(crate) wrong: Option<String>,
}

impl Machine {
    pub(crate) fn new(limit: usize, grace: Duration, deadline: Instant) -> Self {
        Self {
            limit,
            grace,
            deadline,
            units: vec![(Kind::Body, Status::Live)],
            cancelled: Vec::new(),
            closed: false,
            requested: None,
            from_within: false,
            stopped: None,
            causes: Vec::new(),
            first_panic: None,
            value: None,
            waiting: Vec::new(),
            deferred: Vec::new(),
            running: None,
            cleaning: false,
            skipped: 0,
            dropped: false,
            forgotten: false,
            poll: 0,
            log: Vec::new(),
            wrong: None,
        }
    }

    pub(crate) fn live(&self, kind: Kind) -> usize {
        self.units.iter().filter(|unit| **unit == (kind, Status::Live)).count()
    }

    pub(crate) fn body_is_there(&self) -> bool {
        self.units[BODY].1 != Status::Gone
    }

    /// The next number, for a future that is about to be offered.
    pub(crate) fn make(&mut self, kind: Kind) -> usize {
        self.units.push((kind, Status::New));
        self.units.len() - 1
    }

    /// What a spawn has to come to.
    pub(crate) fn foretell(&self, kind: Kind, number: usize, is_cancelled: bool) -> Result<(), Refusal> {
        if is_cancelled {
            return Err(Refusal::Cancelled);
        }
        if self.closed || self.cleaning {
            return Err(Refusal::Closed);
        }
        let waits = self.waiting.first().is_some_and(|first| *first != number);
        // One that has ended by itself holds its room until its poll is over.
        let ending = self.units.iter().filter(|unit| **unit == (Kind::Child, Status::Ended)).count();
        if kind == Kind::Child && (self.live(Kind::Child) + ending >= self.limit || waits) {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    pub(crate) fn spawned(&mut self, number: usize) {
        assert_eq!(self.units[number].1, Status::New);
        self.units[number].1 = Status::Live;
        self.waiting.retain(|waiting| *waiting != number);
        if self.units[number].0 == Kind::Deferred {
            self.deferred.push(number);
        }
        assert!(self.live(Kind::Child) <= self.limit, "more than the limit exist");
    }

    pub(crate) fn polled(&mut self, number: usize, now: Instant) {
        let (kind, status) = self.units[number];
        assert_eq!(status, Status::Live, "#{number} is polled");
        assert!(!self.cancelled.contains(&number), "#{number} is polled although its handle cancelled it");
        assert!(!self.forgotten, "#{number} is polled after the scope was forgotten");
        if kind == Kind::Deferred {
            if self.running != Some(number) {
                let others = [Kind::Child, Kind::Service].map(|kind| self.live(kind));
                assert_eq!((others, self.body_is_there()), ([0, 0], false), "#{number} runs too early");
                assert_eq!(self.running, None, "#{number} runs beside another");
                assert_eq!(self.deferred.pop(), Some(number), "not the last deferred runs first");
                self.running = Some(number);
                self.cleaning = true;
            }
            return;
        }
        assert!(!self.cleaning, "#{number} is polled during cleanup");
        if let Some((at, poll)) = self.stopped {
            let soft = poll == self.poll && self.requested.is_some();
            assert!(
                soft || (!self.grace.is_zero() && now <= at + self.grace),
                "#{number} is polled after the stop"
            );
        }
    }

    /// The first cause counts; an error in the same poll as a cancelling may come before it or not.
    pub(crate) fn stop(&mut self, cause: Cause, now: Instant) {
        match self.stopped {
            None => {
                self.stopped = Some((now, self.poll));
                self.causes.push(cause);
            }
            Some((_, poll)) => {
                let beaten = self.causes.iter().all(|cause| matches!(cause, Cause::Cancelled(_)));
                if poll == self.poll && beaten && cause != Cause::Panicked {
                    self.causes.push(cause);
                }
            }
        }
    }

    pub(crate) fn ended(&mut self, number: usize) {
        self.units[number].1 = Status::Ended;
    }

    pub(crate) fn failed(&mut self, number: usize, now: Instant) {
        self.ended(number);
        if self.units[number].0 != Kind::Deferred {
            self.stop(Cause::Failed(number), now);
        }
    }

    pub(crate) fn panicked(&mut self, number: usize, now: Instant) {
        self.ended(number);
        self.first_panic.get_or_insert(number);
        self.stop(Cause::Panicked, now);
    }

    pub(crate) fn gone(&mut self, number: usize, now: Instant) {
        let (kind, status) = self.units[number];
        assert_ne!(status, Status::Gone, "#{number} is dropped twice");
        assert!(!self.forgotten, "#{number} is dropped after the scope was forgotten");
        self.units[number].1 = Status::Gone;
        self.waiting.retain(|waiting| *waiting != number);
        let was_running = self.running == Some(number);
        if was_running {
            self.running = None;
        }
        if status != Status::Live {
            return;
        }
        let own = self.cancelled.contains(&number) || matches!(kind, Kind::Service | Kind::Deferred);
        if !own && !self.dropped && self.stopped.is_none() && now >= self.deadline {
            // It strikes inside of the scope, and this is what one sees of it.
            self.stop(Cause::Cancelled(Reason::Deadline), now);
        }
        let after = |machine: &Self, kind| {
            let later = machine.units.iter().skip(number + 1);
            later.filter(|unit| **unit == (kind, Status::Live)).count()
        };
        match kind {
            Kind::Child if self.cancelled.contains(&number) => {}
            Kind::Child => {
                assert!(self.stopped.is_some() || self.dropped, "#{number} is dropped without a cause");
                assert_eq!(after(self, Kind::Child), 0, "#{number} is dropped before a later one");
            }
            Kind::Body => {
                assert!(self.stopped.is_some() || self.dropped, "the body is dropped without a cause");
                assert_eq!(self.live(Kind::Child), 0, "the body is dropped before its children");
            }
            Kind::Service => {
                assert_eq!(self.live(Kind::Child), 0, "#{number} is dropped before the children");
                assert!(!self.body_is_there(), "#{number} is dropped before the body");
                assert_eq!(after(self, Kind::Service), 0, "#{number} is dropped before a later service");
            }
            Kind::Deferred => {
                let next = was_running.then_some(number).or_else(|| self.deferred.pop());
                assert_eq!(next, Some(number), "not the last deferred is skipped first");
                self.skipped += 1;
            }
        }
    }

    /// The scope has had its turn.
    pub(crate) fn rests(&self, now: Instant) {
        if let Some((at, _)) = self.stopped {
            if now > at + self.grace || self.grace.is_zero() {
                let left = [Kind::Child, Kind::Service].map(|kind| self.live(kind));
                assert_eq!((left, self.body_is_there()), ([0, 0], false), "left after the stop");
            }
        }
    }

    pub(crate) fn is_over(&self) {
        for (number, unit) in self.units.iter().enumerate() {
            assert_eq!(unit.1, Status::Gone, "#{number} is left");
        }
    }

    pub(crate) fn foretell_outcome(&self) -> Vec<Outcome> {
        if let Some(number) = self.first_panic {
            return vec![Outcome::Panicked(number)];
        }
        if self.causes.is_empty() {
            return vec![Outcome::Value(self.value.expect("nothing stopped the body"))];
        }
        let outcomes = self.causes.iter().map(|cause| match (cause, self.value) {
            (Cause::Failed(number), _) => Outcome::Failed(*number),
            (Cause::Cancelled(_), Some(value)) if self.from_within => Outcome::Value(value),
            (Cause::Cancelled(reason), _) => Outcome::Cancelled(reason.clone()),
            (Cause::Panicked, _) => unreachable!("then there is a first panic"),
        });
        outcomes.collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Value(usize),
    Failed(usize),
    Panicked(usize),
    Cancelled(Reason),
}
