//! The promises of those that turn away: priorities, usage, queue delay, throttle.

mod common;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{
    AllOf, Class, CoDel, Denied, Limit, Outcome, Priority, PriorityShedder, QueueDelay, Semaphore, Throttle,
    Usage, acquire, try_acquire,
};
use weirs_runtime::{Clock, Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{
    ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields,
};

const CLASSES: [Class; 5] = [Class::Critical, Class::High, Class::Normal, Class::Low, Class::Background];

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The time stands still, and the chance is seeded.
fn still(seed: u64) -> (ManualClock, Clock) {
    let manual = ManualClock::new();
    let clock = manual.clock().with_entropy(SeededEntropy::new(seed));
    (manual, clock)
}

#[test]
fn levels_are_in_order() {
    let mut before = None;
    for class in CLASSES {
        for place in 0..Priority::PLACES {
            let priority = Priority::new(class, place);
            assert!(before < Some(priority));
            assert_eq!(priority.class(), class);
            before = Some(priority);
        }
        assert_eq!(Priority::new(class, u16::MAX), before.unwrap());
    }
    assert_eq!(before.unwrap().level() + 1, Priority::LEVELS);
    assert_eq!(Priority::default(), Class::Normal.into());
}

/// For any mix of levels and any rate: so many are turned away, and never one while a less important one
/// goes.
#[test]
fn the_rate_is_met_from_the_least_important_on() {
    for seed in 0..60 {
        let entropy = SeededEntropy::new(seed);
        let shedder = PriorityShedder::new(still(seed).1);
        let kinds = 1 + entropy.next_u64() % 8;
        let mix: Vec<_> = (0..kinds).map(|_| entropy.next_u64() % u64::from(Priority::LEVELS)).collect();
        let draw = || {
            let level = mix[(entropy.next_u64() % kinds) as usize] as u16;
            Priority::new(CLASSES[usize::from(level / Priority::PLACES)], level % Priority::PLACES)
        };
        (0..4_000).for_each(|_| shedder.admit(draw()).unwrap());
        let rate = (entropy.next_u64() % 101) as f64 / 100.0;
        shedder.set_rate(rate);
        let mut shed = 0;
        for _ in 0..4_000 {
            let priority = draw();
            match shedder.admit(priority) {
                Ok(()) => assert!(priority.level() <= shedder.threshold()),
                Err(Denied::Shed { level, threshold }) => {
                    assert_eq!((level, threshold), (priority.level(), shedder.threshold()));
                    assert!(level >= threshold);
                    shed += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!((f64::from(shed) / 4_000.0 - rate).abs() < 0.04, "{seed}: {shed} {rate} {shedder:?}");
        assert!(rate > 0.0 || shed == 0);
    }
}

#[test]
fn without_a_rate_nobody_and_with_all_of_it_everybody() {
    let shedder = PriorityShedder::new(still(0).1);
    shedder.set_rate(-3.0);
    assert!(shedder.admit(Class::Background.into()).is_ok());
    shedder.set_rate(7.0);
    assert_eq!(shedder.rate(), 1.0);
    assert!(CLASSES.iter().all(|class| shedder.admit((*class).into()).is_err()));
    shedder.set_rate(0.0);
    assert!(CLASSES.iter().all(|class| shedder.admit((*class).into()).is_ok()));
}

#[test]
fn fullness_is_between_nothing_and_all() {
    let rates = [0, 100, 150, 200, 201, u64::MAX].map(|waiting| PriorityShedder::fullness(waiting, 100, 200));
    assert_eq!(rates, [0.0, 0.0, 0.5, 1.0, 1.0, 1.0]);
    assert_eq!(PriorityShedder::fullness(0, 0, 0), 0.0, "an empty queue is not full");
    assert_eq!(PriorityShedder::fullness(5, 9, 3), 1.0);
}

#[test]
fn usage_puts_the_greedy_behind_and_forgets() {
    let (manual, clock) = still(1);
    let usage = Usage::new(millis(1_000), clock);
    assert_eq!((usage.place("nobody"), usage.share("nobody")), (50, 0.0));
    for user in 0..100_u32 {
        usage.add(&user, if user == 7 { 100 } else { 10 });
    }
    assert!(usage.place(&7_u32) >= 85 && (45..=60).contains(&usage.place(&8_u32)), "{usage:?}");
    assert!(usage.place(&1_000_u32) < 10, "who was never there comes first");
    let share = usage.share(&7_u32);
    assert!((share - 100.0 / 1090.0).abs() < 0.02, "{share}");
    manual.advance(millis(5_000));
    usage.add(&8_u32, 1_000);
    assert!(usage.place(&8_u32) > usage.place(&7_u32));
    manual.advance(millis(1_000_000));
    assert_eq!(usage.share(&8_u32), 0.0);
}

/// A flood of users takes no memory and does not make the greedy one look modest.
#[test]
fn usage_stands_a_flood_of_users() {
    let (_, clock) = still(2);
    let usage = Usage::new(millis(1_000), clock);
    usage.add("greedy", 10_000);
    (0..100_000_u32).for_each(|user| usage.add(&user, 1));
    assert!(usage.share("greedy") >= 10_000.0 / 110_000.0 - 1e-9, "never less than it was");
    assert!(usage.place("greedy") > 90);
}

#[test]
fn codel_bears_a_swing_and_sheds_a_standing_queue() {
    let mut now = Instant::from_nanos(0);
    let mut codel = CoDel::new(millis(5), millis(100));
    // Every 50 ms somebody gets through quickly.
    for turn in 0..1_000 {
        now += millis(1);
        assert!(!codel.refuses(now, millis(if turn % 50 == 0 { 1 } else { 400 })));
    }
    let mut refused = Vec::new();
    let stands = now;
    for _ in 0..1_000 {
        now += millis(1);
        if codel.refuses(now, millis(6)) {
            refused.push((now - stands).as_millis());
        }
    }
    assert_eq!(refused[..5], [52, 152, 223, 281, 331], "after a whole interval, and ever more often");
    assert!(codel.is_bad());
    assert!(!codel.refuses(now, millis(4)) && !codel.is_bad());
    // Soon after, it goes on about where it was.
    let again: Vec<_> = (0..400)
        .filter(|_| {
            now += millis(1);
            codel.refuses(now, millis(6))
        })
        .collect();
    assert!(again.len() > 8, "{again:?}");
    codel.empty();
    assert!(!codel.is_bad() && !codel.refuses(now, millis(6)));
}

/// A queue that is served too slowly: with CoDel its delay comes down to about the target, without it grows.
#[test]
fn codel_keeps_a_queue_short() {
    fn longest_at_the_end(mut refuses: impl FnMut(Instant, Duration) -> bool) -> Duration {
        let (mut queue, mut longest) = (std::collections::VecDeque::new(), Duration::ZERO);
        for tick in 0..60_000_u64 {
            let now = Instant::from_nanos(tick * 1_000_000);
            // Eleven come while ten are served.
            (0..if tick % 10 == 0 { 2 } else { 1 }).for_each(|_| queue.push_back(now));
            while let Some(came) = queue.pop_front() {
                let waited = now - came;
                if tick > 50_000 {
                    longest = longest.max(waited);
                }
                if !refuses(now, waited) {
                    break;
                }
            }
        }
        longest
    }
    assert!(longest_at_the_end(|_, _| false) > millis(4_000));
    let mut codel = CoDel::new(millis(5), millis(100));
    assert!(longest_at_the_end(|now, waited| codel.refuses(now, waited)) < millis(250));
}

#[test]
fn a_queue_delay_says_how_long_it_was() {
    let (manual, clock) = still(3);
    let delay = QueueDelay::new(millis(5), millis(100), clock);
    let since = delay.now();
    manual.advance(millis(50));
    assert!(delay.admit(since).is_ok());
    manual.advance(millis(100));
    assert_eq!(delay.admit(since), Err(Denied::Stale { waited: millis(150) }));
    assert!(delay.is_bad() && delay.admit(delay.now()).is_ok() && !delay.is_bad());
}

#[test]
fn a_throttle_lets_all_go_while_enough_are_done() {
    let throttle = Throttle::builder().healthy(0.5).clock(still(4).1).build();
    for turn in 0..1_000 {
        let request = throttle.try_acquire().unwrap();
        if turn % 2 == 0 { request.success() } else { request.overload() }
    }
    assert_eq!(throttle.stats().rejection, 0.0);
}

#[test]
fn a_throttle_turns_away_and_finds_out_when_all_is_well_again() {
    let (manual, clock) = still(5);
    let throttle = Throttle::builder().window(millis(16_000)).max_rejection(0.8).clock(clock).build();
    let asked = |well: bool| {
        let asked = (0..1_000).filter(|_| {
            manual.advance(millis(10));
            match throttle.try_acquire() {
                Ok(request) if well => request.success(),
                Ok(request) => request.overload(),
                Err(Denied::Throttled { percent }) => {
                    assert!(percent <= 80);
                    return false;
                }
                Err(other) => panic!("{other:?}"),
            }
            true
        });
        asked.count()
    };
    assert_eq!(asked(true), 1_000);
    asked(false);
    asked(false);
    let bad = asked(false);
    assert!((130..270).contains(&bad), "a fifth gets through: {bad}");
    (0..4).for_each(|_| assert!(asked(true) > 100));
    assert_eq!(asked(true), 1_000, "it is well again");
    manual.advance(millis(100_000));
    assert_eq!(throttle.stats().requests, 0, "what is old does not count");
}

#[test]
fn a_throttle_forgets_what_said_nothing() {
    let (manual, clock) = still(6);
    let throttle = Throttle::builder().window(millis(160)).clock(clock).build();
    drop(throttle.try_acquire().unwrap());
    throttle.try_acquire().unwrap().unused();
    assert_eq!(throttle.stats().requests, 0);
    throttle.try_acquire().unwrap().success();
    assert_eq!((throttle.stats().requests, throttle.stats().done), (1, 1));
    manual.advance(millis(500));
    assert_eq!((throttle.stats().requests, throttle.stats().done), (0, 0), "it left the window");
    assert_eq!(throttle.peek_at(throttle.clock().now(), 1), Ok(u64::MAX));
    assert_eq!(try_acquire(&throttle, 0).unwrap().grant().cost(), 0);
}

/// A burst at the start has no answers yet: that is no refusal.
#[test]
fn a_throttle_does_not_count_those_on_their_way() {
    let throttle = Throttle::builder().clock(still(7).1).build();
    let requests: Vec<_> = (0..100).map(|_| throttle.try_acquire().unwrap()).collect();
    assert_eq!(throttle.stats().rejection, 0.0);
    requests.into_iter().for_each(|request| request.overload());
    assert_eq!(throttle.stats().rejection, 0.9);
}

/// Against a plain list of what happened when.
#[test]
fn a_throttle_counts_as_a_list_does() {
    for seed in 0..200 {
        let entropy = SeededEntropy::new(seed);
        let below = |bound: u64| entropy.next_u64() % bound;
        let (manual, clock) = still(seed);
        let throttle = Throttle::builder().window(Duration::from_nanos(1_600)).clock(clock.clone()).build();
        // The slice, and whether it is done, if it still counts.
        let mut list: Vec<(u64, bool)> = Vec::new();
        let mut held = Vec::new();
        for _ in 0..200 {
            let slice = clock.now().as_nanos() / 100;
            match below(4) {
                0 => manual.advance(Duration::from_nanos(below(if below(9) == 0 { 5_000 } else { 200 }))),
                1 if !held.is_empty() => {
                    let grant = held.swap_remove(below(held.len() as u64) as usize);
                    let outcome = [Outcome::Success, Outcome::Overload, Outcome::Ignore][below(3) as usize];
                    throttle.release(grant, outcome);
                    if outcome != Outcome::Ignore {
                        list.push((slice, outcome == Outcome::Success));
                    }
                }
                _ => match throttle.try_acquire_at(clock.now(), 1) {
                    Ok(grant) => held.push(grant),
                    Err(_) => list.push((slice, false)),
                },
            }
            let slice = clock.now().as_nanos() / 100;
            list.retain(|(came, _)| slice - came < 16);
            let done = list.iter().filter(|(_, done)| *done).count();
            let stats = throttle.stats();
            assert_eq!((stats.requests, stats.done), (list.len() as u64, done as u64), "{seed}");
        }
    }
}

#[apply(sim_test)]
async fn a_standing_queue_before_a_semaphore_is_shed(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let semaphore = std::sync::Arc::new(Semaphore::builder(1).clock(clock.clone()).build());
    let delay = std::sync::Arc::new(QueueDelay::new(millis(5), millis(100), clock.clone()));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (semaphore, delay, clock) = (semaphore.clone(), delay.clone(), clock.clone());
            runtime.spawn(async move {
                let since = delay.now();
                let _permit = semaphore.acquire(1).await.unwrap();
                let admitted = delay.admit(since).is_ok();
                if admitted {
                    clock.sleep(millis(10)).await;
                }
                admitted
            })
        })
        .collect();
    let mut shed = 0;
    for task in tasks {
        shed += u32::from(!task.await.unwrap());
    }
    assert!((10..60).contains(&shed), "{shed}");
}

#[apply(runtime_test)]
async fn a_throttle_is_a_limit_and_may_be_cancelled(runtime: Runtime) {
    let throttle = Throttle::builder().clock(runtime.clock().clone()).build();
    let make = || async {
        let request = acquire(&throttle, 1).await.unwrap();
        yields(2).await;
        request.success();
    };
    let check = async |_| {};
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
    let stats = throttle.stats();
    assert_eq!(stats.requests, stats.done, "those that were dropped are not counted");
}

#[test]
#[should_panic(expected = "below 1")]
fn a_throttle_that_never_lets_go_is_an_error() {
    let _ = Throttle::builder().max_rejection(1.0);
}

#[test]
#[should_panic(expected = "a share is above 0")]
fn a_throttle_that_is_content_with_nothing_is_an_error() {
    let _ = Throttle::builder().healthy(0.0);
}

#[test]
fn a_priority_is_a_limit_among_others() {
    let shedder = Arc::new(PriorityShedder::new(ManualClock::new().clock().clone()));
    let [high, low] = [Class::High, Class::Low].map(|class| shedder.limit_of(class.into()));
    assert_eq!(high.priority(), Class::High.into());
    let now = high.clock().now();
    for _ in 0..50 {
        high.try_acquire_at(now, 7).unwrap();
        low.try_acquire_at(now, 7).unwrap();
    }
    shedder.set_rate(0.5);
    let (level, threshold) = (Priority::from(Class::Low).level(), Priority::from(Class::Low).level());
    assert_eq!(low.try_acquire_at(now, 1), Err(Denied::Shed { level, threshold }));
    assert!(high.peek_at(now, 1).is_ok() && high.try_acquire_at(now, 1).is_ok());
    let below = shedder.limit_of(Class::Background.into());
    assert!(below.peek_at(now, 1).is_err() && below.peek_at(now, 0).is_ok());
    assert!(below.try_acquire_at(now, 0).is_ok(), "nothing is asked for");
    // It does not wait, nor is anything left of it.
    assert!(matches!(Hand::new(acquire(&below, 1)).poll(), Poll::Ready(Err(Denied::Shed { .. }))));
    assert_eq!((shedder.stats().admitted, shedder.stats().shed), (101, 2));
}

/// Of several limiters the priority is asked again after the wait.
#[test]
fn a_priority_before_a_semaphore() {
    let shedder = Arc::new(PriorityShedder::new(ManualClock::new().clock().clone()));
    let running = Semaphore::new(1);
    let low = shedder.limit_of(Class::Low.into());
    let all = AllOf::<&dyn Limit>::new().with("priority", &low).with("running", &running);
    let held = all.try_acquire(1).unwrap();
    let mut waits = Hand::new(all.acquire(1));
    assert!(waits.poll().is_pending());
    shedder.set_rate(1.0);
    held.success();
    let Poll::Ready(Err(refused)) = waits.poll() else { panic!("it is turned away now") };
    assert_eq!((refused.name(), running.available()), ("priority", 1), "and holds nothing");
}
