//! Time to the nanosecond: in the simulator, where it is exact.

use std::future::pending;
use std::time::Duration;

use futures::StreamExt;
use weirs_runtime::{Elapsed, Interval, MissedTicks, Runtime};
use weirs_testing::{LateClock, apply, sim_test};

const MS: Duration = Duration::from_millis(1);

#[apply(sim_test)]
async fn a_sleep_ends_to_the_nanosecond(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    for length in [Duration::from_nanos(1), MS, Duration::from_secs(86_400 * 30)] {
        let begin = clock.now();
        clock.sleep(length).await;
        assert_eq!(clock.now() - begin, length);
    }
    clock.sleep_until(start).await;
    clock.sleep(Duration::ZERO).await;
    assert_eq!(clock.now() - start, Duration::from_nanos(1) + MS + Duration::from_secs(86_400 * 30));
}

#[apply(sim_test)]
async fn sleeps_end_in_the_order_of_their_deadlines(runtime: Runtime) {
    let (sender, ended) = async_channel::unbounded();
    let tasks: Vec<_> = (0..20_u32)
        .map(|number| {
            let (clock, sender) = (runtime.clock().clone(), sender.clone());
            let length = (number * 7 % 20 + 1) * MS;
            runtime.spawn(async move {
                clock.sleep(length).await;
                sender.send((length, clock.now())).await.unwrap();
            })
        })
        .collect();
    let start = runtime.clock().now();
    for task in tasks {
        task.await.unwrap();
    }
    drop(sender);
    let ended: Vec<_> = ended.collect().await;
    assert!(ended.is_sorted());
    assert!(ended.iter().all(|(length, at)| *at == start + *length));
}

#[apply(sim_test)]
async fn a_timeout_counts_from_its_first_poll(runtime: Runtime) {
    let clock = runtime.clock();
    let timeout = clock.timeout(10 * MS, pending::<()>());
    clock.sleep(5 * MS).await;
    let start = clock.now();
    assert_eq!(timeout.await, Err(Elapsed));
    assert_eq!(clock.now() - start, 10 * MS);

    let start = clock.now();
    let timeout = clock.timeout_at(start + 10 * MS, pending::<()>());
    clock.sleep(5 * MS).await;
    assert_eq!(timeout.await, Err(Elapsed));
    assert_eq!(clock.now() - start, 10 * MS);
}

/// When ticks are given and when they were due, in milliseconds from the start, to somebody who is busy from
/// the start until 35.
async fn after_a_long_pause(runtime: &Runtime, missed: MissedTicks, ticks: usize) -> Vec<(u128, u128)> {
    let clock = runtime.clock();
    let start = clock.now();
    let mut interval = clock.interval(10 * MS).unwrap().missed_ticks(missed);
    clock.sleep(35 * MS).await;
    let mut given = Vec::new();
    for _ in 0..ticks {
        let due = interval.tick().await;
        given.push(((clock.now() - start).as_millis(), (due - start).as_millis()));
    }
    given
}

#[apply(sim_test)]
async fn skip_gives_one_tick_for_all_that_were_missed(runtime: Runtime) {
    let given = after_a_long_pause(&runtime, MissedTicks::Skip, 3).await;
    assert_eq!(given, [(35, 10), (40, 40), (50, 50)]);
}

#[apply(sim_test)]
async fn burst_gives_all_ticks_that_were_missed(runtime: Runtime) {
    let given = after_a_long_pause(&runtime, MissedTicks::Burst, 5).await;
    assert_eq!(given, [(35, 10), (35, 20), (35, 30), (40, 40), (50, 50)]);
}

#[apply(sim_test)]
async fn delay_begins_a_new_rhythm(runtime: Runtime) {
    let given = after_a_long_pause(&runtime, MissedTicks::Delay, 3).await;
    assert_eq!(given, [(35, 10), (45, 45), (55, 55)]);
}

#[apply(sim_test)]
async fn all_rules_are_the_same_for_who_misses_nothing(runtime: Runtime) {
    let clock = runtime.clock();
    for missed in [MissedTicks::Skip, MissedTicks::Burst, MissedTicks::Delay] {
        let start = clock.now();
        let mut interval = clock.interval(10 * MS).unwrap().missed_ticks(missed);
        for number in 1..=5 {
            assert_eq!(interval.tick().await, start + number * 10 * MS);
            assert_eq!(clock.now(), start + number * 10 * MS);
        }
    }
}

#[apply(sim_test)]
async fn an_interval_may_begin_at_once(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let interval: Interval = clock.interval_at(start, 10 * MS).unwrap();
    let ticks: Vec<_> = interval.take(3).collect().await;
    assert_eq!(ticks, [start, start + 10 * MS, start + 20 * MS]);
    assert_eq!(clock.now(), start + 20 * MS);
}

#[apply(sim_test)]
async fn an_interval_may_be_reset(runtime: Runtime) {
    let clock = runtime.clock();
    let mut interval = clock.interval(10 * MS).unwrap();
    clock.sleep(4 * MS).await;
    interval.reset();
    assert_eq!(interval.next_due(), clock.now() + 10 * MS);
    let start = clock.now();
    assert_eq!(interval.tick().await, start + 10 * MS);
}

#[apply(sim_test)]
async fn a_tick_that_was_given_up_is_not_lost(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let mut interval = clock.interval(10 * MS).unwrap();
    assert_eq!(clock.timeout(4 * MS, interval.tick()).await, Err(Elapsed));
    assert_eq!(interval.tick().await, start + 10 * MS);
}

#[apply(sim_test)]
async fn late_timers_shift_no_rhythm_but_that_of_delay(runtime: Runtime) {
    let clock = LateClock::by(runtime.clock(), 3 * MS);
    for (missed, last) in [(MissedTicks::Skip, 53), (MissedTicks::Burst, 53), (MissedTicks::Delay, 65)] {
        let start = clock.now();
        let mut interval = clock.interval(10 * MS).unwrap().missed_ticks(missed);
        for _ in 0..5 {
            interval.tick().await;
        }
        assert_eq!(clock.now() - start, last * MS, "{missed:?}");
    }
}
