//! An hour of a service whose other side is down, slow and flapping, through a stack of all policies: the
//! timeline is text, the same for the same seed, and stays inside of bands.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_resilience::{
    Attempt, Breaker, Budget, Bulkhead, Chaos, Circuit, Ended, Error, Event, EventKind, Faults, Hedge,
    Interest, Latency, Observer, Reason, Rejection, Retry, Stack, Stats, from_hooks,
};
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_testing::sim::Sim;

const CALLERS: usize = 16;
const MINUTES: usize = 60;
const SHARE: f64 = 0.2;
const OPEN_FOR: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
const WHOLE: Duration = Duration::from_secs(2);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// What the other side goes through, and in which minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Well,
    Down,
    BrownOut,
    Flaps,
}

impl Phase {
    fn of(minute: usize) -> Self {
        match minute {
            10..15 => Self::Down,
            25..35 => Self::BrownOut,
            45..55 => Self::Flaps,
            _ => Self::Well,
        }
    }
}

fn script(start: Instant) -> Chaos<u32, &'static str> {
    let down = || Faults::new().hang(0.3).error(0.7, || "down");
    let slow = Faults::new().error(0.1, || "busy").latency(0.5, Latency::Exponential(ms(300)));
    let mut script = Chaos::script()
        .starting_at(start)
        .enabled(true)
        .phase(minutes(10), Faults::new())
        .phase(minutes(5), down())
        .phase(minutes(10), Faults::new())
        .phase(minutes(10), slow)
        .phase(minutes(10), Faults::new());
    for _ in 0..15 {
        script = script.phase(Duration::from_secs(20), down()).phase(Duration::from_secs(20), Faults::new());
    }
    script
}

/// What one minute was.
#[derive(Clone, Debug, Default)]
struct Minute {
    calls: u64,
    answered: u64,
    instead: u64,
    failed: u64,
    /// Attempts that the other side saw, and those of them that were not their call's first.
    attempts: u64,
    further: u64,
    longest: Duration,
    /// By reason, as the stack counts them.
    refused: Vec<(Reason, u64)>,
    /// What the breaker did, every five seconds.
    circuit: String,
}

/// What is written down while it goes on.
#[derive(Debug, Default)]
struct Book {
    minute: Minute,
    minutes: Vec<Minute>,
    /// Calls that began, by the ten seconds.
    calls: Vec<u64>,
    changes: Vec<(Duration, Circuit)>,
}

struct Tell {
    book: Arc<Mutex<Book>>,
    clock: Clock,
    start: Instant,
}

impl Observer for Tell {
    fn interest(&self) -> Interest {
        Interest::BREAKER
    }

    fn on_event(&self, event: &Event<'_>) {
        let circuit = match event.kind() {
            EventKind::Opened { .. } => Circuit::Open,
            EventKind::HalfOpened { .. } => Circuit::HalfOpen,
            EventKind::Closed { .. } => Circuit::Closed,
            _ => return,
        };
        self.book.lock().unwrap().changes.push((self.clock.now() - self.start, circuit));
    }
}

/// Plays the hour, and gives what was written down.
async fn hour(runtime: Runtime) -> Book {
    let clock = runtime.clock().clone();
    let start = clock.now();
    let book = Arc::new(Mutex::new(Book { calls: vec![0; MINUTES * 6 + 1], ..Book::default() }));
    let breaker = Breaker::failure_rate(0.5)
        .window_of_time(Duration::from_secs(10), 10)
        .min_calls(20)
        .slow_after(ms(400))
        .open_for(OPEN_FOR)
        .probes(PROBES)
        .observer(Tell { book: book.clone(), clock: clock.clone(), start })
        .clock(&clock)
        .build()
        .unwrap();
    let budget = Budget::share(SHARE).floor(0).clock(&clock).build().unwrap();
    let rate =
        RateLimiter::builder(Quota::new(Rate::per_second(50), 50).unwrap()).clock(clock.clone()).build();
    let written = book.clone();
    let watch = from_hooks(
        move |at: &Attempt| {
            let mut book = written.lock().unwrap();
            book.minute.attempts += 1;
            book.minute.further += u64::from(at.number() > 1 || at.hedge() > 0);
            Ok::<(), Rejection>(())
        },
        |(), _: Ended<'_, u32, &'static str>| {},
    );
    let stack = Stack::builder()
        .clock(&clock)
        .fallback(|error: &Error<&'static str>| (!matches!(error, Error::Inner("busy"))).then_some(0))
        .timeout(WHOLE)
        .retry(Retry::exponential(ms(50)).cap(ms(500)).retries(2).budget(&budget))
        .hedge(Hedge::after(ms(200)).budget(&budget))
        .rate_limit(rate)
        .breaker(&breaker)
        .bulkhead(Bulkhead::new(20).queue(20).wait_at_most(ms(100)))
        .policy(watch)
        .timeout(ms(400))
        .chaos(script(start))
        .build()
        .unwrap();
    assert_eq!(stack.lints(), []);
    let stack = Arc::new(stack);

    let mut tasks = Vec::new();
    for _ in 0..CALLERS {
        let (stack, clock, book) = (stack.clone(), clock.clone(), book.clone());
        tasks.push(runtime.spawn(async move {
            loop {
                clock.sleep(ms(500 + clock.random_below(1_000))).await;
                let began = clock.now();
                let slot = ((began - start).as_secs() / 10) as usize;
                match book.lock().unwrap().calls.get_mut(slot) {
                    Some(calls) => *calls += 1,
                    None => break,
                }
                let call = stack.call(async |_| {
                    clock.sleep(ms(20 + clock.random_below(60))).await;
                    Ok(1)
                });
                let result = call.await;
                let minute = &mut book.lock().unwrap().minute;
                minute.calls += 1;
                minute.longest = minute.longest.max(clock.now() - began);
                match result {
                    Ok(1) => minute.answered += 1,
                    Ok(_) => minute.instead += 1,
                    Err(_) => minute.failed += 1,
                }
            }
        }));
    }
    let mut before = stack.stats();
    for minute in 1..=MINUTES as u32 {
        let mut circuit = String::new();
        for part in 1..=12 {
            clock.sleep_until(start + minutes(1) * (minute - 1) + Duration::from_secs(5) * part).await;
            circuit.push(match breaker.state() {
                Circuit::Closed => '.',
                Circuit::HalfOpen => 'h',
                _ => 'O',
            });
        }
        let after = stack.stats();
        let mut book = book.lock().unwrap();
        let mut over = std::mem::take(&mut book.minute);
        over.circuit = circuit;
        over.refused = refused(&before, &after);
        book.minutes.push(over);
        before = after;
    }
    drop(tasks);
    let mut book = book.lock().unwrap();
    std::mem::take(&mut *book)
}

fn refused(before: &Stats, after: &Stats) -> Vec<(Reason, u64)> {
    let of = |reason| (reason, after.rejected(reason) - before.rejected(reason));
    Reason::ALL.into_iter().map(of).filter(|(_, count)| *count > 0).collect()
}

impl Book {
    fn timeline(&self) -> String {
        let mut text = String::from("minute  phase     calls  answered  instead  failed   longest");
        text += "  amplification  circuit       refused\n";
        for (number, minute) in self.minutes.iter().enumerate() {
            let amplification = 1.0 + minute.further as f64 / minute.calls as f64;
            let phase = format!("{:?}", Phase::of(number));
            write!(
                text,
                "{number:>6}  {phase:8} {:>6} {:>9} {:>8} {:>7} {:>7}ms {amplification:>14.3}  {:12} ",
                minute.calls,
                minute.answered,
                minute.instead,
                minute.failed,
                minute.longest.as_millis(),
                minute.circuit,
            )
            .unwrap();
            for (reason, count) in &minute.refused {
                write!(text, " {count} {reason:?}").unwrap();
            }
            text.push('\n');
        }
        text
    }

    /// How long after `since` the circuit first did that, and until when it is to be looked for.
    fn first(&self, circuit: Circuit, since: Duration, until: Duration) -> Option<Duration> {
        let within = |at: &Duration| (since..until).contains(at);
        self.changes.iter().find(|(at, to)| *to == circuit && within(at)).map(|(at, _)| *at - since)
    }

    fn openings(&self, since: Duration, until: Duration) -> usize {
        self.changes.iter().filter(|(at, to)| *to == Circuit::Open && (since..until).contains(at)).count()
    }

    fn check(&self) {
        assert_eq!(self.minutes.len(), MINUTES);
        for (number, minute) in self.minutes.iter().enumerate() {
            let told = format!("minute {number}: {minute:?}");
            assert!(minute.calls > 400, "{told}");
            // What retries and hedges add stays inside of the budget: a share of the calls of this minute and
            // of the ten seconds before it.
            let slots = number * 6;
            let calls: u64 = self.calls[slots.saturating_sub(1)..slots + 6].iter().sum();
            assert!(minute.further as f64 <= SHARE * calls as f64 + 1.0, "{told}");
            // Nobody waits for longer than he was promised.
            assert!(minute.longest <= WHOLE, "{told}");
            let settled = number.checked_sub(1).is_none_or(|before| Phase::of(before) == Phase::of(number));
            let share = minute.answered as f64 / minute.calls as f64;
            match Phase::of(number) {
                Phase::Well if settled => {
                    assert_eq!((minute.answered, &minute.refused[..]), (minute.calls, &[][..]), "{told}");
                    // At the very end of the minute the other side may be ill already.
                    assert!(minute.further <= 2, "{told}");
                    assert!(minute.longest < ms(100), "{told}");
                }
                Phase::Well => assert!(share > 0.85, "{told}"),
                Phase::Down => {
                    // Everybody gets another answer, and the other side is left in peace.
                    assert_eq!(minute.failed, 0, "{told}");
                    if settled {
                        assert_eq!(minute.answered, 0, "{told}");
                        assert!(minute.attempts <= u64::from(PROBES) * 60 / OPEN_FOR.as_secs() + 3, "{told}");
                        let refused: u64 = minute.refused.iter().map(|(_, count)| count).sum();
                        assert!(refused as f64 > 0.9 * minute.calls as f64, "{told}");
                    }
                }
                // Ill, but not so ill that it must be left alone: retries and hedges do what they can.
                Phase::BrownOut => assert!(share > 0.8, "{told}"),
                Phase::Flaps => assert!((0.2..0.9).contains(&share), "{told}"),
            }
        }
        // Half of a window of ten seconds has to be failures; an attempt takes 400 ms to fail.
        let opened = self.first(Circuit::Open, minutes(10), minutes(15)).expect("it opens in the outage");
        assert!(opened < Duration::from_secs(10), "{opened:?}");
        let closed = self.first(Circuit::Closed, minutes(15), minutes(25)).expect("it closes after it");
        assert!(closed < OPEN_FOR + Duration::from_secs(3), "{closed:?}");
        assert_eq!(self.openings(minutes(15) + closed, minutes(25)), 0);
        assert_eq!(self.openings(Duration::ZERO, minutes(10)), 0);
        // Each time that it is down is found, and forgotten after it.
        for flap in 0..15 {
            let down = minutes(45) + Duration::from_secs(40) * flap;
            let up = down + Duration::from_secs(20);
            self.first(Circuit::Open, down, up).expect("it opens");
            self.first(Circuit::Closed, up, up + Duration::from_secs(20)).expect("it closes");
        }
    }
}

fn play(seed: u64) -> Book {
    let run = Sim::new(seed).step_limit(20_000_000).allow_leaks().run(hour);
    run.unwrap_or_else(|failure| panic!("{failure}")).output
}

#[test]
fn an_hour_stays_inside_of_its_bands() {
    let seeds = if std::env::var("WEIRS_DEEP").is_ok_and(|deep| deep != "0") { 100 } else { 2 };
    for seed in 0..seeds {
        play(seed).check();
    }
}

#[test]
fn the_same_seed_tells_the_same_timeline() {
    let first = play(7).timeline();
    assert_eq!(play(7).timeline(), first);
    assert_ne!(play(8).timeline(), first);
}
