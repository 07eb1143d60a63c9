//! [`Tempo`]: how fast items come, for whoever hands on several at a time.

use std::time::Duration;

use weirs_runtime::{Clock, Instant};

/// How fast items come, for whoever hands on several at a time: where one takes long, none waits for another.
///
/// Where they come one at a time, with a pause after each, nobody looks at the clock.
#[derive(Debug, Default)]
pub(super) struct Tempo {
    is_slow: bool,
    /// The last look: before the only item, where they are slow; or after the second.
    looked: Option<Instant>,
}

impl Tempo {
    /// Where it takes longer than this for an item, each is handed on at once.
    const SLOW: Duration = Duration::from_micros(20);

    /// How many to gather, if there may be so many.
    pub(super) fn at_once(&self, most: usize) -> usize {
        if self.is_slow { 1 } else { most }
    }

    /// The first is asked for.
    pub(super) fn begins(&mut self, clock: &Clock) {
        self.looked = self.is_slow.then(|| clock.now());
    }

    /// One more came: so many are gathered.
    #[inline]
    pub(super) fn came(&mut self, gathered: usize, clock: &Clock) {
        if gathered == 2 {
            self.looked = Some(clock.now());
        }
    }

    /// So many are handed on.
    pub(super) fn hands_on(&mut self, gathered: usize, clock: &Clock) {
        let Some(looked) = self.looked.take() else { return };
        let items = if self.is_slow { gathered } else { gathered.saturating_sub(2) };
        if items > 0 {
            self.is_slow = clock.now().saturating_since(looked) > Self::SLOW * items as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use weirs_testing::ManualClock;

    use super::*;

    /// Gathers until they are slow or there are so many, each of which takes so long; says how many.
    fn gather(tempo: &mut Tempo, number: usize, takes: Duration, time: &ManualClock) -> usize {
        let clock = time.clock();
        let number = tempo.at_once(number);
        tempo.begins(clock);
        for gathered in 1..=number {
            time.advance(takes);
            tempo.came(gathered, clock);
        }
        tempo.hands_on(number, clock);
        number
    }

    #[test]
    fn slow_ones_are_handed_on_at_once_and_quick_ones_several_at_a_time() {
        let time = ManualClock::new();
        let (quick, slow) = (Duration::from_micros(1), Duration::from_micros(30));
        let mut tempo = Tempo::default();
        let mut seen = |takes| gather(&mut tempo, 32, takes, &time);
        assert_eq!([quick, quick, slow, slow, slow, quick, quick].map(&mut seen), [32, 32, 32, 1, 1, 1, 32]);
    }

    #[test]
    fn one_or_two_at_a_time_need_no_clock() {
        let time = ManualClock::new();
        let mut tempo = Tempo::default();
        let before = time.times_read();
        (0..10).for_each(|_| assert_eq!(gather(&mut tempo, 1, Duration::from_micros(30), &time), 1));
        assert_eq!(time.times_read(), before);
    }
}
