//! [`Run`]: a supervisor that runs. The machine says what is to be done; this does it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use weirs_resilience::{Backoff, BackoffProgress};
use weirs_runtime::{Instant, Sleep, Task};

use super::branch::{Branch, Said};
use super::command::{Command, CommandError, StartChildError, StartError, Which};
use super::handle::Handle;
use super::incarnation::Incarnation;
use super::machine::{Action, Answer, Ending, Event, Key, Machine, Outcome};
use super::node::{ChildState, KILL, LAST, Node, STOP};
use super::observe::What;
use super::report::Left;
use super::runner::Seat;
use super::spec::Spec;
use crate::answer::Answerer;
use crate::panics::let_go;
use crate::sync::lock;
use crate::{Exit, GaveUp, Id, Invalid};

/// A supervisor that runs: a future, which ends when the supervisor does.
///
/// Dropped, it drops the whole tree. Made by [`Supervisor::run`](super::Supervisor::run).
///
/// # Cancel safety
/// Its children run in tasks of their own. Dropped, it drops them in reverse order of their start, without
/// asking them to stop.
#[must_use = "a supervisor does nothing unless it is awaited"]
pub struct Run {
    branch: Arc<Branch>,
    machine: Machine,
    children: Vec<Option<Child>>,
    names: HashMap<Id, Key>,
    timers: Timers,
    said: Vec<Said>,
    todo: Vec<Action>,
    progress: Progress,
    /// The life of the child that this supervisor is; none of a root.
    life: Option<Incarnation>,
    exit: Option<Exit>,
}

enum Progress {
    /// Not begun; the children it begins with, or why it cannot.
    New(Result<Vec<Spec>, Invalid>, Option<Answerer<Result<(), StartError>>>),
    /// Not all of these children are ready.
    Starting(Option<Answerer<Result<(), StartError>>>),
    Running,
    Over,
}

/// A child, as far as the supervisor's own hands are concerned.
struct Child {
    node: Arc<Node>,
    /// None until it is started for the first time.
    task: Option<Task<()>>,
    spec: Option<Spec>,
    backoff: Option<Box<(Backoff, BackoffProgress)>>,
    asked: Option<Box<Asked>>,
}

/// Who waits for the child.
#[derive(Default)]
struct Asked {
    started: Vec<Answerer<Result<(), StartChildError>>>,
    restarted: Vec<Answerer<Result<(), CommandError>>>,
    stopped: Vec<Answerer<Result<Exit, CommandError>>>,
    deleted: Vec<Answerer<Result<(), CommandError>>>,
}

impl Run {
    pub(super) fn new(
        branch: Branch,
        machine: Machine,
        children: Result<Vec<Spec>, Invalid>,
        life: Option<Incarnation>,
    ) -> Self {
        Self {
            branch: Arc::new(branch),
            machine,
            children: Vec::new(),
            names: HashMap::new(),
            timers: Timers::default(),
            said: Vec::new(),
            todo: Vec::new(),
            progress: Progress::New(children, None),
            life,
            exit: None,
        }
    }

    /// For others to add, stop and look at children with.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.branch))
    }

    pub(super) fn branch(&self) -> &Arc<Branch> {
        &self.branch
    }

    /// Somebody wants to hear of the start.
    pub(super) fn tell_start(&mut self, answerer: Answerer<Result<(), StartError>>) {
        if let Progress::New(_, start) = &mut self.progress {
            *start = Some(answerer);
        }
    }

    fn begin(&mut self, now: Instant) {
        let (specs, start) = match std::mem::replace(&mut self.progress, Progress::Running) {
            Progress::New(Ok(specs), start) => (specs, start),
            Progress::New(Err(invalid), start) => {
                self.progress = Progress::Over;
                self.exit = Some(Exit::failed(StartError::Invalid(invalid.clone())));
                if let Some(start) = start {
                    start.give(Err(StartError::Invalid(invalid)));
                }
                return;
            }
            other => {
                self.progress = other;
                return;
            }
        };
        for spec in specs {
            self.insert(spec);
        }
        self.progress = Progress::Starting(start);
        self.step(now, Event::Start);
    }

    fn insert(&mut self, spec: Spec) -> Key {
        let key = self.machine.insert(spec.rules);
        let node = Arc::clone(&spec.node);
        // A spec is put into one supervisor, once.
        let _ = node.above.set((Arc::downgrade(&self.branch), key));
        if spec.id().name().is_some() {
            self.names.insert(spec.id().clone(), key);
        }
        lock(&self.branch.roster).put(key, Arc::clone(&node));
        if self.children.len() <= key.place() {
            self.children.resize_with(key.place() + 1, || None);
        }
        let backoff = spec.backoff.map(|backoff| Box::new((backoff, BackoffProgress::default())));
        self.children[key.place()] = Some(Child { node, task: None, spec: Some(spec), backoff, asked: None });
        key
    }

    fn step(&mut self, now: Instant, event: Event) {
        self.machine.step(now, event, &mut self.todo);
        self.act(now);
    }

    fn hear(&mut self, now: Instant, said: Said) {
        match said {
            Said::Ready(key) => {
                if let Some(child) = self.child(key) {
                    child.node.show(ChildState::Up);
                    let node = Arc::clone(&child.node);
                    self.branch.observe(&node, What::Ready);
                }
                self.step(now, Event::Ready(key));
            }
            Said::Ended(key, exit) => self.ended(now, key, exit),
            Said::Do(command) => self.obey(now, command),
        }
    }

    fn ended(&mut self, now: Instant, key: Key, exit: Exit) {
        let Some(child) = self.child(key) else { return };
        let node = Arc::clone(&child.node);
        node.show(ChildState::Down);
        self.branch.observe(&node, What::Ended(&exit));
        if self.machine.is_ending() {
            self.report(&node, &exit);
        }
        let ending = match exit {
            Exit::Ignored => Ending::Ignored,
            ref exit if exit.is_abnormal() => Ending::Abnormal,
            _ => Ending::Normal,
        };
        self.step(now, Event::Ended(key, ending));
    }

    /// Notes how a child went down at the end.
    fn report(&self, node: &Arc<Node>, exit: &Exit) {
        let below = node.face.as_ref().and_then(|face| face.branch()).map(|branch| {
            let mut report = lock(&branch.report);
            (take(&mut report.left), take(&mut report.stopped))
        });
        let left = exit.is_abnormal().then(|| Left { path: node.path(), exit: Some(exit.clone()) });
        let mut report = lock(&self.branch.report);
        report.stopped += usize::from(left.is_none());
        if let Some((left, stopped)) = below {
            report.left.extend(left);
            report.stopped += stopped;
        }
        report.left.extend(left);
    }

    fn obey(&mut self, now: Instant, command: Command) {
        match command {
            Command::Start(spec, answerer) => self.start_child(now, *spec, answerer),
            Command::Stop(which, answerer) => match self.find(&which) {
                Some(key) => {
                    self.asked(key).stopped.push(answerer);
                    self.step(now, Event::StopChild(key));
                }
                None => answerer.give(Err(CommandError::Unknown)),
            },
            Command::Restart(which, answerer) => match self.find(&which) {
                Some(key) => {
                    self.asked(key).restarted.push(answerer);
                    self.step(now, Event::StartChild(key));
                }
                None => answerer.give(Err(CommandError::Unknown)),
            },
            Command::Delete(which, answerer) => match self.find(&which) {
                Some(key) => {
                    self.asked(key).deleted.push(answerer);
                    self.step(now, Event::DeleteChild(key));
                }
                None => answerer.give(Err(CommandError::Unknown)),
            },
            Command::Shutdown => self.step(now, Event::Shutdown),
            Command::Kill => self.step(now, Event::Kill),
        }
    }

    fn start_child(&mut self, now: Instant, spec: Spec, answerer: Answerer<Result<(), StartChildError>>) {
        if self.machine.is_ending() {
            return answerer.give(Err(StartChildError::Ended(Some(Box::new(spec)))));
        }
        if self.names.contains_key(spec.id()) {
            return answerer.give(Err(StartChildError::Taken(Box::new(spec))));
        }
        let key = self.insert(spec);
        self.asked(key).started.push(answerer);
        self.step(now, Event::StartChild(key));
    }

    fn find(&self, which: &Which) -> Option<Key> {
        let key = match which {
            Which::Called(id) => *self.names.get(id)?,
            Which::At(key) => *key,
        };
        self.machine.phase(key).map(|_| key)
    }

    fn child(&mut self, key: Key) -> Option<&mut Child> {
        self.machine.phase(key)?;
        self.children.get_mut(key.place())?.as_mut()
    }

    fn asked(&mut self, key: Key) -> &mut Asked {
        let child = self.children[key.place()].as_mut().expect("a child that was found");
        child.asked.get_or_insert_default()
    }

    fn act(&mut self, now: Instant) {
        let mut at = 0;
        // What an action leads to comes after those that were there.
        while let Some(action) = self.todo.get(at).copied() {
            at += 1;
            self.perform(now, action);
        }
        self.todo.clear();
    }

    fn perform(&mut self, now: Instant, action: Action) {
        let place = match action {
            Action::Run(key)
            | Action::Ask(key, _)
            | Action::Kill(key, _)
            | Action::Pause(key, ..)
            | Action::Answer(key, _)
            | Action::Down(key)
            | Action::Forget(key)
            | Action::Stuck(key) => key,
            Action::SetTimer(key, timer, at) => return self.timers.set(at, key, timer, &self.machine),
            Action::Started => return self.started(),
            Action::Exit(outcome) => return self.exit(outcome),
        };
        let Some(child) = self.children.get_mut(place.place()).and_then(Option::as_mut) else { return };
        let node = Arc::clone(&child.node);
        match action {
            Action::Run(key) => {
                if let Some(face) = &node.face {
                    face.open();
                }
                let number = node.run(now);
                self.branch.observe(&node, What::Started(number));
                if let Some(spec) = child.spec.take() {
                    let announces = spec.announces;
                    let seat = Seat { node, branch: Arc::clone(&self.branch), key, announces };
                    child.task = Some(spec.launch(&self.branch.runtime, seat));
                }
            }
            Action::Ask(_, last) => node.tell(STOP | if last { LAST } else { 0 }),
            Action::Kill(_, last) => node.tell(KILL | STOP | if last { LAST } else { 0 }),
            Action::Pause(key, timer, streak) => {
                let pause = match &mut child.backoff {
                    Some(backoff) => {
                        if streak == 0 {
                            backoff.1 = BackoffProgress::default();
                        }
                        backoff.0.next(&mut backoff.1, self.branch.runtime.clock())
                    }
                    None => Duration::ZERO,
                };
                node.show(ChildState::Pausing(pause));
                self.branch.observe(&node, What::Restarting(pause));
                self.timers.set(now + pause, key, timer, &self.machine);
            }
            Action::Answer(_, answer) => answer_all(child, answer),
            Action::Down(_) => {
                node.show(ChildState::Down);
                close(&node);
            }
            Action::Forget(key) => {
                let child = self.children[key.place()].take();
                if self.names.get(&node.id) == Some(&key) {
                    self.names.remove(&node.id);
                }
                if let Some(place) = lock(&self.branch.roster).nodes.get_mut(key.place()) {
                    *place = None;
                }
                close(&node);
                self.branch.observe(&node, What::Left);
                let_go(child);
            }
            Action::Stuck(_) => {
                node.show(ChildState::Stuck);
                close(&node);
                if self.machine.is_ending() {
                    lock(&self.branch.report).left.push(Left { path: node.path(), exit: None });
                }
                self.branch.observe(&node, What::Stuck);
            }
            Action::SetTimer(..) | Action::Started | Action::Exit(_) => {}
        }
        let restarts = self.machine.restarts(now);
        self.branch.restarts.store(restarts, Ordering::Relaxed);
    }

    fn started(&mut self) {
        if let Some(life) = &self.life {
            life.ready();
        }
        if let Progress::Starting(Some(start)) = std::mem::replace(&mut self.progress, Progress::Running) {
            start.give(Ok(()));
        }
    }

    fn exit(&mut self, outcome: Outcome) {
        let last = |run: &mut Self, key: Key| {
            let child = run.child(key)?;
            Some((
                child.node.id.clone(),
                child.node.path(),
                child.node.shown().last_exit.unwrap_or(Exit::Lost),
            ))
        };
        let exit = match outcome {
            Outcome::Shutdown => Exit::Shutdown,
            Outcome::Killed => Exit::Killed,
            Outcome::Done(_) => Exit::Normal,
            Outcome::GaveUp(key) => match last(self, key) {
                Some((child, _, exit)) => Exit::GaveUp(Arc::new(GaveUp { child, exit })),
                None => Exit::Lost,
            },
            Outcome::StartFailed(key) => match last(self, key) {
                Some((_, path, exit)) => Exit::failed(StartError::Child { path, exit }),
                None => Exit::Lost,
            },
        };
        if let Progress::Starting(Some(start)) = std::mem::replace(&mut self.progress, Progress::Over) {
            start.give(Err(match (outcome, last_of(outcome).and_then(|key| last(self, key))) {
                (Outcome::StartFailed(_), Some((_, path, exit))) => StartError::Child { path, exit },
                _ => StartError::Interrupted(exit.clone()),
            }));
        }
        self.exit = Some(exit);
    }

    /// Lets go of all that is left, in reverse order of the start.
    fn let_go(&mut self) {
        for said in self.branch.close() {
            if let Said::Do(Command::Start(spec, answerer)) = said {
                answerer.give(Err(StartChildError::Ended(Some(spec))));
            } else {
                let_go(said);
            }
        }
        let keys: Vec<Key> = self.machine.children().collect();
        for key in keys.into_iter().rev() {
            if let Some(child) = self.children.get_mut(key.place()).and_then(Option::take) {
                let node = Arc::clone(&child.node);
                let_go(child);
                close(&node);
            }
        }
        let roster = take(&mut *lock(&self.branch.roster));
        drop(roster);
        if let Progress::New(Ok(specs), _) = std::mem::replace(&mut self.progress, Progress::Over) {
            for spec in specs {
                close(&spec.node);
                let_go(spec);
            }
        }
    }
}

fn last_of(outcome: Outcome) -> Option<Key> {
    match outcome {
        Outcome::StartFailed(key) => Some(key),
        _ => None,
    }
}

/// Nobody takes messages there any more.
fn close(node: &Node) {
    if let Some(face) = &node.face {
        face.close(&node.shown().last_exit.unwrap_or(Exit::Shutdown));
    }
}

fn answer_all(child: &mut Child, answer: Answer) {
    let Some(asked) = &mut child.asked else { return };
    let exit = || child.node.shown().last_exit;
    match answer {
        Answer::Started | Answer::NotStarted | Answer::Interrupted => {
            for answerer in take(&mut asked.started) {
                answerer.give(match answer {
                    Answer::Started => Ok(()),
                    Answer::NotStarted => Err(StartChildError::NotStarted(exit().unwrap_or(Exit::Lost))),
                    _ => Err(StartChildError::Interrupted),
                });
            }
            for answerer in take(&mut asked.restarted) {
                answerer.give(match answer {
                    Answer::Started => Ok(()),
                    Answer::NotStarted => Err(CommandError::NotStarted(exit().unwrap_or(Exit::Lost))),
                    _ => Err(CommandError::Interrupted),
                });
            }
        }
        Answer::Stopped | Answer::Stuck => {
            for answerer in take(&mut asked.stopped) {
                answerer.give(match answer {
                    Answer::Stopped => Ok(exit().unwrap_or(Exit::Normal)),
                    _ => Err(CommandError::Stuck),
                });
            }
        }
        Answer::Deleted => {
            for answerer in take(&mut asked.deleted) {
                answerer.give(Ok(()));
            }
        }
        // Those who asked last: the ones before them are waited for.
        Answer::Running => {
            if let Some(answerer) = asked.deleted.pop() {
                answerer.give(Err(CommandError::Running));
            } else if let Some(answerer) = asked.restarted.pop() {
                answerer.give(Err(CommandError::Running));
            }
        }
        Answer::Ending => {
            if let Some(answerer) = asked.restarted.pop() {
                answerer.give(Err(CommandError::Ended));
            } else if let Some(answerer) = asked.started.pop() {
                answerer.give(Err(StartChildError::Ended(None)));
            }
        }
    }
}

impl Future for Run {
    type Output = Exit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit> {
        let this = &mut *self;
        let clock = this.branch.runtime.clock().clone();
        if let Progress::New(..) = this.progress {
            this.begin(clock.now());
        }
        loop {
            if let Some(life) = &this.life {
                let flags = life.node.flags();
                let event = match flags {
                    _ if flags & KILL != 0 => Some(Event::Kill),
                    _ if flags & STOP != 0 => Some(Event::Shutdown),
                    _ => None,
                };
                if let Some(event) = event {
                    this.step(clock.now(), event);
                }
            }
            if let Some(exit) = &this.exit {
                let exit = exit.clone();
                this.let_go();
                return Poll::Ready(exit);
            }
            let mut said = take(&mut this.said);
            if this.branch.hear(&mut said, cx) {
                let now = clock.now();
                for said in said.drain(..) {
                    this.hear(now, said);
                }
                this.said = said;
                continue;
            }
            this.said = said;
            let at = ready!(this.timers.poll(&this.machine, &clock, cx));
            while let Some((key, timer)) = this.timers.due(at) {
                this.step(at, Event::TimeUp(key, timer));
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("path", &self.branch.path()).finish_non_exhaustive()
    }
}

/// The timers of all children; those that count no longer are thrown out as they come up.
#[derive(Default)]
struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Key, u32)>>,
    sleep: Option<Sleep>,
    sweep_at: usize,
}

impl Timers {
    fn set(&mut self, at: Instant, key: Key, timer: u32, machine: &Machine) {
        if self.heap.len() >= self.sweep_at.max(64) {
            self.heap.retain(|Reverse((_, key, timer))| machine.awaits(*key, *timer));
            self.sweep_at = self.heap.len() * 2;
        }
        self.heap.push(Reverse((at, key, timer)));
    }

    /// Waits until the first of them is due.
    fn poll(
        &mut self,
        machine: &Machine,
        clock: &weirs_runtime::Clock,
        cx: &mut Context<'_>,
    ) -> Poll<Instant> {
        while let Some(Reverse((_, key, timer))) = self.heap.peek() {
            if machine.awaits(*key, *timer) {
                break;
            }
            self.heap.pop();
        }
        let Some(Reverse((at, ..))) = self.heap.peek() else {
            self.sleep = None;
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| clock.sleep_until(*at));
        if sleep.deadline() != *at {
            sleep.reset(*at);
        }
        ready!(Pin::new(sleep).poll(cx));
        self.sleep = None;
        Poll::Ready(clock.now())
    }

    fn due(&mut self, now: Instant) -> Option<(Key, u32)> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key, timer))| (key, timer))
    }
}
