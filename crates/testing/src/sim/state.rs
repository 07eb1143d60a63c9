//! The state of a run that its tasks reach: all of it behind the one lock of the
//! [`World`](super::world::World).

use std::task::Waker;

use futures_task::FutureObj;
use weirs_runtime::{BlockingJob, Ending, Spawned, TaskId};

use super::faults::{RunFaults, Strike};
use super::oracle::Oracle;
use super::ready::Ready;
use super::settings::Settings;
use super::tasks::{MAIN, Tasks};
use super::timers::Timers;
use super::trace::{Event, NOBODY, Trace};

/// What a run does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Poll this task, with a waker of this generation.
    Poll(u32, u64),
    /// Drop what is left of this task, which is over. No step.
    Reap(u32),
    /// Wake those whose timers are due.
    Fire,
    /// The body is over.
    MainEnded,
    /// Nothing is runnable, and no timer is set or may fire.
    Idle,
    /// One of the limits is reached.
    StepLimit,
    TimeLimit,
}

/// How far a run may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Until the body is over.
    MainEnded,
    /// Until nothing is runnable now, or this step.
    Quiescent(u64),
}

/// A task on its way from the spawner to the executor.
#[derive(Debug)]
pub(super) enum Work {
    Future(FutureObj<'static, ()>),
    Job(Job),
}

/// A blocking job.
pub(super) struct Job(pub(super) BlockingJob);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) tasks: Tasks,
    pub(super) trace: Trace,
    pub(super) steps: u64,
    pub(super) now: u64,
    /// Tasks that were spawned and that the executor has not taken over yet.
    pub(super) incoming: Vec<(u32, Work)>,
    ready: Ready,
    timers: Timers,
    timers_made: u64,
    oracle: Oracle,
    faults: RunFaults,
    step_limit: u64,
    time_limit: u64,
    /// The task that is being polled.
    current: Option<u32>,
    /// It woke itself meanwhile.
    yielded: bool,
    /// The task that its watch was told of and that is about to reach the spawner.
    announced: Option<u32>,
    /// The run is over: nothing may be spawned, set or woken any more.
    closed: bool,
}

impl State {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut oracle = Oracle::new(settings.seed);
        Self {
            tasks: Tasks::default(),
            trace: Trace::new(),
            steps: 0,
            now: 0,
            incoming: Vec::new(),
            ready: Ready::new(settings.schedule, &mut oracle),
            timers: Timers::default(),
            timers_made: 0,
            faults: RunFaults::new(settings.faults.clone(), &mut oracle),
            oracle,
            step_limit: settings.step_limit,
            time_limit: u64::try_from(settings.time_limit.as_nanos()).unwrap_or(u64::MAX),
            current: None,
            yielded: false,
            announced: None,
            closed: false,
        }
    }

    /// Makes a task the one that is being polled.
    pub(super) fn enter(&mut self, task: u32) {
        self.current = Some(task);
    }

    /// The one that is being polled, in words for the trace.
    pub(super) fn current(&self) -> u32 {
        self.current.unwrap_or(NOBODY)
    }

    /// Ends the step of the task that was polled.
    fn leave(&mut self) {
        let yielded = std::mem::take(&mut self.yielded);
        let Some(task) = self.current.take() else { return };
        if yielded && self.tasks.get(task).is_some_and(|record| !record.reaped) {
            self.ready.push_yielded(task);
        }
    }

    /// Ends the step before, chooses what comes next, and records it. Wakers that are due go to `due`.
    pub(super) fn next(&mut self, until: Until, due: &mut Vec<Waker>) -> Next {
        self.leave();
        match until {
            Until::MainEnded if self.main_ending().is_some() => return Next::MainEnded,
            Until::Quiescent(step) if self.steps >= step => return Next::Idle,
            _ => {}
        }
        if self.steps >= self.step_limit {
            return Next::StepLimit;
        }
        if let Some(task) = self.victim_of_spurious_poll() {
            return self.poll(task, Event::PolledSpuriously);
        }
        if let Some(task) = self.ready.pop(&mut self.oracle) {
            return match self.tasks.get_mut(task) {
                Some(record) if record.ending.is_none() => {
                    record.queued = false;
                    self.poll(task, Event::Polled)
                }
                _ => Next::Reap(task),
            };
        }
        match self.timers.next() {
            Some(at) if until == Until::MainEnded => self.jump(at, due),
            _ => Next::Idle,
        }
    }

    fn poll(&mut self, task: u32, event: Event) -> Next {
        self.steps += 1;
        self.trace.record(event, task, NOBODY, self.steps, self.now);
        self.current = Some(task);
        let fresh = u64::from(self.faults.fresh_wakers());
        let Some(record) = self.tasks.get_mut(task) else { return Next::Idle };
        record.polls += 1;
        record.last_step = self.steps;
        record.generation += fresh;
        Next::Poll(task, record.generation)
    }

    fn jump(&mut self, at: u64, due: &mut Vec<Waker>) -> Next {
        if at > self.time_limit {
            return Next::TimeLimit;
        }
        self.steps += 1;
        self.now = self.now.max(at);
        self.trace.record_time(self.steps, self.now);
        self.timers.fire(self.now, due);
        Next::Fire
    }

    /// A task that waits, if the faults say that one shall be polled all the same.
    fn victim_of_spurious_poll(&mut self) -> Option<u32> {
        if !self.faults.poll_spuriously(&mut self.oracle) || self.tasks.live().is_empty() {
            return None;
        }
        let index = self.oracle.below(self.tasks.live().len() as u64);
        let task = self.tasks.live()[index as usize];
        // Only while the run goes on by itself: a spurious poll must not hide a deadlock. Blocking jobs wait
        // for nothing.
        let runs = !self.ready.is_empty() || self.timers.next().is_some();
        let record = self.tasks.get(task)?;
        (runs && !record.queued && record.polls > 0).then_some(task)
    }

    /// Wakes a task, if the waker is not outdated.
    pub(super) fn wake(&mut self, task: u32, generation: u64) {
        let by = self.current();
        let Some(record) = self.tasks.get_mut(task) else { return };
        if self.closed || record.queued || record.reaped || record.generation != generation {
            return;
        }
        record.queued = true;
        if record.ending.is_none() {
            self.trace.record(Event::Woken, task, by, self.steps, self.now);
        }
        if self.current == Some(task) {
            self.yielded = true;
        } else {
            self.ready.push(task);
        }
    }

    /// A task was made, and will be brought to the spawner next.
    pub(super) fn announce(&mut self, spawned: &Spawned<'_>) {
        if self.closed {
            self.announced = None;
            return;
        }
        let task = self.tasks.add(spawned, self.now, self.current);
        self.ready.add_task(&mut self.oracle);
        self.trace.record(Event::Spawned, task, self.current(), self.steps, self.now);
        self.announced = Some(task);
    }

    /// The announced task is here: its number, or none if it is refused.
    pub(super) fn admit(&mut self) -> Option<u32> {
        let task = self.announced.take()?;
        let record = self.tasks.get_mut(task)?;
        if self.closed || record.ending.is_some() {
            return None;
        }
        if self.faults.refuse_spawn(task, &mut self.oracle) {
            self.trace.record(Event::Refused, task, NOBODY, self.steps, self.now);
            return None;
        }
        record.queued = true;
        self.ready.push(task);
        Some(task)
    }

    /// Whether [`strike`](State::strike) is worth asking.
    pub(super) fn has_strikes(&self) -> bool {
        self.faults.strikes()
    }

    /// What the faults have in mind for the poll that just began.
    pub(super) fn strike(&mut self, id: TaskId) -> Option<Strike> {
        let task = self.current.filter(|task| self.tasks.get(*task).is_some_and(|record| record.id == id))?;
        let record = self.tasks.get(task)?;
        let strike = self.faults.strike(task, record.name.as_deref(), record.polls)?;
        let event = match strike {
            Strike::Cancel => Event::CancelledByFault,
            Strike::Panic => Event::PanickedByFault,
        };
        self.trace.record(event, task, NOBODY, self.steps, self.now);
        Some(strike)
    }

    pub(super) fn end(&mut self, id: TaskId, ending: Ending) {
        if let Some(task) = self.tasks.number(id) {
            self.trace.record(Event::from(ending), task, self.current(), self.steps, self.now);
            self.tasks.end(task, ending);
        }
    }

    /// How the body ended, if it did.
    pub(super) fn main_ending(&self) -> Option<Ending> {
        self.tasks.get(MAIN)?.ending
    }

    pub(super) fn timers(&mut self) -> Option<&mut Timers> {
        (!self.closed).then_some(&mut self.timers)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How late a timer shall be, its tie-breaker and its number.
    pub(super) fn new_timer(&mut self) -> (u64, u64, u64) {
        self.timers_made += 1;
        let late = self.faults.lateness(&mut self.oracle);
        (late, self.ready.tie(&mut self.oracle), self.timers_made)
    }

    /// A random number for the program.
    pub(super) fn chance(&mut self) -> u64 {
        let number = self.oracle.next();
        self.trace.record_chance(self.current(), number);
        number
    }

    /// Ends the run: from now on nothing comes in. Gives out what must be dropped where no lock is held.
    pub(super) fn close(&mut self) -> (Vec<(u32, Work)>, Vec<Waker>) {
        self.closed = true;
        self.current = None;
        self.trace.close();
        (std::mem::take(&mut self.incoming), self.timers.clear())
    }
}
