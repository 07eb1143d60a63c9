//! [`Observer`]: told of what policies do, while they do it.

mod calls;
mod counters;
mod event;
mod stats;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use weirs_runtime::{Clock, Instant};

pub(crate) use calls::Calls;
pub(crate) use counters::Counters;
pub use event::{Event, EventKind, GiveUp, Interest};
pub use stats::{CallStats, Stats};

use crate::Place;

/// Is told what the policies of a stack, or a breaker, do.
///
/// It is called where the thing happens, with no lock held: what takes long in here makes the call longer.
/// On the happy path nothing happens that it would be told of, so it costs nothing there.
///
/// # Panics
/// A panic in here is passed on to the call in which it happened, after everything has been given back; but
/// not if that call panics already.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use weirs_resilience::{Event, EventKind, Interest, Observer, Stack};
///
/// struct Log;
///
/// impl Observer for Log {
///     fn interest(&self) -> Interest {
///         Interest::TIMEOUTS | Interest::REJECTIONS
///     }
///
///     fn on_event(&self, event: &Event<'_>) {
///         println!("{event}");
///     }
/// }
///
/// let limit = Duration::from_secs(1);
/// let stack = Stack::builder().named("quotes").observer(Log).timeout(limit).build().unwrap();
/// # let _ = stack;
/// ```
pub trait Observer: Send + Sync {
    /// What it wants to be told of; asked once. Everything, unless it says otherwise.
    fn interest(&self) -> Interest {
        Interest::ALL
    }

    /// This has just happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn interest(&self) -> Interest {
        (**self).interest()
    }

    fn on_event(&self, event: &Event<'_>) {
        (**self).on_event(event);
    }
}

/// What stands around the policies of a stack.
pub(crate) struct Around {
    pub(crate) name: Box<str>,
    pub(crate) clock: Clock,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) interest: Interest,
    pub(crate) counters: Counters,
    /// If calls are counted.
    pub(crate) calls: Option<Calls>,
    made: Instant,
}

impl Around {
    pub(crate) fn new(
        name: String,
        clock: Clock,
        observer: Option<Arc<dyn Observer>>,
        counted: bool,
    ) -> Self {
        let interest = observer.as_ref().map_or(Interest::NONE, |observer| observer.interest());
        Self {
            name: name.into(),
            made: clock.now(),
            clock,
            observer,
            interest,
            counters: Counters::default(),
            calls: counted.then(Calls::new),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let age = self.clock.now().saturating_since(self.made);
        Stats::new(&self.name, age, &self.counters, self.calls.as_ref().map(Calls::stats))
    }

    pub(crate) fn tell(&self, place: Place, kind: EventKind) {
        self.counters.count(&kind);
        if let Some(observer) = &self.observer {
            if self.interest.contains(kind.interest()) {
                tell(&**observer, &Event::new(&self.name, place, kind));
            }
        }
    }
}

/// A second panic would be the end of the process, so whoever tells while another unwinds hears of none.
pub(crate) fn tell(observer: &dyn Observer, event: &Event<'_>) {
    if !std::thread::panicking() {
        return observer.on_event(event);
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| observer.on_event(event))) {
        std::mem::forget(payload);
    }
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("name", &self.name).finish_non_exhaustive()
    }
}
