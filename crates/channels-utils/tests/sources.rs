//! Where streams begin.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncBufRead, AsyncRead};
use futures::{FutureExt, StreamExt, future};
use weirs_channels_utils::{LineError, Overflow, bounded, channel, feed, lines};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn n(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

#[apply(runtime_test)]
async fn all_items_are_fed(runtime: Runtime) {
    let (sender, receiver) = bounded(n(7));
    let feeding = runtime.spawn(async move { feed(&sender, 0..1_000).await.unwrap() });
    assert!(receiver.collect::<Vec<_>>().await.into_iter().eq(0..1_000));
    assert_eq!(feeding.await.unwrap(), 1_000);
}

#[apply(runtime_test)]
async fn what_is_fed_is_not_ahead_of_the_room(_: Runtime) {
    let (sender, mut receiver) = bounded(n(4));
    let mut made = 0;
    let items = std::iter::from_fn(|| {
        made += 1;
        Some(made)
    });
    assert!(futures_lite::future::poll_once(Box::pin(feed(&sender, items))).await.is_none());
    assert!(made <= 8, "{made} were made: four are in the channel, four in hand");
    assert!(receiver.remaining().eq(1..=4));
}

#[apply(runtime_test)]
async fn what_was_not_fed_comes_back(_: Runtime) {
    let (sender, mut receiver) = bounded(n(4));
    let take = async move {
        let mut taken = Vec::new();
        while taken.len() < 10 {
            taken.extend(receiver.recv().await);
        }
        taken.extend({
            receiver.close();
            receiver.remaining().collect::<Vec<_>>()
        });
        taken
    };
    let (fed, mut all) = future::join(feed(&sender, 0..100), take).await;
    all.extend(fed.unwrap_err().into_inner());
    assert!(all.into_iter().eq(0..100), "what was sent and what came back are all");
}

#[apply(runtime_test)]
async fn feeding_may_be_dropped_at_any_point(_: Runtime) {
    let check = async |_: usize| {};
    let make = || {
        let (sender, receiver) = bounded(n(2));
        async move {
            let (fed, received) = future::join(
                async move { feed(&sender, 0..20).await.map(drop).map_err(drop) },
                receiver.collect::<Vec<_>>(),
            )
            .await;
            assert_eq!((fed, received.len()), (Ok(()), 20));
        }
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[test]
fn a_panic_of_the_iterator_comes_after_its_items() {
    let (sender, mut receiver) = bounded(n(8));
    let items = (0..10).inspect(|item| assert_ne!(*item, 5));
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(feed(&sender, items)).is_ok())).is_err());
    assert!(receiver.remaining().eq(0..5));
}

#[apply(runtime_test)]
async fn an_endless_iterator_gives_way(_: Runtime) {
    let (sender, _receiver) = channel(n(4)).overflow(Overflow::DropOldest).build();
    assert!(futures_lite::future::poll_once(Box::pin(feed(&sender, 0_u64..))).await.is_none());
}

/// Gives its parts one by one, with a pause before each.
struct Parts(VecDeque<Vec<u8>>, bool, bool);

impl Parts {
    fn new(parts: &[&[u8]]) -> Self {
        Self(parts.iter().map(|part| part.to_vec()).collect(), false, false)
    }
}

impl AsyncRead for Parts {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        unreachable!("it is read by the buffer")
    }
}

impl AsyncBufRead for Parts {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        this.1 = !this.1;
        if this.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.0.is_empty() && this.2 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(this.0.front().map_or(&[], |part| part)))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        if let Some(part) = this.0.front_mut() {
            part.drain(..amount);
            if part.is_empty() {
                this.0.pop_front();
            }
        }
    }
}

/// A line as its text, or what was wrong with it.
fn told(line: Result<String, LineError>) -> String {
    line.unwrap_or_else(|error| match error {
        LineError::NotText(bytes) => format!("{bytes:?}"),
        error => error.to_string(),
    })
}

#[apply(runtime_test)]
async fn lines_are_read(_: Runtime) {
    let long = "a line is longer than it may be";
    let cases: [(&[&[u8]], &[&str]); 8] = [
        (&[], &[]),
        (&[b"one\ntwo\r\nthree"], &["one", "two", "three"]),
        (&[b"o", b"ne", b"\n", b"\n", b"two\n"], &["one", "", "two"]),
        (&[b"eight by", b"\r", b"\n", b"x\n"], &["eight by", "x"]),
        (&[b"nine byte", b"\n", b"x"], &[long, "x"]),
        (&[b"much ", b"too long", b" to be true\nx\n"], &[long, "x"]),
        (&[b"much too long, without an end"], &[long]),
        (&[b"\xff\nx\n"], &["[255]", "x"]),
    ];
    for (parts, expected) in cases {
        let read: Vec<_> = lines(Parts::new(parts), n(8)).map(told).collect().await;
        assert_eq!(read, expected, "{parts:?}");
    }
    let mut failing = Parts::new(&[b"one\ntw"]);
    failing.2 = true;
    let read: Vec<_> = lines(failing, n(8)).map(told).collect().await;
    assert_eq!(read, ["one", "a line could not be read"]);
}

#[apply(runtime_test)]
async fn waiting_for_a_line_may_be_given_up(_: Runtime) {
    let mut read = lines(Parts::new(&[b"o", b"n", b"e\nt", b"wo\n"]), n(8));
    let mut all = Vec::new();
    loop {
        match read.next().now_or_never() {
            Some(Some(line)) => all.push(told(line)),
            Some(None) => break,
            None => {}
        }
    }
    assert_eq!(all, ["one", "two"]);
}

#[apply(sim_test)]
async fn random_lines_are_like_those_of_a_text(runtime: Runtime) {
    let clock = runtime.clock();
    for _ in 0..20 {
        let text: Vec<u8> =
            (0..clock.random_below(60)).map(|_| b"ab\r\n\n"[clock.random_below(5) as usize]).collect();
        let longest = 1 + clock.random_below(6) as usize;
        let (mut parts, mut rest) = (Vec::new(), &text[..]);
        while !rest.is_empty() {
            let (part, after) = rest.split_at(1 + clock.random_below(rest.len().min(7) as u64) as usize);
            parts.push(part);
            rest = after;
        }
        let ends = text.ends_with(b"\n") || text.is_empty();
        let mut expected: Vec<_> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let last = expected.pop().filter(|_| !ends);
        for line in &mut expected {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        expected.extend(last);
        let expected: Vec<_> = expected
            .into_iter()
            .map(|line| if line.len() > longest { None } else { Some(String::from_utf8(line).unwrap()) })
            .collect();
        let read: Vec<_> = lines(Parts::new(&parts), n(longest)).map(Result::ok).collect().await;
        assert_eq!(read, expected, "{text:?}, no longer than {longest}");
    }
}
