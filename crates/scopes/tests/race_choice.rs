//! Who wins a race when several are ready.

use std::future::{Future, pending, ready};
use std::time::Duration;

use weirs_runtime::{Clock, Runtime, SeededEntropy, block_on};
use weirs_scopes::{OneOf2, OneOf3, OneOf8, race, race_biased};
use weirs_testing::sim::Sim;
use weirs_testing::{apply, runtime_test, sim_test, yields};

const MS: Duration = Duration::from_millis(1);

fn seeded(seed: u64) -> Clock {
    Clock::default().with_entropy(SeededEntropy::new(seed))
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let clock = runtime.clock();
    let (sender, receiver) = async_channel::bounded(1);
    let task = runtime.spawn(async move { sender.send(7).await });
    let first = race(clock, (receiver.recv(), pending::<()>(), clock.sleep(3_600_000 * MS))).await;
    assert_eq!(first, OneOf3::First(Ok(7)));
    task.await.unwrap().unwrap();
}

/// How often each of three wins.
fn count(mut winner: impl FnMut() -> usize) -> [u32; 3] {
    let mut counts = [0; 3];
    for _ in 0..6_000 {
        counts[winner()] += 1;
    }
    counts
}

fn index<A, B, C>(winner: OneOf3<A, B, C>) -> usize {
    match winner {
        OneOf3::First(_) => 0,
        OneOf3::Second(_) => 1,
        OneOf3::Third(_) => 2,
    }
}

#[test]
fn all_that_are_ready_win_as_often() {
    let clock = seeded(1);
    let even = |counts: [u32; 3]| counts.iter().all(|count| (1_850..2_150).contains(count));
    let tuple = count(|| index(block_on(race(&clock, (ready(()), ready(()), ready(()))))));
    assert!(even(tuple), "{tuple:?}");
    let array = count(|| block_on(race(&clock, [ready(()), ready(()), ready(())])).0);
    assert!(even(array), "{array:?}");
    let vec = count(|| block_on(race(&clock, vec![ready(()), ready(()), ready(())])).unwrap().0);
    assert!(even(vec), "{vec:?}");
    // More than a few, and three of them ready.
    let many = count(|| {
        let futures = (0..120).map(|n| async move {
            if n % 40 != 0 {
                pending::<()>().await;
            }
        });
        block_on(race(&clock, futures.collect::<Vec<_>>())).unwrap().0 / 40
    });
    assert!(even(many), "{many:?}");
}

#[test]
fn who_is_not_ready_lends_its_chance_to_nobody_in_particular() {
    // With a mere rotation the one behind the sleeper would win twice as often as the other.
    let clock = seeded(2);
    let counts = count(|| index(block_on(race(&clock, (pending::<()>(), ready(()), ready(()))))));
    assert_eq!(counts[0], 0);
    assert!((2_850..3_150).contains(&counts[1]), "{counts:?}");
}

#[test]
fn the_simulator_replays_the_choice() {
    let choices = |seed: u64| {
        let run = Sim::new(seed).run(|runtime| async move {
            let mut choices = Vec::new();
            for _ in 0..32 {
                choices.push(index(race(runtime.clock(), (yields(1), yields(1), yields(1))).await));
            }
            choices
        });
        run.unwrap().output
    };
    assert_eq!(choices(17), choices(17));
    assert_ne!(choices(17), choices(18));
}

#[test]
fn the_order_given_decides_by_name() {
    for _ in 0..100 {
        assert_eq!(block_on(race_biased((pending::<()>(), ready(1), ready(2)))), OneOf3::Second(1));
        assert_eq!(block_on(race_biased([ready(1), ready(2)])), (0, 1));
        assert_eq!(block_on(race_biased(vec![ready(1); 1_000])), Some((0, 1)));
    }
    let last = race_biased((
        pending::<()>(),
        pending::<()>(),
        pending::<()>(),
        pending::<()>(),
        pending::<()>(),
        pending::<()>(),
        pending::<()>(),
        ready(8),
    ));
    assert_eq!(block_on(last), OneOf8::Eighth(8));
}

#[test]
fn of_many_that_are_woken_together_the_first_wins_a_biased_race() {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..50).map(|_| async_channel::bounded(1)).unzip();
    let futures: Vec<_> = receivers.iter().map(|receiver| receiver.recv()).collect();
    let winner = block_on(async {
        let mut race = std::pin::pin!(race_biased(futures));
        futures_lite::future::poll_once(race.as_mut()).await;
        for n in [40, 20, 30] {
            senders[n].try_send(n).unwrap();
        }
        race.await
    });
    assert_eq!(winner, Some((20, Ok(20))));
}

#[test]
fn nobody_and_one() {
    let clock = Clock::default();
    assert_eq!(block_on(race(&clock, Vec::<std::future::Ready<()>>::new())), None);
    assert_eq!(block_on(race_biased(Vec::<std::future::Ready<()>>::new())), None);
    assert_eq!(block_on(race(&clock, [ready(7)])), (0, 7));
    assert_eq!(block_on(race(&clock, vec![ready(7)])), Some((0, 7)));
    assert_eq!(block_on(race_biased((ready(7), ready(7)))).into_inner(), 7);
}

#[apply(sim_test)]
async fn a_value_in_the_instant_of_the_deadline_is_delivered(runtime: Runtime) {
    let clock = runtime.clock();
    let at = clock.now() + 5 * MS;
    let work = async {
        clock.sleep_until(at).await;
        7
    };
    assert_eq!(race_biased((work, clock.sleep_until(at))).await, OneOf2::First(7));

    // And whoever wins a fair race: nothing that was taken is lost.
    let (sender, receiver) = async_channel::bounded(1);
    let at = clock.now() + 5 * MS;
    let task = runtime.spawn({
        let clock = clock.clone();
        async move {
            clock.sleep_until(at).await;
            sender.send(7).await.unwrap();
        }
    });
    match race(clock, (receiver.recv(), clock.sleep_until(at))).await {
        OneOf2::First(value) => assert_eq!(value, Ok(7)),
        OneOf2::Second(()) => assert_eq!(receiver.recv().await, Ok(7)),
    }
    task.await.unwrap();
}

#[test]
fn futures_are_as_sendable_as_their_branches() {
    fn is_send(_: impl Send) {}
    let clock = Clock::default();
    is_send(race(&clock, (ready(1), ready("two"))));
    is_send(race(&clock, vec![ready(1)]));
    is_send(race_biased([ready(1)]));
    let borrowed = String::from("borrowed");
    let _: OneOf2<&str, ()> = block_on(race(&clock, (async { borrowed.as_str() }, pending::<()>())));
}

#[test]
#[should_panic(expected = "polled after it was over")]
fn a_race_that_is_over_says_so() {
    block_on(async {
        let mut race = std::pin::pin!(race_biased((ready(()), ready(()))));
        race.as_mut().await;
        std::future::poll_fn(|cx| race.as_mut().poll(cx)).await;
    });
}
