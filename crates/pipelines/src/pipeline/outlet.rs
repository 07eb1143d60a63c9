//! [`Outlet`]: an end that sends what comes into a channel, several at a time.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use weirs_channels_utils::{Sender, SenderSink};

use super::desk::{add, bump};
use super::finish::{End, Finish};
use super::flow::{Flow, Turn};
use super::site::Cause;
use super::tempo::Tempo;
use super::unprocessed::Left;

/// An end that sends what comes into a channel, several at a time.
#[derive(Debug)]
pub struct Outlet<T> {
    sink: SenderSink<T>,
    /// Gathered, and on their way.
    items: VecDeque<T>,
    at_once: usize,
    tempo: Tempo,
}

impl<T> Outlet<T> {
    pub(super) fn new(sender: Sender<T>, at_once: usize) -> Self {
        Self { sink: sender.into_sink(), items: VecDeque::new(), at_once, tempo: Tempo::default() }
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
            let most = this.tempo.at_once(this.at_once);
            this.tempo.begins(clock);
            while this.items.len() < most {
                match end.poll_next(flow.as_mut(), &mut turn, cx) {
                    Poll::Ready(Some(item)) => {
                        this.items.push_back(item);
                        this.tempo.came(this.items.len(), clock);
                    }
                    polled => {
                        stopped = Some(polled.map(|_| ()));
                        break;
                    }
                }
            }
            this.tempo.hands_on(this.items.len(), clock);
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
