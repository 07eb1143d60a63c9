//! Streams and futures beside an actor.

mod puppets;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use puppets::{Log, Message, run, supervisor, sync, until};
use weirs_runtime::Runtime;
use weirs_testing::{InFlight, apply, runtime_test, sim_test};

#[apply(runtime_test)]
async fn items_are_messages_and_the_end_is_told(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        context.attach_with_end(stream::iter(0..100), Message::Note, Message::Note(1000));
        context.attach(stream::iter(200..210), Message::Note);
        assert_eq!(context.attached(), 2);
    })
    .await;
    until(&runtime, || log.notes().len() == 111).await;
    let notes = log.notes();
    let of = |from: u32, to: u32| -> Vec<u32> {
        notes.iter().copied().filter(|note| (from..to).contains(note)).collect()
    };
    assert_eq!(of(0, 100), (0..100).collect::<Vec<_>>());
    assert_eq!(of(200, 210), (200..210).collect::<Vec<_>>());
    assert_eq!(notes.last(), Some(&1000));
    // Between two that are always ready nobody waits long.
    assert!(notes.iter().position(|note| *note == 209).unwrap() < 30, "{notes:?}");
    run(&puppet, |context| assert_eq!(context.attached(), 0)).await;
    sync(&puppet).await;
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn a_stream_that_is_always_ready_keeps_nobody_waiting(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        context.attach(stream::repeat(7), Message::Note);
        context.attach(stream::repeat(8), Message::Note);
    })
    .await;
    let (open, gate) = smol::channel::bounded(1);
    puppet.tell(Message::Hold(gate)).await.unwrap();
    for note in 0..50 {
        puppet.tell(Message::Note(100 + note)).await.unwrap();
    }
    open.send(()).await.unwrap();
    sync(&puppet).await;
    let notes = log.notes();
    let told: Vec<_> = notes.iter().copied().filter(|note| *note >= 100).collect();
    assert_eq!(told, (100..150).collect::<Vec<_>>());
    let first = notes.iter().position(|note| *note == 100).unwrap();
    let last = notes.iter().position(|note| *note == 149).unwrap();
    assert!(last - first <= 100, "{first} {last}");
    let (seven, eight) =
        (notes.iter().filter(|n| **n == 7).count(), notes.iter().filter(|n| **n == 8).count());
    assert!(seven.abs_diff(eight) <= 1, "{seven} {eight}");
    // Nor does it keep the actor from being stopped.
    assert!(tree.shutdown().await.is_clean());
}

#[apply(runtime_test)]
async fn a_stream_is_polled_only_when_the_actor_is_free(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let (open, gate) = smol::channel::bounded(1);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let holds = vec![Some(gate), None, None];
    let items = stream::iter(holds).inspect(move |_| {
        counted.fetch_add(1, SeqCst);
    });
    run(&puppet, move |context| {
        context.attach(items, |hold| hold.map_or(Message::Note(1), Message::Hold));
    })
    .await;
    until(&runtime, || taken.load(SeqCst) == 1).await;
    for _ in 0..20 {
        futures_lite::future::yield_now().await;
    }
    assert_eq!(taken.load(SeqCst), 1);
    open.send(()).await.unwrap();
    until(&runtime, || log.notes().len() == 2).await;
    assert_eq!(taken.load(SeqCst), 3);
    tree.shutdown().await;
}

/// Counts its polls, and gives what comes through a channel.
struct Counted {
    polls: Arc<AtomicUsize>,
    items: Pin<Box<smol::channel::Receiver<u32>>>,
    _here: Option<weirs_testing::InFlightGuard>,
}

impl Stream for Counted {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<u32>> {
        self.polls.fetch_add(1, SeqCst);
        self.items.as_mut().poll_next(cx)
    }
}

#[apply(sim_test)]
async fn many_streams_cost_as_much_as_those_that_are_ready(runtime: Runtime) {
    const MANY: usize = 300;
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let (senders, streams): (Vec<_>, Vec<_>) = (0..MANY)
        .map(|_| {
            let (sender, items) = smol::channel::bounded(1);
            (sender, Counted { polls: Arc::clone(&polls), items: Box::pin(items), _here: None })
        })
        .unzip();
    run(&puppet, move |context| {
        for stream in streams {
            context.attach(stream, Message::Note);
        }
    })
    .await;
    runtime.clock().sleep(Duration::from_secs(1)).await;
    assert_eq!(polls.swap(0, SeqCst), MANY);
    for (note, sender) in senders.iter().step_by(10).enumerate() {
        sender.send(note as u32).await.unwrap();
    }
    runtime.clock().sleep(Duration::from_secs(1)).await;
    assert_eq!(log.notes().len(), MANY / 10);
    // Each that gave one is asked once more.
    assert!(polls.load(SeqCst) <= 2 * MANY / 10, "{polls:?}");
    drop(senders);
    runtime.clock().sleep(Duration::from_secs(1)).await;
    run(&puppet, |context| assert_eq!(context.attached(), 0)).await;
    sync(&puppet).await;
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn streams_and_futures_end_with_the_life_or_when_they_are_cancelled(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let there = InFlight::new();
    let (_sender, items) = smol::channel::bounded::<u32>(1);
    for _ in 0..2 {
        let (inside, items) = (there.clone(), items.clone());
        run(&puppet, move |context| {
            for cancelled in [false, true] {
                let polls = Arc::default();
                let stream = Counted { polls, items: Box::pin(items.clone()), _here: Some(inside.enter()) };
                let attached = context.attach(stream, Message::Note);
                let here = inside.enter();
                let piped = context.pipe(
                    async move {
                        let _here = here;
                        std::future::pending::<u32>().await
                    },
                    Message::Note,
                );
                if cancelled {
                    context.cancel(attached);
                    context.cancel(piped);
                }
            }
        })
        .await;
        sync(&puppet).await;
        assert_eq!(there.now(), 2);
        puppet.tell(Message::Panic).await.unwrap();
        sync(&puppet).await;
        assert_eq!(there.now(), 0);
    }
    let inside = there.clone();
    run(&puppet, move |context| {
        let items = Box::pin(items);
        let stream = Counted { polls: Arc::default(), items, _here: Some(inside.enter()) };
        context.attach(stream, Message::Note);
    })
    .await;
    sync(&puppet).await;
    tree.shutdown().await;
    assert_eq!(there.now(), 0);
}

#[apply(runtime_test)]
async fn a_future_goes_on_while_a_handler_waits(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let (open, gate) = smol::channel::bounded(1);
    let (begin, begun) = smol::channel::bounded::<()>(1);
    run(&puppet, move |context| {
        context.pipe(
            async move {
                begun.recv().await.unwrap();
                futures_lite::future::yield_now().await;
                // The handler that waits is let go on by the future beside it.
                open.send(()).await.unwrap();
                5
            },
            Message::Note,
        );
    })
    .await;
    puppet.tell(Message::Hold(gate)).await.unwrap();
    begin.send(()).await.unwrap();
    until(&runtime, || log.notes() == [5]).await;
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn an_ask_in_a_future_is_no_wait_of_the_actor(runtime: Runtime) {
    let log = Log::default();
    let (one, first) = log.spec("one");
    let (two, second) = log.spec("two");
    let tree = supervisor().child(first).child(second).start(&runtime).await.unwrap();
    let other = two.clone();
    run(&one, move |context| {
        let me = context.address();
        // Two asks back: with a plain ask in the handler that would be a cycle.
        let ask = async move { other.ask(|reply| Message::Ask(me, reply)).await.unwrap() };
        context.pipe(ask, |answered| Message::Note(u32::from(answered)));
    })
    .await;
    until(&runtime, || log.notes() == [1]).await;
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn a_panic_beside_is_one_of_the_actor(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    run(&puppet, |context| {
        context.pipe(async { panic!("beside") }, |()| Message::Note(1));
    })
    .await;
    let exit = || tree.snapshot().child("puppet").unwrap().last_exit.clone();
    until(&runtime, || exit().is_some()).await;
    assert_eq!(exit().unwrap().to_string(), "panicked: beside");
    sync(&puppet).await;
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn cancelled_in_time_nothing_comes_of_it(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let (open, gate) = smol::channel::bounded(1);
    let (keys, key) = smol::channel::bounded(1);
    run(&puppet, move |context| {
        keys.try_send(context.pipe(async { 1 }, Message::Note)).unwrap();
    })
    .await;
    // It is ready while this waits, and cancelled before the actor is free.
    puppet.tell(Message::Hold(gate)).await.unwrap();
    let key = key.recv().await.unwrap();
    if log.notes().is_empty() {
        puppet.try_tell_urgent(Message::run(move |context| context.cancel(key))).unwrap();
    }
    open.send(()).await.unwrap();
    sync(&puppet).await;
    assert!(log.notes().is_empty() || log.notes() == [1]);
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn a_watch_tells_of_the_last_end_once(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let (other, second) = log.spec("other");
    let tree = supervisor().child(spec).child(second).start(&runtime).await.unwrap();
    let watched = other.clone();
    run(&puppet, move |context| {
        context.watch(&watched, Message::Ended);
        let key = context.watch(&watched, |_| Message::Note(1));
        context.cancel(key);
    })
    .await;
    // A restart is no end.
    other.tell(Message::Fail).await.unwrap();
    sync(&other).await;
    sync(&puppet).await;
    assert!(log.exits().is_empty());
    tree.stop_child("other").await.unwrap();
    until(&runtime, || log.exits().len() == 1).await;
    // One that is gone is told of at once.
    run(&puppet, move |context| {
        context.watch(&other, Message::Ended);
    })
    .await;
    until(&runtime, || log.exits().len() == 2).await;
    assert_eq!(log.exits(), ["stopped", "stopped"]);
    assert!(log.notes().is_empty());
    tree.shutdown().await;
}
