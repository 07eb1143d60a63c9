//! Supervisors whose children panic, block, lie and vanish.

mod lab;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::executor::ThreadPool;
use futures::task::{FutureObj, Spawn, SpawnError};
use lab::{Begin, EVER, Lab, Order, eventually, gave_up, patient};
use weirs_actors::Exit;
use weirs_actors::supervise::{
    ChildState, CommandError, Incarnation, Pool, Spec, StartError, Stop, Supervisor, What,
};
use weirs_runtime::{Runtime, Tokio, block_on};
use weirs_testing::{apply, runtime_test, sim_test};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("boom");
        }
    }
}

/// An error whose every part panics.
#[derive(Debug)]
struct Nasty(Bomb);

impl fmt::Debug for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("shown");
    }
}

impl fmt::Display for Nasty {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("shown");
    }
}

impl std::error::Error for Nasty {}

/// Its lives end with these, and then it waits.
fn scripted<F, Fut>(name: &'static str, lab: &Lab, nasty: F) -> Spec
where
    F: Fn(u64) -> Option<Fut> + Send + 'static,
    Fut: Future<Output = Exit> + Send + 'static,
{
    let lab = lab.clone();
    Spec::task(name, move |life: Incarnation| {
        let end = nasty(life.number());
        let lab = lab.clone();
        async move {
            match end {
                Some(end) => end.await,
                None => {
                    lab.say(format!("+{name}"));
                    life.cancelled().await;
                    Exit::Normal
                }
            }
        }
    })
}

#[apply(runtime_test)]
async fn whatever_panics_the_others_live(runtime: Runtime) {
    let lab = Lab::new();
    let yields = || futures_lite::future::yield_now();
    let make = scripted("make", &lab, move |life| {
        assert!(life != 2, "in make");
        (life == 1).then_some(async move {
            yields().await;
            Exit::failed("once")
        })
    });
    let future = scripted("future", &lab, move |life| {
        (life < 3).then_some(async move {
            yields().await;
            panic!("in poll")
        })
    });
    let destructor = scripted("destructor", &lab, move |life| {
        (life < 3).then(|| {
            let bomb = Bomb;
            async move {
                let _bomb = bomb;
                yields().await;
                Exit::Normal
            }
        })
    });
    let error = scripted("error", &lab, move |life| {
        (life < 3).then_some(async move {
            yields().await;
            Exit::failed(Nasty(Bomb))
        })
    });
    let payload = scripted("payload", &lab, move |life| {
        (life < 3).then_some(async move {
            yields().await;
            std::panic::panic_any(Bomb)
        })
    });
    let seen = Arc::new(AtomicUsize::new(0));
    let tree = patient(Supervisor::one_for_one())
        .observe({
            let seen = Arc::clone(&seen);
            move |event| {
                seen.fetch_add(1, Ordering::Relaxed);
                if matches!(event.what, What::Ended(_)) {
                    panic!("in the observer");
                }
            }
        })
        .child(lab.child("a"))
        .children([make, future, destructor, error, payload])
        .start(&runtime)
        .await
        .unwrap();
    lab.expect_all("+a +make +future +destructor +error +payload").await;
    assert_eq!(tree.snapshot().child("a").unwrap().incarnation, 1);
    let report = tree.shutdown().await;
    assert_eq!(report.stopped, 6);
    assert!(seen.load(Ordering::Relaxed) > 20);
}

/// What a spec holds may panic when it is dropped, though nobody waits for it any more.
#[test]
fn a_spec_that_panics_when_dropped() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    let lab = Lab::new();
    let nasty = |name: &'static str| {
        let bomb = Bomb;
        Spec::task(name, move |life: Incarnation| {
            let _ = &bomb;
            async move { life.cancelled().await }
        })
    };
    tokio.block_on(async {
        let tree = Supervisor::one_for_one().child(lab.child("a")).start(&runtime).await.unwrap();
        // Refused when nobody waits for the refusal.
        let mut taken = Box::pin(tree.start_child(nasty("a")));
        assert!(futures::poll!(&mut taken).is_pending());
        drop(taken);
        tree.start_child(nasty("b")).await.unwrap();
        drop(tree.stop_child("b").await.unwrap());
        tree.delete_child("b").await.unwrap();
        assert_eq!(tree.snapshot().children.len(), 1);
        assert!(tree.shutdown().await.is_clean());
    });
}

/// On threads, for it takes one away. The test gives it back at the end.
#[test]
fn a_child_that_never_yields_is_reported_by_path() {
    let runtime = Runtime::new(ThreadPool::builder().pool_size(4).create().unwrap());
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(Some(held));
    let lab = Lab::new();
    let blocks = {
        let lab = lab.clone();
        Spec::task("blocks", move |_: Incarnation| {
            let (alive, held) = (lab.alive("blocks"), held.lock().unwrap().take());
            let lab = lab.clone();
            async move {
                let _alive = alive;
                futures_lite::future::yield_now().await;
                lab.say("blocked");
                let _ = held.unwrap().recv();
            }
        })
    };
    let brief = Duration::from_millis(1);
    let below = Spec::tree("below", {
        let blocks = std::sync::Mutex::new(Some(blocks.stop(Stop::Within(brief)).kill_grace(brief)));
        move || Supervisor::one_for_one().children(blocks.lock().unwrap().take())
    });
    block_on(async {
        let supervisor = Supervisor::one_for_one().name("app").child(lab.child("a")).child(below);
        let tree = supervisor.start(&runtime).await.unwrap();
        lab.expect_all("+a blocked").await;
        let handle = tree.subtree("below").unwrap();
        assert!(matches!(handle.stop_child("blocks").await, Err(CommandError::Stuck)));
        assert_eq!(handle.snapshot().child("blocks").unwrap().state, ChildState::Stuck);
        let report = tree.shutdown().await;
        assert_eq!(report.left.len(), 1, "{report}");
        assert_eq!(report.left[0].path, "app/below/blocks");
        assert!(report.left[0].exit.is_none());
        release.send(()).unwrap();
        eventually(|| lab.count() == 0).await;
    });
}

/// The executor goes away under the children: they cannot be started again, and the supervisor says so.
#[test]
fn an_executor_that_is_gone_is_the_end() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    let lab = Lab::new();
    let mut run = pin!(
        Supervisor::one_for_one()
            .intensity(u32::MAX, EVER)
            .children([lab.child("a"), lab.child("b")])
            .run(&runtime)
    );
    let mut tokio = Some(tokio);
    let exit = block_on(async {
        let mut up = pin!(lab.expect("+a +b"));
        poll_fn(|cx| {
            assert!(run.as_mut().poll(cx).is_pending());
            up.as_mut().poll(cx)
        })
        .await;
        tokio.take().unwrap().shutdown_background();
        run.await
    });
    assert!(matches!(gave_up(&exit).as_str(), "a" | "b"), "{exit}");
    lab.expect_nobody();
}

/// An executor that takes nothing.
struct Refuses;

impl Spawn for Refuses {
    fn spawn_obj(&self, _: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

#[test]
fn an_executor_that_takes_nothing_is_an_error() {
    let lab = Lab::new();
    let runtime = Runtime::new(Refuses);
    block_on(async {
        let error = Supervisor::one_for_one().child(lab.child("a")).start(&runtime).await.unwrap_err();
        assert!(matches!(error, StartError::Interrupted(Exit::Lost)), "{error}");
        let exit = Supervisor::one_for_one().child(lab.child("a")).run(&runtime).await;
        assert_eq!(exit.to_string(), "failed: a did not start: lost by its executor");
    });
    lab.expect_nobody();
}

/// A supervisor that is dropped drops its children in reverse order, without asking them.
#[apply(sim_test)]
async fn a_dropped_tree_goes_in_reverse_order(runtime: Runtime) {
    let lab = Lab::new();
    let below = Spec::tree("below", {
        let lab = lab.clone();
        move || Supervisor::one_for_one().child(lab.child("b")).child(lab.child("c"))
    });
    let tree = Supervisor::one_for_one()
        .children([lab.child("a"), below, lab.child("d")])
        .start(&runtime)
        .await
        .unwrap();
    lab.expect("+a +b +c +d").await;
    let handle = tree.handle();
    drop(tree);
    lab.expect("-d -c -b -a").await;
    assert!(matches!(handle.stop_child("a").await, Err(CommandError::Ended)));
    assert_eq!(handle.snapshot().children.len(), 0);
}

#[apply(runtime_test)]
async fn a_dropped_tree_leaves_nobody(runtime: Runtime) {
    let lab = Lab::new();
    let tree = patient(Supervisor::one_for_one())
        .children([lab.child("a"), lab.stubborn("b"), lab.child_that("c", |_| Begin::Well)])
        .start(&runtime)
        .await
        .unwrap();
    lab.tell("a", Order::Fail);
    drop(tree);
    eventually(|| lab.count() == 0).await;
}

fn nested(lab: &Lab, depth: usize) -> Supervisor {
    let supervisor = Supervisor::one_for_one().intensity(0, EVER);
    if depth == 0 {
        return supervisor.child(lab.child("deepest"));
    }
    let lab = lab.clone();
    supervisor.child(Spec::tree("x", move || nested(&lab, depth - 1)))
}

#[apply(runtime_test)]
async fn fifty_deep(runtime: Runtime) {
    let lab = Lab::new();
    let tree = nested(&lab, 50).start(&runtime).await.unwrap();
    assert_eq!(tree.snapshot().count(), 52);
    let report = tree.shutdown().await;
    assert!(report.is_clean() && report.stopped == 51, "{report}");
    lab.expect("+deepest -deepest").await;
    // Given up all the way to the root.
    let mut tree = nested(&lab, 50).start(&runtime).await.unwrap();
    lab.tell("deepest", Order::Fail);
    let exit = tree.wait().await.to_string();
    assert_eq!(exit.matches("gave up on x").count(), 50);
    assert!(exit.ends_with("gave up on deepest: failed: told to"), "{exit}");
    let tree = nested(&lab, 50).start(&runtime).await.unwrap();
    drop(tree);
    eventually(|| lab.count() == 0).await;
}

/// A child that is ready to be started again for ever does not keep the others' timers from them.
#[apply(runtime_test)]
async fn a_child_that_crashes_all_the_time_starves_nobody(runtime: Runtime) {
    let lab = Lab::new();
    let crashes = Spec::task("crashes", async |life: Incarnation| {
        futures_lite::future::yield_now().await;
        if life.number() < 2000 {
            return Exit::Killed;
        }
        life.cancelled().await;
        Exit::Normal
    });
    let tree = Supervisor::one_for_one()
        .intensity(u32::MAX, EVER)
        .child(crashes)
        .child(lab.child("a"))
        .child(lab.stubborn("b").stop(Stop::Within(Duration::from_nanos(1))))
        .start(&runtime)
        .await
        .unwrap();
    assert!(matches!(tree.stop_child("b").await, Ok(Exit::Killed)));
    drop(tree.stop_child("crashes").await.unwrap());
    assert!(tree.shutdown().await.is_clean());
}

/// A life that is over says nothing for the next one.
#[apply(runtime_test)]
async fn an_old_life_has_no_say(runtime: Runtime) {
    let lab = Lab::new();
    let lives = Arc::new(std::sync::Mutex::new(Vec::new()));
    let child = Spec::task("a", {
        let (lives, lab) = (Arc::clone(&lives), lab.clone());
        move |life: Incarnation| {
            lives.lock().unwrap().push(life.clone());
            lab.live("a", Begin::Well, life)
        }
    });
    let supervisor = patient(Supervisor::one_for_one()).child(child.announces_ready());
    let tree = supervisor.start(&runtime).await.unwrap();
    lab.tell("a", Order::Fail);
    lab.expect("+a -a +a").await;
    let lives: Vec<Incarnation> = lives.lock().unwrap().clone();
    let [old, new] = &lives[..] else { panic!("{lives:?}") };
    assert!(old.is_stopping() && old.token().is_cancelled());
    old.cancelled().await;
    old.ready();
    assert!(!new.is_stopping() && !new.token().is_cancelled());
    assert!(tree.shutdown().await.is_clean());
    assert!(new.is_stopping() && new.token().is_cancelled());
}

/// A pool gives back what it was handed, even what it had taken and not begun.
#[apply(sim_test)]
async fn a_pool_that_ends_gives_back(runtime: Runtime) {
    let (pool, spec) =
        Pool::once("pool", async |_: String, life: Incarnation| life.cancelled().await).build();
    let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    let mut start = Box::pin(pool.start_child("precious".to_owned()));
    assert!(futures::poll!(&mut start).is_pending());
    drop(tree);
    // It was dropped with the pool before the pool heard of it, or was begun.
    match start.await {
        Ok(_) => {}
        Err(error) => {
            if let Some(args) = error.into_args() {
                assert_eq!(args, "precious");
            }
        }
    }
    assert!(pool.is_empty());
    assert_eq!(pool.try_start_child("again".to_owned()).unwrap_err().into_args().unwrap(), "again");
}
