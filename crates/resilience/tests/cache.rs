//! The promises of the cache and of its slot.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::{poll_once, yield_now};
use weirs_resilience::{
    Cache, CacheSlot, CacheTerms, Class, Error, Event, EventKind, Observer, Place, Reason, Rejection, Stack,
    TimedOut,
};
use weirs_runtime::{Clock, Runtime};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Result<T> = std::result::Result<T, Error<&'static str>>;
type Named = Cache<String, u32, &'static str>;

fn terms(clock: &Clock) -> CacheTerms<u32, &'static str> {
    CacheTerms::ttl(ms(60_000)).clock(clock)
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let cache = Named::new(10, terms(runtime.clock())).unwrap();
    assert_eq!(cache.get("anna", async || Ok(1)).await, Ok(1));
    assert_eq!(cache.get("anna", async || Ok(2)).await, Ok(1));
    assert_eq!(cache.get("boris", async || Ok(2)).await, Ok(2));
    assert_eq!((cache.peek("anna"), cache.peek("clara")), (Some(1), None));
    cache.invalidate("anna");
    assert_eq!(cache.get("anna", async || Err(Error::Inner("no"))).await, Err(Error::Inner("no")));
    cache.insert("anna".to_owned(), 7);
    assert_eq!(cache.get("anna", async || Ok(8)).await, Ok(7));
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.kept, stats.evicted), (2, 3, 2, 0));
    cache.clear();
    assert_eq!((cache.peek("boris"), cache.stats().kept), (None, 0));
}

#[apply(sim_test)]
async fn answers_are_good_for_their_time(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let cache = Cache::<u8, u32, ()>::new(10, CacheTerms::ttl(ms(100)).clock(&clock)).unwrap();
    let slow = async |value| {
        clock.sleep(ms(10)).await;
        Ok(value)
    };
    assert_eq!(cache.get(&1, || slow(1)).await, Ok(1));
    // It counts from when the answer came.
    clock.sleep(ms(100) - Duration::from_nanos(1)).await;
    assert_eq!(cache.get(&1, || slow(2)).await, Ok(1));
    clock.sleep(Duration::from_nanos(1)).await;
    assert_eq!(cache.peek(&1), None);
    assert_eq!(cache.get(&1, || slow(3)).await, Ok(3));
}

#[apply(sim_test)]
async fn the_first_after_a_while_renews_and_others_do_not_wait(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let terms = CacheTerms::ttl(ms(100)).refresh_after(ms(50)).clock(&clock);
    let cache = Cache::<u8, u32, ()>::new(10, terms).unwrap();
    cache.insert(1, 1);
    clock.sleep(ms(50)).await;
    let mut renews = pin!(cache.get(&1, async || {
        clock.sleep(ms(5)).await;
        Ok(2)
    }));
    assert!(poll_once(renews.as_mut()).await.is_none());
    assert_eq!(cache.get(&1, async || Ok(9)).await, Ok(1));
    assert_eq!(renews.await, Ok(2));
    assert_eq!(cache.get(&1, async || Ok(9)).await, Ok(2));
    // A failed renewal is no harm while the answer is good.
    clock.sleep(ms(60)).await;
    assert_eq!(cache.get(&1, async || Err(Error::Inner(()))).await, Ok(2));
}

#[derive(Default)]
struct Ages(Mutex<Vec<(String, Duration)>>);

impl Observer for Ages {
    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::ServedStale { age } = event.kind() {
            self.0.lock().unwrap().push((event.source().to_owned(), age));
        }
    }
}

#[apply(sim_test)]
async fn an_old_answer_is_better_than_an_error(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let ages = Arc::new(Ages::default());
    let terms = CacheTerms::ttl(ms(100)).stale_for(ms(900)).clock(&clock);
    let cache = Cache::<u8, u32, ()>::new(10, terms).unwrap().observed("quotes", ages.clone());
    cache.insert(1, 1);
    let open = Error::Rejected(Rejection::new(Reason::CircuitOpen, Place::ALONE));
    clock.sleep(ms(100)).await;
    assert_eq!(cache.get(&1, async || Err(Error::Inner(()))).await, Ok(1));
    clock.sleep(ms(900) - Duration::from_nanos(1)).await;
    assert_eq!(cache.get(&1, async || Err(open.clone())).await, Ok(1));
    clock.sleep(Duration::from_nanos(1)).await;
    assert_eq!(cache.get(&1, async || Err(open.clone())).await, Err(open));
    let name = || "quotes".to_owned();
    let told = [(name(), ms(100)), (name(), ms(1_000) - Duration::from_nanos(1))];
    assert_eq!(*ages.0.lock().unwrap(), told);
    assert_eq!(cache.stats().stale, 2);
}

#[apply(sim_test)]
async fn permanent_errors_take_the_place_of_answers_and_may_be_kept(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let judge = |result: &Result<u32>| match result {
        Ok(_) => Class::Success,
        Err(Error::Inner("gone")) => Class::Permanent,
        Err(_) => Class::Failure,
    };
    let terms =
        CacheTerms::ttl(ms(10)).stale_for(ms(1_000)).classify(judge).clock(&clock).keep_errors_for(ms(5));
    let cache = Cache::<u8, u32, &'static str>::new(10, terms).unwrap();
    cache.insert(1, 1);
    clock.sleep(ms(10)).await;
    let (gone, busy) = (Err(Error::Inner("gone")), Err(Error::Inner("busy")));
    assert_eq!(cache.get(&1, async || busy.clone()).await, Ok(1));
    assert_eq!(cache.get(&1, async || gone.clone()).await, gone);
    assert_eq!(cache.get(&1, async || Ok(2)).await, gone);
    clock.sleep(ms(5)).await;
    assert_eq!(cache.get(&1, async || busy.clone()).await, busy);
    assert_eq!(cache.get(&1, async || Ok(2)).await, Ok(2));
}

#[apply(runtime_test)]
async fn callers_at_the_same_time_make_one_call(runtime: Runtime) {
    let cache = Arc::new(Named::new(10, terms(runtime.clock())).unwrap());
    let (calls, begun, gate) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Door::default());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (cache, calls, begun, gate) = (cache.clone(), calls.clone(), begun.clone(), gate.clone());
            runtime.spawn(async move {
                let fetch = async || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    begun.store(true, Ordering::Release);
                    gate.wait().await;
                    Ok(5)
                };
                cache.get("anna", fetch).await
            })
        })
        .collect();
    while !begun.load(Ordering::Acquire) {
        yield_now().await;
    }
    gate.open();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(5));
    }
    let stats = cache.stats();
    assert_eq!((calls.load(Ordering::Relaxed), stats.misses), (1, 1));
    assert_eq!(stats.hits + stats.coalesced, 99);
}

/// A door that opens once.
#[derive(Clone, Default)]
struct Door(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Door {
    fn open(&self) {
        let wakers = {
            let mut door = self.0.lock().unwrap();
            door.0 = true;
            std::mem::take(&mut door.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            let mut door = self.0.lock().unwrap();
            if door.0 {
                return Poll::Ready(());
            }
            door.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[apply(runtime_test)]
async fn when_the_leader_is_dropped_the_next_takes_over(runtime: Runtime) {
    let cache = Named::new(10, terms(runtime.clock())).unwrap();
    let mut leader = Box::pin(cache.get("anna", pending::<Result<u32>>));
    assert!(poll_once(leader.as_mut()).await.is_none());
    let mut second = Box::pin(cache.get("anna", pending::<Result<u32>>));
    assert!(poll_once(second.as_mut()).await.is_none());
    let third = cache.get("anna", async || {
        yield_now().await;
        Ok(3)
    });
    let fourth = cache.get("anna", async || Ok(4));
    let mut both = pin!(futures::future::join(third, fourth));
    assert!(poll_once(both.as_mut()).await.is_none());
    drop(leader);
    // The second was called, and goes too.
    drop(second);
    assert_eq!(both.await, (Ok(3), Ok(3)));
    assert_eq!((cache.stats().misses, cache.stats().coalesced), (2, 1));
}

#[apply(runtime_test)]
async fn when_the_leader_panics_the_next_takes_over(runtime: Runtime) {
    let cache = Arc::new(Named::new(10, terms(runtime.clock())).unwrap());
    let mut leader = Box::pin(cache.get("anna", async || {
        yield_now().await;
        panic!("expected by this test")
    }));
    assert!(poll_once(leader.as_mut()).await.is_none());
    let mut next = pin!(cache.get("anna", async || Ok(2)));
    assert!(poll_once(next.as_mut()).await.is_none());
    let waker = Waker::noop();
    let mut cx = Context::from_waker(waker);
    let panicked = catch_unwind(AssertUnwindSafe(|| leader.as_mut().poll(&mut cx).is_ready()));
    assert!(panicked.is_err());
    drop(leader);
    assert_eq!(next.await, Ok(2));
    // The closure itself may panic as well.
    let broken =
        cache.get("boris", || -> futures::future::Ready<Result<u32>> { panic!("expected by this test") });
    let mut broken = Box::pin(broken);
    assert!(catch_unwind(AssertUnwindSafe(|| broken.as_mut().poll(&mut cx).is_ready())).is_err());
    drop(broken);
    assert_eq!(cache.get("boris", async || Ok(3)).await, Ok(3));
}

/// The work's destructor panics: the seat is given up all the same.
#[test]
fn a_panic_in_the_destructor_of_the_work_loses_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected by this test");
        }
    }
    let work = || async {
        let _bomb = Bomb;
        pending::<()>().await;
        Ok(1)
    };
    weirs_runtime::block_on(async {
        let cache = Named::new(10, terms(&Clock::default())).unwrap();
        let mut leader = Box::pin(cache.get("anna", work));
        assert!(poll_once(leader.as_mut()).await.is_none());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(leader))).is_err());
        assert_eq!(cache.get("anna", async || Ok(2)).await, Ok(2));

        let slot = CacheSlot::<u32, ()>::new(CacheTerms::ttl(ms(1_000))).unwrap();
        let stack = Stack::builder().cache(&slot).build().unwrap();
        let mut leader = Box::pin(stack.call(async |_| {
            let _bomb = Bomb;
            pending::<std::result::Result<u32, ()>>().await
        }));
        assert!(poll_once(leader.as_mut()).await.is_none());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(leader))).is_err());
        assert_eq!(stack.call(async |_| Ok(2)).await, Ok(2));
    });
}

#[apply(runtime_test)]
async fn an_error_goes_to_all_if_it_is_shared_and_else_each_has_its_own(runtime: Runtime) {
    for (is_shared, calls_made) in [(true, 1), (false, 3)] {
        let terms = terms(runtime.clock());
        let cache = Named::new(10, if is_shared { terms.share_errors() } else { terms }).unwrap();
        let calls = AtomicUsize::new(0);
        let call = || async {
            calls.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
            Err(Error::Inner("broken"))
        };
        let all = futures::join!(cache.get("a", call), cache.get("a", call), cache.get("a", call));
        let broken = Err(Error::Inner("broken"));
        assert_eq!(all, (broken.clone(), broken.clone(), broken));
        assert_eq!(calls.load(Ordering::Relaxed), calls_made);
    }
}

#[apply(runtime_test)]
async fn refusals_go_to_all_unless_they_are_about_one(runtime: Runtime) {
    let reject = |reason| Error::Rejected(Rejection::new(reason, Place::ALONE));
    let cases: [(Error<&str>, usize); 4] = [
        (reject(Reason::CircuitOpen), 1),
        (reject(Reason::Deadline), 2),
        (reject(Reason::Amplified), 2),
        (Error::Timeout(TimedOut::new(ms(1), Place::ALONE)), 1),
    ];
    for (error, calls_made) in cases {
        let cache = Named::new(10, terms(runtime.clock())).unwrap();
        let calls = AtomicUsize::new(0);
        let call = || async {
            calls.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
            Err(error.clone())
        };
        let both = futures::join!(cache.get("a", call), cache.get("a", call));
        assert_eq!(both, (Err(error.clone()), Err(error.clone())));
        assert_eq!(calls.load(Ordering::Relaxed), calls_made, "{error:?}");
    }
}

#[apply(runtime_test)]
async fn an_answer_from_before_an_invalidation_is_not_kept(runtime: Runtime) {
    let cache = Named::new(10, terms(runtime.clock())).unwrap();
    for clear in [false, true] {
        cache.clear();
        let door = Door::default();
        let old = || async {
            door.wait().await;
            Ok(1)
        };
        let mut both = pin!(futures::future::join(cache.get("anna", old), cache.get("anna", async || Ok(8))));
        assert!(poll_once(both.as_mut()).await.is_none());
        match clear {
            true => cache.clear(),
            false => cache.invalidate("anna"),
        }
        // Others may have the place by now.
        assert_eq!(cache.get("boris", async || Ok(5)).await, Ok(5));
        assert_eq!(cache.get("anna", async || Ok(2)).await, Ok(2));
        door.open();
        assert_eq!(both.await, (Ok(1), Ok(1)));
        assert_eq!((cache.peek("anna"), cache.peek("boris")), (Some(2), Some(5)));
    }
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_nobody_hangs_and_nothing_is_lost(runtime: Runtime) {
    let cache = Named::new(10, terms(runtime.clock())).unwrap();
    let slow = || async {
        yields(2).await;
        Ok(1)
    };
    let leader = RefCell::new(None);
    let make = || {
        cache.clear();
        // It waits for somebody who is dropped at its second poll, and then calls for itself.
        let mut first = Box::pin(cache.get("anna", pending::<Result<u32>>));
        let waker = Waker::noop();
        assert!(first.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        *leader.borrow_mut() = Some(first);
        let mut own = Box::pin(cache.get("anna", slow));
        let leader = &leader;
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            let polled = own.as_mut().poll(cx);
            if polls == 1 {
                cx.waker().wake_by_ref();
            }
            if polls == 2 {
                drop(leader.borrow_mut().take());
            }
            polled
        })
    };
    let check = async |_| {
        drop(leader.borrow_mut().take());
        let there = cache.peek("anna");
        assert_eq!(cache.get("anna", async || Ok(2)).await, Ok(there.unwrap_or(2)));
    };
    assert_eq!(cancel_at_every_poll(make, check).await, 4);
    cancel_at_every_wake(make, check).await;
}

#[apply(runtime_test)]
async fn a_slot_dropped_at_every_poll_is_taken_over(runtime: Runtime) {
    let terms = || CacheTerms::<u32, ()>::ttl(ms(60_000)).clock(runtime.clock());
    let slot = CacheSlot::new(terms()).unwrap();
    let stack = Stack::builder().clock(runtime.clock()).cache(&slot).timeout(ms(60_000)).build().unwrap();
    let make = || {
        slot.invalidate();
        stack.call(async |_| {
            yields(3).await;
            Ok(1)
        })
    };
    let polls = cancel_at_every_poll(make, async |k| {
        let answer = stack.call(async |_| Ok(2)).await;
        assert_eq!(answer, Ok(if k == 4 { 1 } else { 2 }));
    });
    assert_eq!(polls.await, 3);
}

#[apply(sim_test)]
async fn a_slot_serves_what_is_old_when_the_stack_fails(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let ages = Arc::new(Ages::default());
    let terms = CacheTerms::<u32, ()>::ttl(ms(10)).stale_for(ms(100)).clock(&clock);
    let slot = CacheSlot::new(terms).unwrap();
    let stack = Stack::builder().clock(&clock).named("api").observer(ages.clone());
    let stack = stack.cache(&slot).timeout(ms(5)).build().unwrap();
    slot.put(1);
    clock.sleep(ms(20)).await;
    let both = futures::join!(stack.call(|_| pending()), stack.call(|_| pending()));
    assert_eq!(both, (Ok(1), Ok(1)));
    assert_eq!(slot.peek(), None);
    assert_eq!(*ages.0.lock().unwrap(), [("api".to_owned(), ms(25)), ("api".to_owned(), ms(25))]);
    assert_eq!(stack.call_once(async { Ok(2) }).await, Ok(2));
}

#[test]
fn the_least_recently_used_goes_first() {
    weirs_runtime::block_on(async {
        let cache = Cache::<u8, u8, ()>::new(2, CacheTerms::ttl(ms(60_000))).unwrap();
        for key in [1, 2, 1, 3, 1, 4] {
            assert_eq!(cache.get(&key, async || Ok(key)).await, Ok(key));
        }
        assert_eq!([1, 2, 3, 4].map(|key| cache.peek(&key)), [Some(1), None, None, Some(4)]);
        assert_eq!((cache.stats().evicted, cache.stats().kept), (2, 2));
        // Calls that run are not limited, and not lost.
        let gates = vec![(); 10].into_iter().map(|()| Door::default()).collect::<Vec<_>>();
        let calls = (10..20).zip(&gates).map(|(key, gate)| {
            let cache = &cache;
            async move {
                let fetch = || async {
                    gate.wait().await;
                    Ok(key)
                };
                cache.get(&key, fetch).await
            }
        });
        let mut all = pin!(futures::future::join_all(calls));
        assert!(poll_once(all.as_mut()).await.is_none());
        gates.iter().for_each(Door::open);
        assert_eq!(all.await, (10..20).map(Ok).collect::<Vec<_>>());
        assert_eq!(cache.stats().kept, 2);
    });
}

/// A key whose code looks into the cache: no lock is held while it runs, or this would hang.
struct Nosy(u32, Option<Arc<Cache<Self, Self, ()>>>);

impl Nosy {
    fn look(&self) {
        thread_local!(static LOOKS: Cell<bool> = const { Cell::new(false) });
        // Whoever looks already would look for ever.
        if let (Some(cache), false) = (&self.1, LOOKS.replace(true)) {
            let _ = cache.stats();
            cache.invalidate(&Self(99, None));
            LOOKS.set(false);
        }
    }
}

impl Clone for Nosy {
    fn clone(&self) -> Self {
        self.look();
        Self(self.0, self.1.clone())
    }
}

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.look();
        self.0 == other.0
    }
}

impl Eq for Nosy {}

impl Hash for Nosy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.look();
        // All keys meet.
        0_u8.hash(state);
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}

#[apply(runtime_test)]
async fn no_lock_is_held_while_keys_and_answers_run_their_code(runtime: Runtime) {
    let cache = Arc::new(Cache::new(2, CacheTerms::ttl(ms(60_000)).clock(runtime.clock())).unwrap());
    let nosy = |number| Nosy(number, Some(cache.clone()));
    for round in 0..3 {
        for number in 0..4 {
            let answer = cache.get(&nosy(number), async || Ok(nosy(10 * round + number))).await.ok().unwrap();
            assert_eq!(answer.0 % 10, number);
        }
        cache.insert(nosy(5), nosy(5));
        cache.invalidate(&nosy(3));
    }
    assert!(cache.peek(&nosy(5)).is_some());
    cache.clear();
}

#[test]
fn terms_that_make_no_sense_are_an_error() {
    let field = |capacity, terms| Cache::<u8, u8, u8>::new(capacity, terms).unwrap_err().field();
    assert_eq!(field(0, CacheTerms::ttl(ms(1))), "cache.capacity");
    assert_eq!(field(1, CacheTerms::ttl(Duration::ZERO)), "cache.ttl");
    assert_eq!(field(1, CacheTerms::ttl(ms(1)).refresh_after(ms(1))), "cache.refresh_after");
    assert_eq!(field(1, CacheTerms::ttl(ms(1)).keep_errors_for(ms(1))), "cache.keep_errors_for");
    let judge = |_: &std::result::Result<u8, Error<u8>>| Class::Success;
    let kept = CacheTerms::ttl(ms(1)).classify(judge).keep_errors_for(Duration::ZERO);
    assert_eq!(field(1, kept), "cache.keep_errors_for");
    assert_eq!(CacheSlot::<u8, u8>::new(CacheTerms::ttl(Duration::ZERO)).unwrap_err().field(), "cache.ttl");
}

#[test]
fn gets_that_borrow_are_send() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let name = String::from("anna");
    let work = async move {
        let cache = Named::new(1, CacheTerms::ttl(ms(1_000))).unwrap();
        let length = || async { Ok(name.len() as u32) };
        cache.get(&name, length).await
    };
    assert_eq!(smol::block_on(smol::spawn(sent(work))), Ok(4));
}
