//! A small network for simulated servers and clients: hosts by name, streams of bytes, and what goes wrong
//! with them.
//!
//! Streams are the [`futures_io`] traits, so whatever is written against those runs on it. All time comes
//! from the clock and all chance from its entropy: in a simulation the same seed gives the same network. It
//! needs no more than a [`Clock`], so it works on real runtimes too.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use weirs_testing::sim::{Sim, net::Net};
//!
//! let run = Sim::new(17).run(|runtime| async move {
//!     let net = Net::new(runtime.clock());
//!     net.set_latency(Duration::from_millis(10));
//!
//!     let listener = net.host("server").listen(80).unwrap();
//!     let server = runtime.builder().name("server").spawn(async move {
//!         let mut stream = listener.accept().await?;
//!         let mut request = String::new();
//!         stream.read_to_string(&mut request).await?;
//!         stream.write_all(request.to_uppercase().as_bytes()).await
//!     });
//!
//!     let mut stream = net.host("client").connect("server:80").await.unwrap(); // there and back
//!     stream.write_all(b"hello").await.unwrap();
//!     stream.close().await.unwrap(); // one way: the answer still comes
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await.unwrap();
//!     server.await.unwrap().unwrap();
//!     answer
//! });
//! let run = run.unwrap();
//! assert_eq!(run.output, "HELLO");
//! assert_eq!(run.elapsed, Duration::from_millis(40));
//! ```

mod host;
mod listener;
mod pipe;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

pub use host::Host;
pub use listener::Listener;
pub use stream::{Stream, duplex};

use listener::Backlog;
use stream::Connection;

/// A simulated network: a cheap clone of a handle to it.
///
/// At first it is perfect: nothing takes any time, and nothing goes wrong. What is changed holds for all
/// that happens from then on. Bytes are never lost, duplicated or reordered within a connection, as with
/// TCP: a link that is cut holds them up, and a reset drops them all.
///
/// Room that a reader makes is known to the writer at once, which is the one thing that travels faster than
/// the latency.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    latency: Duration,
    jitter: Duration,
    capacity: usize,
    short_transfers: bool,
    /// By host and port.
    listeners: BTreeMap<(Arc<str>, u16), Arc<Backlog>>,
    /// Pairs of hosts, the lesser name first.
    cut: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Hosts that are cut off from all others.
    hung: BTreeSet<Arc<str>>,
    connections: Vec<Weak<Connection>>,
    /// Who waits for a link to be mended.
    waiting: Vec<Waker>,
}

impl Net {
    /// A perfect network in the time of this clock, with buffers of 64 KiB.
    pub fn new(clock: &Clock) -> Self {
        let state = State {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            capacity: 64 * 1024,
            short_transfers: false,
            listeners: BTreeMap::new(),
            cut: BTreeSet::new(),
            hung: BTreeSet::new(),
            connections: Vec::new(),
            waiting: Vec::new(),
        };
        Self(Arc::new(Inner { clock: clock.clone(), state: Mutex::new(state) }))
    }

    /// The host of this name. Hosts need not be made: a name is all there is to one.
    pub fn host(&self, name: &str) -> Host {
        Host::new(self.clone(), name)
    }

    /// Each byte takes this long to the other end.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Each write takes up to this much longer than the latency, at random.
    pub fn set_jitter(&self, jitter: Duration) {
        self.lock().jitter = jitter;
    }

    /// New connections hold this many bytes on their way, each way; at least one. More wait in the writer.
    pub fn set_capacity(&self, bytes: usize) {
        self.lock().capacity = bytes.max(1);
    }

    /// Whether each read and write moves only some of the bytes that it could, at random and at least one.
    ///
    /// It finds code that takes what comes in one piece for a message.
    pub fn set_short_transfers(&self, short: bool) {
        self.lock().short_transfers = short;
    }

    /// Cuts the link between two hosts: bytes and attempts to connect wait until it is [mended](Net::mend).
    /// What has arrived can still be read.
    pub fn cut(&self, one: &str, other: &str) {
        let pair = pair(one, other);
        self.change_links(|state| {
            state.cut.insert(pair);
        });
    }

    /// Mends the link between two hosts: what was held up sets out anew.
    pub fn mend(&self, one: &str, other: &str) {
        let pair = pair(one, other);
        self.change_links(|state| {
            state.cut.remove(&pair);
        });
    }

    /// Cuts every link between the one group of hosts and the other.
    pub fn partition(&self, group: &[&str], others: &[&str]) {
        self.change_links(|state| {
            let pairs = group.iter().flat_map(|one| others.iter().map(|other| pair(one, other)));
            state.cut.extend(pairs);
        });
    }

    /// The host hangs: nothing reaches it, and nothing leaves it, but nobody is told.
    pub fn hang(&self, host: &str) {
        self.change_links(|state| {
            state.hung.insert(host.into());
        });
    }

    /// Mends every link, and has no host hang any more.
    pub fn heal(&self) {
        self.change_links(|state| {
            state.cut.clear();
            state.hung.clear();
        });
    }

    /// Resets every connection between two hosts: both ends hear of it at once, and what is on its way is
    /// lost.
    pub fn reset(&self, one: &str, other: &str) {
        let pair = pair(one, other);
        for connection in self.connections() {
            if connection.pair() == Some(&pair) {
                connection.reset();
            }
        }
    }

    /// Changes which links are cut, and tells those whom it concerns.
    fn change_links(&self, change: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.lock();
            change(&mut state);
            std::mem::take(&mut state.waiting)
        };
        for connection in self.connections() {
            connection.link_changed();
        }
        waiting.into_iter().for_each(Waker::wake);
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        let mut state = self.lock();
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.iter().filter_map(Weak::upgrade).collect()
    }

    fn is_cut(&self, pair: &(Arc<str>, Arc<str>)) -> bool {
        let state = self.lock();
        state.cut.contains(pair) || state.hung.contains(&pair.0) || state.hung.contains(&pair.1)
    }

    /// When something arrives that sets out now; never, if the link is cut.
    fn arrival(&self, pair: &(Arc<str>, Arc<str>)) -> Instant {
        if self.is_cut(pair) { Instant::FAR_FUTURE } else { self.clock().now() + self.delay() }
    }

    /// How long something takes that sets out now.
    fn delay(&self) -> Duration {
        let (latency, jitter) = {
            let state = self.lock();
            (state.latency, u64::try_from(state.jitter.as_nanos()).unwrap_or(u64::MAX - 1))
        };
        let late = if jitter == 0 { 0 } else { self.clock().random_below(jitter + 1) };
        latency.saturating_add(Duration::from_nanos(late))
    }

    /// How many of `most` bytes a read or write moves.
    fn transfer(&self, most: usize) -> usize {
        let short = self.lock().short_transfers;
        if short && most > 1 { 1 + self.clock().random_below(most as u64) as usize } else { most }
    }

    /// Travels from the one host to the other, however long that takes.
    async fn cross(&self, pair: &(Arc<str>, Arc<str>)) {
        loop {
            std::future::poll_fn(|cx| self.poll_mended(pair, cx)).await;
            self.clock().sleep(self.delay()).await;
            if !self.is_cut(pair) {
                return;
            }
        }
    }

    fn poll_mended(&self, pair: &(Arc<str>, Arc<str>), cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_cut(pair) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut state = self.lock();
        // The links cannot have changed meanwhile in a simulation; elsewhere they may.
        if !state.waiting.iter().any(|waiting| waiting.will_wake(&waker)) {
            state.waiting.push(waker);
        }
        drop(state);
        if self.is_cut(pair) { Poll::Pending } else { Poll::Ready(()) }
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Net")
            .field("latency", &state.latency)
            .field("jitter", &state.jitter)
            .field("listeners", &state.listeners.keys())
            .field("cut", &state.cut)
            .field("hung", &state.hung)
            .finish_non_exhaustive()
    }
}

/// Two hosts, in either order.
fn pair(one: &str, other: &str) -> (Arc<str>, Arc<str>) {
    (one.min(other).into(), one.max(other).into())
}

/// No foreign code runs under these locks, so whoever panicked elsewhere left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
