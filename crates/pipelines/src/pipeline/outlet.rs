//! [`Outlet`]: an end that sends what comes into a channel, several at a time.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_channels_utils::{Sender, SenderSink};

use super::desk::{add, bump};
use super::finish::{End, Finish};
use super::flow::{Flow, Turn};
use super::site::Cause;
use super::unprocessed::Left;

/// Where it takes longer than this for an item, each is sent at once, so that none waits for the next.
const SLOW: Duration = Duration::from_micros(20);

/// An end that sends what comes into a channel, several at a time.
#[derive(Debug)]
pub struct Outlet<T> {
    sink: SenderSink<T>,
    /// Gathered, and on their way.
    items: VecDeque<T>,
    at_once: usize,
    slow: bool,
}

impl<T> Outlet<T> {
    pub(super) fn new(sender: Sender<T>, at_once: usize) -> Self {
        Self { sink: sender.into_sink(), items: VecDeque::new(), at_once, slow: false }
    }
}

// Items are never pinned.
impl<T> Unpin for Outlet<T> {}

impl<T: Send + 'static> Finish<T> for Outlet<T> {
    type Output = ();

    fn poll<W: Flow<Item = T>>(
        mut self: Pin<&mut Self>,
        mut flow: Pin<&mut W>,
        end: &End,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let this = &mut *self;
        let clock = end.site.clock();
        let mut turn = Turn::default();
        let mut stopped = None;
        loop {
            if !this.items.is_empty() {
                let before = this.items.len();
                let sent = this.sink.poll_send_all(&mut this.items, cx);
                add(&end.desk.given, (before - this.items.len()) as u64);
                match sent {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => {
                        end.fail(Cause::Failed(Box::new(Gone)));
                        return Poll::Ready(());
                    }
                    Poll::Pending => {
                        flow.poll_progress(cx);
                        return Poll::Pending;
                    }
                }
            }
            // It has ended, or there is nothing now: but for what was gathered before that.
            if let Some(stopped) = stopped {
                return stopped;
            }
            let began = clock.now();
            let most = if this.slow { 1 } else { this.at_once };
            while this.items.len() < most {
                match end.poll_next(flow.as_mut(), &mut turn, cx) {
                    Poll::Ready(Some(item)) => this.items.push_back(item),
                    polled => {
                        stopped = Some(polled.map(|_| ()));
                        break;
                    }
                }
            }
            let number = this.items.len() as u32;
            if number > 0 {
                this.slow = clock.now().saturating_since(began) > SLOW * number;
            }
        }
    }

    fn end(mut self: Pin<&mut Self>, end: &End) {
        for (number, item) in (0..).zip(self.items.drain(..)) {
            bump(&end.desk.handed_back);
            end.site.hand_back("sink", Left::Waiting, number, item);
        }
    }
}

/// The consumer is gone, and the pipeline with it.
#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody takes the results")
    }
}

impl Error for Gone {}
