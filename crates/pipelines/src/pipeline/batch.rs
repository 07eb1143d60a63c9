//! [`Batched`]: several items as one.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use weirs_runtime::Sleep;

use super::flow::{Flow, TURN};
use super::plan::{Blueprint, Check};
use super::site::Site;
use super::unprocessed::Left;

/// Several items as one, before it is assembled.
#[derive(Debug)]
pub struct Batched<B> {
    upstream: B,
    most: usize,
    within: Duration,
}

impl<B> Batched<B> {
    pub(super) fn new(upstream: B, most: usize, within: Duration) -> Self {
        Self { upstream, most, within }
    }
}

impl<B: Blueprint> Blueprint for Batched<B> {
    type Item = Vec<B::Item>;

    fn check(&self, check: &mut Check) {
        self.upstream.check(check);
        check.at_least_one(self.most, "batch");
    }

    fn assemble(self, site: Site) -> impl Flow<Item = Vec<B::Item>> {
        let flow = Some(self.upstream.assemble(site.clone()));
        Batching {
            flow,
            items: Vec::new(),
            most: self.most,
            within: self.within,
            timer: None,
            taken: 0,
            site,
        }
    }
}

pin_project! {
    struct Batching<W: Flow> {
        #[pin]
        flow: Option<W>,
        items: Vec<W::Item>,
        most: usize,
        within: Duration,
        // Since the first item of the batch.
        #[pin]
        timer: Option<Sleep>,
        // How many items were taken in.
        taken: u64,
        site: Site,
    }

    impl<W: Flow> PinnedDrop for Batching<W> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let first = *this.taken - this.items.len() as u64;
            for (number, item) in (first..).zip(this.items.drain(..)) {
                this.site.hand_back("batch", Left::Waiting, number, item);
            }
        }
    }
}

impl<W: Flow> Batching<W> {
    /// Takes in what comes, until the batch is full or others have their turn.
    fn gather(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let mut turn = 0;
        while this.items.len() < *this.most {
            turn += 1;
            if turn > TURN {
                cx.waker().wake_by_ref();
                return;
            }
            let Some(flow) = this.flow.as_mut().as_pin_mut() else { return };
            match flow.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    if this.items.is_empty() {
                        this.timer.set(Some(this.site.clock().sleep(*this.within)));
                    }
                    this.items.push(item);
                    *this.taken += 1;
                }
                Poll::Ready(None) => this.flow.set(None),
                Poll::Pending => return,
            }
        }
    }
}

impl<W: Flow> Flow for Batching<W> {
    type Item = Vec<W::Item>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<W::Item>>> {
        self.as_mut().gather(cx);
        let mut this = self.project();
        if this.items.is_empty() {
            return if this.flow.is_none() { Poll::Ready(None) } else { Poll::Pending };
        }
        let is_full = this.items.len() == *this.most || this.flow.is_none();
        if !is_full {
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
        }
        this.timer.set(None);
        Poll::Ready(Some(mem::take(this.items)))
    }

    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.as_mut().gather(cx);
        let this = self.project();
        if this.items.len() == *this.most {
            if let Some(flow) = this.flow.as_pin_mut() {
                flow.poll_progress(cx);
            }
        }
    }
}
