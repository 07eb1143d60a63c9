//! A selector over many rounds.

use std::future::{pending, ready};
use std::sync::Mutex;
use std::time::Duration;

use futures_lite::StreamExt;
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{OneOf2, OneOf3, Select};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (jobs_in, jobs) = async_channel::bounded(1);
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let worker = runtime.spawn(async move {
        let (mut select, mut sum) = (Select::new(), 0);
        loop {
            match select.next((jobs.recv(), stopped.recv())).await {
                OneOf2::First(job) => sum += job.unwrap_or(0),
                OneOf2::Second(_) => return sum,
            }
        }
    });
    for job in [1, 2, 3] {
        jobs_in.send(job).await.unwrap();
    }
    while !jobs_in.is_empty() {
        yields(1).await;
    }
    drop(stop);
    assert_eq!(worker.await.unwrap(), 6);
}

#[test]
fn those_that_are_always_ready_take_turns() {
    let mut select = Select::new();
    let mut order = String::new();
    for _ in 0..4 {
        order += block_on(select.next((ready("a"), ready("b"), ready("c")))).into_inner();
    }
    assert_eq!(order, "abca");
    // Whoever is not ready between them gives its turn to nobody twice.
    let mut counts = [0; 3];
    for _ in 0..100 {
        match block_on(select.next((ready(()), pending::<()>(), ready(())))) {
            OneOf3::First(()) => counts[0] += 1,
            OneOf3::Second(()) => counts[1] += 1,
            OneOf3::Third(()) => counts[2] += 1,
        }
    }
    assert_eq!(counts, [50, 0, 50]);
    for number in [3, 100] {
        let winners = (0..2 * number).map(|_| block_on(select.next(vec![ready(()); number])).unwrap().0);
        let mut counts = vec![0; number];
        winners.for_each(|winner| counts[winner] += 1);
        assert_eq!(counts, vec![2; number]);
    }
}

#[test]
fn asking_does_not_wait() {
    let (sender, receiver) = async_channel::bounded::<u32>(4);
    let mut select = Select::new();
    assert_eq!(select.try_next((receiver.recv(), pending::<()>())), None);
    sender.try_send(7).unwrap();
    assert_eq!(select.try_next((receiver.recv(), pending::<()>())), Some(OneOf2::First(Ok(7))));
    // All are asked, however many.
    let last = (0..1_000).map(|n| async move { if n < 999 { pending().await } else { n } });
    assert_eq!(select.try_next(last.collect::<Vec<_>>()), Some(Some((999, 999))));
    assert_eq!(select.try_next(Vec::<std::future::Ready<()>>::new()), Some(None));
}

#[apply(sim_test)]
async fn streams_and_futures_that_live_on(runtime: Runtime) {
    let clock = runtime.clock();
    let ms = Duration::from_millis;
    let (mut fast, mut slow) = (clock.interval(ms(2)).unwrap(), clock.interval(ms(5)).unwrap());
    let mut end = clock.sleep(ms(11));
    let (mut select, mut seen) = (Select::new(), String::new());
    loop {
        match select.next((fast.next(), slow.next(), &mut end)).await {
            OneOf3::First(_) => seen.push('f'),
            OneOf3::Second(_) => seen.push('s'),
            OneOf3::Third(()) => break,
        }
    }
    // At 2, 4, 5, 6, 8; both at 10, where it is the slow one's turn, for the fast one won the round before.
    assert_eq!(seen, "ffsffsf");
}

#[apply(runtime_test)]
async fn a_message_is_received_or_still_there(_: Runtime) {
    let channels = &Mutex::new(None);
    let make = || {
        let (a, b) = (async_channel::bounded::<u32>(4), async_channel::bounded::<u32>(4));
        let got = std::sync::Arc::new(Mutex::new(Vec::new()));
        *channels.lock().unwrap() = Some((a.1.clone(), b.1.clone(), got.clone()));
        async move {
            for n in 0..3 {
                a.0.send(n).await.unwrap();
                b.0.send(10 + n).await.unwrap();
            }
            let mut select = Select::new();
            for _ in 0..6 {
                let value = select.next((a.1.recv(), b.1.recv())).await.into_inner().unwrap();
                got.lock().unwrap().push(value);
                yields(1).await;
            }
            assert_eq!(*got.lock().unwrap(), [0, 10, 1, 11, 2, 12]);
        }
    };
    let check = async |_: usize| {
        let (a, b, got) = channels.lock().unwrap().take().unwrap();
        let got = got.lock().unwrap().len();
        let left = a.len() + b.len();
        assert!(got + left == 6 || left == 0, "{got} received and {left} there");
        assert!(got == 0 || got + left == 6);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}
