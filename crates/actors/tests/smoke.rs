//! The first steps of a tree, on every runtime.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_actors::Exit;
use weirs_actors::supervise::{Incarnation, Spec, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::runtime_test;

type Log = Arc<Mutex<Vec<String>>>;

fn child(log: &Log, id: &'static str) -> Spec {
    let log = Arc::clone(log);
    Spec::task(id, move |life: Incarnation| {
        let log = Arc::clone(&log);
        async move {
            log.lock().unwrap().push(format!("{id} starts"));
            life.cancelled().await;
            log.lock().unwrap().push(format!("{id} stops"));
        }
    })
}

runtime_test! {
    async fn starts_in_order_and_stops_in_reverse(runtime: Runtime) {
        let log = Log::default();
        let tree = Supervisor::one_for_one()
            .child(child(&log, "a"))
            .child(child(&log, "b"))
            .child(Spec::tree("below", {
                let log = log.clone();
                move || Supervisor::one_for_all().child(child(&log, "c")).child(child(&log, "d"))
            }))
            .name("app")
            .start(&runtime)
            .await
            .unwrap();
        let snapshot = tree.snapshot();
        assert_eq!(snapshot.count(), 6, "{snapshot}");
        let report = tree.shutdown().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stopped, 5);
        let log = log.lock().unwrap().join(", ");
        assert_eq!(
            log,
            "a starts, b starts, c starts, d starts, d stops, c stops, b stops, a stops"
        );
    }
}

runtime_test! {
    async fn a_panic_restarts_and_too_many_give_up(runtime: Runtime) {
        let log = Log::default();
        let mut tree = Supervisor::one_for_one()
            .intensity(2, Duration::from_secs(3600))
            .child(child(&log, "a"))
            .child(Spec::task("b", async |life: Incarnation| {
                assert!(life.number() < 1, "life {}", life.number());
            }).transient())
            .start(&runtime)
            .await;
        // Its first start fails.
        assert!(tree.is_err());
        let yields = || async { for _ in 0..3 { futures_lite::future::yield_now().await; } };
        tree = Supervisor::one_for_one()
            .intensity(2, Duration::from_secs(3600))
            .child(child(&log, "a"))
            .child(Spec::task("b", move |life: Incarnation| async move {
                yields().await;
                assert!(life.number() < 1, "life {}", life.number());
            }).transient())
            .start(&runtime)
            .await;
        let exit = tree.unwrap().wait().await;
        let Exit::GaveUp(why) = exit else { panic!("{exit}") };
        assert_eq!(why.to_string(), "b: panicked: life 3");
    }
}
