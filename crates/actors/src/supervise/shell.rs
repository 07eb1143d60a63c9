//! [`Run`]: a supervisor that runs. The machine says what is to be done; this does it.

mod asked;
mod timers;

use std::fmt;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use weirs_resilience::{Backoff, BackoffProgress};
use weirs_runtime::{Clock, Instant, Task};

use asked::{Asked, Due};
use timers::Timers;

use super::branch::{Branch, Said};
use super::command::{Command, CommandError, StartChildError, StartError, Which};
use super::handle::Handle;
use super::incarnation::Incarnation;
use super::machine::{Action, Ending, Event, Key, Machine, Outcome, Phase};
use super::node::{ChildState, GONE, KILL, LAST, Node, STOP};
use super::observe::What;
use super::pool::Place;
use super::report::Left;
use super::runner::Seat;
use super::spec::Spec;
use crate::answer::Answerer;
use crate::panics::{contain, let_go};
use crate::sync::lock;
use crate::{Exit, GaveUp, Invalid};

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
    timers: Timers,
    said: Vec<Said>,
    todo: Vec<Action>,
    /// Answers to be given when all is done: whoever hears one finds the tree as it says.
    due: Vec<Due>,
    progress: Progress,
    /// The life of the child that this supervisor is; none of a root.
    life: Option<Incarnation>,
    /// Who was lost by its executor and cannot be started again.
    lost: Option<Arc<Node>>,
    exit: Option<Exit>,
}

/// After so many rounds of what was said, others may have the thread.
const ROUNDS: usize = 32;

enum Progress {
    /// Not begun; or why it cannot.
    New(Result<(), Invalid>, Option<Answerer<Result<(), StartError>>>),
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
    spec: Option<Box<Spec>>,
    /// Its place in a pool, while it is in the tree.
    place: Option<Place>,
    backoff: Option<Box<(Backoff, BackoffProgress)>>,
    asked: Option<Box<Asked>>,
}

impl Run {
    pub(super) fn new(
        branch: Branch,
        machine: Machine,
        children: Result<Vec<Spec>, Invalid>,
        life: Option<Incarnation>,
    ) -> Self {
        let (children, valid) = match children {
            Ok(children) => (children, Ok(())),
            Err(invalid) => (Vec::new(), Err(invalid)),
        };
        let mut this = Self {
            branch: Arc::new(branch),
            machine,
            children: Vec::new(),
            timers: Timers::default(),
            said: Vec::new(),
            todo: Vec::new(),
            due: Vec::new(),
            progress: Progress::New(valid, None),
            life,
            lost: None,
            exit: None,
        };
        // Put in place before it begins: whoever has an address may stop the actor at once.
        for spec in children {
            this.insert(Box::new(spec));
        }
        this
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
        let start = match std::mem::replace(&mut self.progress, Progress::Running) {
            Progress::New(Ok(()), start) => start,
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
        self.progress = Progress::Starting(start);
        self.step(now, Event::Start);
    }

    fn insert(&mut self, mut spec: Box<Spec>) -> Key {
        let key = self.machine.insert(Arc::clone(&spec.rules));
        let node = Arc::clone(&spec.node);
        // A spec is put into one supervisor, once.
        let _ = node.above.set((Arc::downgrade(&self.branch), key));
        lock(&self.branch.roster).put(key, Arc::clone(&node));
        if self.children.len() <= key.place() {
            self.children.resize_with(key.place() + 1, || None);
        }
        let backoff = spec.backoff.take();
        let backoff = backoff.map(|backoff| Box::new((*backoff, BackoffProgress::default())));
        if self.machine.phase(key) == Some(Phase::Queued) {
            node.show(ChildState::Queued);
        }
        let place = spec.place.take();
        let child = Child { node, task: None, spec: Some(spec), place, backoff, asked: None };
        self.children[key.place()] = Some(child);
        key
    }

    fn step(&mut self, now: Instant, event: Event) {
        self.machine.step(now, event, &mut self.todo);
        self.act(now);
    }

    fn hear(&mut self, now: Instant, said: Said) {
        match said {
            Said::Ready(key, number) => {
                let starting = self.machine.phase(key) == Some(Phase::Starting);
                let Some(child) = self.child(key) else { return };
                // What an earlier life said, or one that is being stopped, counts no longer.
                if !starting || child.node.incarnation() != number {
                    return;
                }
                child.node.show(ChildState::Up);
                let node = Arc::clone(&child.node);
                self.branch.observe(&node, What::Ready);
                self.step(now, Event::Ready(key));
                let_go(node);
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
        if self.machine.phase(key) == Some(Phase::Queued) {
            node.show(ChildState::Queued);
        }
        let_go((node, exit));
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
            Command::Start(spec, answerer) => {
                if let Err(error) = self.start_child(now, spec, answerer) {
                    let_go(error);
                }
            }
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

    /// Starts a child that is new. An error that nobody waits for is given back.
    fn start_child(
        &mut self,
        now: Instant,
        spec: Box<Spec>,
        answerer: Option<Answerer<Result<(), StartChildError>>>,
    ) -> Result<(), StartChildError> {
        let refused = if self.machine.is_ending() {
            StartChildError::Ended(Some(spec))
        } else if let Err(invalid) = spec.check_under(&self.branch.rules) {
            StartChildError::Invalid(invalid, spec)
        } else if lock(&self.branch.roster).find(spec.id()).is_some() {
            StartChildError::Taken(spec)
        } else {
            let key = self.insert(spec);
            if let Some(answerer) = answerer {
                self.asked(key).started.push(answerer);
            }
            self.step(now, Event::StartChild(key));
            return Ok(());
        };
        match answerer {
            Some(answerer) => {
                answerer.give(Err(refused));
                Ok(())
            }
            None => Err(refused),
        }
    }

    fn find(&self, which: &Which) -> Option<Key> {
        let key = match which {
            Which::Called(id) => lock(&self.branch.roster).find(id)?,
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
        let restarts = self.machine.restarts(now);
        self.branch.restarts.store(restarts, Ordering::Relaxed);
        let mut at = 0;
        // What an action leads to comes after those that were there.
        while let Some(action) = self.todo.get(at).copied() {
            at += 1;
            self.perform(now, action);
        }
        self.todo.clear();
        self.due.drain(..).for_each(Due::give);
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
            Action::Run(key) if node.flags() & GONE != 0 => self.cannot_run(now, key, &node),
            Action::Run(key) => {
                if let Some(face) = &node.face {
                    face.open();
                }
                let number = node.run(now);
                self.branch.observe(&node, What::Started(number));
                if let Some(spec) = child.spec.take() {
                    let announces = spec.announces;
                    let (node, branch) = (Arc::clone(&node), Arc::clone(&self.branch));
                    let seat = Seat { node, branch, key, announces };
                    // A spawner that panics has dropped the task, and that says so.
                    match contain(|| spec.launch(&self.branch.runtime, seat)) {
                        Ok(task) => child.task = Some(task),
                        Err(panic) => let_go(panic),
                    }
                } else if node.flags() & GONE != 0 && node.take_run() {
                    // It went just now, and did not see the order.
                    self.cannot_run(now, key, &node);
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
            Action::Answer(_, answer) => {
                if let Some(asked) = &mut child.asked {
                    asked.answer(answer, || node.shown().last_exit, &mut self.due);
                }
                // Most children are asked for once.
                if child.asked.as_ref().is_some_and(|asked| asked.is_empty()) {
                    child.asked = None;
                }
            }
            Action::Down(_) => {
                child.place = None;
                node.show(ChildState::Down);
                close(&node);
            }
            Action::Forget(key) => {
                let child = self.children[key.place()].take();
                let shown = lock(&self.branch.roster).take(key);
                close(&node);
                self.branch.observe(&node, What::Left);
                let_go(child);
                let_go(shown);
            }
            Action::Stuck(_) => {
                node.show(ChildState::Stuck);
                close(&node);
                self.branch.observe(&node, What::Stuck);
            }
            Action::SetTimer(..) | Action::Started | Action::Exit(_) => {}
        }
        let_go(node);
    }

    /// The executor has dropped the child's task, and with it what makes its lives. Whoever asked for the
    /// start hears of it; if nobody did, the supervisor cannot do its work any more, and ends.
    fn cannot_run(&mut self, now: Instant, key: Key, node: &Arc<Node>) {
        let child = self.child(key).and_then(|child| child.asked.as_ref());
        let is_asked = child.is_some_and(|asked| !asked.started.is_empty() || !asked.restarted.is_empty());
        if !is_asked && self.lost.is_none() && !self.machine.is_ending() {
            self.lost = Some(Arc::clone(node));
            self.machine.step(now, Event::Shutdown, &mut self.todo);
        }
        self.machine.step(now, Event::Ended(key, Ending::Abnormal), &mut self.todo);
    }

    fn started(&mut self) {
        if let Some(life) = &self.life {
            life.ready();
        }
        if let Progress::Starting(Some(start)) = std::mem::replace(&mut self.progress, Progress::Running) {
            start.give(Ok(()));
        }
    }

    /// Notes who is stuck at the end, whenever that began.
    fn report_stuck(&self) {
        let stuck = self.machine.children().filter(|key| self.machine.phase(*key) == Some(Phase::Stuck));
        let children = stuck.filter_map(|key| self.children.get(key.place())?.as_ref());
        let left: Vec<Left> = children.map(|child| Left { path: child.node.path(), exit: None }).collect();
        lock(&self.branch.report).left.extend(left);
    }

    fn exit(&mut self, outcome: Outcome) {
        self.report_stuck();
        let last = |node: &Node| node.shown().last_exit.unwrap_or(Exit::Lost);
        let gave_up = |node: &Node| {
            let (child, exit) = (node.id.clone(), last(node));
            Exit::GaveUp(Arc::new(GaveUp { child, exit }))
        };
        let start_error = |node: &Node| StartError::Child { path: node.path(), exit: last(node) };
        let about = match outcome {
            Outcome::GaveUp(key) | Outcome::StartFailed(key) => {
                self.child(key).map(|child| Arc::clone(&child.node))
            }
            Outcome::Shutdown | Outcome::Killed | Outcome::Done(_) => None,
        };
        let exit = match (outcome, &about) {
            (Outcome::Shutdown, _) => self.lost.as_deref().map_or(Exit::Shutdown, gave_up),
            (Outcome::Killed, _) => Exit::Killed,
            (Outcome::Done(_), _) => Exit::Normal,
            (Outcome::GaveUp(_), Some(node)) => gave_up(node),
            (Outcome::StartFailed(_), Some(node)) => Exit::failed(start_error(node)),
            (Outcome::GaveUp(_) | Outcome::StartFailed(_), None) => Exit::Lost,
        };
        if let Progress::Starting(Some(start)) = std::mem::replace(&mut self.progress, Progress::Over) {
            start.give(Err(match (outcome, &about) {
                (Outcome::StartFailed(_), Some(node)) => start_error(node),
                _ => StartError::Interrupted(exit.clone()),
            }));
        }
        self.branch.observe_itself(What::Over(&exit));
        self.exit = Some(exit);
    }

    /// Lets go of all that is left, in reverse order of the start.
    fn let_go(&mut self) {
        for said in self.branch.close() {
            if let Said::Do(Command::Start(spec, Some(answerer))) = said {
                answerer.give(Err(StartChildError::Ended(Some(spec))));
            } else {
                let_go(said);
            }
        }
        // First of all, so that no last clone of anything is in there.
        let roster = take(&mut *lock(&self.branch.roster));
        let_go(roster);
        let keys: Vec<Key> = self.machine.children().collect();
        for key in keys.into_iter().rev() {
            if let Some(child) = self.children.get_mut(key.place()).and_then(Option::take) {
                let node = Arc::clone(&child.node);
                let_go(child);
                close(&node);
                let_go(node);
            }
        }
        let_go(self.lost.take());
        self.progress = Progress::Over;
    }
}

/// Nobody takes messages there any more.
fn close(node: &Node) {
    if let Some(face) = &node.face {
        face.close(&node.shown().last_exit.unwrap_or(Exit::Shutdown));
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
        for _ in 0..ROUNDS {
            if let Some(event) = this.orders() {
                this.step(clock.now(), event);
            }
            if let Some(exit) = &this.exit {
                let exit = exit.clone();
                this.let_go();
                return Poll::Ready(exit);
            }
            if this.hear_all(&clock, cx) {
                continue;
            }
            ready!(this.look_at_the_time(&clock, cx));
        }
        // Children who never stop talking keep neither the timers nor others from their turn.
        let _ = this.look_at_the_time(&clock, cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Run {
    /// What the supervisor above wants.
    fn orders(&self) -> Option<Event> {
        let flags = self.life.as_ref()?.node.flags();
        match flags {
            _ if flags & KILL != 0 => Some(Event::Kill),
            _ if flags & STOP != 0 => Some(Event::Shutdown),
            _ => None,
        }
    }

    /// Looks after all that was said, and tells whether there was something.
    fn hear_all(&mut self, clock: &Clock, cx: &Context<'_>) -> bool {
        let mut all = take(&mut self.said);
        let something = self.branch.hear(&mut all, cx);
        if something {
            let now = clock.now();
            for said in all.drain(..) {
                self.hear(now, said);
            }
        }
        self.said = all;
        something
    }

    /// Looks after the timers that are due, or waits for the next.
    fn look_at_the_time(&mut self, clock: &Clock, cx: &mut Context<'_>) -> Poll<()> {
        let at = ready!(self.timers.poll(&self.machine, clock, cx));
        while let Some((key, timer)) = self.timers.due(at) {
            self.step(at, Event::TimeUp(key, timer));
        }
        Poll::Ready(())
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
