//! [`Stream`]: one end of a connection.

use std::fmt;
use std::io::Result;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use weirs_runtime::{Instant, Sleep};

use super::pipe::{End, Outlook, Pipe};
use super::{Net, lock, pair};

/// One end of a connection: bytes both ways, each with a bounded buffer.
///
/// # Closing
/// `close` ends this end's way: the other end reads what was written and then the end, and may go on
/// writing. Dropping an end closes it; if there is something that it has not read, the other end sees a
/// reset, as with TCP. Writing to an end that is gone gives [`BrokenPipe`](std::io::ErrorKind::BrokenPipe),
/// and anything after a reset
/// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset).
///
/// # Cancel safety
/// A read or write that is dropped before it completes has moved no bytes. `flush` is ready at once.
pub struct Stream {
    connection: Arc<Connection>,
    /// 0 or 1: it writes to the pipe of this number and reads from the other one.
    end: usize,
    read_timer: Option<Sleep>,
    write_timer: Option<Sleep>,
}

/// What both ends share.
pub(super) struct Connection {
    /// None between ends that are no hosts: then nothing takes time or goes wrong.
    wire: Option<Wire>,
    pipes: Mutex<[Pipe; 2]>,
}

struct Wire {
    net: Net,
    pair: (Arc<str>, Arc<str>),
    /// By end.
    hosts: [Arc<str>; 2],
}

/// Two ends of a connection that knows no network: it takes no time, and nothing goes wrong. Each way holds
/// up to `capacity` bytes, at least one.
///
/// # Examples
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use weirs_testing::sim::{Sim, net::duplex};
///
/// let run = Sim::new(1).run(|runtime| async move {
///     let (mut near, mut far) = duplex(4);
///     let writer = runtime.spawn(async move { near.write_all(b"more than four bytes").await });
///     let mut text = String::new();
///     far.read_to_string(&mut text).await.unwrap();
///     writer.await.unwrap().unwrap();
///     text
/// });
/// assert_eq!(run.unwrap().output, "more than four bytes");
/// ```
pub fn duplex(capacity: usize) -> (Stream, Stream) {
    ends(None, capacity)
}

/// Two ends of a connection between hosts.
pub(super) fn connect(net: &Net, near: &Arc<str>, far: &Arc<str>) -> (Stream, Stream) {
    let hosts = [Arc::clone(near), Arc::clone(far)];
    let wire = Wire { net: net.clone(), pair: pair(near, far), hosts };
    let capacity = net.lock().capacity;
    let (near, far) = ends(Some(wire), capacity);
    net.lock().connections.push(Arc::downgrade(&near.connection));
    (near, far)
}

fn ends(wire: Option<Wire>, capacity: usize) -> (Stream, Stream) {
    let pipes = Mutex::new([Pipe::new(capacity), Pipe::new(capacity)]);
    let connection = Arc::new(Connection { wire, pipes });
    let end = |end| Stream { connection: Arc::clone(&connection), end, read_timer: None, write_timer: None };
    (end(0), end(1))
}

impl Stream {
    /// The name of the host at the other end; none on a [`duplex`].
    pub fn peer(&self) -> Option<&str> {
        Some(&self.connection.wire.as_ref()?.hosts[1 - self.end])
    }

    /// Resets the connection: both ends hear of it at once, and what is on its way is lost.
    pub fn reset(&self) {
        self.connection.reset();
    }

    fn poll_some_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let number = 1 - self.end;
        let connection = Arc::clone(&self.connection);
        loop {
            match connection.with_pipe(number, |pipe, now| pipe.readable(now)) {
                Outlook::Bytes(readable) => {
                    self.read_timer = None;
                    let count = connection.transfer(readable.min(buffer.len()));
                    let writer = connection.with_pipe(number, |pipe, _| {
                        pipe.read(&mut buffer[..count]);
                        pipe.writer.take()
                    });
                    writer.into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(count));
                }
                Outlook::Fails(kind) => return Poll::Ready(Err(kind.into())),
                Outlook::Waits(until) => {
                    let waker = cx.waker().clone();
                    let before = connection.with_pipe(number, |pipe, _| pipe.reader.replace(waker));
                    drop(before);
                    if connection.poll_until(&mut self.read_timer, until, cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn poll_some_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let number = self.end;
        let connection = Arc::clone(&self.connection);
        loop {
            match connection.with_pipe(number, |pipe, now| pipe.writable(now)) {
                Outlook::Bytes(room) => {
                    self.write_timer = None;
                    let count = connection.transfer(room.min(bytes.len()));
                    let arrival = connection.arrival();
                    let reader = connection.with_pipe(number, |pipe, _| {
                        pipe.write(&bytes[..count], arrival);
                        pipe.reader.take()
                    });
                    reader.into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(count));
                }
                Outlook::Fails(kind) => return Poll::Ready(Err(kind.into())),
                Outlook::Waits(until) => {
                    let waker = cx.waker().clone();
                    let before = connection.with_pipe(number, |pipe, _| pipe.writer.replace(waker));
                    drop(before);
                    if connection.poll_until(&mut self.write_timer, until, cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl Connection {
    pub(super) fn pair(&self) -> Option<&(Arc<str>, Arc<str>)> {
        Some(&self.wire.as_ref()?.pair)
    }

    /// Tears both ways down, for both ends at once.
    pub(super) fn reset(&self) {
        let now = self.now();
        self.change(|[one, other]| {
            one.end(End::Reset, now);
            other.end(End::Reset, now);
        });
    }

    /// The link was cut or mended: holds up what is on its way, or sends it on.
    pub(super) fn link_changed(&self) {
        let (now, arrivals) = (self.now(), [self.arrival(), self.arrival()]);
        self.change(|pipes| {
            for (pipe, arrival) in pipes.iter_mut().zip(arrivals) {
                pipe.reschedule(now, arrival);
            }
        });
    }

    /// One end is gone.
    fn leave(&self, end: usize) {
        let arrival = self.arrival();
        self.change(|pipes| {
            let unread = pipes[1 - end].abandon(arrival);
            pipes[end].end(if unread { End::Reset } else { End::Closed }, arrival);
        });
    }

    /// Changes something that whoever waits has to look at.
    fn change(&self, change: impl FnOnce(&mut [Pipe; 2])) {
        let wakers = {
            let mut pipes = lock(&self.pipes);
            change(&mut pipes);
            let [one, other] = &mut *pipes;
            [one.reader.take(), one.writer.take(), other.reader.take(), other.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn with_pipe<T>(&self, number: usize, f: impl FnOnce(&mut Pipe, Instant) -> T) -> T {
        let now = self.now();
        f(&mut lock(&self.pipes)[number], now)
    }

    fn now(&self) -> Instant {
        self.wire.as_ref().map_or(Instant::from_nanos(0), |wire| wire.net.clock().now())
    }

    /// When something arrives that sets out now.
    fn arrival(&self) -> Instant {
        self.wire.as_ref().map_or(Instant::from_nanos(0), |wire| wire.net.arrival(&wire.pair))
    }

    fn transfer(&self, most: usize) -> usize {
        self.wire.as_ref().map_or(most, |wire| wire.net.transfer(most))
    }

    /// Waits with this timer until then, if there is a time at all.
    fn poll_until(
        &self,
        timer: &mut Option<Sleep>,
        until: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let (Some(until), Some(wire)) = (until, &self.wire) else {
            *timer = None;
            return Poll::Pending;
        };
        let sleep = timer.get_or_insert_with(|| wire.net.clock().sleep_until(until));
        if sleep.deadline() != until {
            sleep.reset(until);
        }
        Pin::new(sleep).poll(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if buffer.is_empty() { Poll::Ready(Ok(0)) } else { self.poll_some_read(cx, buffer) }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        if bytes.is_empty() { Poll::Ready(Ok(0)) } else { self.poll_some_write(cx, bytes) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        let arrival = self.connection.arrival();
        self.connection.change(|pipes| pipes[self.end].end(End::Closed, arrival));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.leave(self.end);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer", &self.peer()).finish_non_exhaustive()
    }
}
