//! [`Site`]: where a pipeline is assembled and runs: what all its parts share.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::waiting::{Serve, Served, Ticket, Turn, Waiters, Wakes, let_go};
use weirs_runtime::{Clock, Instant, PanicPayload, Runtime, Task};

use super::desk::{Desk, Edge};
use super::gauge::{Gauge, Waits};
use super::stats::PipelineStats;
use super::unprocessed::{Ledger, Left, Unprocessed};
use crate::dead_letter::Reason;
use crate::panics;

pub(super) type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all parts of one pipeline share.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    runtime: Option<Runtime>,
    clock: Clock,
    observer: Option<Observer>,
    measured: bool,
    stopping: AtomicBool,
    orders: Served<Orders>,
    desks: Mutex<Vec<Arc<Desk>>>,
    /// The boundary before the next stage that is assembled.
    edge: Mutex<Option<Arc<Edge>>>,
    error: Mutex<Option<(&'static str, Cause)>>,
    ledger: Ledger,
    yard: Mutex<Yard>,
}

/// What the driver has to see to.
#[derive(Default)]
pub(super) struct Yard {
    /// Run by the driver itself.
    pub(super) pumps: Vec<Pump>,
    /// Run by the runtime.
    pub(super) tasks: Vec<Task<()>>,
    /// There is no driver any more.
    closed: bool,
}

/// Told of what happens in a pipeline.
pub(super) type Observer = Arc<dyn Fn(&PipelineEvent<'_>) + Send + Sync>;

/// What has happened in a pipeline; for [`Plan::on_event`](crate::Plan::on_event).
///
/// Each is told with no lock held, by whoever has it happen: two that happen at the same time on two threads
/// may be told in either order.
#[derive(Debug)]
#[non_exhaustive]
pub enum PipelineEvent<'a> {
    /// A job failed and will be tried again.
    Retried {
        /// Where.
        stage: &'static str,
        /// How many attempts there were.
        attempts: u32,
        /// How long it waits.
        after: Duration,
    },
    /// A failed job was left out.
    Skipped {
        /// Where.
        stage: &'static str,
    },
    /// A job panicked, and is not tried again.
    Panicked {
        /// Where.
        stage: &'static str,
        /// With what.
        panic: &'a PanicPayload,
    },
    /// A job was too late to begin.
    Expired {
        /// Where.
        stage: &'static str,
    },
    /// A failed job is in its place.
    DeadLettered {
        /// Where.
        stage: &'static str,
        /// Why.
        reason: Reason,
    },
    /// The place for dead letters failed. The stage waits and tries again: the letter is not lost.
    PlaceFailed {
        /// Where.
        stage: &'static str,
        /// How.
        error: &'a (dyn Error + Send + Sync),
        /// How long it waits.
        after: Duration,
    },
    /// A worker of a stage begins: of one that has its workers as tasks.
    WorkerStarted {
        /// Where.
        stage: &'static str,
        /// Which one.
        worker: usize,
    },
    /// A worker of a stage is no more.
    WorkerEnded {
        /// Where.
        stage: &'static str,
        /// Which one.
        worker: usize,
    },
    /// A stage is to have another number of workers.
    Resized {
        /// Where.
        stage: &'static str,
        /// How many there were to be before.
        from: usize,
        /// How many there are to be now.
        to: usize,
    },
    /// The buffer before a stage has no room. Told again only when it was free in between.
    Full {
        /// Before which.
        stage: &'static str,
    },
    /// The buffer before a stage was full, and half of it has room again.
    Free {
        /// Before which.
        stage: &'static str,
    },
    /// This stops the pipeline.
    Stopped {
        /// Where.
        stage: &'static str,
    },
}

/// Why a pipeline has stopped before its end.
#[non_exhaustive]
pub enum Cause {
    /// A job failed, or the sink did.
    Failed(Box<dyn Error + Send + Sync>),
    /// User code panicked.
    Panicked(PanicPayload),
    /// The place for dead letters took a letter and failed; nobody knows whether it has it.
    DeadLetters(Box<dyn Error + Send + Sync>),
    /// The runtime is gone.
    Lost,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Panicked(payload) => write!(f, "it panicked: {}", payload.message()),
            Self::DeadLetters(error) => write!(f, "the place for dead letters failed: {error}"),
            Self::Lost => f.write_str("the runtime is gone"),
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(payload).finish(),
            Self::DeadLetters(error) => f.debug_tuple("DeadLetters").field(error).finish(),
            Self::Lost => f.write_str("Lost"),
        }
    }
}

/// What the pipeline was told to do, and who waits for that.
#[derive(Default)]
struct Orders {
    stopping: bool,
    aborting: bool,
    /// How many workers and jobs are alive outside the driver's task.
    alive: usize,
    sources: Waiters,
    aborters: Waiters,
    settling: Waiters,
}

impl Serve for Orders {
    fn somebody_waits(&self) -> bool {
        !self.sources.is_empty() || !self.aborters.is_empty() || !self.settling.is_empty()
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        let so = [
            (self.stopping, &mut self.sources),
            (self.aborting, &mut self.aborters),
            (self.alive == 0, &mut self.settling),
        ];
        for (_, waiters) in so.into_iter().filter(|(so, _)| *so) {
            while !wakes.is_full() {
                let Some(waker) = waiters.call_first() else { break };
                wakes.add(waker);
            }
        }
    }
}

/// Something that is alive outside the driver's task; the driver waits for its end.
pub(super) struct Alive(Site);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.orders.change(|orders| orders.alive -= 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    pub(super) fn new(
        runtime: Option<Runtime>,
        clock: Clock,
        observer: Option<Observer>,
        measured: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            runtime,
            clock,
            observer,
            measured,
            stopping: AtomicBool::new(false),
            orders: Served::new(Orders::default()),
            desks: Mutex::default(),
            edge: Mutex::default(),
            error: Mutex::default(),
            ledger: Ledger::default(),
            yard: Mutex::default(),
        }))
    }

    pub(super) fn runtime(&self) -> Option<&Runtime> {
        self.0.runtime.as_ref()
    }

    #[inline]
    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn is_measured(&self) -> bool {
        self.0.measured
    }

    /// Whether somebody is told of events.
    pub(super) fn is_observed(&self) -> bool {
        self.0.observer.is_some()
    }

    /// The desk of a stage with so many workers at first.
    pub(super) fn desk(&self, name: &'static str, workers: usize) -> Arc<Desk> {
        self.add_desk(name, workers, Gauge::of_stage)
    }

    /// The desk of one of the two ends.
    pub(super) fn desk_of_end(&self, name: &'static str) -> Arc<Desk> {
        self.add_desk(name, 1, Gauge::of_end)
    }

    fn add_desk(&self, name: &'static str, workers: usize, gauge: fn(Instant) -> Gauge) -> Arc<Desk> {
        let edge = lock(&self.0.edge).take();
        if let Some(edge) = &edge {
            let _ = edge.before.set(name);
        }
        let gauge = self.0.measured.then(|| gauge(self.0.clock.now()));
        let desk = Desk { name, workers: AtomicUsize::new(workers), edge, gauge, ..Desk::default() };
        let desk = Arc::new(desk);
        lock(&self.0.desks).push(Arc::clone(&desk));
        desk
    }

    pub(super) fn edge(&self) -> Arc<Edge> {
        let waits = self.0.measured.then(Waits::new);
        let edge = Arc::new(Edge { waits, ..Edge::default() });
        *lock(&self.0.edge) = Some(Arc::clone(&edge));
        edge
    }

    pub(super) fn stats(&self) -> PipelineStats {
        let now = self.0.measured.then(|| self.0.clock.now());
        PipelineStats { stages: lock(&self.0.desks).iter().map(|desk| desk.stats(now)).collect() }
    }

    /// Tells whoever wants to know.
    pub(super) fn tell(&self, event: &PipelineEvent<'_>) {
        if let Some(observer) = &self.0.observer {
            if let Err(payload) = panics::contain(|| observer(event)) {
                panics::let_go(payload);
            }
        }
    }

    /// The first error stays.
    pub(super) fn fail(&self, stage: &'static str, cause: Cause) {
        let mut error = lock(&self.0.error);
        if error.is_some() {
            drop(error);
            panics::let_go(cause);
            return;
        }
        *error = Some((stage, cause));
        drop(error);
        self.tell(&PipelineEvent::Stopped { stage });
    }

    pub(super) fn take_error(&self) -> Option<(&'static str, Cause)> {
        lock(&self.0.error).take()
    }

    pub(super) fn hand_back<T: Send + 'static>(&self, stage: &'static str, left: Left, number: u64, item: T) {
        // Of a pipeline that is dropped nobody takes anything.
        let closed = lock(&self.0.yard).closed;
        match closed {
            true => panics::let_go(item),
            false => self.0.ledger.put(stage, left, number, item),
        }
    }

    pub(super) fn take_unprocessed(&self) -> Unprocessed {
        self.0.ledger.take()
    }

    // Orders.

    pub(super) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        self.0.orders.change(|orders| orders.stopping = true);
    }

    pub(super) fn abort(&self) {
        self.stop();
        self.0.orders.change(|orders| orders.aborting = true);
    }

    #[inline]
    pub(super) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    pub(super) fn poll_stopping(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<()> {
        self.poll_order(ticket, cx, |orders| (orders.stopping, &mut orders.sources))
    }

    /// Ready if the pipeline is to be aborted.
    pub(super) fn poll_aborting(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<()> {
        self.poll_order(ticket, cx, |orders| (orders.aborting, &mut orders.aborters))
    }

    /// Ready if nothing is alive outside the driver's task.
    pub(super) fn poll_quiet(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<()> {
        self.poll_order(ticket, cx, |orders| (orders.alive == 0, &mut orders.settling))
    }

    fn poll_order(
        &self,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
        of: impl Fn(&mut Orders) -> (bool, &mut Waiters),
    ) -> Poll<()> {
        self.0.orders.poll(cx, |orders, look| {
            let (is_so, waiters) = of(orders);
            if is_so {
                look.leave(waiters, ticket);
                return Turn::Ready(());
            }
            if ticket.is_some_and(|ticket| waiters.is_called(ticket)) {
                return look.wait_first(waiters, 0, ticket);
            }
            look.wait(waiters, 0, ticket)
        })
    }

    pub(super) fn forget_source(&self, ticket: &mut Option<Ticket>) {
        self.forget(ticket, |orders| &mut orders.sources);
    }

    pub(super) fn forget_driver(&self, aborting: &mut Option<Ticket>, settling: &mut Option<Ticket>) {
        self.forget(aborting, |orders| &mut orders.aborters);
        self.forget(settling, |orders| &mut orders.settling);
    }

    fn forget(&self, ticket: &mut Option<Ticket>, of: impl FnOnce(&mut Orders) -> &mut Waiters) {
        if let Some(ticket) = ticket.take() {
            let_go(self.0.orders.change(|orders| of(orders).leave(ticket)));
        }
    }

    pub(super) fn alive(&self) -> Alive {
        self.0.orders.change(|orders| orders.alive += 1);
        Alive(self.clone())
    }

    // What runs beside the driver.

    /// Runs a boundary: as a task, or beside the rest in the caller's task.
    pub(super) fn run(&self, pump: impl Future<Output = ()> + Send + 'static) {
        match &self.0.runtime {
            Some(runtime) => {
                let task = runtime.builder().name("pipeline: before a buffer").spawn(pump);
                lock(&self.0.yard).tasks.push(task);
            }
            None => lock(&self.0.yard).pumps.push(Box::pin(pump)),
        }
    }

    /// Leaves something to do before the pipeline is over, such as to wait for workers. There is something to
    /// wait for on a runtime only.
    pub(super) fn leave(&self, errand: impl Future<Output = ()> + Send + 'static) {
        let Some(runtime) = &self.0.runtime else { return };
        if lock(&self.0.yard).closed {
            return;
        }
        let alive = self.alive();
        let task = runtime.builder().name("pipeline: cleaning up").spawn(async move {
            errand.await;
            drop(alive);
        });
        let mut yard = lock(&self.0.yard);
        if !yard.closed {
            yard.tasks.push(task);
        }
    }

    pub(super) fn take_yard(&self) -> Yard {
        mem::take(&mut *lock(&self.0.yard))
    }

    /// Tasks that came since.
    pub(super) fn take_tasks(&self) -> Vec<Task<()>> {
        mem::take(&mut lock(&self.0.yard).tasks)
    }

    /// The driver goes.
    pub(super) fn close(&self) {
        let left = {
            let mut yard = lock(&self.0.yard);
            mem::replace(&mut *yard, Yard { closed: true, ..Yard::default() })
        };
        panics::let_go(left);
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
