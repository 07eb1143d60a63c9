//! Sinks made of sinks.

mod routing;

use futures::{SinkExt, StreamExt, stream};
use routing::size;
use weirs_channels_utils::{BatchSink, OverflowSink, SinkToAll, SinkToAny, bounded};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test};

#[apply(runtime_test)]
async fn to_all_waits_for_each_and_goes_on_without_one_that_failed(runtime: Runtime) {
    let (one, first) = bounded(size(1));
    let (two, second) = bounded(size(1));
    let mut sink = SinkToAll::new([one.into_sink(), two.into_sink()]);
    let tasks = [first, second].map(|receiver| runtime.spawn(receiver.take(30).collect::<Vec<_>>()));
    for n in 0..30 {
        sink.send(n).await.unwrap();
    }
    for task in tasks {
        assert!(task.await.unwrap().into_iter().eq(0..30));
    }
    let (one, first) = bounded(size(2));
    let (two, mut second) = bounded(size(2));
    let mut sink = SinkToAll::new([one.into_sink(), two.into_sink()]);
    drop(first);
    assert!(sink.send(1).await.is_err());
    sink.send(2).await.unwrap();
    assert_eq!((sink.len(), second.remaining().collect::<Vec<_>>()), (1, vec![1, 2]));
}

#[apply(runtime_test)]
async fn to_any_takes_the_one_that_is_ready(_runtime: Runtime) {
    let (one, mut first) = bounded(size(1));
    let (two, mut second) = bounded(size(4));
    let mut sink = SinkToAny::new([one.into_sink(), two.into_sink()]);
    sink.send_all(&mut stream::iter((0..5).map(Ok))).await.unwrap();
    assert_eq!(first.remaining().collect::<Vec<_>>(), [0]);
    assert_eq!(second.remaining().collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[apply(runtime_test)]
async fn batches_are_given_on_when_full_flushed_or_closed(_runtime: Runtime) {
    let (sender, receiver) = bounded(size(8));
    let mut sink = BatchSink::new(sender.into_sink(), size(3));
    for n in 0..7 {
        sink.feed(n).await.unwrap();
    }
    assert_eq!(sink.pending(), [6]);
    sink.flush().await.unwrap();
    sink.feed(7).await.unwrap();
    sink.close().await.unwrap();
    let batches = receiver.collect::<Vec<_>>().await;
    assert_eq!(batches, [vec![0, 1, 2], vec![3, 4, 5], vec![6], vec![7]]);
}

#[apply(runtime_test)]
async fn overflow_keeps_the_newest_or_the_oldest_and_counts(_runtime: Runtime) {
    for (oldest, expected) in [(true, [0, 7, 8]), (false, [0, 1, 2])] {
        let (sender, receiver) = bounded(size(1));
        let new = if oldest { OverflowSink::drop_oldest } else { OverflowSink::drop_newest };
        let mut sink = new(sender.into_sink(), size(2));
        for n in 0..9 {
            sink.feed(n).await.unwrap();
        }
        assert_eq!((sink.kept(), sink.dropped()), (2, 6));
        let (closed, items) = futures::join!(sink.close(), receiver.collect::<Vec<_>>());
        closed.unwrap();
        assert_eq!(items, expected);
    }
}
