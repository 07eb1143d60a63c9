//! [`ByKey`]: one after another for each key, and several keys at once.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::Work;
use super::children::Children;
use super::hub::{BUDGET, Hub};
use super::panics::FirstPanic;
use super::shelf::{AsReady, Shelf};

pin_project! {
    /// The work of [`map_by_key`](crate::StreamUtil::map_by_key): one future at a time for each key.
    pub struct ByKey<S, K, N, F, U>
    where
        S: Stream,
        U: Future,
    {
        #[pin]
        source: Option<S>,
        key_of: N,
        start: F,
        children: Children<U>,
        lanes: Lanes<K, S::Item>,
        shelf: AsReady<U::Output>,
        unread: usize,
    }
}

impl<S: Stream, K, N, F, U: Future> ByKey<S, K, N, F, U> {
    pub(crate) fn new(source: S, key_of: N, keys: NonZeroUsize, per_key: NonZeroUsize, start: F) -> Self {
        let (keys, per_key) = (keys.get(), per_key.get());
        Self {
            source: Some(source),
            key_of,
            start,
            children: Children::new(),
            lanes: Lanes::new(keys, per_key),
            shelf: AsReady::default(),
            unread: keys,
        }
    }
}

impl<S, K, N, F, U> Work for ByKey<S, K, N, F, U>
where
    S: Stream,
    K: Hash + Eq + Clone,
    N: FnMut(&S::Item) -> K,
    F: FnMut(S::Item) -> U,
    U: Future,
{
    type Item = U::Output;

    fn turn(self: Pin<&mut Self>, hub: &mut Hub, outside: usize) {
        let mut this = self.project();
        let lanes = this.lanes;
        let within = lanes.most.saturating_add(*this.unread).saturating_sub(outside);
        hub.begin();
        let mut left = BUDGET;
        loop {
            while left > 0 {
                if let Some(&lane) = lanes.waiting.front() {
                    if lanes.list[lane].queue.is_empty() {
                        lanes.waiting.pop_front();
                        lanes.leave(lane);
                    } else if this.shelf.held(this.children.live()) < within {
                        left -= 1;
                        // The lane stands in front until its future is made: if that panics, it is still
                        // there.
                        let item = lanes.list[lane].queue.pop_front();
                        let Some(future) = item.map(&mut *this.start) else { continue };
                        lanes.waiting.pop_front();
                        this.children.start(future, lane, hub);
                    } else {
                        break;
                    }
                } else if lanes.place_held() {
                    // There was room for the one in hand; ask for the next.
                    let Some(source) = this.source.as_mut().as_pin_mut() else { break };
                    if !hub.source.ready {
                        break;
                    }
                    match source.poll_next(&mut Context::from_waker(hub.source.waker())) {
                        Poll::Ready(Some(item)) => {
                            left -= 1;
                            let key = (this.key_of)(&item);
                            lanes.held = Some((key, item));
                        }
                        Poll::Ready(None) => this.source.set(None),
                        Poll::Pending => hub.source.ready = false,
                    }
                } else {
                    break;
                }
            }
            if left == 0 {
                break;
            }
            let Some(index) = hub.next() else { break };
            left -= 1;
            let mut panics = FirstPanic::default();
            let shelf = &mut *this.shelf;
            this.children.poll(index, &mut panics, |lane, output| {
                lanes.waiting.push_back(lane);
                shelf.end(lane, output);
            });
            panics.resume();
        }
        hub.go_on = left == 0;
    }

    fn take(self: Pin<&mut Self>) -> Option<U::Output> {
        self.project().shelf.take()
    }

    fn is_over(&self) -> bool {
        self.source.is_none()
            && self.children.live() == 0
            && self.lanes.held.is_none()
            && self.lanes.waiting.is_empty()
    }

    fn stop(self: Pin<&mut Self>, panics: &mut FirstPanic) {
        let mut this = self.project();
        this.children.clear(panics);
        let lanes = std::mem::replace(this.lanes, Lanes::new(1, 1));
        panics.run(|| drop(lanes));
        panics.run(|| this.source.set(None));
    }

    fn set_unread(&mut self, most: usize) {
        self.unread = most;
    }
}

/// The keys that have something to do: a lane each.
struct Lanes<K, T> {
    by_key: HashMap<K, usize>,
    list: Vec<Lane<K, T>>,
    free: Vec<usize>,
    /// Lanes of which none runs: with items that are to start, or empty and to be given back.
    waiting: VecDeque<usize>,
    /// The item in hand, for which there is no room.
    held: Option<(K, T)>,
    most: usize,
    most_items: usize,
}

struct Lane<K, T> {
    key: Option<K>,
    queue: VecDeque<T>,
}

impl<K, T> Lanes<K, T> {
    fn new(most: usize, most_items: usize) -> Self {
        let (by_key, list, free, waiting) = (HashMap::new(), Vec::new(), Vec::new(), VecDeque::new());
        Self { by_key, list, free, waiting, held: None, most, most_items }
    }
}

impl<K: Hash + Eq + Clone, T> Lanes<K, T> {
    /// Puts the item in hand, if there is one, into its lane. False if there is no room for it.
    fn place_held(&mut self) -> bool {
        let Some((key, _)) = &self.held else { return true };
        if let Some(&lane) = self.by_key.get(key) {
            // One of its items runs.
            let queue = &mut self.list[lane].queue;
            let has_room = queue.len() + 1 < self.most_items;
            if has_room {
                queue.extend(self.held.take().map(|(_, item)| item));
            }
            return has_room;
        }
        if self.list.len() - self.free.len() == self.most {
            return false;
        }
        let Some((key, item)) = self.held.take() else { return true };
        let known = key.clone();
        let lane = self.free.pop().unwrap_or_else(|| {
            self.list.push(Lane { key: None, queue: VecDeque::new() });
            self.list.len() - 1
        });
        self.list[lane].queue.push_back(item);
        self.list[lane].key = Some(known);
        self.waiting.push_back(lane);
        self.by_key.insert(key, lane);
        true
    }

    /// The lane's key has nothing to do.
    fn leave(&mut self, lane: usize) {
        self.free.push(lane);
        if let Some(key) = self.list[lane].key.take() {
            self.by_key.remove(&key);
        }
    }
}

impl<S: Stream, K, N, F, U: Future> fmt::Debug for ByKey<S, K, N, F, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ByKey");
        debug.field("keys", &self.lanes.most).field("per_key", &self.lanes.most_items);
        debug.field("unread", &self.unread).finish_non_exhaustive()
    }
}
