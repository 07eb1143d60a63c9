//! Messages that have to be acknowledged, in bad company: receipts that panic, and workers that are lost.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::future::yield_now;
use futures_lite::{StreamExt, stream};
use weirs_pipelines::{AckError, Delivery, Receipt, WorkerPool, ack_each};
use weirs_runtime::Runtime;
use weirs_testing::sim::{Explore, Faults};
use weirs_testing::{apply, runtime_test, yields};

/// A connection that is gone.
struct Gone(Arc<AtomicU64>);

impl Receipt for Gone {
    fn ack(self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("nobody hears of it");
    }

    fn nack(self) {
        self.ack();
    }
}

#[apply(runtime_test)]
async fn a_receipt_that_panics_while_its_job_does(runtime: Runtime) {
    let told = Arc::new(AtomicU64::new(0));
    let work = async |delivery: Delivery<u64, Gone>| {
        delivery
            .with(async |n| match n {
                0 => panic!("a job"),
                1 => Err("an error"),
                _ => Ok(n),
            })
            .await
    };
    let pool = WorkerPool::builder(work).workers(1).discard_results().build(&runtime).unwrap();
    for n in 0..4 {
        pool.submit(Delivery::new(n, Gone(Arc::clone(&told)))).await.unwrap();
    }
    let settled = pool.shutdown(Duration::MAX).await.settled;
    assert_eq!((settled.ended(), settled.panicked), (4, 2));
    assert_eq!(told.load(Ordering::Relaxed), 4);
}

/// A receipt that counts how many are out.
struct Out(Arc<AtomicU64>);

impl Receipt for Out {
    fn ack(self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn nack(self) {
        self.ack();
    }
}

#[apply(runtime_test)]
async fn no_more_messages_are_out_than_is_said(runtime: Runtime) {
    let out = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicU64::new(0));
    let source = {
        let (out, most) = (Arc::clone(&out), Arc::clone(&most));
        stream::iter(0..300_u64).map(move |n| {
            most.fetch_max(out.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            Delivery::new(n, Out(Arc::clone(&out)))
        })
    };
    let (sender, receiver) = futures::channel::mpsc::channel::<u64>(0);
    let work = ack_each(&runtime, source, 3, async |n| Ok::<_, Infallible>(n), sender);
    let reads = async {
        let mut receiver = receiver;
        let mut number = 0;
        while receiver.next().await.is_some() {
            yields(5).await;
            number += 1;
        }
        number
    };
    let (counts, number) = futures::join!(work, reads);
    assert_eq!((counts.unwrap().acked, number), (300, 300));
    let most = most.load(Ordering::Relaxed);
    // Six that are on their way, and those that wait to be flushed.
    assert!(most <= 6 + 64, "{most} are out");
}

#[test]
fn a_source_whose_workers_are_lost_is_not_said_to_be_done() {
    let faults = Faults::new().cancel_task("worker 0", 4).cancel_task("worker 1", 3);
    Explore::new().faults(faults).seeds(0..60).run(|runtime| async move {
        let out = Arc::new(AtomicU64::new(0));
        let source = {
            let out = Arc::clone(&out);
            stream::iter(0..100_u64).map(move |n| {
                out.fetch_add(1, Ordering::Relaxed);
                Delivery::new(n, Out(Arc::clone(&out)))
            })
        };
        let work = async |n| {
            yield_now().await;
            Ok::<_, Infallible>(n)
        };
        let ended = ack_each(&runtime, source, 2, work, futures::sink::drain::<u64>()).await;
        let Err(AckError::Lost(counts)) = ended else { panic!("{ended:?}") };
        assert!(counts.acked < 100);
        // All receipts were given.
        assert_eq!(out.load(Ordering::Relaxed), 0);
    });
}
