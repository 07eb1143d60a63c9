//! The promises of the client's throttle and of shedding.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_limiters::{Class as Importance, PriorityShedder, Throttle};
use weirs_resilience::{Bulkhead, Class, Error, Limited, Reason, Shed, Stack};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[apply(runtime_test)]
async fn a_throttle_spares_a_server_that_refuses(runtime: Runtime) {
    let throttle = Throttle::builder().clock(runtime.clock().clone()).build();
    let stack = Stack::builder().clock(runtime.clock()).throttle(&throttle).build().unwrap();
    let asked = Cell::new(0);
    let ask = async |answer: Result<(), &'static str>| {
        let call = stack.call(async |_| {
            asked.set(asked.get() + 1);
            answer
        });
        call.await
    };
    for _ in 0..50 {
        assert_eq!(ask(Ok(())).await, Ok(()));
    }
    let mut turned_away = 0;
    for _ in 0..1_000 {
        let error = ask(Err("too busy")).await.unwrap_err();
        turned_away += usize::from(error.rejected() == Some(Reason::Throttled));
    }
    assert!(turned_away > 500, "{turned_away}");
    assert_eq!(asked.get(), 1_050 - turned_away, "who is turned away is not asked");
    // Each was counted once, those turned away as well.
    assert_eq!((throttle.stats().requests, throttle.stats().done), (1_050, 50));
}

/// go-zero#5011: requests to a server that hangs were counted by nobody, so nothing was spared. Here each
/// that began counts, whether the limit of time is further in or further out.
#[apply(sim_test)]
async fn go_zero_5011_a_server_that_hangs_is_spared(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for further_out in [true, false] {
        let throttle = Throttle::builder().clock(clock.clone()).build();
        let hangs = async |_| std::future::pending::<Result<(), ()>>().await;
        let mut asked = 0;
        for _ in 0..300 {
            let error = if further_out {
                let stack = Stack::builder().clock(&clock).timeout(ms(10)).throttle(&throttle);
                stack.build().unwrap().call(hangs).await.unwrap_err()
            } else {
                let stack = Stack::builder().clock(&clock).throttle(&throttle).timeout(ms(10));
                stack.build().unwrap().call(hangs).await.unwrap_err()
            };
            asked += usize::from(error.is_timeout());
        }
        assert!(asked < 100, "{asked}");
        assert_eq!((throttle.stats().requests, throttle.stats().done), (300, 0));
    }
}

#[apply(runtime_test)]
async fn what_the_server_looked_at_is_no_refusal(runtime: Runtime) {
    let throttle = Throttle::builder().clock(runtime.clock().clone()).build();
    let judge = |_: &Result<(), Error<()>>| Class::Permanent;
    let stack = Stack::builder()
        .clock(runtime.clock())
        .policy(Limited::throttling(&throttle).judging(judge))
        .build()
        .unwrap();
    for _ in 0..100 {
        assert_eq!(stack.call(async |_| Err(())).await, Err(Error::Inner(())));
    }
    assert_eq!((throttle.stats().requests, throttle.stats().done), (100, 100));
    // Whom somebody further in refuses says nothing about the server.
    let full = Bulkhead::new(1);
    let _place = full.try_enter().unwrap();
    let stack = Stack::builder().clock(runtime.clock()).throttle(&throttle).bulkhead(&full).build().unwrap();
    for _ in 0..100 {
        let refused = stack.call(async |_| Ok::<_, ()>(())).await.unwrap_err();
        assert_eq!(refused.rejected(), Some(Reason::BulkheadFull));
    }
    assert_eq!(throttle.stats().requests, 100);
}

#[apply(runtime_test)]
async fn the_least_important_is_shed(runtime: Runtime) {
    let shedder = Arc::new(PriorityShedder::new(runtime.clock().clone()));
    let of = |importance: Importance| {
        let shed = Shed::by_priority(Arc::clone(&shedder), importance);
        Stack::builder().clock(runtime.clock()).policy(shed).build().unwrap()
    };
    let (people, robots) = (of(Importance::High), of(Importance::Background));
    for _ in 0..100 {
        assert_eq!(people.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
        assert_eq!(robots.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
    }
    shedder.set_rate(0.5);
    for _ in 0..20 {
        assert_eq!(people.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
        let refused = robots.call(async |_| Ok::<_, ()>(1)).await.unwrap_err();
        assert_eq!(refused.rejected(), Some(Reason::Shed));
    }
}

/// It is asked once for each attempt that comes, not once for each poll.
#[apply(runtime_test)]
async fn who_is_let_in_stays_in(runtime: Runtime) {
    let asked = Cell::new(0);
    let admit = |_: &weirs_resilience::Attempt| {
        asked.set(asked.get() + 1);
        Ok(())
    };
    let stack = Stack::builder().clock(runtime.clock()).shed(admit).build().unwrap();
    let make = || {
        stack.call(async |_| {
            yield_now().await;
            yield_now().await;
            Ok::<_, ()>(())
        })
    };
    make().await.unwrap();
    assert_eq!(asked.replace(0), 1);
    cancel_at_every_poll(make, async |k| assert_eq!(asked.replace(0), i32::from(k > 0), "{k}")).await;
}
