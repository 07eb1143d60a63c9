//! [`Parallel`]: a stage that does several jobs at once.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_channels_utils::{Sender, StreamUtil, bounded};
use weirs_runtime::Runtime;

use super::ahead::Ahead;
use super::attempt::{Duty, Entry, Held, Outcome, Unread, Waiting};
use super::ending::Ending;
use super::feed::Feed;
use super::flow::{Flow, Turn};
use super::gate::{Gate, manage};
use super::site::{Alive, Cause, PipelineEvent};
use super::tempo::Tempo;
use super::unprocessed::Left;
use super::workers::Workers;
use crate::panics::contain;
use crate::{Completion, PoolEvent, Results, Worker, WorkerPool};

/// The most items that are handed in at once.
const MOST_AT_ONCE: usize = 32;

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
        // How fast they come, if it matters to workers that are tasks of their own.
        tempo: Option<Tempo>,
        // Results that were not asked for yet.
        unread: VecDeque<Outcome<W::Item, U, E>>,
        inside: usize,
        most: usize,
        ahead: Option<Ahead>,
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
    Here {
        sender: Option<Sender<Waiting<T, F, E>>>,
        results: Option<LocalResults<T, F, U, E>>,
        /// If a controller says how many jobs run at once.
        managed: Option<Managed>,
    },
}

/// Where jobs wait for their turn, and who says how many have it.
pub(super) struct Managed {
    gate: Arc<Gate>,
    manager: Pin<Box<dyn Future<Output = ()> + Send>>,
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
    Fut: Future<Output: Ending<Value = U, Error = E>> + Send + 'static,
{
    type Job = Entry<T>;
    type Output = Outcome<T, U, E>;
    type Error = Infallible;

    #[inline]
    fn work(&mut self, entry: Entry<T>) -> impl Future<Output = Result<Outcome<T, U, E>, Infallible>> + Send {
        Held::new(entry, &*self.duty)
    }
}

/// Has what happens in a stage's pool seen at the stage.
fn forward<T, F, E>(duty: Arc<Duty<T, F, E>>) -> impl Fn(&PoolEvent<'_>) + Send + Sync + 'static
where
    T: Send + 'static,
    F: Send + Sync + 'static,
    E: Send + 'static,
{
    move |event| {
        let stage = duty.desk.name;
        match *event {
            PoolEvent::WorkerStarted { worker } => {
                duty.site.tell(&PipelineEvent::WorkerStarted { stage, worker });
            }
            PoolEvent::WorkerEnded { worker } => {
                duty.site.tell(&PipelineEvent::WorkerEnded { stage, worker });
            }
            PoolEvent::Resized { from, to } => duty.resized(from, to),
            // Jobs of a stage have their events from the stage, and it never hands in too many.
            _ => {}
        }
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
    pub(super) fn new<Fut>(duty: &Arc<Duty<T, F, E>>, workers: Workers, most: usize, order: Order<T>) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output: Ending<Value = U, Error = E>> + Send + 'static,
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
        workers: Workers,
        most: usize,
        ordered: bool,
    ) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output: Ending<Value = U, Error = E>> + Send + 'static,
    {
        let hand = {
            let duty = Arc::clone(duty);
            move |_| {
                let (duty, _alive) = (Arc::clone(&duty), duty.site.alive());
                Ok::<_, Infallible>(Hand { duty, _alive, does: PhantomData })
            }
        };
        // There is always room: no more than `most` are handed in.
        let is_adaptive = workers.controller.is_some();
        let builder = WorkerPool::with_workers(hand).queue(most).unread(most);
        let builder = match workers.controller {
            None => builder.workers(workers.most),
            Some(controller) => builder.adaptive(workers.least..=workers.most, controller),
        };
        let builder = if ordered { builder.ordered() } else { builder };
        let builder = match is_adaptive || duty.site.is_observed() {
            true => builder.on_event(forward(Arc::clone(duty))),
            false => builder,
        };
        // The numbers were checked: what is wrong is the executor.
        let Ok(pool) = builder.build(runtime) else {
            duty.site.fail(duty.desk.name, Cause::Lost);
            return Self::Here { sender: None, results: None, managed: None };
        };
        let results = Some(pool.results());
        Self::Pool { pool: Some(pool), results }
    }

    fn here<Fut>(
        runtime: Option<Runtime>,
        duty: &Arc<Duty<T, F, E>>,
        workers: Workers,
        most: usize,
        order: Order<T>,
    ) -> Self
    where
        F: Fn(T) -> Fut,
        Fut: Future<Output: Ending<Value = U, Error = E>> + Send + 'static,
    {
        let at_least_one = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        let (sender, receiver) = bounded::<Waiting<T, F, E>>(at_least_one(most));
        let at_once = at_least_one(workers.most);
        let managed = workers.controller.is_some().then(|| {
            let gate = Gate::new(&workers, duty.site.clock());
            let manager = Box::pin(manage(Arc::clone(&gate), workers, Arc::clone(duty)));
            Managed { gate, manager }
        });
        let gate = managed.as_ref().map(|managed| Arc::clone(&managed.gate));
        let shared = Arc::clone(duty);
        let start = move |waiting: Waiting<T, F, E>| {
            let pass = gate.clone().map(|gate| gate.pass(waiting.number()));
            let (held, duty, runtime) = (waiting.begin(), Arc::clone(&shared), runtime.clone());
            async move {
                let _pass = match pass {
                    Some(pass) => Some(pass.await),
                    None => None,
                };
                let outcome = match (held, runtime) {
                    (None, _) => None,
                    (Some(held), None) => held.await.ok(),
                    (Some(held), Some(runtime)) => {
                        let (alive, duty) = (duty.site.alive(), Arc::clone(&duty));
                        let job = async move {
                            let unread = Unread::new(held.await.ok(), duty);
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
            Order::Ordered => Box::pin(receiver.map_concurrent(at_once, start).unread(most)),
            Order::Unordered => Box::pin(receiver.map_concurrent_unordered(at_once, start).unread(most)),
            Order::ByKey { key_of, per_key } => {
                let key_of = move |waiting: &Waiting<T, F, E>| waiting.item().map_or(0, &key_of);
                let by_key = receiver.map_by_key(key_of, at_once, at_least_one(per_key), start);
                Box::pin(by_key.unread(most))
            }
        };
        Self::Here { sender: Some(sender), results: Some(results), managed }
    }

    /// Hands these in: there is room for as many as may be inside. What a crew that is lost does not take is
    /// handed back.
    fn submit(&mut self, entries: &mut VecDeque<Entry<T>>, duty: &Arc<Duty<T, F, E>>) {
        match self {
            Self::Pool { pool: Some(pool), .. } => pool.try_submit_all(entries),
            Self::Here { sender: Some(sender), managed, .. } => {
                for entry in entries.drain(..) {
                    if let Some(managed) = managed {
                        managed.gate.comes();
                    }
                    drop(sender.try_send(Waiting::new(entry, Arc::clone(duty))));
                }
            }
            _ => {}
        }
        for refused in entries.drain(..) {
            duty.hand_back(Left::Waiting, refused.number, refused.item);
        }
    }

    /// A result that was taken already; none of none, if the crew is lost.
    #[inline]
    fn in_hand(&mut self, duty: &Arc<Duty<T, F, E>>) -> Option<Option<Outcome<T, U, E>>> {
        let Self::Pool { results: Some(results), .. } = self else { return None };
        let completion = results.in_hand()?;
        Some(completion.result.map_err(|_| self.is_lost_by(Cause::Lost, duty)).ok())
    }

    fn is_lost_by(&mut self, cause: Cause, duty: &Arc<Duty<T, F, E>>) {
        duty.site.fail(duty.desk.name, cause);
        self.dismiss(duty);
    }

    /// Whether nobody will ever do anything.
    fn is_lost(&self) -> bool {
        matches!(self, Self::Here { results: None, .. } | Self::Pool { results: None, .. })
    }

    /// No more jobs come.
    fn close(&mut self) {
        match self {
            Self::Pool { pool, .. } => drop(pool.as_ref().map(WorkerPool::close)),
            Self::Here { sender, .. } => *sender = None,
        }
    }

    /// What came of a job, of so many that are inside.
    fn poll(
        &mut self,
        inside: usize,
        duty: &Arc<Duty<T, F, E>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Outcome<T, U, E>>> {
        let ended = match self {
            Self::Pool { results: Some(results), .. } => match ready!(Pin::new(results).poll_next(cx)) {
                Some(Completion { result: Ok(outcome), .. }) => Ok(outcome),
                None if inside == 0 => return Poll::Ready(None),
                _ => Err(Cause::Lost),
            },
            Self::Here { results: Some(results), managed, .. } => {
                if let Some(managed) = managed {
                    // It has no end.
                    let _ = managed.manager.as_mut().poll(cx);
                }
                match contain(|| results.as_mut().poll_next(cx)) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(None)) if inside == 0 => return Poll::Ready(None),
                    Ok(Poll::Ready(unread)) => unread.and_then(Unread::take).ok_or(Cause::Lost),
                    // The question for a key: its item is back already.
                    Err(payload) => Err(Cause::Panicked(payload)),
                }
            }
            _ => return Poll::Ready(None),
        };
        Poll::Ready(ended.map_err(|cause| self.is_lost_by(cause, duty)).ok())
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
            Self::Here { sender, results, managed } => {
                *sender = None;
                *results = None;
                *managed = None;
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
        ahead: Option<Ahead>,
    ) -> Self {
        let ended = crew.is_lost();
        let tempo = matches!(crew, Crew::Pool { .. }).then(Tempo::default);
        let (gathered, unread) = (VecDeque::new(), VecDeque::new());
        Self { feed, crew, gathered, tempo, unread, inside: 0, most, ahead, ended, duty }
    }

    /// Takes in what there is room for, several at once if several are ready.
    fn fill(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let clock = this.duty.site.clock();
        let mut turn = Turn::default();
        let mut waits = false;
        while !*this.ended && !waits {
            let room = *this.most - *this.inside;
            let room = this.ahead.as_ref().map_or(room, |ahead| room.min(ahead.room()));
            if room == 0 {
                break;
            }
            let mut at_once = room.min(MOST_AT_ONCE);
            if let Some(tempo) = this.tempo {
                at_once = tempo.at_once(at_once);
                tempo.begins(clock);
            }
            while this.gathered.len() < at_once {
                if turn.is_over(clock) {
                    // The workers have their turn, and whoever takes results.
                    cx.waker().wake_by_ref();
                    waits = true;
                    break;
                }
                match this.feed.as_mut().poll_next(cx) {
                    Poll::Ready(Some(entry)) => {
                        this.gathered.push_back(entry);
                        if let Some(tempo) = this.tempo {
                            tempo.came(this.gathered.len(), clock);
                        }
                    }
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
                if let Some(tempo) = this.tempo {
                    tempo.hands_on(number, clock);
                }
                *this.inside += number;
                if let Some(ahead) = this.ahead {
                    ahead.take(number);
                }
                this.crew.submit(this.gathered, this.duty);
            }
            if *this.ended {
                this.crew.close();
            }
        }
        if !*this.ended && !waits {
            this.feed.poll_progress(cx);
        }
    }

    /// A result that was taken already; none of none, if the crew is lost.
    #[inline]
    fn at_hand(self: Pin<&mut Self>) -> Option<Option<Outcome<W::Item, U, E>>> {
        let this = self.project();
        if let Some(outcome) = this.unread.pop_front() {
            return Some(Some(outcome));
        }
        let outcome = this.crew.in_hand(this.duty)?;
        match (&outcome, this.ahead) {
            (None, _) => *this.ended = true,
            (Some(outcome), Some(ahead)) => ahead.ends(outcome.number),
            (Some(_), None) => {}
        }
        Some(outcome)
    }

    /// What the crew has done.
    fn poll_crew(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome<W::Item, U, E>>> {
        let this = self.project();
        let polled = this.crew.poll(*this.inside - this.unread.len(), this.duty, cx);
        match (&polled, this.ahead) {
            (Poll::Ready(None), _) => *this.ended = true,
            (Poll::Ready(Some(outcome)), Some(ahead)) => ahead.ends(outcome.number),
            _ => {}
        }
        polled
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
        let at_hand = self.as_mut().at_hand();
        // Not for each item; nor so late that workers stand idle while what is at hand is used up.
        let room = self.most - self.inside;
        if at_hand.is_none() || room > (self.most / 4).min(MOST_AT_ONCE) {
            self.as_mut().fill(cx);
        }
        let polled = match at_hand {
            None => self.as_mut().poll_crew(cx),
            Some(outcome) => Poll::Ready(outcome),
        };
        if let Poll::Ready(Some(_)) = &polled {
            *self.project().inside -= 1;
        }
        polled
    }

    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        loop {
            self.as_mut().fill(cx);
            let had_room = self.ahead.as_ref().is_none_or(Ahead::has_room);
            // All that is inside has room here.
            while self.unread.len() < self.inside {
                match self.as_mut().poll_crew(cx) {
                    Poll::Ready(Some(outcome)) => self.as_mut().project().unread.push_back(outcome),
                    _ => break,
                }
            }
            // The oldest may have ended, and others may come in.
            if had_room || self.ahead.as_ref().is_none_or(|ahead| !ahead.has_room()) {
                return;
            }
        }
    }
}
