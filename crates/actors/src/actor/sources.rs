//! [`Sources`]: streams or futures beside an actor, of which only those are polled that were woken.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use weirs_runtime::waiting::{Turn, look, wake};

use crate::panics::let_go;
use crate::sync::lock;

/// A timer, a stream, a future or a watch of an actor: [`Context::cancel`](super::Context::cancel) takes it
/// away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceKey {
    pub(super) kind: SourceKind,
    pub(super) number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SourceKind {
    Timer,
    Stream,
    Pipe,
}

/// Streams or futures, each with a waker of its own. What is not woken costs nothing.
pub(super) struct Sources<T: ?Sized> {
    ready: Arc<Ready>,
    places: Vec<Place<T>>,
    free: Vec<usize>,
    numbers: HashMap<u64, usize>,
}

struct Place<T: ?Sized> {
    signal: Arc<Signal>,
    waker: Waker,
    source: Option<(u64, Pin<Box<T>>)>,
}

impl<T: ?Sized> Sources<T> {
    pub(super) fn new() -> Self {
        let ready = Ready { any: AtomicBool::new(false), state: Mutex::default() };
        Self { ready: Arc::new(ready), places: Vec::new(), free: Vec::new(), numbers: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Has this one polled soon.
    pub(super) fn add(&mut self, number: u64, source: Pin<Box<T>>) {
        let at = self.free.pop().unwrap_or_else(|| self.place());
        self.places[at].source = Some((number, source));
        self.numbers.insert(number, at);
        self.again(at);
    }

    /// A place whose waker is used for something else.
    pub(super) fn place(&mut self) -> usize {
        let place = self.places.len();
        let signal =
            Arc::new(Signal { place, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        let waker = Waker::from(Arc::clone(&signal));
        self.places.push(Place { signal, waker, source: None });
        place
    }

    pub(super) fn waker(&self, place: usize) -> Waker {
        self.places[place].waker.clone()
    }

    /// Takes the one of that number out.
    pub(super) fn remove(&mut self, number: u64) -> Option<Pin<Box<T>>> {
        let at = self.numbers.remove(&number)?;
        self.free.push(at);
        self.places[at].source.take().map(|(_, source)| source)
    }

    /// The place of the next that was woken.
    pub(super) fn next(&mut self) -> Option<usize> {
        let at = self.ready.next()?;
        // Whatever comes from now on asks for another poll; what came before is seen by the one that follows.
        self.places[at].signal.queued.swap(false, Ordering::AcqRel);
        Some(at)
    }

    /// Has a place polled once more, after the others.
    pub(super) fn again(&self, place: usize) {
        self.places[place].signal.wake_by_ref();
    }

    /// The source at a place, its number, and the waker it is polled with.
    pub(super) fn at(&mut self, place: usize) -> Option<(u64, Pin<&mut T>, &Waker)> {
        let Place { waker, source, .. } = &mut self.places[place];
        let (number, source) = source.as_mut()?;
        Some((*number, source.as_mut(), waker))
    }

    /// Waits until one of them is woken.
    pub(super) fn wait(&self, cx: &Context<'_>) -> Poll<()> {
        look(cx, |look| {
            let mut state = lock(&self.ready.state);
            if !state.places.is_empty() {
                return Turn::Ready(());
            }
            look.wait_alone(&mut state.actor)
        })
    }
}

impl<T: ?Sized> Drop for Sources<T> {
    fn drop(&mut self) {
        for place in &mut self.places {
            // One that panics keeps no other from being dropped.
            let_go(place.source.take());
        }
        let actor = lock(&self.ready.state).actor.take();
        weirs_runtime::waiting::let_go(actor);
    }
}

/// Which places were woken.
struct Ready {
    /// Whether there are any: the look that is taken at every message.
    any: AtomicBool,
    state: Mutex<ReadyState>,
}

#[derive(Default)]
struct ReadyState {
    places: VecDeque<usize>,
    actor: Option<Waker>,
}

impl Ready {
    fn next(&self) -> Option<usize> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut state = lock(&self.state);
        let place = state.places.pop_front();
        self.any.store(!state.places.is_empty(), Ordering::Release);
        place
    }
}

/// Wakes one place.
struct Signal {
    place: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let actor = {
            let mut state = lock(&self.ready.state);
            state.places.push_back(self.place);
            self.ready.any.store(true, Ordering::Release);
            state.actor.take()
        };
        if let Some(actor) = actor {
            wake(actor);
        }
    }
}
