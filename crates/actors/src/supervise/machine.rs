//! [`Machine`]: what a supervisor does, without a clock, a task or a lock. Events go in, actions come out.
//!
//! The shell around it runs the children and keeps the time; whatever the rules of supervision say is here,
//! and is checked against a naive model and against Erlang by random scripts.

mod line;
mod sweep;
mod window;

use weirs_runtime::Instant;

pub use line::Key;
use line::Line;
use sweep::Sweep;
use window::Window;

use super::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The supervisor begins: the children that were put in so far are started in order.
    Start,
    /// The child is ready.
    Ready(Key),
    /// The child's future is gone.
    Ended(Key, Ending),
    /// The timer of that number, which was set for the child, is over.
    TimeUp(Key, u32),
    /// The child, which was [inserted](Machine::insert) or is down, is to be started.
    StartChild(Key),
    /// The child is to be stopped, and stays in the tree.
    StopChild(Key),
    /// The child, which is down, leaves the tree.
    DeleteChild(Key),
    /// All is to be stopped, in reverse order, each child in its time.
    Shutdown,
    /// All is to be dropped, now.
    Kill,
}

/// How a child ended, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was done, or did what it was asked to.
    Normal,
    /// It failed, panicked, was killed, or gave up.
    Abnormal,
    /// It said at its start that there is nothing for it to do.
    Ignored,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start an incarnation of the child.
    Run(Key),
    /// Ask the child to stop. With `true` it does not come back, unless somebody starts it again.
    Ask(Key, bool),
    /// Drop the child's future.
    Kill(Key, bool),
    /// Say [`Event::TimeUp`] with this number at that time. A timer that was set for the same child before
    /// counts no longer.
    SetTimer(Key, u32, Instant),
    /// The same after a pause of the child's backoff, of which this is the so-manieth in a row, from 0.
    Pause(Key, u32, u32),
    /// This is what became of [`Event::StartChild`], [`Event::StopChild`] or [`Event::DeleteChild`].
    Answer(Key, Answer),
    /// The child is down, and does not come back by itself.
    Down(Key),
    /// The child is down and left the tree. The key counts no longer.
    Forget(Key),
    /// The child was killed and did not end: it does not give its thread back.
    Stuck(Key),
    /// All children of the start are up.
    Started,
    /// The supervisor is at its end. Nothing comes after this.
    Exit(Outcome),
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is ready.
    Started,
    /// It ended before it was ready. One that was new left the tree again.
    NotStarted,
    /// Somebody stopped it before it was ready.
    Interrupted,
    /// It is down.
    Stopped,
    /// It was killed, and does not end.
    Stuck,
    /// It left the tree.
    Deleted,
    /// It runs, or is about to: there is nothing to start, and what runs cannot be deleted.
    Running,
    /// The supervisor is ending.
    Ending,
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to.
    Shutdown,
    /// It was killed.
    Killed,
    /// This child could not be started at the first start.
    StartFailed(Key),
    /// More restarts than allowed; this child wanted the last.
    GaveUp(Key),
    /// The significant children ended; this one was the last.
    Done(Key),
}

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
    /// Ended in the middle of a sweep that is none of its business: it is looked after next.
    Crashed(Ending),
    /// Waits for the end of its backoff.
    Pausing,
    /// Was asked to stop, or killed.
    Stopping(Stopping),
    /// Was killed, and does not end.
    Stuck,
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
    /// Somebody said so, or the supervisor ends.
    ForGood,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    start: bool,
    stop: bool,
}

/// A child, as far as the rules care.
#[derive(Debug)]
pub(super) struct Member {
    rules: ChildRules,
    phase: Phase,
    asked: Asked,
    /// Put in by a command, and never ready yet: if it does not start, it leaves again.
    fresh: bool,
    /// Belongs to the sweep that is under way.
    swept: bool,
    /// The timer that counts.
    timer: u32,
    /// Restarts in a row, for the backoff.
    streak: u32,
    up_since: Option<Instant>,
}

/// What the supervisor itself is about.
#[derive(Debug)]
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
    later: std::collections::VecDeque<Key>,
    /// How many significant children are not down.
    significant: usize,
}

impl Machine {
    /// No children yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            line: Line::default(),
            window: Window::new(rules.most, rules.within),
            state: State::New,
            later: std::collections::VecDeque::new(),
            significant: 0,
        }
    }

    /// Puts a child at the end of the line. Before [`Event::Start`] it waits for that; later it is down until
    /// [`Event::StartChild`], and leaves again if that fails.
    pub fn insert(&mut self, rules: ChildRules) -> Key {
        let new = matches!(self.state, State::New);
        let key = self.line.push_back(Member {
            rules,
            phase: if new { Phase::Queued } else { Phase::Down },
            asked: Asked::default(),
            fresh: !new,
            swept: false,
            timer: 0,
            streak: 0,
            up_since: None,
        });
        self.significant += usize::from(new && rules.significant);
        key
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

    /// Whether it is at its end.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether it is on its way to the end, or there.
    pub fn is_ending(&self) -> bool {
        match &self.state {
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
            Event::Start => self.begin(now, todo),
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

    fn ready(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get_mut(key).filter(|member| member.phase == Phase::Starting) else {
            return;
        };
        member.phase = Phase::Up;
        member.timer = member.timer.wrapping_add(1);
        member.up_since = Some(now);
        member.fresh = false;
        if std::mem::take(&mut member.asked.start) {
            todo.push(Action::Answer(key, Answer::Started));
        }
        self.sweep_goes_on(now, key, todo);
    }

    fn ended(&mut self, now: Instant, key: Key, ending: Ending, todo: &mut Vec<Action>) {
        let (steady, stopping) = (self.is_steady(), self.is_stopping());
        let Some(member) = self.line.get_mut(key) else { return };
        member.timer = member.timer.wrapping_add(1);
        match member.phase {
            Phase::Starting if ending == Ending::Ignored => {
                member.fresh = false;
                self.down(key, Answer::Started, todo);
                self.sweep_goes_on(now, key, todo);
            }
            Phase::Starting => self.start_failed(now, key, todo),
            Phase::Up if steady => self.look_after(now, key, ending, todo),
            Phase::Up if member.swept && stopping => self.swept(now, key, todo),
            Phase::Up => {
                member.phase = Phase::Crashed(ending);
                self.later.push_back(key);
            }
            Phase::Stopping(Stopping { why, .. }) => match why {
                Why::Late => self.start_failed(now, key, todo),
                Why::Sweep => self.swept(now, key, todo),
                Why::ForGood => {
                    self.down(key, Answer::Interrupted, todo);
                    self.sweep_goes_on(now, key, todo);
                }
            },
            Phase::Stuck => self.down(key, Answer::Interrupted, todo),
            Phase::Down | Phase::Queued | Phase::Crashed(_) | Phase::Pausing => {}
        }
    }

    /// A child ended in quiet times.
    fn look_after(&mut self, now: Instant, key: Key, ending: Ending, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        let again = match member.rules.restart {
            Restart::Permanent => true,
            Restart::Transient => ending == Ending::Abnormal,
            Restart::Temporary => false,
        };
        if again {
            let steady = member.up_since.map_or(false, |since| {
                now.saturating_since(since) >= member.rules.reset_after && member.rules.pauses
            });
            if steady {
                member.streak = 0;
            }
            return self.restart(now, key, todo);
        }
        let significant = member.rules.significant;
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
            self.line.member(key).phase = Phase::Queued;
            return self.wind_up(now, Outcome::GaveUp(key), todo);
        }
        match self.rules.strategy {
            Strategy::OneForOne | Strategy::Dynamic => {
                if !self.pause(key, todo) {
                    self.run(now, key, todo);
                }
            }
            Strategy::OneForAll | Strategy::RestForOne => self.sweep(now, key, todo),
        }
    }

    /// Lets the child's backoff pass first, if it has one.
    fn pause(&mut self, key: Key, todo: &mut Vec<Action>) -> bool {
        let member = self.line.member(key);
        if !member.rules.pauses {
            return false;
        }
        member.phase = Phase::Pausing;
        member.timer = member.timer.wrapping_add(1);
        todo.push(Action::Pause(key, member.timer, member.streak));
        member.streak = member.streak.saturating_add(1);
        true
    }

    fn run(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        member.phase = Phase::Starting;
        member.up_since = None;
        todo.push(Action::Run(key));
        if let Some(within) = member.rules.start_within {
            self.set_timer(key, now + within, todo);
        }
    }

    fn set_timer(&mut self, key: Key, at: Instant, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        member.timer = member.timer.wrapping_add(1);
        todo.push(Action::SetTimer(key, member.timer, at));
    }

    /// The child ended before it was ready.
    fn start_failed(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        if member.asked.start {
            // Somebody waits for it, and hears of it: that is no restart.
            self.down(key, Answer::NotStarted, todo);
            return self.sweep_goes_on(now, key, todo);
        }
        match &self.state {
            State::Sweeping(sweep) if sweep.is_first() => {
                self.line.member(key).phase = Phase::Down;
                self.wind_up(now, Outcome::StartFailed(key), todo);
            }
            State::Sweeping(sweep) if sweep.is_last() => {
                self.down(key, Answer::Interrupted, todo);
                self.sweep_goes_on(now, key, todo);
            }
            _ => self.restart(now, key, todo),
        }
    }

    fn time_up(&mut self, now: Instant, key: Key, timer: u32, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get_mut(key).filter(|member| member.timer == timer) else { return };
        match member.phase {
            Phase::Starting => {
                member.phase = Phase::Stopping(Stopping { killed: true, why: Why::Late });
                self.kill(now, key, todo);
            }
            Phase::Pausing => match &self.state {
                State::Sweeping(_) => {
                    member.phase = Phase::Queued;
                    self.pause_is_over(now, todo);
                }
                _ => self.run(now, key, todo),
            },
            Phase::Stopping(Stopping { killed: false, why }) => {
                member.phase = Phase::Stopping(Stopping { killed: true, why });
                self.kill(now, key, todo);
            }
            Phase::Stopping(Stopping { killed: true, .. }) => self.stuck(now, key, todo),
            Phase::Down | Phase::Queued | Phase::Up | Phase::Crashed(_) | Phase::Stuck => {}
        }
    }

    fn kill(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        let last = matches!(member.phase, Phase::Stopping(Stopping { why: Why::ForGood, .. }));
        let grace = member.rules.kill_grace;
        todo.push(Action::Kill(key, last));
        self.set_timer(key, now + grace, todo);
    }

    /// The child was killed, and does not end.
    fn stuck(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        member.phase = Phase::Stuck;
        let asked = std::mem::take(&mut member.asked);
        todo.push(Action::Stuck(key));
        if asked.start {
            todo.push(Action::Answer(key, Answer::NotStarted));
        }
        if asked.stop {
            todo.push(Action::Answer(key, Answer::Stuck));
        }
        // It cannot be run again while it is still there, so whoever wants it back gives up.
        let ours = !asked.stop && !asked.start;
        match &self.state {
            State::Sweeping(sweep) if !sweep.is_last() && ours => {
                self.wind_up(now, Outcome::GaveUp(key), todo);
            }
            State::Steady if ours => self.wind_up(now, Outcome::GaveUp(key), todo),
            _ => self.sweep_goes_on(now, key, todo),
        }
    }

    fn start_child(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get_mut(key) else { return };
        let refused = match (&self.state, member.phase) {
            (State::Sweeping(sweep), _) if sweep.is_last() => Some(Answer::Ending),
            (_, Phase::Down) => None,
            _ => Some(Answer::Running),
        };
        if let Some(answer) = refused {
            todo.push(Action::Answer(key, answer));
            if answer == Answer::Ending && member.fresh {
                self.forget(key, todo);
            }
            return;
        }
        member.asked.start = true;
        member.streak = 0;
        self.significant += usize::from(member.rules.significant);
        member.phase = Phase::Queued;
        match self.state {
            State::Steady => self.run(now, key, todo),
            _ => self.later.push_back(key),
        }
    }

    fn stop_child(&mut self, now: Instant, key: Key, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get_mut(key) else { return };
        member.asked.stop = true;
        match member.phase {
            Phase::Down => {
                member.asked.stop = false;
                todo.push(Action::Answer(key, Answer::Stopped));
            }
            Phase::Stuck => {
                member.asked.stop = false;
                todo.push(Action::Answer(key, Answer::Stuck));
            }
            Phase::Queued | Phase::Crashed(_) | Phase::Pausing => {
                let paused = member.phase == Phase::Pausing;
                member.timer = member.timer.wrapping_add(1);
                self.down(key, Answer::Interrupted, todo);
                if paused {
                    self.pause_is_over(now, todo);
                }
            }
            Phase::Starting | Phase::Up => self.ask(now, key, Why::ForGood, todo),
            Phase::Stopping(Stopping { killed, why }) => {
                member.phase = Phase::Stopping(Stopping { killed, why: Why::ForGood });
                if why != Why::ForGood {
                    // What it was asked for was not for good.
                    todo.push(if killed { Action::Kill(key, true) } else { Action::Ask(key, true) });
                }
            }
        }
    }

    fn delete_child(&mut self, key: Key, todo: &mut Vec<Action>) {
        let Some(member) = self.line.get_mut(key) else { return };
        if member.phase == Phase::Down {
            todo.push(Action::Answer(key, Answer::Deleted));
            self.forget(key, todo);
        } else {
            todo.push(Action::Answer(key, Answer::Running));
        }
    }

    /// Asks a child that runs to stop, or kills it if that is its rule.
    fn ask(&mut self, now: Instant, key: Key, why: Why, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        let killed = member.rules.stop == Stop::Kill;
        member.phase = Phase::Stopping(Stopping { killed, why });
        let stop = member.rules.stop;
        match stop {
            Stop::Kill => self.kill(now, key, todo),
            Stop::Within(within) => {
                todo.push(Action::Ask(key, why == Why::ForGood));
                self.set_timer(key, now + within, todo);
            }
            Stop::Forever => {
                member.timer = member.timer.wrapping_add(1);
                todo.push(Action::Ask(key, why == Why::ForGood));
            }
        }
    }

    /// A child that does not come back by itself. Whoever waits for that hears of it; whoever waits for its
    /// start hears `instead`.
    fn down(&mut self, key: Key, instead: Answer, todo: &mut Vec<Action>) {
        let member = self.line.member(key);
        member.phase = Phase::Down;
        let asked = std::mem::take(&mut member.asked);
        let leaves = member.rules.restart == Restart::Temporary || (member.fresh && asked.start);
        self.significant -= usize::from(member.rules.significant);
        if asked.start {
            todo.push(Action::Answer(key, instead));
        }
        todo.push(Action::Down(key));
        if asked.stop {
            todo.push(Action::Answer(key, Answer::Stopped));
        }
        if leaves {
            self.forget(key, todo);
        }
    }

    fn forget(&mut self, key: Key, todo: &mut Vec<Action>) {
        self.sweep_passes(key);
        self.line.remove(key);
        todo.push(Action::Forget(key));
    }

    /// Looks after what came in the middle of a sweep that is over.
    fn settle(&mut self, now: Instant, todo: &mut Vec<Action>) {
        while self.is_steady() {
            let Some(key) = self.later.pop_front() else { return };
            let Some(member) = self.line.get_mut(key) else { continue };
            match member.phase {
                Phase::Crashed(ending) => {
                    member.phase = Phase::Up;
                    self.look_after(now, key, ending, todo);
                }
                Phase::Queued if member.asked.start => self.run(now, key, todo),
                _ => {}
            }
        }
    }

    fn is_steady(&self) -> bool {
        matches!(self.state, State::Steady)
    }
}
