//! The rate limiter against exact fractions, with quotas of every size. Cells are counted in 65,536ths, so
//! the two differ by less than one of these, ever.

use std::time::Duration;

use weirs_limiters::{Denied, Limit, Quota, Rate, RateLimiter};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{ManualClock, apply, sim_test};

/// For each seed of the simulator; 10,000 seeds in a deep run.
const CASES: u64 = 10;
const STEPS: usize = 24;
const PARTS: u128 = 1 << 16;

/// A bucket of fractions: what is there, times `nanos`.
struct Oracle {
    cells: u128,
    nanos: u128,
    burst: u128,
    there: u128,
    now: u64,
}

impl Oracle {
    fn advance(&mut self, now: u64) {
        let more = u128::from(now - self.now) * self.cells;
        self.there = self.there.saturating_add(more).min(self.burst * self.nanos);
        self.now = now;
    }

    /// By how much more than is there this is; and so the other way around.
    fn lacks(&self, n: u64) -> u128 {
        (u128::from(n) * self.nanos).saturating_sub(self.there)
    }

    fn is_less_than_a_part(&self, fraction: u128) -> bool {
        fraction * PARTS < self.nanos
    }
}

struct Case {
    seed: u64,
    quota: Quota,
    limiter: RateLimiter,
    oracle: Oracle,
    admitted: Vec<(u64, u64)>,
}

impl Case {
    fn new(runtime: &Runtime) -> Self {
        let clock = runtime.clock();
        let seed = clock.random_u64();
        // Evenly over the sizes, not over the numbers.
        let sized = |bits: u64| (clock.random_u64() >> (63 - clock.random_below(bits))).max(1);
        let (cells, burst) = (sized(40), sized(20));
        let nanos = cells.saturating_add(sized(60) - 1);
        // A fraction of too many digits is an error; a whole number of nanoseconds never is.
        let period = Duration::from_nanos(nanos);
        let (cells, rate) = match Rate::new(cells, period) {
            Ok(rate) => (cells, rate),
            Err(_) => (1, Rate::new(1, period).unwrap()),
        };
        let quota = Quota::new(rate, burst).unwrap();
        let time = ManualClock::new();
        let limiter = RateLimiter::builder(quota).clock(time.clock().clone()).build();
        let (cells, nanos) = (u128::from(cells), u128::from(nanos));
        let burst = u128::from(burst);
        let oracle = Oracle { cells, nanos, burst, there: burst * nanos, now: 0 };
        Self { seed, quota, limiter, oracle, admitted: Vec::new() }
    }

    fn ask(&mut self, now: u64, n: u64) {
        let Self { seed, quota, limiter, oracle, .. } = self;
        oracle.advance(now);
        let at = Instant::from_nanos;
        let peeked = limiter.peek_at(at(now), n).is_ok();
        match limiter.try_acquire_at(at(now), n) {
            Ok(_) => {
                assert!(
                    peeked && oracle.is_less_than_a_part(oracle.lacks(n)),
                    "{seed}: {quota} gave too much"
                );
                oracle.there = oracle.there.saturating_sub(u128::from(n) * oracle.nanos);
                self.admitted.push((now, n));
            }
            Err(Denied::TooLarge { max }) => assert!(n > max && u128::from(max) == oracle.burst),
            Err(denied @ Denied::Later { .. }) => {
                let spare = oracle.there.saturating_sub(u128::from(n) * oracle.nanos);
                assert!(!peeked && oracle.is_less_than_a_part(spare), "{seed}: {quota} refused too much");
                // It is the first moment at which it is enough; none if that is beyond all time.
                let wait = denied.retry_after().and_then(|wait| u64::try_from(wait.as_nanos()).ok());
                if let Some(then) = wait.and_then(|wait| now.checked_add(wait)) {
                    assert!(limiter.peek_at(at(then), n).is_ok(), "{seed}: {quota} says too early");
                    assert!(limiter.peek_at(at(then - 1), n).is_err(), "{seed}: {quota} says too late");
                }
            }
            Err(other) => panic!("{seed}: {other:?}"),
        }
    }

    /// In no time `W` more than `burst + rate * W`.
    fn check_the_bound(&self) {
        let Oracle { cells, nanos, burst, .. } = self.oracle;
        for (first, (from, _)) in self.admitted.iter().enumerate() {
            let mut total = 0;
            for (now, n) in &self.admitted[first..] {
                total += u128::from(*n);
                let bound = (burst * nanos).saturating_add(u128::from(now - from) * cells);
                let over = (total * nanos).saturating_sub(bound);
                assert!(self.oracle.is_less_than_a_part(over), "{}: {}", self.seed, self.quota);
            }
        }
    }
}

#[apply(sim_test)]
async fn agrees_with_exact_fractions(runtime: Runtime) {
    let clock = runtime.clock();
    for _ in 0..CASES {
        let mut case = Case::new(&runtime);
        // Pauses from a moment to the time of the whole burst.
        let period = (case.oracle.nanos / case.oracle.cells).max(1) as u64;
        let burst = case.quota.burst();
        let mut now = 0_u64;
        for _ in 0..STEPS {
            let pause = match clock.random_below(4) {
                0 => clock.random_below(3),
                1 => clock.random_below(2 * period.min(u64::MAX / 4)),
                2 => clock.random_below(period.saturating_mul(burst).clamp(1, u64::MAX / 64)),
                _ => 0,
            };
            // The numbers of the oracle have an end, and so has time.
            now = now.saturating_add(pause).min(u64::MAX / 2);
            let n = match clock.random_below(4) {
                0 => 1,
                1 => clock.random_below(burst + 2),
                2 => burst,
                _ => 1 + clock.random_below(8),
            };
            case.ask(now, n);
        }
        case.check_the_bound();
    }
}
