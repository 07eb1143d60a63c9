//! The promises of a stack, whatever policies are in it.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_resilience::{
    Attempt, Breaker, Budget, Bulkhead, Chain, Chaos, Degradation, Dynamic, Error, Faults, Hedge, Lint, Plan,
    Policy, Reason, Report, Retry, Root, SingleShot, Stack, StackBuilder, Stats, Timeout, timeout,
};
use weirs_runtime::{Clock, Runtime};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[apply(runtime_test)]
async fn a_call_gives_what_the_work_gives(runtime: Runtime) {
    let stack =
        Stack::builder().clock(runtime.clock()).timeout(ms(60_000)).timeout(ms(50_000)).build().unwrap();
    let name = String::from("anna");
    let call = stack.call(async |at| {
        yield_now().await;
        if at.number() == 1 { Ok(name.len()) } else { Err("no") }
    });
    assert_eq!(call.await, Ok(4));
    let failed = stack.call(async |_| Err::<(), _>("broken")).await;
    assert_eq!(failed, Err(Error::Inner("broken")));
}

#[apply(sim_test)]
async fn the_inner_limit_strikes_first(runtime: Runtime) {
    let stack = Stack::builder().clock(runtime.clock()).timeout(ms(20)).timeout(ms(5)).build().unwrap();
    let start = runtime.clock().now();
    let error = stack.call(async |_| std::future::pending::<Result<(), ()>>().await).await.unwrap_err();
    assert_eq!(runtime.clock().now() - start, ms(5));
    match error {
        Error::Timeout(timed_out) => {
            assert_eq!((timed_out.after(), timed_out.place().index()), (ms(5), Some(1)));
        }
        other => panic!("{other:?}"),
    }
}

#[apply(sim_test)]
async fn the_work_knows_how_much_time_it_has(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let stack = Stack::builder().clock(&clock).timeout(ms(20)).build().unwrap();
    let left = stack
        .call(async |at| {
            assert_eq!(at.deadline(&clock), Some(clock.now() + ms(20)));
            clock.sleep(ms(5)).await;
            let store = Stack::builder().clock(&clock).deadline().build().unwrap();
            let under = store.call(async |inner| {
                clock.sleep(ms(1)).await;
                Ok::<_, ()>((inner.remaining(), inner.depth()))
            });
            under.under(at).await
        })
        .await;
    // It is the most that it can have: nobody had to wait when the outer attempt began.
    assert_eq!(left, Ok((Some(ms(20)), 1)));
}

#[apply(sim_test)]
async fn a_call_keeps_its_own_deadline(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let stack = Stack::builder().clock(&clock).deadline().build().unwrap();
    let start = clock.now();
    let late = stack.call(async |_| std::future::pending::<Result<(), ()>>().await).by(start + ms(3)).await;
    assert!(late.unwrap_err().is_timeout());
    assert_eq!(clock.now() - start, ms(3));
    let refused = stack.call(async |_| Ok::<_, ()>(())).by(start).await;
    assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Deadline));
    stack.call(async |_| Ok::<_, ()>(())).await.unwrap();
}

#[apply(runtime_test)]
async fn the_work_is_dropped_at_every_poll(runtime: Runtime) {
    let stack = Stack::builder().clock(runtime.clock()).timeout(ms(60_000)).build().unwrap();
    let lives = Cell::new(0);
    struct Lives<'l>(&'l Cell<i32>);
    impl Drop for Lives<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let make = || {
        stack.call(async |_| {
            lives.set(lives.get() + 1);
            let _alive = Lives(&lives);
            yield_now().await;
            yield_now().await;
            Ok::<_, ()>(())
        })
    };
    cancel_at_every_poll(make, async |_| assert_eq!(lives.get(), 0)).await;
}

#[test]
fn settings_that_make_no_sense_are_an_error_at_build() {
    let invalid = Stack::builder().timeout(Duration::ZERO).build().unwrap_err();
    assert_eq!(invalid.field(), "timeout.after");
    // Alone, every call is refused.
    let refused = weirs_runtime::block_on(timeout(Duration::ZERO).call(async |_| Ok::<_, ()>(())));
    assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Invalid));
}

/// The work borrows, and the call is `Send` all the same: in concrete code, and in generic code.
#[test]
fn calls_that_borrow_are_send() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    async fn fetch(name: &str) -> Result<usize, ()> {
        yield_now().await;
        Ok(name.len())
    }
    let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let name = String::from("anna");
    let work = async move {
        let stack = Stack::builder()
            .clock(&Clock::default())
            .timeout(ms(60_000))
            .timeout(ms(50_000))
            .build()
            .unwrap();
        stack.call(async |_| fetch(&name).await).await
    };
    assert_eq!(pool.block_on(pool.spawn(sent(work))).unwrap(), Ok(4));
    let name = String::from("boris");
    let work = async move {
        let stack = timeout(ms(60_000));
        stack.call(|_| fetch(&name)).await
    };
    assert_eq!(smol::block_on(smol::spawn(work)), Ok(5));
}

#[test]
fn an_error_is_little_more_than_the_works_own() {
    assert!(size_of::<Error<u64>>() <= size_of::<u64>() + 24);
    assert!(size_of::<Error<()>>() <= 24);
}

/// Generic code too: nothing is needed beside the policies' states.
#[test]
fn calls_in_generic_code_are_send() {
    async fn through<P, S>(stack: Arc<Stack<P>>, name: String) -> Result<usize, Error<()>>
    where
        P: Policy<usize, (), State = S>,
        S: Send,
    {
        let deadline = stack.clock().now() + ms(60_000);
        let under = stack.call(async |_| Ok(name.len())).by(deadline).await?;
        let reported = stack
            .call_reported(async |at| {
                yield_now().await;
                stack.call(async |_| Ok(name.len())).under(at).await.map_err(|_| ())
            })
            .await;
        Ok(under + reported.result?)
    }
    async fn once<P>(stack: &Stack<P>, name: &str) -> Result<usize, Error<()>>
    where
        P: Policy<usize, (), State: Send> + SingleShot,
    {
        stack
            .call_once(async {
                yield_now().await;
                Ok(name.len())
            })
            .await
    }
    fn spawn<P>(stack: Stack<P>) -> usize
    where
        P: Policy<usize, (), State: Send> + SingleShot + Send + Sync + 'static,
    {
        let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let stack = Arc::new(stack);
        let first = pool.block_on(pool.spawn(through(stack.clone(), String::from("anna")))).unwrap().unwrap();
        let second = smol::block_on(smol::spawn(through(stack.clone(), String::from("boris")))).unwrap();
        let third =
            smol::block_on(smol::spawn(async move { once(&stack, &String::from("carl")).await })).unwrap();
        first + second + third
    }
    assert_eq!(spawn(Stack::builder().deadline().timeout(ms(60_000)).build().unwrap()), 8 + 10 + 4);
    let dynamic = Stack::dynamic().deadline().timeout(ms(60_000)).build_single_shot().unwrap();
    assert_eq!(spawn(dynamic), 8 + 10 + 4);
}

/// Through all policies, in both forms: the closure borrows from the task that it is in, and the task may go
/// to another thread in the middle of the call.
#[test]
fn calls_that_borrow_through_all_policies_are_spawned() {
    async fn fetch(name: &str, at: Attempt) -> Result<usize, String> {
        yield_now().await;
        Ok(name.len() + at.number() as usize)
    }
    let breaker = Breaker::consecutive(5).build().unwrap();
    let budget = Budget::default();
    let quota = Quota::new(Rate::per_second(1_000), 1_000).unwrap();
    let whole = |add: StackBuilder<Root>| {
        add.fallback(|error: &Error<String>| error.is_circuit_open().then_some(0))
            .timeout(ms(60_000))
            .retry(Retry::exponential(ms(50)).retries(2).budget(&budget))
            .hedge(Hedge::after(ms(50_000)).budget(&budget))
            .rate_limit(RateLimiter::new(quota))
            .breaker(&breaker)
            .bulkhead(Arc::new(Bulkhead::new(100)))
            .timeout(ms(30_000))
            .chaos(Chaos::always(Faults::new()))
    };
    let known = Arc::new(whole(Stack::builder()).build_strict().unwrap());
    let dynamic = Arc::new(Stack::dynamic().layer(whole).build_strict().unwrap());
    let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();

    let (stack, name) = (Arc::clone(&known), String::from("anna"));
    let first = pool.spawn(async move { stack.call(async |at| fetch(&name, at).await).await });
    let (stack, name) = (Arc::clone(&dynamic), String::from("boris"));
    let second = pool.spawn(async move { stack.call(async |at| fetch(&name, at).await).await });
    let (stack, name) = (known, String::from("carl"));
    let third = smol::spawn(async move { stack.call(|at| fetch(&name, at)).await });
    let (stack, name) = (dynamic, String::from("dora"));
    let fourth = smol::spawn(async move { stack.call_reported(|at| fetch(&name, at)).await.result });
    let all = async { (first.await.unwrap(), second.await.unwrap(), third.await, fourth.await) };
    assert_eq!(pool.block_on(all), (Ok(5), Ok(6), Ok(5), Ok(5)));
}

/// What is `Send` and `Sync` stays so.
#[test]
fn auto_traits() {
    fn shared<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    fn threads<T: Send + Sync + Unpin>() {}
    shared::<Attempt>();
    shared::<Error<u8>>();
    shared::<Report<u8, u8>>();
    shared::<Plan>();
    shared::<Lint>();
    shared::<Degradation>();
    shared::<Stats>();
    threads::<Stack<Chain<Root, Timeout>>>();
    threads::<Stack<Dynamic<Cell<u8>, Cell<u8>>>>();
    threads::<StackBuilder<Chain<Root, Timeout>>>();
    fn sent<T: Send>(_: T) {}
    let stack = timeout(ms(1));
    sent(stack.call(async |_| Ok::<_, ()>(Cell::new(1))));
    sent(stack.call_once(async { Ok::<_, ()>(()) }));
    sent(stack.call_reported(async |_| Ok::<_, ()>(())));
}

#[apply(runtime_test)]
async fn clones_count_together(runtime: Runtime) {
    let stack = Stack::builder().clock(runtime.clock()).timeout(Duration::from_nanos(1)).build().unwrap();
    let clone = stack.clone();
    clone.call(async |_| std::future::pending::<Result<(), ()>>().await).await.unwrap_err();
    assert_eq!((stack.stats().timeouts, clone.stats().timeouts), (1, 1));
}

/// A call that was never polled did nothing, and one that is polled after its end says so.
#[test]
fn calls_are_lazy_and_end_once() {
    let begun = Cell::new(0);
    let stack = timeout(ms(60_000));
    let work = async |_| {
        begun.set(begun.get() + 1);
        Ok::<_, ()>(())
    };
    drop(stack.call(work));
    assert_eq!(begun.get(), 0);
    let mut call = Box::pin(stack.call(work));
    let mut poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_ready());
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).unwrap_err();
}

/// Dropped by a time limit, or with the call: what panics then is heard of after everybody has given back.
#[apply(sim_test)]
async fn a_destructor_that_panics_keeps_no_place(runtime: Runtime) {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let places = Bulkhead::new(1);
    let stack = Stack::builder().clock(runtime.clock()).timeout(ms(5)).bulkhead(&places).build().unwrap();
    let hang = || {
        stack.call(async |_| {
            let _bomb = Bomb;
            std::future::pending::<Result<(), ()>>().await
        })
    };
    assert!(AssertUnwindSafe(hang()).catch_unwind().await.is_err());
    assert_eq!(places.stats().taken, 0);

    let mut call = Box::pin(hang());
    assert!(futures_lite::future::poll_once(&mut call).await.is_none());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call))).is_err());
    assert_eq!(places.stats().taken, 0);
}
