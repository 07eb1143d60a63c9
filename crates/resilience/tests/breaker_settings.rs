//! Settings of a breaker: which make no sense, and what the time for which it is open comes to.

use std::time::Duration;

use weirs_resilience::{Breaker, OpenFor};
use weirs_testing::ManualClock;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn settings_that_make_no_sense_name_their_field() {
    let open = |open: OpenFor| Breaker::consecutive(1).open_for(open);
    let second = Duration::from_secs(1);
    let cases = [
        (Breaker::builder(), "breaker.trips"),
        (Breaker::consecutive(0), "breaker.consecutive_failures"),
        (Breaker::failure_rate(0.0), "breaker.failure_rate"),
        (Breaker::failure_rate(-0.1), "breaker.failure_rate"),
        (Breaker::failure_rate(f64::NAN), "breaker.failure_rate"),
        (Breaker::builder().slow_rate(1.1), "breaker.slow_rate"),
        (Breaker::failure_rate(0.5).window_of_calls(0), "breaker.window"),
        (Breaker::failure_rate(0.5).window_of_calls(u32::MAX), "breaker.window"),
        (Breaker::failure_rate(0.5).window_of_time(Duration::ZERO, 10), "breaker.window"),
        (Breaker::failure_rate(0.5).window_of_time(second, 0), "breaker.window"),
        (Breaker::failure_rate(0.5).window_of_calls(10).min_calls(11), "breaker.min_calls"),
        (Breaker::failure_rate(0.5).min_calls(0), "breaker.min_calls"),
        (Breaker::builder().failures(0), "breaker.failures"),
        (Breaker::builder().failures(11).window_of_calls(10), "breaker.failures"),
        (Breaker::consecutive(1).slow_after(Duration::ZERO), "breaker.slow_after"),
        (Breaker::consecutive(1).probes(0), "breaker.probes"),
        (Breaker::consecutive(1).probes(256), "breaker.probes"),
        (Breaker::consecutive(1).successes_needed(2), "breaker.successes_needed"),
        (Breaker::consecutive(1).successes_needed(0), "breaker.successes_needed"),
        (Breaker::consecutive(1).lease(Duration::ZERO), "breaker.lease"),
        (Breaker::consecutive(1).heed_retry_after(Duration::ZERO), "breaker.heed_retry_after"),
        (open(Duration::ZERO.into()), "breaker.open_for"),
        (open(OpenFor::exponential(second).cap(ms(999))), "breaker.open_for.cap"),
        (open(OpenFor::exponential(second).factor(0.9)), "breaker.open_for.factor"),
        (open(OpenFor::exponential(second).factor(f64::NAN)), "breaker.open_for.factor"),
        (open(OpenFor::exponential(second).jitter(-0.1)), "breaker.open_for.jitter"),
        (open(OpenFor::exponential(second).jitter(f64::NAN)), "breaker.open_for.jitter"),
    ];
    for (settings, field) in cases {
        let invalid = settings.clone().build().err();
        assert_eq!(invalid.map(|invalid| invalid.field()), Some(field), "{settings:?}");
    }
}

#[test]
fn the_cap_holds_after_jitter() {
    let time = ManualClock::new();
    let open = OpenFor::exponential(ms(10)).cap(ms(45)).jitter(0.5);
    let breaker = Breaker::consecutive(1).open_for(open).clock(time.clock()).build().unwrap();
    let mut longest = Duration::ZERO;
    for opening in 0..200 {
        assert_eq!(breaker.try_acquire().unwrap().is_probe(), opening > 0);
        time.advance(ms(10));
        breaker.try_acquire().unwrap().failure();
        let open_for = breaker.try_acquire().unwrap_err().retry_after().unwrap();
        assert!(open_for >= ms(5) && open_for <= ms(45), "{open_for:?}");
        longest = longest.max(open_for);
        time.advance(open_for);
    }
    assert_eq!(longest, ms(45));
}
