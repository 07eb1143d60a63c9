//! [`Model`]: the rules of supervision said as plainly as can be. Children in a `Vec`, found by searching;
//! what a restart has to do in two lists; who waits for whom seen anew at every step.

use weirs_actors::supervise::machine::{Action, Answer, Ending, Event, Key, Outcome};
use weirs_actors::supervise::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};
use weirs_runtime::Instant;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Is {
    Down,
    Queued,
    Starting,
    Up,
    Crashed(Ending),
    Pausing,
    Stopping,
    Stuck,
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) key: Key,
    rules: ChildRules,
    pub(crate) is: Is,
    /// Only while it is stopping.
    killed: bool,
    late: bool,
    for_good: bool,
    /// Somebody waits for its start; so many wait for its end.
    start: bool,
    stops: u32,
    /// Came by a command, and was never ready.
    fresh: bool,
    /// Somebody stopped it.
    stopped: bool,
    streak: u32,
    up_since: Option<Instant>,
    /// The timer that counts; 0 while its number is not known.
    pub(crate) timer: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Job {
    New,
    Calm,
    First,
    Again,
    Last(Outcome),
    Over,
}

#[derive(Debug)]
pub(crate) struct Model {
    rules: Rules,
    pub(crate) children: Vec<Child>,
    job: Job,
    /// What the job has to do: stop these, the last first; let this one's backoff pass; start these.
    stop: Vec<Key>,
    pause: Option<Key>,
    start: Vec<Key>,
    /// Whom it is at.
    at: Option<Key>,
    together: bool,
    inbox: Vec<Key>,
    restarts: Vec<Instant>,
    out: Vec<Action>,
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            children: Vec::new(),
            job: Job::New,
            stop: Vec::new(),
            pause: None,
            start: Vec::new(),
            at: None,
            together: false,
            inbox: Vec::new(),
            restarts: Vec::new(),
            out: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, key: Key, rules: ChildRules) {
        let new = self.job == Job::New;
        self.children.push(Child {
            key,
            rules,
            is: if new { Is::Queued } else { Is::Down },
            killed: false,
            late: false,
            for_good: false,
            start: false,
            stops: 0,
            fresh: !new,
            stopped: false,
            streak: 0,
            up_since: None,
            timer: None,
        });
    }

    /// What is done. Timers have number 0; the caller says in [`Child::timer`] which one counts.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        if self.job == Job::Over {
            return Vec::new();
        }
        match event {
            Event::Start => {
                if self.job == Job::New {
                    self.job = Job::First;
                    self.start = self.keys();
                }
            }
            Event::Shutdown => self.end(now, Outcome::Shutdown),
            Event::Kill => self.end(now, Outcome::Killed),
            Event::Ready(key)
            | Event::Ended(key, _)
            | Event::TimeUp(key, _)
            | Event::StartChild(key)
            | Event::StopChild(key)
            | Event::DeleteChild(key) => {
                if self.is(key).is_some() {
                    self.one(now, key, event);
                }
            }
        }
        self.proceed(now);
        std::mem::take(&mut self.out)
    }

    fn keys(&self) -> Vec<Key> {
        self.children.iter().map(|child| child.key).collect()
    }

    fn is(&self, key: Key) -> Option<Is> {
        self.children.iter().find(|child| child.key == key).map(|child| child.is)
    }

    fn child(&mut self, key: Key) -> &mut Child {
        self.children.iter_mut().find(|child| child.key == key).unwrap()
    }

    fn turn(&mut self, key: Key, is: Is) {
        let child = self.child(key);
        child.is = is;
        child.timer = None;
    }

    /// Something that concerns one child.
    fn one(&mut self, now: Instant, key: Key, event: Event) {
        let job = self.job;
        let ending = matches!(job, Job::Last(_));
        let child = self.child(key);
        match (event, child.is) {
            (Event::Ready(_), Is::Starting) => {
                child.up_since = Some(now);
                child.fresh = false;
                if std::mem::take(&mut child.start) {
                    self.out.push(Action::Answer(key, Answer::Started));
                }
                self.turn(key, Is::Up);
            }
            (Event::Ended(_, how), is) => {
                let long = |since| now.saturating_since(since) >= child.rules.reset_after;
                if child.up_since.take().is_some_and(long) {
                    child.streak = 0;
                }
                match is {
                    Is::Starting if how == Ending::Ignored => {
                        child.fresh = false;
                        self.down(key, Answer::Started);
                    }
                    Is::Starting => self.start_failed(now, key),
                    Is::Stopping if child.for_good => self.down(key, Answer::Interrupted),
                    Is::Stopping if child.late => self.start_failed(now, key),
                    Is::Stopping => self.turn(key, Is::Queued),
                    Is::Up if ending => self.down(key, Answer::Interrupted),
                    Is::Up if job == Job::Calm => self.crashed(now, key, how),
                    Is::Up => {
                        self.turn(key, Is::Crashed(how));
                        self.inbox.push(key);
                    }
                    Is::Stuck => self.down(key, Answer::Interrupted),
                    Is::Down | Is::Queued | Is::Crashed(_) | Is::Pausing => panic!("it did not run"),
                }
            }
            (Event::TimeUp(_, timer), is) if child.timer == Some(timer) => match is {
                Is::Starting => {
                    (child.late, child.for_good) = (true, false);
                    self.kill(now, key);
                }
                Is::Pausing if job == Job::Calm => self.run(now, key),
                Is::Pausing => self.turn(key, Is::Queued),
                Is::Stopping if child.killed => self.stuck(now, key),
                Is::Stopping => self.kill(now, key),
                _ => panic!("no timer runs"),
            },
            (Event::StartChild(_), is) if ending => {
                let leaves = child.fresh && is == Is::Down;
                self.out.push(Action::Answer(key, Answer::Ending));
                if leaves {
                    self.forget(key);
                }
            }
            (Event::StartChild(_), Is::Down) => {
                (child.start, child.stopped, child.streak) = (true, false, 0);
                self.turn(key, Is::Queued);
                self.inbox.push(key);
            }
            (Event::StartChild(_), _) => self.out.push(Action::Answer(key, Answer::Running)),
            (Event::StopChild(_), is) => {
                child.stopped = true;
                match is {
                    Is::Down => self.out.push(Action::Answer(key, Answer::Stopped)),
                    Is::Stuck => self.out.push(Action::Answer(key, Answer::Stuck)),
                    _ => {
                        child.stops += 1;
                        self.take_down(now, key);
                    }
                }
            }
            (Event::DeleteChild(_), Is::Down) => {
                self.out.push(Action::Answer(key, Answer::Deleted));
                self.forget(key);
            }
            (Event::DeleteChild(_), _) => self.out.push(Action::Answer(key, Answer::Running)),
            _ => {}
        }
    }

    /// Goes on with the job until there is somebody to wait for.
    fn proceed(&mut self, now: Instant) {
        loop {
            let running = |child: &Child| matches!(child.is, Is::Starting | Is::Up | Is::Stopping);
            let busy = |is| matches!(is, Is::Starting | Is::Stopping | Is::Pausing);
            if matches!(self.job, Job::New | Job::Over) {
                return;
            } else if self.job == Job::Calm {
                if self.inbox.is_empty() {
                    return;
                }
                let key = self.inbox.remove(0);
                match self.is(key) {
                    Some(Is::Crashed(how)) => self.crashed(now, key, how),
                    Some(Is::Queued) => self.run(now, key),
                    _ => {}
                }
            } else if self.together {
                if self.children.iter().any(running) {
                    return;
                }
                self.finish();
            } else if self.at.and_then(|key| self.is(key)).is_some_and(busy) {
                return;
            } else if let Some(key) = self.stop.pop() {
                self.at = Some(key);
                match self.is(key) {
                    None => {}
                    Some(_) if matches!(self.job, Job::Last(_)) => self.take_down(now, key),
                    Some(_) => self.take_away(now, key),
                }
            } else if let Some(key) = self.pause.take() {
                self.at = Some(key);
                if self.is(key) == Some(Is::Queued) && self.child(key).rules.pauses {
                    self.pause(key);
                }
            } else if !self.start.is_empty() {
                let key = self.start.remove(0);
                self.at = Some(key);
                if self.is(key) == Some(Is::Queued) {
                    self.run(now, key);
                }
            } else {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        match self.job {
            Job::Last(outcome) => {
                self.job = Job::Over;
                self.out.push(Action::Exit(outcome));
            }
            Job::First => {
                self.job = Job::Calm;
                self.out.push(Action::Started);
            }
            _ => self.job = Job::Calm,
        }
    }

    fn end(&mut self, now: Instant, outcome: Outcome) {
        match self.job {
            Job::Last(Outcome::Killed) => return,
            Job::Last(_) if outcome != Outcome::Killed => return,
            _ => {}
        }
        self.job = Job::Last(outcome);
        (self.stop, self.pause, self.start, self.at) = (self.keys(), None, Vec::new(), None);
        if outcome == Outcome::Killed || self.rules.strategy == Strategy::Dynamic {
            self.together = true;
            for key in std::mem::take(&mut self.stop) {
                let child = self.child(key);
                let runs = matches!(child.is, Is::Starting | Is::Up | Is::Stopping);
                if outcome == Outcome::Killed && runs && !(child.is == Is::Stopping && child.killed) {
                    child.for_good = true;
                    self.kill(now, key);
                } else {
                    self.take_down(now, key);
                }
            }
        }
    }

    /// Nobody stopped it, and it ended.
    fn crashed(&mut self, now: Instant, key: Key, how: Ending) {
        let rules = self.child(key).rules;
        match rules.restart {
            Restart::Permanent => return self.restart(now, key),
            Restart::Transient if how == Ending::Abnormal => return self.restart(now, key),
            Restart::Transient | Restart::Temporary => {}
        }
        self.down(key, Answer::Interrupted);
        let left = self.significant() > 0;
        match self.rules.auto_shutdown {
            AutoShutdown::AnySignificant if rules.significant => self.end(now, Outcome::Done(key)),
            AutoShutdown::AllSignificant if rules.significant && !left => self.end(now, Outcome::Done(key)),
            _ => {}
        }
    }

    /// How many significant children may still do something.
    pub(crate) fn significant(&self) -> usize {
        let alive = |child: &&Child| child.rules.significant && !matches!(child.is, Is::Down | Is::Stuck);
        self.children.iter().filter(alive).count()
    }

    fn restart(&mut self, now: Instant, key: Key) {
        self.turn(key, Is::Queued);
        self.restarts.push(now);
        if self.window(now) > self.rules.most as usize {
            return self.end(now, Outcome::GaveUp(key));
        }
        let pauses = self.child(key).rules.pauses;
        let affected = match self.rules.strategy {
            Strategy::OneForOne | Strategy::Dynamic if pauses => return self.pause(key),
            Strategy::OneForOne | Strategy::Dynamic => return self.run(now, key),
            Strategy::OneForAll => self.keys(),
            Strategy::RestForOne => self.keys().into_iter().skip_while(|other| *other != key).collect(),
        };
        self.job = Job::Again;
        (self.stop, self.pause, self.start, self.at) = (affected.clone(), Some(key), affected, None);
    }

    /// How many restarts there were in the period that ends now.
    pub(crate) fn window(&self, now: Instant) -> usize {
        self.restarts.iter().filter(|at| now.saturating_since(**at) < self.rules.within).count()
    }

    fn start_failed(&mut self, now: Instant, key: Key) {
        let asked = self.child(key).start;
        match self.job {
            _ if asked => self.down(key, Answer::NotStarted),
            Job::First => {
                self.turn(key, Is::Down);
                self.out.push(Action::Down(key));
                self.end(now, Outcome::StartFailed(key));
            }
            Job::Last(_) => self.down(key, Answer::NotStarted),
            _ => self.restart(now, key),
        }
    }

    fn pause(&mut self, key: Key) {
        self.turn(key, Is::Pausing);
        let child = self.child(key);
        child.streak += 1;
        child.timer = Some(0);
        let pause = Action::Pause(key, 0, child.streak - 1);
        self.out.push(pause);
    }

    fn run(&mut self, now: Instant, key: Key) {
        self.turn(key, Is::Starting);
        let within = self.child(key).rules.start_within;
        self.out.push(Action::Run(key));
        if let Some(within) = within {
            self.set_timer(key, now + within);
        }
    }

    fn kill(&mut self, now: Instant, key: Key) {
        self.turn(key, Is::Stopping);
        let child = self.child(key);
        child.killed = true;
        let (for_good, at) = (child.for_good, now + child.rules.kill_grace);
        self.out.push(Action::Kill(key, for_good));
        self.set_timer(key, at);
    }

    fn set_timer(&mut self, key: Key, at: Instant) {
        self.child(key).timer = Some(0);
        self.out.push(Action::SetTimer(key, 0, at));
    }

    /// Stops a child for good, whatever it is about.
    fn take_down(&mut self, now: Instant, key: Key) {
        let child = self.child(key);
        match child.is {
            Is::Down | Is::Stuck => {}
            Is::Queued | Is::Crashed(_) | Is::Pausing => self.down(key, Answer::Interrupted),
            Is::Starting | Is::Up => self.ask(now, key, true),
            Is::Stopping => {
                if !std::mem::replace(&mut child.for_good, true) {
                    let again = if child.killed { Action::Kill(key, true) } else { Action::Ask(key, true) };
                    self.out.push(again);
                }
            }
        }
    }

    /// Stops a child that is started again after that.
    fn take_away(&mut self, now: Instant, key: Key) {
        let child = self.child(key);
        match child.is {
            _ if child.rules.restart == Restart::Temporary => self.take_down(now, key),
            Is::Down if child.stopped || child.fresh => {}
            Is::Down | Is::Queued | Is::Crashed(_) | Is::Pausing => self.turn(key, Is::Queued),
            Is::Starting | Is::Up => self.ask(now, key, false),
            Is::Stopping | Is::Stuck => {}
        }
    }

    fn ask(&mut self, now: Instant, key: Key, for_good: bool) {
        let child = self.child(key);
        (child.killed, child.late, child.for_good) = (false, false, for_good);
        match child.rules.stop {
            Stop::Kill => self.kill(now, key),
            Stop::Forever => {
                self.turn(key, Is::Stopping);
                self.out.push(Action::Ask(key, for_good));
            }
            Stop::Within(within) => {
                self.turn(key, Is::Stopping);
                self.out.push(Action::Ask(key, for_good));
                self.set_timer(key, now + within);
            }
        }
    }

    fn stuck(&mut self, now: Instant, key: Key) {
        self.turn(key, Is::Stuck);
        self.out.push(Action::Stuck(key));
        let child = self.child(key);
        let start = std::mem::take(&mut child.start);
        let stops = std::mem::take(&mut child.stops);
        let wanted = !child.for_good && !start;
        self.out.extend(start.then_some(Action::Answer(key, Answer::NotStarted)));
        self.out.extend((0..stops).map(|_| Action::Answer(key, Answer::Stuck)));
        if wanted && self.job == Job::First {
            self.end(now, Outcome::StartFailed(key));
        } else if wanted {
            self.end(now, Outcome::GaveUp(key));
        }
    }

    fn down(&mut self, key: Key, instead: Answer) {
        self.turn(key, Is::Down);
        let child = self.child(key);
        let start = std::mem::take(&mut child.start);
        let stops = std::mem::take(&mut child.stops);
        let leaves = child.fresh || child.rules.restart == Restart::Temporary;
        self.out.extend(start.then_some(Action::Answer(key, instead)));
        self.out.push(Action::Down(key));
        self.out.extend((0..stops).map(|_| Action::Answer(key, Answer::Stopped)));
        let stays = matches!(self.job, Job::Last(_));
        if !stays && (leaves || self.rules.strategy == Strategy::Dynamic) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: Key) {
        self.children.retain(|child| child.key != key);
        self.out.push(Action::Forget(key));
    }
}
