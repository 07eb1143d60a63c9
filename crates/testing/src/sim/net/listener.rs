//! [`Listener`]: takes the connections that come to a port.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::{Net, Stream, lock};

/// How many connections wait to be accepted.
const BACKLOG: usize = 128;

/// Takes the connections that come to a port; made by [`Host::listen`](super::Host::listen).
///
/// Dropped, it closes those that nobody accepted, and later attempts are refused.
pub struct Listener {
    net: Net,
    address: (Arc<str>, u16),
    backlog: Arc<Backlog>,
}

/// The connections that nobody accepted yet, and who waits for one.
#[derive(Default)]
pub(super) struct Backlog(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    streams: VecDeque<Stream>,
    acceptors: Vec<Waker>,
    closed: bool,
}

impl Listener {
    pub(super) fn new(net: &Net, host: &Arc<str>, port: u16) -> Result<Self> {
        let address = (Arc::clone(host), port);
        let backlog = Arc::new(Backlog::default());
        let mut state = net.lock();
        if state.listeners.contains_key(&address) {
            return Err(Error::new(ErrorKind::AddrInUse, format!("somebody listens at {host}:{port}")));
        }
        state.listeners.insert(address.clone(), Arc::clone(&backlog));
        drop(state);
        Ok(Self { net: net.clone(), address, backlog })
    }

    /// The address to connect to, as in `server:80`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.address.0, self.address.1)
    }

    /// Waits for the next connection. Several tasks may wait at once; each connection goes to one of them.
    ///
    /// # Cancel safety
    /// If it is dropped before it completes, no connection was taken.
    ///
    /// # Errors
    /// None at present.
    pub async fn accept(&self) -> Result<Stream> {
        poll_fn(|cx| self.backlog.poll_take(cx)).await
    }
}

impl Backlog {
    /// Takes a connection in unless there are too many, or nobody listens any more.
    pub(super) fn offer(&self, stream: Stream) -> bool {
        let mut queue = lock(&self.0);
        if queue.closed || queue.streams.len() >= BACKLOG {
            drop(queue);
            drop(stream);
            return false;
        }
        queue.streams.push_back(stream);
        let acceptors = std::mem::take(&mut queue.acceptors);
        drop(queue);
        acceptors.into_iter().for_each(Waker::wake);
        true
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<Stream>> {
        let waker = cx.waker().clone();
        let mut queue = lock(&self.0);
        if let Some(stream) = queue.streams.pop_front() {
            drop(queue);
            return Poll::Ready(Ok(stream));
        }
        if !queue.acceptors.iter().any(|waiting| waiting.will_wake(&waker)) {
            queue.acceptors.push(waker);
        }
        drop(queue);
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let removed = self.net.lock().listeners.remove(&self.address);
        let mut queue = lock(&self.backlog.0);
        queue.closed = true;
        let streams = std::mem::take(&mut queue.streams);
        drop(queue);
        drop(streams);
        drop(removed);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.address()).finish()
    }
}
