//! Sweeps: what goes through the children one after another. The first start, a restart of several, the end.

use weirs_runtime::Instant;

use super::{Action, Answer, Key, Machine, Outcome, Phase, State, Stopping, Why};
use crate::supervise::rules::{Restart, Strategy};

/// One way through the children: backwards to stop them, and forwards to start them.
#[derive(Debug)]
pub(super) struct Sweep {
    what: What,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The first start.
    First,
    /// A restart, because of this child.
    Restart(Key),
    /// The end.
    Last(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// One after another, backwards: it waits for one, and goes on with the next.
    Stopping { waits_for: Option<Key>, next: Option<Key> },
    /// All at the same time; so many are left.
    StoppingAll { left: usize },
    /// The backoff of whoever was the cause.
    Pausing(Key),
    /// One after another, forwards.
    Starting { waits_for: Option<Key>, next: Option<Key> },
}

impl Sweep {
    pub(super) fn is_first(&self) -> bool {
        self.what == What::First
    }

    pub(super) fn is_last(&self) -> bool {
        matches!(self.what, What::Last(_))
    }
}

impl Machine {
    pub(super) fn begin(&mut self, now: Instant, todo: &mut Vec<Action>) {
        if !matches!(self.state, State::New) {
            return;
        }
        let all: Vec<Key> = self.line.keys().collect();
        for key in all {
            self.line.member(key).swept = true;
        }
        let stage = Stage::Starting { waits_for: None, next: self.line.first() };
        self.state = State::Sweeping(Sweep { what: What::First, stage });
        self.advance(now, todo);
    }

    /// Restarts several, because of this one.
    pub(super) fn sweep(&mut self, now: Instant, cause: Key, todo: &mut Vec<Action>) {
        self.line.member(cause).phase = Phase::Queued;
        let everybody = self.rules.strategy == Strategy::OneForAll;
        let first = if everybody { self.line.first() } else { Some(cause) };
        let mut at = first;
        while let Some(key) = at {
            self.line.member(key).swept = true;
            at = self.line.after(key);
        }
        let stage = Stage::Stopping { waits_for: None, next: self.line.last() };
        self.state = State::Sweeping(Sweep { what: What::Restart(cause), stage });
        self.advance(now, todo);
    }

    /// Ends the supervisor.
    pub(super) fn wind_up(&mut self, now: Instant, outcome: Outcome, todo: &mut Vec<Action>) {
        if let State::Sweeping(Sweep { what: What::Last(before), .. }) = self.state {
            if outcome != Outcome::Killed || before == Outcome::Killed {
                return;
            }
        }
        let killed = outcome == Outcome::Killed;
        let together = killed || self.rules.strategy == Strategy::Dynamic;
        let stage = if together {
            Stage::StoppingAll { left: 0 }
        } else {
            Stage::Stopping { waits_for: None, next: self.line.last() }
        };
        let mut at = self.line.first();
        while let Some(key) = at {
            self.line.member(key).swept = true;
            at = self.line.after(key);
        }
        self.state = State::Sweeping(Sweep { what: What::Last(outcome), stage });
        if together {
            self.stop_all(now, killed, todo);
        }
        self.advance(now, todo);
    }

    fn stop_all(&mut self, now: Instant, killed: bool, todo: &mut Vec<Action>) {
        let all: Vec<Key> = self.line.keys().collect();
        let mut left = 0;
        for key in all {
            if killed {
                let member = self.line.member(key);
                if let Phase::Starting | Phase::Up | Phase::Stopping(_) = member.phase {
                    member.phase = Phase::Stopping(Stopping { killed: true, why: Why::ForGood });
                    self.kill(now, key, todo);
                    left += 1;
                    continue;
                }
            }
            left += usize::from(self.stop_one(now, key, todo));
        }
        if let State::Sweeping(Sweep { stage: Stage::StoppingAll { left: all }, .. }) = &mut self.state {
            *all = left;
        }
    }

    /// Whether a sweep is at its way back.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(
            self.state,
            State::Sweeping(Sweep { stage: Stage::Stopping { .. } | Stage::StoppingAll { .. }, .. })
        )
    }

    /// A child that the sweep has stopped, or found ended.
    pub(super) fn swept(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let last = matches!(&self.state, State::Sweeping(sweep) if sweep.is_last());
        let member = self.line.member(key);
        if last || member.rules.restart == Restart::Temporary {
            self.down(key, Answer::Interrupted, todo);
        } else {
            member.phase = Phase::Queued;
        }
        self.sweep_goes_on(now, key, todo);
    }

    /// The sweep goes on if it waited for this one.
    pub(super) fn sweep_goes_on(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let State::Sweeping(sweep) = &mut self.state else { return };
        match &mut sweep.stage {
            Stage::Stopping { waits_for, .. } | Stage::Starting { waits_for, .. }
                if *waits_for == Some(key) =>
            {
                *waits_for = None;
            }
            Stage::StoppingAll { left } => *left = left.saturating_sub(1),
            _ => return,
        }
        self.advance(now, todo);
    }

    /// The pause of the sweep's cause is over, or the cause is out of it.
    pub(super) fn pause_is_over(&mut self, now: Instant, todo: &mut Vec<Action>) {
        if let State::Sweeping(Sweep { stage: Stage::Pausing(_), .. }) = &self.state {
            self.first_swept();
            self.advance(now, todo);
        }
    }

    /// Has the way forwards begin with the first of the sweep.
    fn first_swept(&mut self) {
        let mut first = None;
        let mut at = self.line.last();
        while let Some(key) = at {
            let member = self.line.member(key);
            if member.swept {
                first = Some(key);
            } else if first.is_some() {
                break;
            }
            at = self.line.before(key);
        }
        if let State::Sweeping(sweep) = &mut self.state {
            sweep.stage = Stage::Starting { waits_for: None, next: first };
        }
    }

    /// Goes on until there is one to wait for.
    fn advance(&mut self, now: Instant, todo: &mut Vec<Action>) {
        loop {
            let State::Sweeping(Sweep { what, stage }) = &self.state else { return };
            let what = *what;
            match *stage {
                Stage::Stopping { waits_for: None, next } => {
                    if !self.stop_next(now, what, next, todo) {
                        return;
                    }
                }
                Stage::StoppingAll { left: 0 } => self.over(what, todo),
                Stage::Starting { waits_for: None, next: Some(key) } => {
                    let next = self.line.after(key);
                    let member = self.line.member(key);
                    let runs = member.swept && member.phase == Phase::Queued;
                    member.swept = false;
                    self.set_stage(Stage::Starting { waits_for: runs.then_some(key), next });
                    if runs {
                        self.run(now, key, todo);
                        return;
                    }
                }
                Stage::Starting { waits_for: None, next: None } => {
                    self.state = State::Steady;
                    if what == What::First {
                        todo.push(Action::Started);
                    }
                }
                _ => return,
            }
        }
    }

    /// Stops the next one backwards, or turns round. Tells whether to go on.
    fn stop_next(&mut self, now: Instant, what: What, next: Option<Key>, todo: &mut Vec<Action>) -> bool {
        if let Some(key) = next.filter(|key| self.line.member(*key).swept) {
            self.set_stage(Stage::Stopping { waits_for: Some(key), next: self.line.before(key) });
            if self.stop_one(now, key, todo) {
                return false;
            }
            if let State::Sweeping(Sweep { stage: Stage::Stopping { waits_for, .. }, .. }) = &mut self.state {
                *waits_for = None;
            }
            return true;
        }
        match what {
            What::Last(_) => self.over(what, todo),
            What::Restart(cause) => {
                let queued = self.line.get(cause).is_some_and(|member| member.phase == Phase::Queued);
                if queued && self.pause(cause, todo) {
                    self.set_stage(Stage::Pausing(cause));
                } else {
                    self.first_swept();
                }
            }
            What::First => unreachable!("the first start stops nobody"),
        }
        true
    }

    /// Stops a child whatever it is about, and tells whether there is something to wait for.
    fn stop_one(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) -> bool {
        let last = matches!(&self.state, State::Sweeping(sweep) if sweep.is_last());
        let member = self.line.member(key);
        match member.phase {
            Phase::Starting | Phase::Up => {
                self.ask(now, key, if last { Why::ForGood } else { Why::Sweep }, todo);
                true
            }
            Phase::Stopping(Stopping { killed, why }) => {
                if last && why == Why::Sweep {
                    member.phase = Phase::Stopping(Stopping { killed, why: Why::ForGood });
                    todo.push(if killed { Action::Kill(key, true) } else { Action::Ask(key, true) });
                }
                true
            }
            Phase::Queued | Phase::Pausing | Phase::Crashed(_) => {
                member.timer = member.timer.wrapping_add(1);
                if last || member.rules.restart == Restart::Temporary {
                    self.down(key, Answer::Interrupted, todo);
                } else {
                    member.phase = Phase::Queued;
                }
                false
            }
            Phase::Down | Phase::Stuck => false,
        }
    }

    /// A child leaves the line: a sweep that was about to come to it goes to the one behind.
    pub(super) fn sweep_passes(&mut self, key: Key) {
        let (before, after) = (self.line.before(key), self.line.after(key));
        let State::Sweeping(sweep) = &mut self.state else { return };
        match &mut sweep.stage {
            Stage::Stopping { next, .. } if *next == Some(key) => *next = before,
            Stage::Starting { next, .. } if *next == Some(key) => *next = after,
            _ => {}
        }
    }

    fn set_stage(&mut self, to: Stage) {
        if let State::Sweeping(sweep) = &mut self.state {
            sweep.stage = to;
        }
    }

    fn over(&mut self, what: What, todo: &mut Vec<Action>) {
        let What::Last(outcome) = what else { return };
        self.state = State::Over;
        todo.push(Action::Exit(outcome));
    }
}
