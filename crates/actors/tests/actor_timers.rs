//! Timers of actors.

mod puppets;

use std::time::Duration;

use puppets::{Log, Message, run, supervisor, sync, until};
use weirs_actors::actor::SourceKey;
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test};

const SECOND: Duration = Duration::from_secs(1);

#[apply(runtime_test)]
async fn what_is_set_comes_once(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        context.after(Duration::from_millis(2), Message::Note(2));
        context.after(Duration::ZERO, Message::Note(1));
        context.every(Duration::from_millis(3), || Message::Note(3));
    })
    .await;
    until(&runtime, || log.notes().len() >= 5).await;
    let notes = log.notes();
    assert_eq!(notes[0], 1);
    assert_eq!(notes.iter().filter(|note| **note == 1).count(), 1);
    assert_eq!(notes.iter().filter(|note| **note == 2).count(), 1);
    assert!(tree.shutdown().await.is_clean());
}

#[apply(sim_test)]
async fn they_come_by_time_and_then_by_when_they_were_set(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let start = runtime.clock().now();
    run(&puppet, |context| {
        for (after, note) in [(3, 30), (1, 10), (2, 20), (1, 11), (3, 31), (1, 12)] {
            context.after(after * SECOND, Message::Note(note));
        }
        context.after(Duration::MAX, Message::Note(99));
    })
    .await;
    runtime.clock().sleep(100 * SECOND).await;
    let expected = [(10, 1), (11, 1), (12, 1), (20, 2), (30, 3), (31, 3)];
    assert_eq!(log.times(), expected.map(|(note, after)| (note, start + after * SECOND)));
    tree.shutdown().await;
}

#[apply(sim_test)]
async fn missed_ticks_are_one_and_the_rhythm_goes_on(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let start = runtime.clock().now();
    run(&puppet, |context| {
        context.every(10 * SECOND, || Message::Note(1));
    })
    .await;
    runtime.clock().sleep(15 * SECOND).await;
    puppet.tell(Message::Sleep(20 * SECOND)).await.unwrap();
    runtime.clock().sleep(36 * SECOND).await;
    let times: Vec<_> = log.times().into_iter().map(|(_, at)| (at - start).as_secs()).collect();
    assert_eq!(times, [10, 35, 40, 50]);
    tree.shutdown().await;
}

#[apply(sim_test)]
async fn a_name_has_one_timer(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        context.timer("idle").after(SECOND, Message::Note(1));
        context.timer("idle").every(2 * SECOND, || Message::Note(2));
        context.timer("other").after(SECOND, Message::Note(3));
        context.timer("idle").after(3 * SECOND, Message::Note(4));
        assert!(context.timer("idle").is_set());
        assert!(context.timer("other").cancel());
        assert!(!context.timer("other").cancel());
        let key = context.timer("last").after(4 * SECOND, Message::Note(5));
        context.cancel(key);
        context.cancel(key);
        assert!(!context.timer("last").is_set());
    })
    .await;
    runtime.clock().sleep(100 * SECOND).await;
    assert_eq!(log.notes(), [4]);
    run(&puppet, |context| assert!(!context.timer("idle").is_set())).await;
    sync(&puppet).await;
    tree.shutdown().await;
}

#[apply(sim_test)]
async fn they_end_with_the_life(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        context.every(SECOND, || Message::Note(1));
        context.after(SECOND, Message::Note(2));
    })
    .await;
    puppet.tell(Message::Fail).await.unwrap();
    runtime.clock().sleep(10 * SECOND).await;
    assert!(log.notes().is_empty());
    assert_eq!(tree.snapshot().child("puppet").unwrap().incarnation, 2);
    tree.shutdown().await;
}

#[apply(sim_test)]
async fn one_that_is_always_due_takes_turns_with_the_queue(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        // Due again before it is over.
        context.every(SECOND, || Message::Sleep(5 * SECOND));
    })
    .await;
    runtime.clock().sleep(2 * SECOND).await;
    for note in 0..3 {
        puppet.tell(Message::Note(note)).await.unwrap();
    }
    runtime.clock().sleep(20 * SECOND).await;
    assert_eq!(log.notes(), [0, 1, 2]);
    tree.shutdown().await;
}

#[apply(sim_test)]
async fn a_period_of_zero_is_a_panic(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        context.every(Duration::ZERO, || Message::Note(1));
    })
    .await;
    sync(&puppet).await;
    let snapshot = tree.snapshot();
    let last = snapshot.child("puppet").unwrap().last_exit.clone().unwrap();
    assert_eq!(last.to_string(), "panicked: a timer needs a period longer than zero");
    tree.shutdown().await;
}

/// A script of timers that are set and cancelled, against a list.
#[apply(sim_test)]
async fn random_scripts(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let clock = runtime.clock().clone();
    let start = clock.now();
    let mut model: Vec<(u32, weirs_runtime::Instant)> = Vec::new();
    let mut keys: Vec<(u32, SourceKey)> = Vec::new();
    for note in 0..60 {
        match clock.random_below(4) {
            0 | 1 => {
                let delay = Duration::from_secs(clock.random_below(20));
                let at = clock.now() + delay;
                let (sender, receiver) = smol::channel::bounded(1);
                run(&puppet, move |context| {
                    sender.try_send(context.after(delay, Message::Note(note))).unwrap();
                })
                .await;
                keys.push((note, receiver.recv().await.unwrap()));
                // Behind all that are due at the same time.
                let place = model.partition_point(|(_, other)| *other <= at);
                model.insert(place, (note, at));
            }
            2 if !keys.is_empty() => {
                let (note, key) = keys.swap_remove(clock.random_below(keys.len() as u64) as usize);
                run(&puppet, move |context| context.cancel(key)).await;
                sync(&puppet).await;
                // What is due by now may have come before it was cancelled.
                model.retain(|(other, _)| *other != note || log.notes().contains(&note));
            }
            _ => clock.sleep(Duration::from_secs(clock.random_below(5))).await,
        }
    }
    clock.sleep(100 * SECOND).await;
    assert_eq!(log.times(), model, "{start:?}");
    tree.shutdown().await;
}
