//! Or-done: a stream until a signal.

mod routing;

use std::future::{pending, ready};
use std::time::Duration;

use futures::{StreamExt, stream};
use routing::{panic_of, poll, size, yielding};
use weirs_channels_utils::{OrDoneEnd, StreamUtil, bounded};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn it_ends_with_its_source(_runtime: Runtime) {
    let mut items = yielding(0..5).or_done(pending::<()>());
    assert_eq!(items.by_ref().collect::<Vec<_>>().await, [0, 1, 2, 3, 4]);
    assert_eq!((items.end(), items.stopped_by()), (Some(OrDoneEnd::Ended), None));
    assert_eq!(items.next().await, None);
}

#[apply(runtime_test)]
async fn when_both_are_ready_the_signal_is_first_and_items_are_untouched(_runtime: Runtime) {
    let (sender, receiver) = bounded(size(4));
    for number in 0..3 {
        sender.try_send(number).unwrap();
    }
    let mut items = receiver.or_done(ready("stop"));
    assert_eq!(items.next().await, None);
    assert_eq!((items.end(), items.stopped_by()), (Some(OrDoneEnd::Stopped), Some(&"stop")));
    assert_eq!(items.into_inner().remaining().collect::<Vec<_>>(), [0, 1, 2]);
}

#[apply(runtime_test)]
async fn a_signal_wakes_whoever_waits(runtime: Runtime) {
    let (sender, receiver) = bounded::<u8>(size(1));
    let (stop, mut stopped) = bounded::<()>(size(1));
    let consumer = runtime.spawn(async move {
        let signal = async move { stopped.recv().await };
        let mut items = Box::pin(receiver.or_done(signal));
        let taken = items.by_ref().count().await;
        (taken, items.stopped_by().copied())
    });
    sender.send(1).await.unwrap();
    while !sender.is_empty() {
        yields(1).await;
    }
    // A channel that is closed is a signal.
    drop(stop);
    assert_eq!(consumer.await.unwrap(), (1, Some(None)));
}

#[apply(sim_test)]
async fn a_deadline_is_a_signal(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let start = clock.now();
    let ticks = stream::unfold(clock.clone(), |clock| async move {
        clock.sleep(Duration::from_millis(10)).await;
        Some(((), clock))
    });
    let items = ticks.boxed().or_done(clock.sleep(Duration::from_millis(35)));
    assert_eq!(items.count().await, 3);
    assert_eq!(clock.now() - start, Duration::from_millis(35));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_it_loses_nothing(_runtime: Runtime) {
    let (sender, receiver) = bounded(size(4));
    let make = || {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        async move {
            let mut items = receiver.or_done(pending::<()>());
            yields(1).await;
            sender.send(7).await.unwrap();
            yields(1).await;
            items.next().await
        }
    };
    let check = async |_| while receiver.clone().try_recv().is_ok() {};
    assert_eq!(cancel_at_every_poll(make, check).await, 2);
    cancel_at_every_wake(make, check).await;
    assert_eq!(sender.stats().receivers_waiting, 0);
}

#[test]
fn a_panic_ends_it() {
    let mut items = stream::poll_fn::<u8, _>(|_| panic!("source")).or_done(pending::<()>());
    assert_eq!(panic_of(&mut items), "source");
    assert!(poll(&mut items).is_ready());
    assert_eq!(items.end(), None);
}
