//! One run, from the body to the evidence that it leaves.

use std::cell::Cell;
use std::cmp::Reverse;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_runtime::{JoinError, LocalRuntime, LocalTask, PanicPayload, Runtime};

use super::executor::Executor;
use super::failure::{Cause, Failure, Report};
use super::report::TaskReport;
use super::settings::Settings;
use super::tasks::{MAIN, Tasks};
use super::trace::Trace;
use super::world::{self, World, drop_quietly};

/// How many tasks a report lists.
const LISTED: usize = 30;

/// A run that is over.
pub(super) struct Attempt<T> {
    pub(super) output: Result<T, Cause>,
    pub(super) evidence: Evidence,
}

/// What is known of a run that is over.
pub(super) struct Evidence {
    pub(super) steps: u64,
    pub(super) elapsed: Duration,
    pub(super) tasks: Tasks,
    pub(super) trace: Trace,
    /// The tasks that were alive at the end, and how many more, if it ended badly.
    alive: (Vec<TaskReport>, usize),
}

/// Runs a body that makes its future of a runtime.
pub(super) fn attempt<F, Fut>(
    settings: &Settings,
    location: &'static Location<'static>,
    body: F,
) -> Attempt<Fut::Output>
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: 'static> + 'static,
{
    run(settings, location, |executor| body(world::runtime(executor.world())))
}

/// Runs a body that makes its future of a local runtime.
pub(super) fn attempt_local<F, Fut>(
    settings: &Settings,
    location: &'static Location<'static>,
    body: F,
) -> Attempt<Fut::Output>
where
    F: FnOnce(LocalRuntime) -> Fut,
    Fut: Future<Output: 'static> + 'static,
{
    run(settings, location, |executor| body(world::local_runtime(executor.world(), executor.inbox())))
}

fn run<Fut>(
    settings: &Settings,
    location: &'static Location<'static>,
    body: impl FnOnce(&Executor) -> Fut,
) -> Attempt<Fut::Output>
where
    Fut: Future<Output: 'static> + 'static,
{
    let mut executor = Executor::new(settings);
    let world = Arc::clone(executor.world());
    // The task is made before its future is, so that whatever the body spawns on its way is the body's
    // child.
    let future = Rc::new(Cell::new(None));
    let mut main = spawn_main(&executor, location, Rc::clone(&future));
    let outcome = match catch_unwind(AssertUnwindSafe(|| body(&executor))) {
        Ok(made) => {
            future.set(Some(made));
            executor.run()
        }
        Err(payload) => Err(panicked(&PanicPayload::new(payload))),
    };
    let output = conclude(settings, &world, outcome, &mut main);

    let (steps, elapsed, alive) = {
        let mut state = world.lock();
        // What follows is the taking down, and no part of the run.
        state.trace.close();
        let alive = output.as_ref().err().map(|cause| alive(cause, &state.tasks, state.now));
        (state.steps, Duration::from_nanos(state.now), alive.unwrap_or_default())
    };
    drop_quietly(main);
    drop(executor);
    world.await_foreign(Duration::ZERO);
    let output = match (output, world.trouble()) {
        (Ok(output), Some(trouble)) => {
            drop_quietly(output);
            Err(trouble)
        }
        (output, _) => output,
    };
    let (tasks, trace) = world.take_evidence();
    Attempt { output, evidence: Evidence { steps, elapsed, tasks, trace, alive } }
}

fn spawn_main<Fut>(
    executor: &Executor,
    location: &'static Location<'static>,
    future: Rc<Cell<Option<Fut>>>,
) -> LocalTask<Fut::Output>
where
    Fut: Future<Output: 'static> + 'static,
{
    let runtime = world::local_runtime(executor.world(), executor.inbox());
    let main = runtime.builder().name("main").spawn(async move {
        match future.take() {
            Some(future) => future.await,
            None => unreachable!("the body has made its future by the first step"),
        }
    });
    let mut state = executor.world().lock();
    state.enter(MAIN);
    if let Some(record) = state.tasks.get_mut(MAIN) {
        record.location = location;
    }
    main
}

/// What the run came to: the body's output, or what went wrong.
fn conclude<T>(
    settings: &Settings,
    world: &World,
    outcome: Result<(), Cause>,
    main: &mut LocalTask<T>,
) -> Result<T, Cause> {
    outcome?;
    let mut context = Context::from_waker(Waker::noop());
    let output = match Pin::new(main).poll(&mut context) {
        Poll::Ready(Ok(output)) => output,
        Poll::Ready(Err(JoinError::Panic(payload))) => {
            let cause = panicked(&payload);
            drop_quietly(payload);
            return Err(cause);
        }
        Poll::Ready(Err(error)) => return Err(Cause::Panic { message: error.to_string() }),
        Poll::Pending => unreachable!("the body is over"),
    };
    if !settings.allow_leaks && !world.lock().tasks.live().is_empty() {
        drop_quietly(output);
        return Err(Cause::Leak);
    }
    Ok(output)
}

fn panicked(payload: &PanicPayload) -> Cause {
    Cause::Panic { message: payload.message().to_owned() }
}

/// The live tasks that a report lists: the busiest first if they keep the run from ending, else the oldest.
fn alive(cause: &Cause, tasks: &Tasks, now: u64) -> (Vec<TaskReport>, usize) {
    let mut alive: Vec<_> =
        tasks.live().iter().filter_map(|task| TaskReport::new(tasks, *task, now)).collect();
    match cause {
        Cause::StepLimit(_) | Cause::TimeLimit(_) => {
            alive.sort_by_key(|task| (Reverse(task.polls), Reverse(task.last_step)));
        }
        _ => alive.sort_by_key(|task| task.number),
    }
    let more = alive.len().saturating_sub(LISTED);
    alive.truncate(LISTED);
    (alive, more)
}

impl Evidence {
    /// The failure that this run is evidence of.
    pub(super) fn failure(&self, settings: &Settings, cause: Cause) -> Failure {
        let (tasks, more_tasks) = self.alive.clone();
        Failure::new(Report {
            cause,
            settings: settings.clone(),
            steps: self.steps,
            elapsed: self.elapsed,
            trace_hash: self.trace.hash(),
            tasks,
            more_tasks,
            recent: self.trace.recent(&self.tasks),
        })
    }
}
