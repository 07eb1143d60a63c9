//! [`Look`]: what there is to see of the shop at one moment; [`Trend`]: what becomes of it.

use std::collections::VecDeque;
use std::time::Duration;

use weirs_resilience::Circuit;
use weirs_runtime::Instant;

use crate::meter::Percentiles;

/// What there is to see of the shop at one moment.
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) running: Duration,
    pub(crate) load: u64,
    pub(crate) slow: bool,
    pub(crate) outage: bool,
    /// How much time is left to finish what is there, when there are no more orders.
    pub(crate) drains: Option<Duration>,
    pub(crate) stages: [Row; 3],
    /// From the order to its charge.
    pub(crate) whole: Percentiles,
    pub(crate) circuit: Circuit,
    pub(crate) openings: u64,
    /// How many workers stand still because the circuit is open.
    pub(crate) paused: usize,
    pub(crate) calls: u64,
    pub(crate) turned_away: u64,
    pub(crate) dead: u64,
    /// The last dead letters, the newest first.
    pub(crate) letters: Vec<String>,
}

/// A stage.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) queued: u64,
    pub(crate) room: u64,
    pub(crate) in_flight: u64,
    pub(crate) done: u64,
    pub(crate) times: Percentiles,
}

/// What becomes of it.
#[derive(Default)]
pub(crate) struct Trend {
    /// What each stage had done, in the last second.
    last: VecDeque<(Instant, [u64; 3])>,
    /// How many orders were charged in each of the last seconds.
    pub(crate) seconds: VecDeque<u64>,
    second: u64,
    charged: u64,
}

impl Trend {
    pub(crate) fn add(&mut self, look: &Look) {
        let done = look.stages.each_ref().map(|row| row.done);
        self.last.push_back((look.at, done));
        let is_old = |at: Instant| look.at.saturating_since(at) >= Duration::from_secs(1);
        while self.last.get(1).is_some_and(|(at, _)| is_old(*at)) {
            self.last.pop_front();
        }
        if look.running.as_secs() > self.second {
            self.second = look.running.as_secs();
            self.seconds.push_back(done[2] - self.charged);
            self.charged = done[2];
            while self.seconds.len() > 300 {
                self.seconds.pop_front();
            }
        }
    }

    /// How many a second each stage does.
    pub(crate) fn rates(&self) -> [f64; 3] {
        let (Some((from, before)), Some((to, after))) = (self.last.front(), self.last.back()) else {
            return [0.0; 3];
        };
        let seconds = to.saturating_since(*from).as_secs_f64().max(1e-3);
        std::array::from_fn(|stage| (after[stage] - before[stage]) as f64 / seconds)
    }
}

/// For people.
pub(crate) fn told(time: Duration) -> String {
    match time.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
