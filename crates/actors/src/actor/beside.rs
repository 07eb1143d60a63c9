//! What an actor has beside its queue: timers and attached streams ([`Beside`]), and futures ([`Pipes`]).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::Clock;

use super::inbox::BUDGET;
use super::role::Role;
use super::sources::Sources;
use super::timers::Timers;
use crate::current;
use crate::panics::let_go;

/// Timers, streams and what was stashed; made when the first of them is.
pub(super) struct Beside<A: Role> {
    pub(super) timers: Timers<A::Told>,
    pub(super) streams: Sources<A::Stream>,
    pub(super) stash: VecDeque<A::Told>,
    /// Futures that begin when the handler is done, and those that are taken away.
    pub(super) orders: Vec<Order<A::Pipe>>,
    /// The place whose waker the timers have.
    clock_place: usize,
}

/// What the handler wants of the futures beside it.
pub(super) enum Order<T: ?Sized> {
    Begin(u64, Pin<Box<T>>),
    Cancel(u64),
}

impl<A: Role> Beside<A> {
    pub(super) fn new() -> Self {
        let mut streams = Sources::new();
        let clock_place = streams.place();
        Self { timers: Timers::new(), streams, stash: VecDeque::new(), orders: Vec::new(), clock_place }
    }

    /// Has the timers looked at.
    pub(super) fn look_at_timers(&self) {
        self.streams.again(self.clock_place);
    }

    /// The next message of a timer or a stream, if there is one. Who gave one comes last next time.
    pub(super) fn next(&mut self, clock: &Clock) -> Option<A::Told> {
        let mut _outside = None;
        for _ in 0..BUDGET {
            let place = self.streams.next()?;
            // An ask in a stream is no wait of the actor.
            _outside.get_or_insert_with(current::outside);
            if place == self.clock_place {
                let waker = self.streams.waker(place);
                if let Some(message) = self.timers.poll(clock, &mut Context::from_waker(&waker)) {
                    self.streams.again(place);
                    return Some(message);
                }
                continue;
            }
            let Some((number, stream, waker)) = self.streams.at(place) else { continue };
            match stream.poll_next(&mut Context::from_waker(waker)) {
                Poll::Pending => {}
                Poll::Ready(Some(message)) => {
                    self.streams.again(place);
                    return Some(message);
                }
                Poll::Ready(None) => let_go(self.streams.remove(number)),
            }
        }
        None
    }
}

impl<A: Role> Drop for Beside<A> {
    fn drop(&mut self) {
        // One that panics keeps no other from being dropped.
        self.stash.drain(..).for_each(let_go);
        self.orders.drain(..).for_each(let_go);
    }
}

/// Futures beside an actor. They go on while a handler waits.
pub(super) struct Pipes<A: Role>(Option<Box<Running<A>>>);

struct Running<A: Role> {
    futures: Sources<A::Pipe>,
    arrived: VecDeque<(u64, A::Told)>,
}

impl<A: Role> Pipes<A> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    pub(super) fn obey(&mut self, order: Order<A::Pipe>) {
        match order {
            Order::Begin(number, future) => {
                let running = self.0.get_or_insert_with(|| {
                    Box::new(Running { futures: Sources::new(), arrived: VecDeque::new() })
                });
                running.futures.add(number, future);
            }
            Order::Cancel(number) => {
                let Some(running) = &mut self.0 else { return };
                let _outside = current::outside();
                let_go(running.futures.remove(number));
                if let Some(at) = running.arrived.iter().position(|(arrived, _)| *arrived == number) {
                    let_go(running.arrived.remove(at));
                }
            }
        }
    }

    /// Polls those that were woken, and has the actor woken when others are.
    pub(super) fn poll(&mut self, cx: &Context<'_>) {
        let Some(running) = &mut self.0 else { return };
        running.poll();
        if running.futures.wait(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// The next message of them, if there is one.
    pub(super) fn next(&mut self) -> Option<A::Told> {
        let running = self.0.as_mut()?;
        if running.arrived.is_empty() {
            running.poll();
        }
        running.arrived.pop_front().map(|(_, message)| message)
    }

    /// Waits until one of them is woken.
    pub(super) fn wait(&self, cx: &Context<'_>) -> Poll<()> {
        self.0.as_ref().map_or(Poll::Pending, |running| running.futures.wait(cx))
    }
}

impl<A: Role> Drop for Running<A> {
    fn drop(&mut self) {
        self.arrived.drain(..).for_each(let_go);
    }
}

impl<A: Role> Running<A> {
    fn poll(&mut self) {
        let mut _outside = None;
        for _ in 0..BUDGET {
            let Some(place) = self.futures.next() else { return };
            _outside.get_or_insert_with(current::outside);
            let Some((number, future, waker)) = self.futures.at(place) else { continue };
            if let Poll::Ready(message) = future.poll(&mut Context::from_waker(waker)) {
                let_go(self.futures.remove(number));
                self.arrived.push_back((number, message));
            }
        }
    }
}

pin_project! {
    /// A stream whose items are messages.
    pub(super) struct Attached<S, F, M> {
        #[pin]
        stream: S,
        map: F,
        end: Option<M>,
        over: bool,
    }
}

impl<S, F, M> Attached<S, F, M> {
    pub(super) fn new(stream: S, map: F, end: Option<M>) -> Self {
        Self { stream, map, end, over: false }
    }
}

impl<S: Stream, F: FnMut(S::Item) -> M, M> Stream for Attached<S, F, M> {
    type Item = M;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<M>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        this.stream.poll_next(cx).map(|item| match item {
            Some(item) => Some((this.map)(item)),
            None => {
                *this.over = true;
                this.end.take()
            }
        })
    }
}
