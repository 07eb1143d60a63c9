//! [`Machine`]: what a supervisor does, without a clock, a task or a lock. Events go in, actions come out.
//!
//! The shell around it runs the children and keeps the time; whatever the rules of supervision say is here,
//! and is checked against a naive model and against Erlang by random scripts.

mod event;
mod line;
mod sweep;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use weirs_runtime::Instant;

pub use event::{Action, Answer, Ending, Event, Outcome};
pub use line::Key;
use line::Line;
use sweep::Sweep;
use window::Window;

use super::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not running, and not about to.
    Down,
    /// Waits for its turn to be started.
    Queued,
    /// Runs, and is not ready yet.
    Starting,
    /// Runs.
    Up,
    /// Ended in the middle of a sweep: it is looked after when the sweep comes by, or is over.
    Crashed(Ending),
    /// Waits for the end of its backoff.
    Pausing,
    /// Was asked to stop, or killed.
    Stopping(Stopping),
    /// Was killed, and does not end.
    Stuck,
}

impl Phase {
    /// Whether there is an incarnation that is expected to end.
    fn runs(self) -> bool {
        matches!(self, Self::Starting | Self::Up | Self::Stopping(_))
    }

    /// Whether something is going on with it that a sweep waits for.
    fn is_busy(self) -> bool {
        matches!(self, Self::Starting | Self::Pausing | Self::Stopping(_))
    }

    /// Whether something is still expected of it.
    fn is_active(self) -> bool {
        !matches!(self, Self::Down | Self::Stuck)
    }
}

/// Why a child is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    killed: bool,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It was not ready in time.
    Late,
    /// A sweep, after which it is started again.
    Sweep,
    /// Somebody said so, it is temporary, or the supervisor ends.
    ForGood,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    start: bool,
    /// How many wait for its end.
    stops: u32,
}

/// A child, as far as the rules care.
#[derive(Debug)]
struct Member {
    /// Most have the same.
    rules: Arc<ChildRules>,
    phase: Phase,
    asked: Asked,
    /// Put in by a command, and never ready yet: if it does not start, it leaves again.
    fresh: bool,
    /// Somebody stopped it: a sweep does not bring it back.
    stopped: bool,
    /// Belongs to the sweep that is under way.
    swept: bool,
    /// The timer that counts. Each change of the phase makes it another.
    timer: u32,
    /// Restarts in a row, for the backoff.
    streak: u32,
    up_since: Option<Instant>,
}

/// What the supervisor itself is about.
#[derive(Clone, Copy, Debug)]
enum State {
    New,
    Steady,
    Sweeping(Sweep),
    Over,
}

/// A supervisor without its children's futures.
#[derive(Debug)]
pub struct Machine {
    rules: Rules,
    line: Line,
    window: Window,
    state: State,
    /// What came in the middle of a sweep, to be looked after when it is over.
    later: VecDeque<Key>,
    /// How many significant children are active.
    significant: usize,
    /// How many children run.
    running: usize,
}

impl Machine {
    /// No children yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            line: Line::default(),
            window: Window::new(rules.most, rules.within),
            state: State::New,
            later: VecDeque::new(),
            significant: 0,
            running: 0,
        }
    }

    /// Puts a child at the end of the line. Before [`Event::Start`] it waits for that; later it is down until
    /// [`Event::StartChild`], and leaves again if that fails.
    pub fn insert(&mut self, rules: impl Into<Arc<ChildRules>>) -> Key {
        let rules = rules.into();
        let new = matches!(self.state, State::New);
        self.significant += usize::from(new && rules.significant);
        self.line.push_back(Member {
            rules,
            phase: if new { Phase::Queued } else { Phase::Down },
            asked: Asked::default(),
            fresh: !new,
            stopped: false,
            swept: false,
            timer: 0,
            streak: 0,
            up_since: None,
        })
    }

    /// Where a child stands; none that left.
    pub fn phase(&self, key: Key) -> Option<Phase> {
        self.line.get(key).map(|member| member.phase)
    }

    /// The children in the order of their start.
    pub fn children(&self) -> impl Iterator<Item = Key> + '_ {
        self.line.keys()
    }

    /// How many restarts the window holds.
    pub fn restarts(&mut self, now: Instant) -> usize {
        self.window.count(now)
    }

    /// How many significant children may still do something.
    pub fn significant(&self) -> usize {
        self.significant
    }

    /// Whether it is at its end.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether it is on its way to the end, or there.
    pub fn is_ending(&self) -> bool {
        match self.state {
            State::Sweeping(sweep) => sweep.is_last(),
            State::Over => true,
            State::New | State::Steady => false,
        }
    }

    /// Whether that timer of the child still counts.
    pub fn awaits(&self, key: Key, timer: u32) -> bool {
        self.line.get(key).is_some_and(|member| member.timer == timer)
    }

    /// Takes an event, and adds what is to be done.
    pub fn step(&mut self, now: Instant, event: Event, todo: &mut Vec<Action>) {
        if self.is_over() {
            return;
        }
        match event {
            Event::Start => self.begin(),
            Event::Ready(key) => self.ready(now, key, todo),
            Event::Ended(key, ending) => self.ended(now, key, ending, todo),
            Event::TimeUp(key, timer) => self.time_up(now, key, timer, todo),
            Event::StartChild(key) => self.start_child(now, key, todo),
            Event::StopChild(key) => self.stop_child(now, key, todo),
            Event::DeleteChild(key) => self.delete_child(key, todo),
            Event::Shutdown => self.wind_up(now, Outcome::Shutdown, todo),
            Event::Kill => self.wind_up(now, Outcome::Killed, todo),
        }
        self.settle(now, todo);
    }

    /// Goes on until there is somebody to wait for.
    fn settle(&mut self, now: Instant, todo: &mut Vec<Action>) {
        loop {
            match self.state {
                State::Sweeping(sweep) => {
                    if !self.advance(now, sweep, todo) {
                        return;
                    }
                }
                State::Steady => {
                    let Some(key) = self.later.pop_front() else { return };
                    let Some(member) = self.line.get(key) else { continue };
                    match member.phase {
                        Phase::Crashed(ending) => self.look_after(now, key, ending, todo),
                        Phase::Queued => self.run(now, key, todo),
                        // A sweep has taken care of it.
                        _ => {}
                    }
                }
                State::New | State::Over => return,
            }
        }
    }

    fn ready(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        if self.phase(key) != Some(Phase::Starting) {
            return;
        }
        self.turn(key, Phase::Up);
        let member = self.line.member(key);
        member.up_since = Some(now);
        member.fresh = false;
        if std::mem::take(&mut member.asked.start) {
            todo.push(Action::Answer(key, Answer::Started));
        }
    }

    fn ended(&mut self, now: Instant, key: Key, ending: Ending, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get_mut(key) else { return };
        if let Some(since) = member.up_since.take() {
            if now.saturating_since(since) >= member.rules.reset_after {
                member.streak = 0;
            }
        }
        match (member.phase, self.state) {
            (Phase::Starting, _) if ending == Ending::Ignored => {
                member.fresh = false;
                self.down(key, Answer::Started, todo);
            }
            (Phase::Starting | Phase::Stopping(Stopping { why: Why::Late, .. }), _) => {
                self.start_failed(now, key, todo);
            }
            (Phase::Up, State::Steady) => self.look_after(now, key, ending, todo),
            (Phase::Up, State::Sweeping(_)) if !self.is_ending() => {
                self.turn(key, Phase::Crashed(ending));
                self.later.push_back(key);
            }
            (Phase::Stopping(Stopping { why: Why::Sweep, .. }), _) => self.turn(key, Phase::Queued),
            (Phase::Up | Phase::Stopping(_) | Phase::Stuck, _) => self.down(key, Answer::Interrupted, todo),
            (Phase::Down | Phase::Queued | Phase::Crashed(_) | Phase::Pausing, _) => {}
        }
    }

    /// A child ended in quiet times.
    fn look_after(&mut self, now: Instant, key: Key, ending: Ending, todo: &mut Vec<Action>) {
        let ChildRules { restart, significant, .. } = *self.line.member(key).rules;
        let again = match restart {
            Restart::Permanent => true,
            Restart::Transient => ending == Ending::Abnormal,
            Restart::Temporary => false,
        };
        if again {
            return self.restart(now, key, todo);
        }
        self.down(key, Answer::Interrupted, todo);
        let done = match self.rules.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => significant,
            AutoShutdown::AllSignificant => significant && self.significant == 0,
        };
        if done {
            self.wind_up(now, Outcome::Done(key), todo);
        }
    }

    /// A child is to be run again, which counts.
    fn restart(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        if !self.window.admit(now) {
            self.turn(key, Phase::Queued);
            return self.wind_up(now, Outcome::GaveUp(key), todo);
        }
        match self.rules.strategy {
            Strategy::OneForOne | Strategy::Dynamic if self.line.member(key).rules.pauses => {
                self.pause(key, todo);
            }
            Strategy::OneForOne | Strategy::Dynamic => self.run(now, key, todo),
            Strategy::OneForAll | Strategy::RestForOne => self.sweep(key),
        }
    }

    /// Lets the child's backoff pass.
    fn pause(&mut self, key: Key, todo: &mut Vec<Action>) {
        self.turn(key, Phase::Pausing);
        let member = self.line.member(key);
        todo.push(Action::Pause(key, member.timer, member.streak));
        member.streak = member.streak.saturating_add(1);
    }

    fn run(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        self.turn(key, Phase::Starting);
        let member = self.line.member(key);
        todo.push(Action::Run(key));
        if let Some(within) = member.rules.start_within {
            todo.push(Action::SetTimer(key, member.timer, now + within));
        }
    }

    /// The child ended before it was ready.
    fn start_failed(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        match self.state {
            // Somebody waits for it, and hears of it: that is no restart.
            _ if self.line.member(key).asked.start => self.down(key, Answer::NotStarted, todo),
            State::Sweeping(sweep) if sweep.is_first() => {
                self.turn(key, Phase::Down);
                todo.push(Action::Down(key));
                self.wind_up(now, Outcome::StartFailed(key), todo);
            }
            _ if self.is_ending() => self.down(key, Answer::Interrupted, todo),
            _ => self.restart(now, key, todo),
        }
    }

    fn time_up(&mut self, now: Instant, key: Key, timer: u32, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get(key).filter(|member| member.timer == timer) else { return };
        match member.phase {
            Phase::Starting => self.kill(now, key, Why::Late, todo),
            Phase::Pausing if matches!(self.state, State::Steady) => self.run(now, key, todo),
            Phase::Pausing => self.turn(key, Phase::Queued),
            Phase::Stopping(Stopping { killed: false, why }) => self.kill(now, key, why, todo),
            Phase::Stopping(Stopping { killed: true, why }) => self.stuck(now, key, why, todo),
            Phase::Down | Phase::Queued | Phase::Up | Phase::Crashed(_) | Phase::Stuck => {}
        }
    }

    fn kill(&mut self, now: Instant, key: Key, why: Why, todo: &mut Vec<Action>) {
        self.turn(key, Phase::Stopping(Stopping { killed: true, why }));
        let member = self.line.member(key);
        todo.push(Action::Kill(key, why == Why::ForGood));
        todo.push(Action::SetTimer(key, member.timer, now + member.rules.kill_grace));
    }

    /// The child was killed, and does not end.
    fn stuck(&mut self, now: Instant, key: Key, why: Why, todo: &mut Vec<Action>) {
        self.turn(key, Phase::Stuck);
        let asked = std::mem::take(&mut self.line.member(key).asked);
        todo.push(Action::Stuck(key));
        if asked.start {
            todo.push(Action::Answer(key, Answer::NotStarted));
        }
        for _ in 0..asked.stops {
            todo.push(Action::Answer(key, Answer::Stuck));
        }
        // It cannot be run again while it is still there: the rules, if they wanted it back, give up.
        if why != Why::ForGood && !asked.start {
            let outcome = match self.state {
                State::Sweeping(sweep) if sweep.is_first() => Outcome::StartFailed(key),
                _ => Outcome::GaveUp(key),
            };
            self.wind_up(now, outcome, todo);
        }
    }

    fn start_child(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let ending = self.is_ending();
        let Some(member) = self.line.get_mut(key) else { return };
        match member.phase {
            _ if ending => {
                let leaves = member.fresh && member.phase == Phase::Down;
                todo.push(Action::Answer(key, Answer::Ending));
                if leaves {
                    self.forget(key, todo);
                }
            }
            Phase::Down => {
                member.asked.start = true;
                member.stopped = false;
                member.streak = 0;
                self.turn(key, Phase::Queued);
                match self.state {
                    State::Steady => self.run(now, key, todo),
                    _ => self.later.push_back(key),
                }
            }
            _ => todo.push(Action::Answer(key, Answer::Running)),
        }
    }

    fn stop_child(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get_mut(key) else { return };
        member.stopped = true;
        member.asked.stops += 1;
        match member.phase {
            Phase::Down => {
                member.asked.stops = 0;
                todo.push(Action::Answer(key, Answer::Stopped));
            }
            Phase::Stuck => {
                member.asked.stops = 0;
                todo.push(Action::Answer(key, Answer::Stuck));
            }
            Phase::Queued | Phase::Crashed(_) | Phase::Pausing => self.down(key, Answer::Interrupted, todo),
            Phase::Starting | Phase::Up | Phase::Stopping(_) => self.ask(now, key, Why::ForGood, todo),
        }
    }

    fn delete_child(&mut self, key: Key, todo: &mut Vec<Action>) {
        match self.phase(key) {
            None => {}
            Some(Phase::Down) => {
                todo.push(Action::Answer(key, Answer::Deleted));
                self.forget(key, todo);
            }
            Some(_) => todo.push(Action::Answer(key, Answer::Running)),
        }
    }

    /// Asks a child that runs to stop, or kills it if that is its rule. One that is being stopped already has
    /// the time that it was given, but hears if it is for good now.
    fn ask(&mut self, now: Instant, key: Key, why: Why, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        let stop = member.rules.stop;
        match (member.phase, stop) {
            (Phase::Stopping(before), _) => {
                if why == Why::ForGood && before.why != why {
                    member.phase = Phase::Stopping(Stopping { why, ..before });
                    todo.push(if before.killed { Action::Kill(key, true) } else { Action::Ask(key, true) });
                }
            }
            (_, Stop::Kill) => self.kill(now, key, why, todo),
            (_, Stop::Within(_) | Stop::Forever) => {
                self.turn(key, Phase::Stopping(Stopping { killed: false, why }));
                todo.push(Action::Ask(key, why == Why::ForGood));
                if let Stop::Within(within) = stop {
                    todo.push(Action::SetTimer(key, self.line.member(key).timer, now + within));
                }
            }
        }
    }

    /// A child that does not come back by itself. Whoever waits for that hears of it; whoever waits for its
    /// start hears `instead`.
    fn down(&mut self, key: Key, instead: Answer, todo: &mut Vec<Action>) {
        self.turn(key, Phase::Down);
        let member = self.line.member(key);
        let asked = std::mem::take(&mut member.asked);
        let temporary = member.rules.restart == Restart::Temporary || member.fresh;
        if asked.start {
            todo.push(Action::Answer(key, instead));
        }
        todo.push(Action::Down(key));
        for _ in 0..asked.stops {
            todo.push(Action::Answer(key, Answer::Stopped));
        }
        // At the end all go together.
        if (temporary || self.rules.strategy == Strategy::Dynamic) && !self.is_ending() {
            self.forget(key, todo);
        }
    }

    fn forget(&mut self, key: Key, todo: &mut Vec<Action>) {
        self.sweep_passes(key);
        self.line.remove(key);
        todo.push(Action::Forget(key));
    }

    /// Has the child be in another phase. The timer that was set in the one before counts no longer.
    fn turn(&mut self, key: Key, to: Phase) {
        let member = self.line.member(key);
        let from = std::mem::replace(&mut member.phase, to);
        member.timer = member.timer.wrapping_add(1);
        self.running = self.running + usize::from(to.runs()) - usize::from(from.runs());
        if member.rules.significant {
            self.significant = self.significant + usize::from(to.is_active()) - usize::from(from.is_active());
        }
    }
}
