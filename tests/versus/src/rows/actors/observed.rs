//! What it costs to look: tells with an observer and with snapshots, and a snapshot of many.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weirs_actors::supervise::Supervisor;
use weirs_runtime::Runtime;

use super::Work;
use super::ours::{Message, our_spec, our_specs};
use crate::measure::{Effort, Experiment, wall};
use crate::row::{Row, Samples};
use crate::rows::hosts::{Host, TokioCurrentThread};

/// Tells between two snapshots.
const BETWEEN: u64 = 1_000;
const NODES: u64 = 100_000;

/// The tells of the row `tell`, while somebody listens to the tree and looks at it now and then.
pub(super) fn our_observed(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let events = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&events);
        let (address, spec) = our_spec(0);
        let supervisor = Supervisor::one_for_one().observe(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let tree = supervisor.child(spec).start(&runtime).await.expect("it starts");
        for number in 0..times {
            address.tell(Message::Add(1)).await.expect("it lives");
            if number % BETWEEN == 0 {
                black_box(tree.snapshot());
            }
        }
        assert_eq!(address.ask(Message::Get).await.expect("it lives"), times);
        tree.shutdown().await;
        assert!(events.load(Ordering::Relaxed) > 0);
    })
}

/// A snapshot of 100,000 actors: what each of them takes. 500 nanoseconds would be 50 milliseconds for all.
pub(super) fn snapshot() -> Experiment {
    Experiment::new([Row::alone("actors/snapshot-of-100000/node")], |effort: Effort| {
        let host = TokioCurrentThread::new();
        let runtime = host.runtime();
        Ok(vec![Samples::Alone(host.run(async move {
            let (_, specs) = our_specs(NODES);
            let tree = Supervisor::one_for_one().children(specs).start(&runtime).await.expect("it starts");
            let look =
                |_| wall(NODES, || assert_eq!(black_box(tree.snapshot()).count() as u64, NODES + 1))[0];
            let taken = (0..effort.rounds).map(look).collect();
            tree.kill().await;
            taken
        }))])
    })
}
