//! The executor: takes step after step until the body is over or something goes wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_task::LocalFutureObj;
use weirs_runtime::Ending;

use super::failure::Cause;
use super::report::Named;
use super::settings::Settings;
use super::state::{Job, Next, Until, Work};
use super::waker;
use super::world::{Inbox, World, drop_quietly};

/// How many steps the tasks have after the body is over to come to their ends.
const WIND_DOWN: u64 = 10_000;
/// How long a deadlock is given to turn out as a wait for another thread, in real time.
const GRACE: Duration = Duration::from_millis(10);

/// Owns the futures of a run; its [`World`] is what they see of it.
pub(super) struct Executor {
    world: Arc<World>,
    inbox: Inbox,
    /// By task number.
    places: Vec<Place>,
    incoming: Vec<(u32, Work)>,
    due: Vec<Waker>,
    fresh_wakers: bool,
    step_limit: u64,
    time_limit: Duration,
}

#[derive(Default)]
struct Place {
    content: Content,
    /// Kept from poll to poll, unless each has its own.
    waker: Option<Waker>,
}

#[derive(Default)]
enum Content {
    #[default]
    Empty,
    Future(LocalFutureObj<'static, ()>),
    Job(Job),
}

impl Executor {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            world: World::new(settings),
            inbox: Inbox::default(),
            places: Vec::new(),
            incoming: Vec::new(),
            due: Vec::new(),
            fresh_wakers: settings.faults.fresh_wakers,
            step_limit: settings.step_limit,
            time_limit: settings.time_limit,
        }
    }

    pub(super) fn world(&self) -> &Arc<World> {
        &self.world
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Runs until the body is over, and then what is runnable at that moment.
    pub(super) fn run(&mut self) -> Result<(), Cause> {
        self.drive(Until::MainEnded)?;
        let last_step = {
            let state = self.world.lock();
            if state.main_ending() != Some(Ending::Finished) {
                // What it leaves behind when it panics is no leak of its own.
                return Ok(());
            }
            state.steps.saturating_add(WIND_DOWN)
        };
        self.drive(Until::Quiescent(last_step))
    }

    fn drive(&mut self, until: Until) -> Result<(), Cause> {
        loop {
            match self.next(until) {
                Next::Poll(task, generation) => {
                    let timers = real_timers();
                    self.step(task, generation);
                    self.look_for_trouble(task, timers)?;
                }
                Next::Reap(task) => {
                    self.discard(task);
                    self.look_for_trouble(task, real_timers())?;
                }
                Next::Fire => self.fire(),
                Next::MainEnded => return Ok(()),
                Next::Idle if until == Until::MainEnded => return Err(self.deadlock()),
                Next::Idle => return Ok(()),
                Next::StepLimit => return Err(Cause::StepLimit(self.step_limit)),
                Next::TimeLimit => return Err(Cause::TimeLimit(self.time_limit)),
            }
        }
    }

    fn next(&mut self, until: Until) -> Next {
        let next = {
            let mut state = self.world.lock();
            std::mem::swap(&mut state.incoming, &mut self.incoming);
            state.next(until, &mut self.due)
        };
        self.take_in();
        next
    }

    /// Gives the tasks that were spawned their places.
    fn take_in(&mut self) {
        for (task, work) in self.incoming.drain(..) {
            let content = match work {
                Work::Future(future) => Content::Future(future.into()),
                Work::Job(job) => Content::Job(job),
            };
            place(&mut self.places, task).content = content;
        }
        for (task, future) in self.inbox.borrow_mut().drain(..) {
            place(&mut self.places, task).content = Content::Future(future);
        }
    }

    /// Polls a task, or runs a job.
    fn step(&mut self, task: u32, generation: u64) {
        let place = place(&mut self.places, task);
        if self.fresh_wakers {
            place.waker = None;
        }
        let done = match &mut place.content {
            Content::Future(future) => {
                let world = &self.world;
                let waker = place.waker.get_or_insert_with(|| waker::waker(world, task, generation));
                let mut context = Context::from_waker(waker);
                // A task's own panics end in its cell; this is for what lies around it.
                catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(&mut context)))
                    .map(|polled| polled != Poll::Pending)
            }
            Content::Job(_) => {
                let Content::Job(Job(job)) = std::mem::take(&mut place.content) else { return };
                catch_unwind(AssertUnwindSafe(job)).map(|()| true)
            }
            Content::Empty => Ok(true),
        };
        let done = done.unwrap_or_else(|payload| {
            self.world.stray_panic("a task", payload);
            true
        });
        if done {
            self.discard(task);
        }
    }

    fn look_for_trouble(&self, task: u32, timers: u64) -> Result<(), Cause> {
        if real_timers() != timers {
            let state = self.world.lock();
            return Err(Cause::RealTime { task: Named::new(&state.tasks, task).to_string() });
        }
        self.world.trouble().map_or(Ok(()), Err)
    }

    fn fire(&mut self) {
        for waker in self.due.drain(..) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                self.world.stray_panic("the waker of a timer", payload);
            }
        }
    }

    /// Nothing can go on, unless another thread is about to interfere: then that is the better report.
    fn deadlock(&self) -> Cause {
        self.world.await_foreign(GRACE);
        self.world.trouble().unwrap_or(Cause::Deadlock)
    }

    /// Drops what is left of a task.
    fn discard(&mut self, task: u32) {
        let left = std::mem::take(place(&mut self.places, task));
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(left))) {
            self.world.stray_panic("the destructor of a task", payload);
        }
        if let Some(record) = self.world.lock().tasks.get_mut(task) {
            record.reaped = true;
        }
    }
}

/// Takes the run down: drops all that is left of it, in the order in which it was spawned.
impl Drop for Executor {
    fn drop(&mut self) {
        // From here on nothing comes in, so nothing is left over.
        let (incoming, timers) = self.world.lock().close();
        self.incoming.extend(incoming);
        self.take_in();
        for number in 0..self.places.len() {
            self.discard(number as u32);
        }
        timers.into_iter().chain(self.due.drain(..)).for_each(drop_quietly);
    }
}

fn place(places: &mut Vec<Place>, task: u32) -> &mut Place {
    let index = task as usize;
    if places.len() <= index {
        places.resize_with(index + 1, Place::default);
    }
    &mut places[index]
}

/// How many timers of the real clock this thread has set.
fn real_timers() -> u64 {
    weirs_runtime::real_timers_set_by_this_thread()
}
