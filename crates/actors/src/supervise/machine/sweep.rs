//! Sweeps: what goes through the children one after another. The first start, a restart of several, the end.

use weirs_runtime::Instant;

use super::{Action, Answer, Key, Machine, Member, Outcome, Phase, State, Stopping, Why};
use crate::supervise::rules::{Restart, Strategy};

/// One way through the children: backwards to stop them, and forwards to start them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    what: What,
    stage: Stage,
    /// It goes on when this one is not busy any more.
    waits_for: Option<Key>,
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
    /// One after another, backwards; this one is next.
    Stopping(Option<Key>),
    /// All at the same time.
    StoppingAll,
    /// One after another, forwards; this one is next.
    Starting(Option<Key>),
}

impl Sweep {
    pub(super) fn is_first(&self) -> bool {
        self.what == What::First
    }

    pub(super) fn is_last(&self) -> bool {
        matches!(self.what, What::Last(_))
    }

    fn waiting_for(self, key: Key, stage: Stage) -> State {
        State::Sweeping(Self { stage, waits_for: Some(key), ..self })
    }
}

impl Machine {
    pub(super) fn begin(&mut self) {
        if matches!(self.state, State::New) {
            self.mark(self.line.first());
            self.set_off(What::First, Stage::Starting(self.line.first()));
        }
    }

    /// Restarts several, because of this one.
    pub(super) fn sweep(&mut self, cause: Key) {
        self.turn(cause, Phase::Queued);
        let everybody = self.rules.strategy == Strategy::OneForAll;
        self.mark(if everybody { self.line.first() } else { Some(cause) });
        self.set_off(What::Restart(cause), Stage::Stopping(self.line.last()));
    }

    /// Ends the supervisor.
    pub(super) fn wind_up(&mut self, now: Instant, outcome: Outcome, todo: &mut Vec<Action>) {
        if let State::Sweeping(Sweep { what: What::Last(before), .. }) = self.state {
            if outcome != Outcome::Killed || before == Outcome::Killed {
                return;
            }
        }
        let what = What::Last(outcome);
        if outcome != Outcome::Killed && self.rules.strategy != Strategy::Dynamic {
            self.mark(self.line.first());
            return self.set_off(what, Stage::Stopping(self.line.last()));
        }
        self.set_off(what, Stage::StoppingAll);
        let mut next = self.line.first();
        while let Some(key) = next {
            next = self.line.after(key);
            self.stop_one(now, key, what, todo);
        }
    }

    /// A step of the sweep. Tells whether there was one to take.
    pub(super) fn advance(&mut self, now: Instant, sweep: Sweep, todo: &mut Vec<Action>) -> bool {
        let waits_for = sweep.waits_for.and_then(|key| self.line.get(key));
        if waits_for.is_some_and(|member| member.phase.is_busy()) {
            return false;
        }
        match sweep.stage {
            Stage::Stopping(Some(key)) if self.line.member(key).swept => {
                self.state = sweep.waiting_for(key, Stage::Stopping(self.line.before(key)));
                self.stop_one(now, key, sweep.what, todo);
            }
            Stage::Stopping(before) => match sweep.what {
                What::Restart(cause) => {
                    let first = before.map_or(self.line.first(), |before| self.line.after(before));
                    self.state = sweep.waiting_for(cause, Stage::Starting(first));
                    let pauses = |member: &Member| member.phase == Phase::Queued && member.rules.pauses;
                    if self.line.get(cause).is_some_and(pauses) {
                        self.pause(cause, todo);
                    }
                }
                What::First | What::Last(_) => self.over(sweep.what, todo),
            },
            Stage::StoppingAll if self.running > 0 => return false,
            Stage::StoppingAll => self.over(sweep.what, todo),
            Stage::Starting(Some(key)) => {
                self.state = sweep.waiting_for(key, Stage::Starting(self.line.after(key)));
                let member = self.line.member(key);
                if std::mem::take(&mut member.swept) && member.phase == Phase::Queued {
                    self.run(now, key, todo);
                }
            }
            Stage::Starting(None) => {
                self.state = State::Steady;
                if sweep.is_first() {
                    todo.push(Action::Started);
                }
            }
        }
        true
    }

    /// Stops a child whatever it is about.
    fn stop_one(&mut self, now: Instant, key: Key, what: What, todo: &mut Vec<Action>) {
        let last = matches!(what, What::Last(_));
        let member = self.line.member(key);
        let for_good = last || member.rules.restart == Restart::Temporary;
        match member.phase {
            Phase::Starting | Phase::Up | Phase::Stopping(Stopping { killed: false, .. })
                if what == What::Last(Outcome::Killed) =>
            {
                self.kill(now, key, Why::ForGood, todo);
            }
            Phase::Starting | Phase::Up | Phase::Stopping(_) => {
                self.ask(now, key, if for_good { Why::ForGood } else { Why::Sweep }, todo);
            }
            Phase::Queued | Phase::Pausing | Phase::Crashed(_) if for_good => {
                self.down(key, Answer::Interrupted, todo);
            }
            Phase::Queued | Phase::Pausing | Phase::Crashed(_) => self.turn(key, Phase::Queued),
            Phase::Down if !last && !member.stopped && !member.fresh => self.turn(key, Phase::Queued),
            Phase::Down | Phase::Stuck => {}
        }
    }

    /// A child leaves the line: a sweep that was about to come to it goes to the one behind.
    pub(super) fn sweep_passes(&mut self, key: Key) {
        let (before, after) = (self.line.before(key), self.line.after(key));
        let State::Sweeping(sweep) = &mut self.state else { return };
        match &mut sweep.stage {
            Stage::Stopping(next) if *next == Some(key) => *next = before,
            Stage::Starting(next) if *next == Some(key) => *next = after,
            _ => {}
        }
    }

    fn set_off(&mut self, what: What, stage: Stage) {
        self.state = State::Sweeping(Sweep { what, stage, waits_for: None });
    }

    /// Those from this one on belong to the sweep.
    fn mark(&mut self, first: Option<Key>) {
        let mut next = first;
        while let Some(key) = next {
            self.line.member(key).swept = true;
            next = self.line.after(key);
        }
    }

    fn over(&mut self, what: What, todo: &mut Vec<Action>) {
        if let What::Last(outcome) = what {
            self.state = State::Over;
            todo.push(Action::Exit(outcome));
        }
    }
}
