//! [`BreakerBuilder`]: everything that can be set of a breaker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::Clock;

use super::settings::{Abandoned, OpenFor, Settings, Span};
use super::{Breaker, Invalid};
use crate::Observer;
use crate::attempt::nanos;

/// Makes a [`Breaker`]; made by [`Breaker::builder`], [`Breaker::consecutive`] or [`Breaker::failure_rate`].
///
/// The circuit opens when any one of its rules says so. It is a value: a registry makes many breakers of one,
/// and [`Breaker::reconfigure`] takes its settings.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Breaker, OpenFor};
///
/// let ms = Duration::from_millis;
/// let breaker = Breaker::builder()
///     .failure_rate(0.5)
///     .slow_rate(0.9)
///     .slow_after(ms(300))
///     .window_of_time(ms(10_000), 10)
///     .min_calls(20)
///     .probes(3)
///     .successes_needed(2)
///     .open_for(OpenFor::exponential(ms(1_000)).cap(ms(60_000)).jitter(0.1))
///     .build()
///     .unwrap();
/// assert!(breaker.try_acquire().is_ok());
///
/// let mistake = Breaker::failure_rate(1.5).build().unwrap_err();
/// assert_eq!(mistake.field(), "breaker.failure_rate");
/// ```
#[derive(Clone)]
#[must_use = "it makes nothing until `build`"]
pub struct BreakerBuilder {
    pub(super) settings: Settings,
    name: Arc<str>,
    clock: Clock,
    observer: Option<Arc<dyn Observer>>,
}

impl BreakerBuilder {
    pub(super) fn new() -> Self {
        let settings = Settings::new();
        Self { settings, name: Arc::from(""), clock: Clock::default(), observer: None }
    }

    /// Opens after so many failures in a row.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.settings.consecutive = Some(failures);
        self
    }

    /// Opens when this part of the calls in the window failed: above 0, and 1 at most.
    pub fn failure_rate(mut self, rate: f64) -> Self {
        self.settings.failure_rate = Some(rate);
        self
    }

    /// Opens when this part of the calls in the window was slow, whether they went well or not; also makes a
    /// slow probe a failed one. See [`slow_after`](Self::slow_after).
    pub fn slow_rate(mut self, rate: f64) -> Self {
        self.settings.slow_rate = Some(rate);
        self
    }

    /// Opens when so many calls in the window failed.
    pub fn failures(mut self, failures: u32) -> Self {
        self.settings.failures = Some(failures);
        self
    }

    /// The window is the last so many calls. Without a word, the last 100.
    pub fn window_of_calls(mut self, calls: u32) -> Self {
        self.settings.span = Some(Span::Calls(calls));
        self
    }

    /// The window is the last so long, in so many buckets: the oldest is forgotten as a whole.
    pub fn window_of_time(mut self, length: Duration, buckets: u32) -> Self {
        self.settings.span = Some(Span::Time { length: nanos(length), buckets });
        self
    }

    /// How many calls have to be in the window before a rate means anything: 10 without it, or as many as
    /// the window holds.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.settings.min_calls = Some(calls);
        self
    }

    /// From when on a call is slow, and one that was dropped had its chance: a second without it. A limit of
    /// time outside of the breaker should not be shorter. From 50 ms on, calls are timed by a
    /// [coarse clock](Clock::coarse_now), a few milliseconds more or less.
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.settings.slow_after = nanos(time);
        self
    }

    /// How many calls try the other side when it was open long enough: 1 without it, and 255 at most.
    pub fn probes(mut self, probes: u32) -> Self {
        self.settings.probes = probes;
        self
    }

    /// How many of them have to go well: all of them without it.
    pub fn successes_needed(mut self, successes: u32) -> Self {
        self.settings.needed = Some(successes);
        self
    }

    /// After which time a probe that says nothing counts as lost, so that others are let through. Without it
    /// the time for which it is open at first, or twice [`slow_after`](Self::slow_after) if that is longer.
    pub fn lease(mut self, time: Duration) -> Self {
        self.settings.lease = Some(nanos(time));
        self
    }

    /// How far apart probes begin that take the place of others that were dropped early: an eighth of the
    /// time for which it is open at first, without it.
    pub fn pace(mut self, time: Duration) -> Self {
        self.settings.pace = Some(nanos(time));
        self
    }

    /// How long it stays open before it tries the other side: a [`Duration`] or an [`OpenFor`]; five seconds
    /// without it.
    pub fn open_for(mut self, time: impl Into<OpenFor>) -> Self {
        self.settings.open_for = time.into();
        self
    }

    /// When the failure that opens it says when to come again ([`Class::After`](crate::Class::After)), it is
    /// open for that time, but for `cap` at most.
    pub fn heed_retry_after(mut self, cap: Duration) -> Self {
        self.settings.heed = Some(nanos(cap));
        self
    }

    /// What a call counts as that was dropped before it ended.
    pub fn abandoned(mut self, abandoned: Abandoned) -> Self {
        self.settings.abandoned = abandoned;
        self
    }

    /// A name, for events and for people.
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        self.name = Arc::from(name.as_ref());
        self
    }

    /// The clock whose time counts: real time unless said otherwise.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Who is told of what the breaker does.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The breaker, closed.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn build(self) -> Result<Arc<Breaker>, Invalid> {
        self.settings.check()?;
        Ok(Arc::new(Breaker::new(&self.settings, self.name, self.clock, self.observer)))
    }
}

impl fmt::Debug for BreakerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
