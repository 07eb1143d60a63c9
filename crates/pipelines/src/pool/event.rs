//! [`PoolEvent`]: what has happened in a pool.

use std::task::{Context, Poll};

use weirs_runtime::PanicPayload;
use weirs_runtime::waiting::{Look, Turn};

use super::JobId;
use super::state::{Shared, State};
use crate::panics;

/// What has happened in a pool; for [`on_event`](crate::WorkerPoolBuilder::on_event).
///
/// Each is told with no lock held, by whoever has it happen: two that happen at the same time on two threads
/// may be told in either order.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolEvent<'a> {
    /// A worker begins.
    WorkerStarted {
        /// Which one.
        worker: usize,
    },
    /// A worker is no more.
    WorkerEnded {
        /// Which one.
        worker: usize,
    },
    /// There are to be more workers, or fewer, which leave between two jobs.
    Resized {
        /// How many there were to be before.
        from: usize,
        /// How many there are to be now.
        to: usize,
    },
    /// A job panicked, and is not tried again.
    Panicked {
        /// Which job.
        job: JobId,
        /// With what.
        panic: &'a PanicPayload,
    },
    /// A job failed or panicked, and is tried again.
    Retried {
        /// Which job.
        job: JobId,
        /// How many attempts there were.
        attempts: u32,
    },
    /// A job was too late to begin.
    Expired {
        /// Which job.
        job: JobId,
    },
    /// There is no room for another job. Told again only when there was room in between.
    Full,
    /// There was no room, and there is again for half as many jobs as may wait.
    Free,
    /// No job is begun any more: the first error has stopped the pool, it was shut down or dropped, or it is
    /// closed and has done all.
    Stopped,
}

/// Told of what happens in a pool.
pub(super) type Observer = Box<dyn Fn(&PoolEvent<'_>) + Send + Sync>;

/// What was told last, so that it is told once.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) full: bool,
    pub(super) stopped: bool,
}

impl<J, T, E> State<J, T, E> {
    /// What was not told yet of the whole pool.
    fn news(&mut self) -> [Option<PoolEvent<'static>>; 2] {
        let free = self.free();
        let fullness = match self.told.full {
            false if free == 0 => Some(PoolEvent::Full),
            true if free >= self.queue_most.div_ceil(2) => Some(PoolEvent::Free),
            _ => None,
        };
        self.told.full ^= fullness.is_some();
        let stops = self.is_stopped() && !std::mem::replace(&mut self.told.stopped, true);
        [fullness, stops.then_some(PoolEvent::Stopped)]
    }
}

/// Changes of the state, after which whoever wants to know is told.
impl<J, T, E> Shared<J, T, E> {
    #[inline]
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State<J, T, E>) -> R) -> R {
        let changed = self.state.change(change);
        self.tell_news();
        changed
    }

    #[inline]
    pub(super) fn poll<R>(
        &self,
        cx: &Context<'_>,
        turn: impl FnMut(&mut State<J, T, E>, &mut Look<'_, '_>) -> Turn<R>,
    ) -> Poll<R> {
        let polled = self.state.poll(cx, turn);
        self.tell_news();
        polled
    }

    /// Tells whoever wants to know.
    pub(super) fn tell(&self, event: &PoolEvent<'_>) {
        if let Some(observer) = &self.observer {
            if let Err(payload) = panics::contain(|| observer(event)) {
                panics::let_go(payload);
            }
        }
    }

    #[inline]
    fn tell_news(&self) {
        if self.observer.is_some() {
            // A second look into the lock, so that others have none of it.
            let news = self.state.change(State::news);
            news.iter().flatten().for_each(|event| self.tell(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use weirs_testing::sim::Sim;

    use crate::WorkerPool;

    /// What has happened is told by whoever did it, and not by a thread that clones or drops a handle: it may
    /// do so under a lock that the observer takes.
    #[test]
    fn no_news_is_told_by_who_clones_or_drops_a_handle() {
        let run = |runtime| async move {
            let told = Arc::new(AtomicUsize::new(0));
            let observer = Arc::clone(&told);
            let pool = WorkerPool::builder(async |n: u64| Ok::<_, Infallible>(n))
                .on_event(move |_| {
                    observer.fetch_add(1, Ordering::Relaxed);
                })
                .build(&runtime)
                .unwrap();
            // As if another thread had changed it, and had not yet told of it.
            pool.shared().state.change(|state| state.told.full = true);
            let before = told.load(Ordering::Relaxed);
            drop(pool.intake());
            assert_eq!(told.load(Ordering::Relaxed), before);
            pool.shared().change(|_| ());
            assert_eq!(told.load(Ordering::Relaxed), before + 1);
        };
        Sim::new(1).run(run).unwrap();
    }
}
