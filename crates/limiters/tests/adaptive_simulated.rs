//! Adaptive limits before a simulated server, over half an hour of its time.
//!
//! The server has 20 workers of 20 ms each on the average, so it serves 1000 a second, and an endless queue.
//! Requests come at random and are turned away at the limit. The random numbers are seeded, the time is the
//! events' own: half an hour takes a second.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use weirs_limiters::{
    AdaptiveLimiter, Aimd, CorrelatedVegas, Gradient2, Grant, Limit, LimitAlgorithm, Outcome, Vegas,
};
use weirs_runtime::{Entropy, Instant, SeededEntropy};
use weirs_testing::ManualClock;

const WORKERS: usize = 20;
const SERVICE: f64 = 0.020;
const CAPACITY: f64 = WORKERS as f64 / SERVICE;

/// So long, with so many times the capacity coming in, and each request taking so many times as long.
#[derive(Clone, Copy)]
struct Phase {
    seconds: u64,
    load: f64,
    slower: f64,
}

const fn phase(seconds: u64, load: f64) -> Phase {
    Phase { seconds, load, slower: 1.0 }
}

/// What came of a phase. The first quarter of a phase is not in the latency and the limit.
#[derive(Debug)]
struct Seen {
    /// Done in a second, as a share of what the server can do.
    goodput: f64,
    /// The share that was turned away.
    shed: f64,
    limit: f64,
    largest_limit: u64,
    median_ms: f64,
}

struct Server<A> {
    limiter: AdaptiveLimiter<A>,
    clock: ManualClock,
    entropy: SeededEntropy,
    now: u64,
    next: u64,
    /// When it ends, and what was admitted, and when.
    busy: BinaryHeap<Reverse<(u64, u64)>>,
    queue: VecDeque<(u64, Grant)>,
    grants: HashMap<u64, (u64, Grant)>,
    number: u64,
}

impl<A: LimitAlgorithm> Server<A> {
    fn new(algorithm: A, seed: u64) -> Self {
        let clock = ManualClock::new();
        let entropy = SeededEntropy::new(seed);
        let limiter = AdaptiveLimiter::builder()
            .clock(clock.clock().with_entropy(SeededEntropy::new(!seed)))
            .algorithm(algorithm)
            .build();
        Self {
            limiter,
            entropy,
            now: clock.clock().now().as_nanos(),
            next: 0,
            clock,
            busy: BinaryHeap::new(),
            queue: VecDeque::new(),
            grants: HashMap::new(),
            number: 0,
        }
    }

    /// A random time with this mean.
    fn random(&self, seconds: f64) -> u64 {
        let random = (self.entropy.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - random).ln() * seconds * 1e9) as u64 + 1
    }

    fn begin(&mut self, came: u64, grant: Grant, slower: f64) {
        let ends = self.now + self.random(SERVICE * slower);
        self.number += 1;
        self.grants.insert(self.number, (came, grant));
        self.busy.push(Reverse((ends, self.number)));
    }

    fn run(&mut self, phase: Phase) -> Seen {
        let (start, length) = (self.now, phase.seconds * 1_000_000_000);
        let settled = start + length / 4;
        let (mut done, mut came, mut shed, mut largest_limit) = (0_u64, 0_u64, 0_u64, 0);
        let (mut latencies, mut limits, mut looked) = (Vec::new(), 0.0, 0.0);
        self.next = start + self.random(1.0 / (phase.load * CAPACITY));
        loop {
            let ends = self.busy.peek().map_or(u64::MAX, |Reverse((ends, _))| *ends);
            let event = ends.min(self.next);
            if event > start + length {
                break;
            }
            self.now = event;
            let now = Instant::from_nanos(event);
            self.clock.set(now);
            if event == self.next {
                self.next = event + self.random(1.0 / (phase.load * CAPACITY));
                came += 1;
                match self.limiter.try_acquire_at(now, 1) {
                    Err(_) => shed += 1,
                    Ok(grant) if self.busy.len() < WORKERS => self.begin(event, grant, phase.slower),
                    Ok(grant) => self.queue.push_back((event, grant)),
                }
                continue;
            }
            let Some(Reverse((_, number))) = self.busy.pop() else { unreachable!("it was there") };
            let (began, grant) = self.grants.remove(&number).unwrap();
            self.limiter.release(grant, Outcome::Success);
            done += 1;
            if let Some((came, grant)) = self.queue.pop_front() {
                self.begin(came, grant, phase.slower);
            }
            if event > settled {
                let limit = self.limiter.limit();
                latencies.push(event - began);
                (limits, looked) = (limits + limit as f64, looked + 1.0);
                largest_limit = largest_limit.max(limit);
            }
        }
        self.now = start + length;
        latencies.sort_unstable();
        Seen {
            goodput: done as f64 / phase.seconds as f64 / (CAPACITY / phase.slower),
            shed: shed as f64 / came as f64,
            limit: limits / looked,
            largest_limit,
            median_ms: latencies[latencies.len() / 2] as f64 / 1e6,
        }
    }
}

/// A quiet minute, then 25 minutes of overload: its first five minutes, and its last five.
fn steady_overload<A: LimitAlgorithm>(algorithm: A, seed: u64) -> [Seen; 3] {
    let mut server = Server::new(algorithm, seed);
    let quiet = server.run(phase(60, 0.5));
    let first = server.run(phase(300, 1.3));
    server.run(phase(900, 1.3));
    [quiet, first, server.run(phase(300, 1.3))]
}

#[test]
fn the_default_keeps_the_goodput_and_the_latency_under_overload() {
    for seed in 0..3 {
        let [quiet, first, last] = steady_overload(CorrelatedVegas::new(), seed);
        assert!(quiet.shed < 0.001, "{seed}: {quiet:?}");
        for seen in [&first, &last] {
            assert!(seen.goodput > 0.93, "{seed}: {seen:?}");
            assert!((20.0..34.0).contains(&seen.limit) && seen.largest_limit < 45, "{seed}: {seen:?}");
            assert!(seen.median_ms < 26.0, "{seed}: {seen:?}");
        }
        assert!((first.limit - last.limit).abs() < 5.0, "{seed}: it does not creep: {first:?} {last:?}");
    }
}

#[test]
fn the_default_takes_a_step_of_the_load() {
    for seed in 0..3 {
        let mut server = Server::new(CorrelatedVegas::new(), seed);
        let quiet = server.run(phase(60, 0.5));
        assert!(quiet.shed < 0.001 && quiet.largest_limit < 60, "{seed}: {quiet:?}");
        // The first minute of it counts as well.
        let flood = server.run(phase(60, 2.0));
        assert!(flood.goodput > 0.93 && flood.median_ms < 30.0, "{seed}: {flood:?}");
        let quiet = server.run(phase(60, 0.5));
        assert!(quiet.shed < 0.005, "{seed}: {quiet:?}");
    }
}

/// A server that is slower for good is no queue: the baseline has to follow, or the limit stays too small.
#[test]
fn the_default_learns_that_the_server_is_slower() {
    for seed in 0..3 {
        let mut server = Server::new(CorrelatedVegas::new(), seed);
        server.run(phase(60, 0.5));
        let slower = Phase { seconds: 120, load: 0.5, slower: 3.0 };
        server.run(slower);
        let slow = server.run(slower);
        assert!(slow.goodput > 0.9 && slow.limit < 40.0, "{seed}: {slow:?}");
        server.run(phase(60, 0.9));
        let well = server.run(phase(60, 0.9));
        assert!(well.shed < 0.03, "{seed}: {well:?}");
    }
}

/// The simulator can tell: as it was published this one creeps, and the latency with it.
#[test]
fn gradient_as_published_creeps() {
    let [quiet, first, last] = steady_overload(Gradient2::as_published(), 0);
    assert!(quiet.shed < 0.001, "{quiet:?}");
    assert!(first.limit < 100.0 && last.limit > 250.0 && last.median_ms > 250.0, "{first:?} {last:?}");
}

#[test]
fn gradient_does_not_creep() {
    let [quiet, first, last] = steady_overload(Gradient2::new(), 0);
    assert!(quiet.shed < 0.001, "{quiet:?}");
    for seen in [&first, &last] {
        assert!(seen.goodput > 0.97 && seen.limit < 45.0 && seen.median_ms < 35.0, "{seen:?}");
    }
    assert!((first.limit - last.limit).abs() < 3.0, "{first:?} {last:?}");
}

#[test]
fn vegas_and_aimd_hold_their_ground() {
    let [quiet, _, last] = steady_overload(Vegas::new(), 0);
    assert!(quiet.shed < 0.01 && last.goodput > 0.95 && last.limit < 50.0, "{quiet:?} {last:?}");
    let [quiet, _, last] = steady_overload(Aimd::new(Duration::from_millis(100)), 0);
    assert!(quiet.shed < 0.01 && last.goodput > 0.97, "{quiet:?} {last:?}");
    assert!((80.0..110.0).contains(&last.median_ms), "it goes up to what it was told is too slow: {last:?}");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = |seed| format!("{:?}", Server::new(CorrelatedVegas::new(), seed).run(phase(30, 1.3)));
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}
