//! [`WorkQueue`]: keys to work on, each queued once and worked on by one at a time.

mod state;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::waiting::{Served, Ticket, Turn, let_go};
use weirs_runtime::{Clock, Sleep};

use crate::Invalid;
use crate::panics;
use state::State;

/// Keys to work on: "look after this one again". What is to be done is found out by whoever takes the key.
///
/// A key that is added while it waits is there once. One that is added while somebody works on it waits until
/// that is done, and then comes again: nobody works on the same key at the same time, and no change is
/// overlooked. So it holds as many keys as there are different ones, and no more.
///
/// A key may be added [after a while](Self::add_after), and when its work fails, after a
/// [longer one each time](Self::add_rate_limited), until it is [forgotten](Self::forget).
///
/// Clones are handles to the same queue. It has no task of its own: whoever waits for a key watches the time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_pipelines::WorkQueue;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let queue = WorkQueue::new(runtime.clock());
///     queue.add("a");
///     queue.add("a");
///     queue.add_after("b", Duration::from_secs(3));
///     let taken = queue.next().await.unwrap();
///     assert_eq!((*taken, queue.len()), ("a", 0));
///     // Somebody works on it: it comes again when that is done.
///     queue.add("a");
///     assert_eq!(queue.len(), 0);
///     drop(taken);
///     assert_eq!(*queue.next().await.unwrap(), "a");
///     assert_eq!(*queue.next().await.unwrap(), "b");
///     queue.shut_down();
///     assert!(queue.next().await.is_none());
/// }).unwrap();
/// ```
pub struct WorkQueue<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    clock: Clock,
    first_delay: Duration,
    most_delay: Duration,
    state: Served<State<K>>,
}

impl<K: Hash + Eq> WorkQueue<K> {
    /// An empty queue. A key that fails again and again waits 5 milliseconds, then twice as long each time,
    /// up to 1000 seconds.
    pub fn new(clock: &Clock) -> Self {
        Self::made(clock, Duration::from_millis(5), Duration::from_secs(1000))
    }

    /// An empty queue, in which a key that fails waits for `first`, then twice as long each time, up to
    /// `most`.
    ///
    /// # Errors
    /// When `first` is zero or above `most`.
    pub fn with_backoff(clock: &Clock, first: Duration, most: Duration) -> Result<Self, Invalid> {
        if first.is_zero() {
            return Err(Invalid::new("work_queue.first", "there has to be a delay"));
        }
        if first > most {
            return Err(Invalid::new("work_queue.first", "the first delay is above the most"));
        }
        Ok(Self::made(clock, first, most))
    }

    fn made(clock: &Clock, first_delay: Duration, most_delay: Duration) -> Self {
        let state = Served::new(State::default());
        Self { shared: Arc::new(Shared { clock: clock.clone(), first_delay, most_delay, state }) }
    }

    /// Adds a key, unless it waits already. False says that the queue is shut down, and does not take it.
    pub fn add(&self, key: K) -> bool {
        let key = Arc::new(key);
        let taken = self.shared.state.change(|state| state.add(&key));
        // Outside the lock, where it was there already.
        panics::let_go(key);
        taken
    }

    /// Adds a key when so much time has passed; if it is to be added sooner, then.
    ///
    /// False says that the queue is shut down.
    pub fn add_after(&self, key: K, delay: Duration) -> bool {
        if delay.is_zero() {
            return self.add(key);
        }
        let key = Arc::new(key);
        let due = self.shared.clock.now() + delay;
        let taken = self.shared.state.change(|state| state.add_at(&key, due));
        panics::let_go(key);
        taken
    }

    /// Adds a key whose work has failed, after a delay that doubles each time until the key is
    /// [forgotten](Self::forget). Gives the delay; none says that the queue is shut down.
    pub fn add_rate_limited(&self, key: K) -> Option<Duration> {
        let Shared { clock, first_delay, most_delay, state } = &*self.shared;
        let key = Arc::new(key);
        let now = clock.now();
        let delay = state.change(|state| {
            if state.is_shut_down() {
                return None;
            }
            let failures = state.fails(&key);
            let delay = first_delay.saturating_mul(2_u32.saturating_pow(failures)).min(*most_delay);
            state.add_at(&key, now + delay);
            Some(delay)
        });
        panics::let_go(key);
        delay
    }

    /// The key's work is done well: the next time that it fails, it waits for the first delay.
    pub fn forget(&self, key: &K) {
        let gone = self.shared.state.change(|state| state.forget(key));
        panics::let_go(gone);
    }

    /// How often the key has failed since it was last forgotten.
    pub fn failures(&self, key: &K) -> u32 {
        self.shared.state.peek(|state| state.failures(key))
    }

    /// The next key to work on. None when the queue is shut down and nothing waits any more.
    ///
    /// # Waiting
    /// While no key waits. First come, first served.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it took no key.
    pub fn next(&self) -> NextKey<'_, K> {
        NextKey { shared: &self.shared, ticket: None, sleep: None }
    }

    /// How many keys wait, besides those whose time has not come.
    pub fn len(&self) -> usize {
        let now = self.shared.clock.now();
        self.shared.state.change(|state| state.queued(now))
    }

    /// Whether no key waits, besides those whose time has not come.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys somebody works on.
    pub fn running(&self) -> usize {
        self.shared.state.peek(State::running)
    }

    /// Takes no more keys; those that wait are still given out, and those that were added while somebody
    /// works on them. Gives the keys whose time has not come.
    pub fn shut_down(&self) -> Vec<Arc<K>> {
        let now = self.shared.clock.now();
        self.shared.state.change(|state| state.shut_down(now))
    }

    /// Whether it takes no more keys.
    pub fn is_shut_down(&self) -> bool {
        self.shared.state.peek(State::is_shut_down)
    }

    /// Waits until the queue is shut down, nothing waits, and nobody works on a key.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing happened.
    pub fn drained(&self) -> Drained<'_, K> {
        Drained { shared: &self.shared, ticket: None }
    }
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue")
            .field("running", &self.shared.state.peek(State::running))
            .finish_non_exhaustive()
    }
}

/// The future of [`WorkQueue::next`].
#[must_use = "no key is taken unless it is awaited"]
pub struct NextKey<'q, K: Hash + Eq> {
    shared: &'q Arc<Shared<K>>,
    ticket: Option<Ticket>,
    /// Until the first key's time comes.
    sleep: Option<Sleep>,
}

impl<K: Hash + Eq> Future for NextKey<'_, K> {
    type Output = Option<Taken<K>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Shared { clock, state, .. } = &**this.shared;
        loop {
            let now = clock.now();
            let mut due = None;
            let polled = state.poll(cx, |state, look| {
                state.bring_due(now);
                if state.takers.share(this.ticket, state.ready()) > 0 {
                    state.takers.leave(&mut this.ticket, look);
                    return Turn::Ready(state.take());
                }
                if state.is_over() {
                    state.takers.leave(&mut this.ticket, look);
                    return Turn::Ready(None);
                }
                due = state.first_due();
                state.takers.wait(1, &mut this.ticket, look)
            });
            if let Poll::Ready(key) = polled {
                this.sleep = None;
                return Poll::Ready(key.map(|key| Taken { shared: Arc::clone(this.shared), key }));
            }
            let Some(due) = due else {
                this.sleep = None;
                return Poll::Pending;
            };
            let sleep = this.sleep.get_or_insert_with(|| clock.sleep_until(due));
            if sleep.deadline() != due {
                sleep.reset(due);
            }
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
        }
    }
}

impl<K: Hash + Eq> Drop for NextKey<'_, K> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let_go(self.shared.state.change(|state| state.takers.give_up(ticket)));
        }
    }
}

impl<K: Hash + Eq> fmt::Debug for NextKey<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextKey").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// A key that somebody works on. Dropped, the work is done; even by a panic.
#[must_use = "the key counts as done when it is dropped"]
pub struct Taken<K: Hash + Eq> {
    shared: Arc<Shared<K>>,
    key: Arc<K>,
}

impl<K: Hash + Eq> Taken<K> {
    /// The key, for longer.
    pub fn key(&self) -> &Arc<K> {
        &self.key
    }
}

impl<K: Hash + Eq> Deref for Taken<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

impl<K: Hash + Eq> Drop for Taken<K> {
    fn drop(&mut self) {
        let gone = self.shared.state.change(|state| state.done(&self.key));
        panics::let_go(gone);
    }
}

impl<K: Hash + Eq + fmt::Debug> fmt::Debug for Taken<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(&self.key).finish()
    }
}

/// The future of [`WorkQueue::drained`].
#[must_use = "it waits when it is awaited"]
pub struct Drained<'q, K> {
    shared: &'q Shared<K>,
    ticket: Option<Ticket>,
}

impl<K> Future for Drained<'_, K> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.state.poll(cx, |state, look| {
            if !state.is_drained() {
                return state.drainers.wait(1, &mut this.ticket, look);
            }
            state.drainers.leave(&mut this.ticket, look);
            Turn::Ready(())
        })
    }
}

impl<K> Drop for Drained<'_, K> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let_go(self.shared.state.change(|state| state.drainers.give_up(ticket)));
        }
    }
}

impl<K> fmt::Debug for Drained<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Drained")
    }
}
