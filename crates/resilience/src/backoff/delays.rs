//! [`Delays`]: the pauses of a backoff, and the arithmetic of jitter.

use std::iter::FusedIterator;
use std::time::Duration;

use weirs_runtime::Clock;

use super::{Backoff, Jitter, Shape};

/// The pauses of a [`Backoff`], without end; made by [`Backoff::delays`].
#[derive(Clone, Debug)]
pub struct Delays<'c> {
    backoff: Backoff,
    clock: &'c Clock,
    progress: Progress,
}

impl<'c> Delays<'c> {
    pub(super) fn new(backoff: Backoff, clock: &'c Clock) -> Self {
        Self { backoff, clock, progress: Progress::default() }
    }

    /// Begins anew with the first pause, as after a success.
    pub fn reset(&mut self) {
        self.progress = Progress::default();
    }
}

impl Iterator for Delays<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.backoff.next(&mut self.progress, self.clock))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl FusedIterator for Delays<'_> {}

/// How far it is.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    index: u32,
    /// What the next one is reckoned from, with jitters that look back: nanoseconds of the last pause, or the
    /// last value of the smooth curve.
    last: f64,
}

impl Backoff {
    /// The next pause.
    #[doc(hidden)]
    pub fn next(&self, progress: &mut Progress, clock: &Clock) -> Duration {
        let index = progress.index;
        progress.index = index.saturating_add(1);
        let nanos = match self.jitter {
            Jitter::None => self.plain(index),
            Jitter::Full => up_to(self.plain(index), clock),
            Jitter::Equal => {
                let half = self.plain(index) / 2;
                self.plain(index) - half + up_to(half, clock)
            }
            Jitter::Proportional(part) => {
                let by = 1.0 - part + 2.0 * part * clock.random_f64();
                (self.plain(index) as f64 * by).round() as u64
            }
            Jitter::Decorrelated => {
                let last = if index == 0 { self.base } else { progress.last as u64 };
                let most = (last as f64 * self.growth()) as u64;
                let next = self.base.saturating_add(up_to(most.saturating_sub(self.base), clock));
                // What the cap cut off does not grow on behind it.
                progress.last = next.min(self.cap) as f64;
                next
            }
            Jitter::Smooth => self.smooth(index, progress, clock),
        };
        Duration::from_nanos(nanos.min(self.cap))
    }

    fn growth(&self) -> f64 {
        match self.shape {
            Shape::Exponential { factor } => factor,
            Shape::Constant | Shape::Linear { .. } => 1.0,
        }
    }

    /// The steps of a smooth curve at moments of chance, as Polly has them: the middle of the first is about
    /// the base.
    fn smooth(&self, index: u32, progress: &mut Progress, clock: &Clock) -> u64 {
        const STEEPNESS: f64 = 4.0;
        const MIDDLE: f64 = 1.4;
        let at = f64::from(index) + clock.random_f64();
        let value = self.growth().powf(at) * (STEEPNESS * at).sqrt().tanh();
        let step = value - progress.last;
        progress.last = value;
        // Far out the curve is infinite, and infinity less infinity is no number.
        match value.is_finite() {
            true => (self.base as f64 * step.max(0.0) / MIDDLE).round() as u64,
            false => self.cap,
        }
    }
}

/// Anything from zero up to this, each equally likely.
fn up_to(most: u64, clock: &Clock) -> u64 {
    match most.checked_add(1) {
        Some(bound) => clock.random_below(bound),
        None => clock.random_u64(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use weirs_runtime::SeededEntropy;

    use super::*;

    /// Polly#2163: from attempt 1024 on the jitter was no number, and the pause with it.
    #[test]
    fn no_attempt_is_too_late() {
        let clock = Clock::default().with_entropy(SeededEntropy::new(2163));
        let base = Duration::from_millis(50);
        for cap in [Duration::from_secs(1), Duration::MAX] {
            for backoff in [
                Backoff::constant(base),
                Backoff::linear(base),
                Backoff::exponential(base),
                Backoff::exponential(base).factor(1e300),
            ] {
                let backoff = backoff.cap(cap);
                for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Proportional(1.0)] {
                    let backoff = backoff.jitter(jitter);
                    let mut progress = Progress::default();
                    for index in [0, 1, 62, 63, 64, 1_022, 1_023, 1_024, i32::MAX as u32, u32::MAX - 1] {
                        progress.index = index;
                        for _ in 0..3 {
                            assert!(backoff.next(&mut progress, &clock) <= cap, "{backoff} at {index}");
                        }
                    }
                    assert_eq!(progress.index, u32::MAX);
                }
            }
            for jitter in [Jitter::Decorrelated, Jitter::Smooth] {
                let backoff = Backoff::exponential(base).cap(cap).jitter(jitter);
                let delays: Vec<_> = backoff.delays(&clock).take(3_000).collect();
                assert!(delays.iter().all(|delay| *delay <= cap));
                // Grown to the end, and not fallen back to nothing.
                assert!(
                    delays[2_990..].iter().any(|delay| *delay > cap / 2 || cap == Duration::MAX),
                    "{backoff}"
                );
                let last = delays.last().expect("there are 3,000");
                assert!(*last >= base, "{backoff}: {last:?}");
            }
        }
    }
}
