//! The breaker's machine: its table as cases, and the shared breaker against it over random scripts.

use std::sync::Arc;
use std::time::Duration;

use weirs_resilience::breaker_model::{BreakerModel, End, Input, Mark, Output, Refused, Ticket};
use weirs_resilience::{
    Breaker, BreakerBuilder, Circuit, Class, Counts, EventKind, OpenFor, Permit, Reason, Recorded,
};
use weirs_runtime::{Entropy, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, sim_test};

fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// Opens for 100 after two failures in a row; two of three probes have to go well.
fn settings() -> BreakerBuilder {
    Breaker::consecutive(2)
        .open_for(ns(100))
        .slow_after(ns(10))
        .probes(3)
        .successes_needed(2)
        .lease(ns(50))
        .pace(ns(8))
}

const SUCCESS: End = End::Counts(Mark { failure: false, slow: false });
const FAILURE: End = End::Counts(Mark { failure: true, slow: false });
const SLOW: End = End::Counts(Mark { failure: false, slow: true });

struct Table {
    model: BreakerModel,
    event: Option<EventKind>,
}

impl Table {
    fn new(settings: BreakerBuilder) -> Self {
        Self { model: BreakerModel::new(&settings, 0).unwrap(), event: None }
    }

    fn step(&mut self, now: u64, input: Input) -> Output {
        let (output, event) = self.model.step(now, input);
        self.event = event;
        output
    }

    fn admitted(&mut self, now: u64) -> Ticket {
        match self.step(now, Input::Acquire) {
            Output::Admitted(ticket) => ticket,
            other => panic!("at {now}: {other:?}"),
        }
    }

    fn refused(&mut self, now: u64) -> (Reason, Option<u64>) {
        match self.step(now, Input::Acquire) {
            Output::Refused(Refused { reason, after }) => (reason, after),
            other => panic!("at {now}: {other:?}"),
        }
    }

    fn ends(&mut self, now: u64, ticket: Ticket, end: End) -> Recorded {
        match self.step(now, Input::Record(ticket, end, None)) {
            Output::Recorded(recorded) => recorded,
            other => panic!("at {now}: {other:?}"),
        }
    }

    fn fails(&mut self, now: u64, times: usize) {
        for _ in 0..times {
            let ticket = self.admitted(now);
            self.ends(now, ticket, FAILURE);
        }
    }

    fn opened(settings: BreakerBuilder) -> Self {
        let mut table = Self::new(settings);
        table.fails(0, 2);
        assert_eq!(table.model.circuit(), Circuit::Open);
        table
    }

    /// Half open since 100, with its first probe out.
    fn half_open() -> (Self, Ticket) {
        let mut table = Self::opened(settings());
        let probe = table.admitted(100);
        assert_eq!(table.model.circuit(), Circuit::HalfOpen);
        (table, probe)
    }
}

#[test]
fn closed_counts_failures_in_a_row() {
    let mut table = Table::new(settings());
    let early = table.admitted(0);
    table.fails(1, 1);
    let good = table.admitted(1);
    assert_eq!(table.ends(1, good, SUCCESS), Recorded::Counted);
    table.fails(2, 1);
    let dropped = table.admitted(2);
    assert_eq!(table.ends(2, dropped, End::Ignored), Recorded::Ignored);
    assert_eq!((table.model.circuit(), table.model.generation()), (Circuit::Closed, 0));
    table.fails(3, 1);
    assert_eq!((table.model.circuit(), table.model.generation()), (Circuit::Open, 1));
    assert!(matches!(table.event, Some(EventKind::Opened { generation: 1, until: Some(_) })));
    assert_eq!(table.ends(3, early, SUCCESS), Recorded::Stale);
    assert_eq!(table.event, Some(EventKind::Stale { generation: 0 }));
}

#[test]
fn open_refuses_until_its_time() {
    let mut table = Table::opened(settings());
    assert_eq!(table.refused(0), (Reason::CircuitOpen, Some(100)));
    assert_eq!(table.refused(99), (Reason::CircuitOpen, Some(1)));
    let probe = table.admitted(100);
    assert!(probe.is_probe());
    assert_eq!(table.event, Some(EventKind::HalfOpened { generation: 2 }));
}

#[test]
fn half_open_closes_as_soon_as_enough_went_well() {
    let (mut table, first) = Table::half_open();
    let (second, third) = (table.admitted(100), table.admitted(100));
    assert_eq!(table.refused(100), (Reason::CircuitHalfOpen, Some(50)));
    table.ends(101, first, SUCCESS);
    assert_eq!(table.model.circuit(), Circuit::HalfOpen);
    table.ends(102, third, SUCCESS);
    assert_eq!(table.event, Some(EventKind::Closed { generation: 3 }));
    assert_eq!(table.ends(103, second, FAILURE), Recorded::Stale);
    assert_eq!(table.model.circuit(), Circuit::Closed);
}

#[test]
fn half_open_opens_as_soon_as_too_many_failed() {
    let (mut table, first) = Table::half_open();
    let second = table.admitted(100);
    table.ends(101, first, FAILURE);
    assert_eq!(table.model.circuit(), Circuit::HalfOpen);
    table.ends(102, second, SLOW);
    assert_eq!(table.model.circuit(), Circuit::Open);
    assert_eq!(table.refused(102), (Reason::CircuitOpen, Some(100)));
}

#[test]
fn a_probe_that_was_dropped_gives_its_place_back_and_others_are_paced() {
    let (mut table, first) = Table::half_open();
    let (second, third) = (table.admitted(100), table.admitted(100));
    for dropped in [first, second] {
        assert_eq!(table.ends(101, dropped, End::Ignored), Recorded::Ignored);
    }
    assert_eq!(table.refused(101), (Reason::CircuitHalfOpen, Some(7)));
    let fourth = table.admitted(108);
    assert_eq!(table.refused(108), (Reason::CircuitHalfOpen, Some(8)));
    table.ends(109, third, SUCCESS);
    table.ends(110, fourth, SUCCESS);
    assert_eq!(table.model.circuit(), Circuit::Closed);
}

#[test]
fn lost_probes_make_room_after_their_lease() {
    let (mut table, lost) = Table::half_open();
    let _ = (table.admitted(120), table.admitted(130));
    assert_eq!(table.refused(149), (Reason::CircuitHalfOpen, Some(1)));
    let next = table.admitted(150);
    assert_eq!(table.event, Some(EventKind::ProbeLost { generation: 3 }));
    assert_eq!(table.ends(151, lost, SUCCESS), Recorded::Stale);
    let other = table.admitted(151);
    table.ends(152, next, SUCCESS);
    table.ends(152, other, SUCCESS);
    assert_eq!(table.model.circuit(), Circuit::Closed);
}

#[test]
fn by_hand() {
    let mut table = Table::new(settings());
    let before = table.admitted(0);
    table.step(0, Input::Force(Circuit::ForcedOpen));
    assert_eq!(table.ends(0, before, FAILURE), Recorded::Stale);
    assert_eq!(table.refused(1 << 60), (Reason::CircuitForced, None));
    table.step(1, Input::Force(Circuit::Disabled));
    table.fails(1, 9);
    assert_eq!((table.model.circuit(), table.model.generation()), (Circuit::Disabled, 2));
    table.step(1, Input::Force(Circuit::MetricsOnly));
    table.fails(1, 1);
    assert_eq!(table.event, None);
    table.fails(1, 1);
    assert_eq!(table.event, Some(EventKind::WouldOpen { generation: 3 }));
    table.fails(1, 9);
    assert_eq!((table.event, table.model.circuit()), (None, Circuit::MetricsOnly));
    table.step(1, Input::Reset);
    assert_eq!((table.model.circuit(), table.model.generation()), (Circuit::Closed, 4));
}

#[test]
fn a_rate_means_nothing_before_there_are_enough_calls() {
    let mut table = Table::new(Breaker::failure_rate(0.5).window_of_calls(10).min_calls(4));
    table.fails(0, 2);
    let good = table.admitted(0);
    table.ends(0, good, SUCCESS);
    assert_eq!(table.model.circuit(), Circuit::Closed);
    // The success that makes them enough opens it: two of four failed.
    let good = table.admitted(0);
    table.ends(0, good, SUCCESS);
    assert_eq!(table.model.circuit(), Circuit::Open);
}

#[test]
fn open_times_grow_until_there_was_peace() {
    let growing = OpenFor::exponential(ns(100)).factor(3.0).cap(ns(500));
    let settings = Breaker::consecutive(1).open_for(growing);
    let mut table = Table::new(settings);
    let mut now = 0;
    for expected in [100, 300, 500, 500] {
        table.fails(now, 1);
        assert_eq!(table.refused(now), (Reason::CircuitOpen, Some(expected)));
        now += expected;
        let probe = table.admitted(now);
        table.ends(now, probe, SUCCESS);
        assert_eq!(table.model.circuit(), Circuit::Closed);
    }
    // Closed for as long as it was open before.
    now += 500;
    table.fails(now, 1);
    assert_eq!(table.refused(now), (Reason::CircuitOpen, Some(100)));
}

#[test]
fn the_error_says_for_how_long() {
    let mut table = Table::new(Breaker::consecutive(1).open_for(ns(100)).heed_retry_after(ns(1_000)));
    for (said, expected) in [(700, 700), (5_000, 1_000), (0, 100)] {
        let ticket = table.admitted(0);
        table.step(0, Input::Record(ticket, FAILURE, Some(ns(said))));
        assert_eq!(table.refused(0), (Reason::CircuitOpen, Some(expected)));
        table.step(0, Input::Reset);
    }
}

#[test]
fn who_probes_out_of_band_is_let_through() {
    let mut table = Table::opened(settings());
    assert!(matches!(table.step(99, Input::Probe), Output::Refused(_)));
    assert!(matches!(table.step(100, Input::Probe), Output::Admitted(_)));
}

#[test]
fn idle_for_a_day_is_no_loop() {
    let settings = Breaker::failure_rate(0.5).window_of_time(ns(10), 10).min_calls(1);
    let mut table = Table::new(settings.clone());
    let time = ManualClock::new();
    let breaker = settings.clock(time.clock()).build().unwrap();
    let day = 86_400_000_000_000;
    for days in 0..100_000 {
        let now = days * day;
        time.set(weirs_runtime::Instant::from_nanos(now));
        let ticket = table.admitted(now);
        table.ends(now, ticket, SUCCESS);
        assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
    }
    let one = Counts { calls: 1, failures: 0, slow: 0 };
    assert_eq!((table.model.counts(99_999 * day), breaker.stats().counts), (one, one));
}

/// A breaker and its model, which have to agree after each step.
struct Pair {
    model: BreakerModel,
    breaker: Arc<Breaker>,
    time: ManualClock,
    seed: u64,
}

fn any_settings(below: &mut impl FnMut(u64) -> u64) -> BreakerBuilder {
    let mut settings = Breaker::builder().open_for(ns(1 + below(60)));
    let rule = below(16);
    if rule & 1 != 0 || rule == 0 {
        settings = settings.consecutive_failures(1 + below(4) as u32);
    }
    if rule & 2 != 0 {
        settings = settings.failure_rate((1 + below(10)) as f64 / 10.0);
    }
    if rule & 4 != 0 {
        settings = settings.slow_rate((1 + below(10)) as f64 / 10.0).slow_after(ns(1 + below(20)));
    }
    let calls = [1, 2, 3, 5, 8, 33, 64, 70][below(8) as usize];
    if rule & 8 != 0 {
        settings = settings.failures(1 + below(calls) as u32);
    }
    settings = if below(2) == 0 {
        settings.window_of_calls(calls as u32).min_calls(1 + below(calls) as u32)
    } else {
        let buckets = 1 + below(7);
        settings
            .window_of_time(ns(buckets * (1 + below(12)) + below(buckets)), buckets as u32)
            .min_calls(1 + below(6) as u32)
    };
    let probes = 1 + below(4);
    settings = settings.probes(probes as u32).successes_needed(1 + below(probes) as u32);
    if below(2) == 0 {
        settings = settings.open_for(OpenFor::exponential(ns(1 + below(30))).cap(ns(100)));
    }
    if below(2) == 0 {
        settings = settings.heed_retry_after(ns(1 + below(90)));
    }
    settings.lease(ns(1 + below(40))).pace(ns(below(9)))
}

impl Pair {
    fn agree(&mut self) {
        let (now, seed) = (self.time.clock().now().as_nanos(), self.seed);
        let stats = self.breaker.stats();
        let model = &mut self.model;
        assert_eq!((stats.circuit, stats.generation), (model.circuit(), model.generation()), "{seed}");
        assert_eq!(stats.counts, model.counts(now), "{seed}");
        assert_eq!(self.breaker.ready_at().map(|at| at.as_nanos()), model.admits_at(), "{seed}");
    }
}

fn script(seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let mut below = |bound: u64| entropy.next_u64() % bound;
    let time = ManualClock::new();
    time.advance(ns(below(1_000)));
    let settings = any_settings(&mut below).clock(time.clock());
    let now = time.clock().now().as_nanos();
    let model = BreakerModel::new(&settings, now).unwrap();
    let breaker = settings.build().unwrap();
    let mut pair = Pair { model, breaker: Arc::clone(&breaker), time: time.clone(), seed };
    let mut out: Vec<(Ticket, Permit<'_>, u64)> = Vec::new();
    let bias = below(10);
    for _ in 0..120 {
        let now = time.clock().now().as_nanos();
        match below(24) {
            0..9 => {
                let modelled = pair.model.step(now, Input::Acquire).0;
                match (breaker.try_acquire(), modelled) {
                    (Ok(permit), Output::Admitted(ticket)) => {
                        assert_eq!(permit.generation(), ticket.generation(), "{seed}");
                        assert_eq!(permit.is_probe(), ticket.is_probe(), "{seed}");
                        out.push((ticket, permit, now));
                    }
                    (Err(rejection), Output::Refused(refused)) => {
                        assert_eq!(rejection.reason(), refused.reason, "{seed}");
                        assert_eq!(rejection.retry_after(), refused.after.map(ns), "{seed}");
                    }
                    (real, model) => panic!("{seed}: {real:?} but {model:?}"),
                }
            }
            9..17 if !out.is_empty() => {
                let (ticket, permit, _) = out.swap_remove(below(out.len() as u64) as usize);
                let slow = below(4) == 0 && pair.model.counts_slow();
                let said = ns(below(100));
                let failure = below(10) < bias;
                let (class, end, after) = match below(12) {
                    0 => (Class::Ignored, End::Ignored, None),
                    1 => (Class::After(said), End::Counts(Mark { failure: true, slow }), Some(said)),
                    _ if failure => (Class::Failure, End::Counts(Mark { failure, slow }), None),
                    _ => (Class::Success, End::Counts(Mark { failure, slow }), None),
                };
                let elapsed = if slow { ns(1_000_000_000) } else { ns(0) };
                let recorded = permit.record(class, elapsed);
                let modelled = pair.model.step(now, Input::Record(ticket, end, after)).0;
                assert_eq!(Output::Recorded(recorded), modelled, "{seed}");
            }
            17..21 => time.advance(ns(below(12))),
            21 if below(4) == 0 => time.advance(ns(below(200))),
            21 if below(8) == 0 => {
                // Set back.
                time.set(weirs_runtime::Instant::from_nanos(now.saturating_sub(below(300))));
            }
            22 if below(6) == 0 => {
                let circuit = [Circuit::ForcedOpen, Circuit::Disabled, Circuit::MetricsOnly, Circuit::Closed]
                    [below(4) as usize];
                match circuit {
                    Circuit::ForcedOpen => breaker.force_open("a test"),
                    Circuit::Disabled => breaker.disable(),
                    Circuit::MetricsOnly => breaker.metrics_only(),
                    _ => breaker.reset(),
                }
                pair.model.step(now, Input::Force(circuit));
            }
            23 if below(6) == 0 => {
                let settings = any_settings(&mut below);
                breaker.reconfigure(settings.clone()).unwrap();
                pair.model.step(now, Input::Reconfigure(settings));
            }
            _ => {}
        }
        // Not after each step: a look at the breaker shows anew what threads may see.
        if below(3) == 0 {
            pair.agree();
        }
    }
    pair.agree();
    for (_, permit, _) in out {
        permit.ignore();
    }
}

#[apply(sim_test)]
async fn scripts_follow_the_model(runtime: Runtime) {
    for _ in 0..5 {
        script(runtime.clock().random_u64());
    }
}

#[test]
fn many_scripts_follow_the_model() {
    (0..2_000).for_each(script);
}
