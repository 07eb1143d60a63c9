//! [`Parallel`]: a stage that does several jobs at once.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_channels_utils::{Sender, StreamUtil, bounded};
use weirs_runtime::Runtime;

use super::attempt::{Duty, Entry, Held, Outcome, Unread, Waiting};
use super::feed::Feed;
use super::flow::Flow;
use super::site::{Alive, Cause};
use super::unprocessed::Left;
use crate::panics::contain;
use crate::{Completion, Results, Worker, WorkerPool};

/// The most items that are handed in at once.
const MOST_AT_ONCE: usize = 32;

/// Where it takes longer than this for an item, each is handed in at once.
const SLOW: Duration = Duration::from_micros(20);

pin_project! {
    /// A stage that does several jobs at once: at most `most` are inside it, done and not handed on ones
    /// among them.
    pub(super) struct Parallel<W: Flow, F, U, E>
    where
        F: Send,
        F: Sync,
        F: 'static,
        U: Send,
        U: 'static,
        E: Send,
        E: 'static,
    {
        #[pin]
        feed: Feed<W, E>,
        crew: Crew<W::Item, F, U, E>,
        // Taken from before, and on their way in.
        gathered: VecDeque<Entry<W::Item>>,
        // Whoever is before takes long for an item: none shall wait for the next.
        slow: bool,
        // Results that were not asked for yet.
        unread: VecDeque<Outcome<W::Item, U, E>>,
        inside: usize,
        most: usize,
        ended: bool,
        duty: Arc<Duty<W::Item, F, E>>,
    }

    impl<W: Flow, F, U, E> PinnedDrop for Parallel<W, F, U, E>
    where
        F: Send,
        F: Sync,
        F: 'static,
        U: Send,
        U: 'static,
        E: Send,
        E: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let gathered = this.gathered.drain(..);
            gathered.for_each(|entry| this.duty.hand_back(Left::Waiting, entry.number, entry.item));
            this.unread.drain(..).for_each(|outcome| this.duty.hand_back_outcome(outcome));
            this.crew.dismiss(this.duty);
        }
    }
}

type Pool<T, U, E> = WorkerPool<Entry<T>, Outcome<T, U, E>, Infallible>;
type PoolResults<T, U, E> = Results<Entry<T>, Outcome<T, U, E>, Infallible>;
type LocalResults<T, F, U, E> = Pin<Box<dyn Stream<Item = Unread<T, F, U, E>> + Send>>;

/// Who does the jobs.
pub(super) enum Crew<T, F, U, E>
where
    T: Send + 'static,
    F: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    /// Tasks of a runtime.
    Pool { pool: Option<Pool<T, U, E>>, results: Option<PoolResults<T, U, E>> },
    /// The caller's task.
    Here { sender: Option<Sender<Waiting<T, F, E>>>, results: Option<LocalResults<T, F, U, E>> },
}

/// How a stage does its jobs.
pub(crate) enum Order<T> {
    /// Results in the order of the items.
    Ordered,
    /// Results as they come.
    Unordered,
    /// Of each key in order, one at a time.
    ByKey {
        /// The hash of an item's key. Two keys of one hash do no harm: they wait for each other.
        key_of: KeyOf<T>,
        per_key: usize,
    },
}

type KeyOf<T> = Box<dyn Fn(&T) -> u64 + Send + Sync>;

impl<T> Order<T> {
    pub(crate) fn by_key<K: Hash>(key_of: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        let key_of: KeyOf<T> = Box::new(move |item| {
            let mut hasher = DefaultHasher::new();
            key_of(item).hash(&mut hasher);
            hasher.finish()
        });
        Self::ByKey { key_of, per_key: 4 }
    }
}

/// A worker of the pool.
struct Hand<T, F, U, E, Fut> {
    duty: Arc<Duty<T, F, E>>,
    /// Last: when this goes, all that it had is gone.
    _alive: Alive,
    does: PhantomData<fn() -> (U, Fut)>,
}

impl<T, F, U, E, Fut> Worker for Hand<T, F, U, E, Fut>
where
    T: Send + 'static,
    F: Fn(T) -> Fut + Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
    Fut: Future<Output = Result<U, E>> + Send + 'static,
{
    type Job = Entry<T>;
    type Output = Outcome<T, U, E>;
    type Error = Infallible;

    async fn work(&mut self, entry: Entry<T>) -> Result<Outcome<T, U, E>, Infallible> {
        Ok(Held::new(entry, &*self.duty).await)
    }
}

impl<T, F, U, E> Crew<T, F, U, E>
where
    T: Send + 'static,
    F: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    /// `most` is how many jobs will be inside at most.
    pub(super) fn new<Fut>(duty: &Arc<Duty<T, F, E>>, workers: usize, most: usize, order: Order<T>) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        let runtime = duty.site.runtime().cloned();
        match (runtime, order) {
            (Some(runtime), Order::Ordered) => Self::pool(&runtime, duty, workers, most, true),
            (Some(runtime), Order::Unordered) => Self::pool(&runtime, duty, workers, most, false),
            (runtime, order) => Self::here(runtime, duty, workers, most, order),
        }
    }

    fn pool<Fut>(
        runtime: &Runtime,
        duty: &Arc<Duty<T, F, E>>,
        workers: usize,
        most: usize,
        ordered: bool,
    ) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        let hand = {
            let duty = Arc::clone(duty);
            move |_| {
                let (duty, _alive) = (Arc::clone(&duty), duty.site.alive());
                Ok::<_, Infallible>(Hand { duty, _alive, does: PhantomData })
            }
        };
        // There is always room: no more than `most` are handed in.
        let builder = WorkerPool::with_workers(hand).workers(workers).queue(most).unread(most);
        let builder = if ordered { builder.ordered() } else { builder };
        let Ok(pool) = builder.build(runtime) else { unreachable!("the numbers were checked") };
        let results = Some(pool.results());
        Self::Pool { pool: Some(pool), results }
    }

    fn here<Fut>(
        runtime: Option<Runtime>,
        duty: &Arc<Duty<T, F, E>>,
        workers: usize,
        most: usize,
        order: Order<T>,
    ) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        let at_least_one = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        let (sender, receiver) = bounded::<Waiting<T, F, E>>(at_least_one(most));
        let workers = at_least_one(workers);
        let shared = Arc::clone(duty);
        let start = move |waiting: Waiting<T, F, E>| {
            let (held, duty, runtime) = (waiting.begin(), Arc::clone(&shared), runtime.clone());
            async move {
                let outcome = match (held, runtime) {
                    (None, _) => None,
                    (Some(held), None) => Some(held.await),
                    (Some(held), Some(runtime)) => {
                        let (alive, duty) = (duty.site.alive(), Arc::clone(&duty));
                        let job = async move {
                            let unread = Unread::new(Some(held.await), duty);
                            (unread, alive)
                        };
                        let done = runtime.builder().name("pipeline: a job").spawn(job).await;
                        done.ok().and_then(|(unread, _alive)| unread.take())
                    }
                };
                Unread::new(outcome, duty)
            }
        };
        let results: LocalResults<T, F, U, E> = match order {
            Order::Ordered => Box::pin(receiver.map_concurrent(workers, start).unread(most)),
            Order::Unordered => Box::pin(receiver.map_concurrent_unordered(workers, start).unread(most)),
            Order::ByKey { key_of, per_key } => {
                let key_of = move |waiting: &Waiting<T, F, E>| waiting.item().map_or(0, &key_of);
                let by_key = receiver.map_by_key(key_of, workers, at_least_one(per_key), start);
                Box::pin(by_key.unread(most))
            }
        };
        Self::Here { sender: Some(sender), results: Some(results) }
    }

    /// Hands all of these in: there is room. They stay if the workers are gone with their executor.
    fn submit(&mut self, entries: &mut VecDeque<Entry<T>>, duty: &Arc<Duty<T, F, E>>) {
        match self {
            Self::Pool { pool: Some(pool), .. } => pool.try_submit_all(entries),
            Self::Here { sender: Some(sender), .. } => {
                for entry in entries.drain(..) {
                    let refused = sender.try_send(Waiting::new(entry, Arc::clone(duty)));
                    debug_assert!(refused.is_ok(), "there is room for as many as may be inside");
                }
            }
            _ => {}
        }
    }

    /// A result that was taken already.
    fn in_hand(&mut self) -> Option<Outcome<T, U, E>> {
        match self {
            Self::Pool { results: Some(results), .. } => loop {
                // None of a worker that was cancelled by the end of its executor.
                if let Ok(outcome) = results.in_hand()?.result {
                    return Some(outcome);
                }
            },
            _ => None,
        }
    }

    /// No more jobs come.
    fn close(&mut self) {
        match self {
            Self::Pool { pool, .. } => drop(pool.as_ref().map(WorkerPool::close)),
            Self::Here { sender, .. } => *sender = None,
        }
    }

    fn poll(&mut self, duty: &Duty<T, F, E>, cx: &mut Context<'_>) -> Poll<Option<Outcome<T, U, E>>> {
        match self {
            Self::Pool { results: Some(results), .. } => loop {
                match Pin::new(&mut *results).poll_next(cx) {
                    Poll::Ready(Some(Completion { result: Ok(outcome), .. })) => {
                        return Poll::Ready(Some(outcome));
                    }
                    // A worker that was cancelled by the end of its executor.
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            },
            Self::Here { results, .. } => loop {
                let Some(running) = results else { return Poll::Ready(None) };
                // The question for a key may panic: its item is back already.
                match contain(|| running.as_mut().poll_next(cx)) {
                    Ok(Poll::Ready(Some(unread))) => {
                        if let Some(outcome) = unread.take() {
                            return Poll::Ready(Some(outcome));
                        }
                    }
                    Ok(Poll::Ready(None)) => return Poll::Ready(None),
                    Ok(Poll::Pending) => return Poll::Pending,
                    Err(payload) => {
                        duty.site.fail(duty.desk.name, Cause::Panicked(payload));
                        *results = None;
                    }
                }
            },
            _ => Poll::Ready(None),
        }
    }

    /// Ends the work: what is not done comes back.
    fn dismiss(&mut self, duty: &Arc<Duty<T, F, E>>) {
        match self {
            Self::Pool { pool, results } => {
                let (Some(pool), Some(mut results)) = (pool.take(), results.take()) else { return };
                let ended = Arc::clone(duty);
                duty.site.leave(async move {
                    let duty = ended;
                    let report = pool.abort().await;
                    for (_, entry) in report.handed_back {
                        duty.hand_back(Left::Waiting, entry.number, entry.item);
                    }
                    let unread = report.unread.into_iter().filter_map(|completion| completion.result.ok());
                    unread.for_each(|outcome| duty.hand_back_outcome(outcome));
                    let mut cx = Context::from_waker(Waker::noop());
                    while let Poll::Ready(Some(completion)) = Pin::new(&mut results).poll_next(&mut cx) {
                        if let Ok(outcome) = completion.result {
                            duty.hand_back_outcome(outcome);
                        }
                    }
                });
            }
            Self::Here { sender, results } => {
                *sender = None;
                *results = None;
            }
        }
    }
}

impl<W, F, U, E> Parallel<W, F, U, E>
where
    W: Flow,
    F: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    pub(super) fn new(
        feed: Feed<W, E>,
        duty: Arc<Duty<W::Item, F, E>>,
        crew: Crew<W::Item, F, U, E>,
        most: usize,
    ) -> Self {
        let (gathered, unread) = (VecDeque::new(), VecDeque::new());
        Self { feed, crew, gathered, slow: false, unread, inside: 0, most, ended: false, duty }
    }

    /// Takes in what there is room for, several at once if several are ready.
    fn fill(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let clock = this.duty.site.clock();
        let mut waits = false;
        while !*this.ended && !waits && *this.inside < *this.most {
            let room = *this.most - *this.inside;
            let at_once = if *this.slow { 1 } else { room.min(MOST_AT_ONCE) };
            let began = clock.now();
            while this.gathered.len() < at_once {
                match this.feed.as_mut().poll_next(cx) {
                    Poll::Ready(Some(entry)) => this.gathered.push_back(entry),
                    Poll::Ready(None) => {
                        *this.ended = true;
                        break;
                    }
                    Poll::Pending => {
                        waits = true;
                        break;
                    }
                }
            }
            let number = this.gathered.len();
            if number > 0 {
                *this.slow = clock.now().saturating_since(began) > SLOW * number as u32;
                this.crew.submit(this.gathered, this.duty);
                *this.inside += number - this.gathered.len();
                *this.ended |= !this.gathered.is_empty();
            }
            if *this.ended {
                this.crew.close();
            }
        }
        if !*this.ended && !waits {
            this.feed.poll_progress(cx);
        }
    }
}

impl<W, F, U, E> Flow for Parallel<W, F, U, E>
where
    W: Flow,
    F: Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    type Item = Outcome<W::Item, U, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.as_mut().project();
        let at_hand = this.unread.pop_front().or_else(|| this.crew.in_hand());
        // Not for each item; nor so late that workers stand idle while what is at hand is used up.
        let room = *this.most - *this.inside;
        if at_hand.is_none() || room > (*this.most / 4).min(MOST_AT_ONCE) {
            self.as_mut().fill(cx);
            this = self.project();
        }
        let polled = match at_hand {
            None => this.crew.poll(this.duty, cx),
            outcome => Poll::Ready(outcome),
        };
        if let Poll::Ready(Some(_)) = &polled {
            *this.inside -= 1;
        }
        polled
    }

    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.as_mut().fill(cx);
        let this = self.project();
        // All that is inside has room here.
        while this.unread.len() < *this.inside {
            match this.crew.poll(this.duty, cx) {
                Poll::Ready(Some(outcome)) => this.unread.push_back(outcome),
                _ => return,
            }
        }
    }
}
