//! Pools whose number of workers changes, on a simulated server; and what a pool measures.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weirs_pipelines::{Controller, P95Latency, PoolStats, QueueWait, WorkerPool};
use weirs_runtime::Runtime;
use weirs_testing::sim::Explore;
use weirs_testing::{apply, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server that answers in 10 ms, or as long as it takes; those beyond its capacity share what it has.
#[derive(Clone)]
struct Server {
    takes: Duration,
    capacity: u64,
    asked: Arc<AtomicU64>,
    runtime: Runtime,
}

impl Server {
    async fn ask(self) -> Result<(), Infallible> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let slower = (asked as f64 / self.capacity as f64).max(1.0);
        self.runtime.clock().sleep(self.takes.mul_f64(slower)).await;
        self.asked.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

/// What becomes of a pool that gets one job in each `pause` for `time`.
async fn load(
    runtime: &Runtime,
    capacity: u64,
    controller: impl Controller,
    stages: &[(Duration, Duration)],
) -> Vec<(usize, PoolStats)> {
    load_that_takes(ms(10), runtime, capacity, controller, stages).await
}

async fn load_that_takes(
    takes: Duration,
    runtime: &Runtime,
    capacity: u64,
    controller: impl Controller,
    stages: &[(Duration, Duration)],
) -> Vec<(usize, PoolStats)> {
    let server = Server { takes, capacity, asked: Arc::default(), runtime: runtime.clone() };
    let pool = WorkerPool::builder(move |()| server.clone().ask())
        .adaptive(1..=64, controller)
        .queue(1000)
        .discard_results()
        .build(runtime)
        .unwrap();
    let mut seen = Vec::new();
    for (pause, time) in stages {
        let until = runtime.clock().now() + *time;
        while runtime.clock().now() < until {
            let _ = pool.try_submit(());
            runtime.clock().sleep(*pause).await;
        }
        let stats = pool.stats();
        seen.push((stats.busy().0, stats));
    }
    let settled = pool.close().await;
    assert_eq!(settled.done, settled.taken);
    seen
}

/// These take a minute of many jobs each: a few seeds will do.
fn explore<F: Future<Output = ()> + 'static>(body: impl Fn(Runtime) -> F) {
    Explore::new().seeds(0..6).step_limit(10_000_000).run(body);
}

#[test]
fn the_default_grows_by_queue_wait_and_shrinks_slowly() {
    explore(grows_and_shrinks);
}

async fn grows_and_shrinks(runtime: Runtime) {
    // 500 a second are the work of five; then 100 a second, of one.
    let stages = [(ms(2), Duration::from_secs(20)), (ms(10), Duration::from_secs(60))];
    let seen = load(&runtime, 100, QueueWait::new(ms(20)), &stages).await;
    assert!((5..=8).contains(&seen[0].0), "{}", seen[0].1);
    assert!((1..=2).contains(&seen[1].0), "{}", seen[1].1);
    let times = seen[0].1.times.unwrap();
    assert!((ms(10)..ms(11)).contains(&times.work.p95), "{times:?}");
}

#[test]
fn the_default_stops_where_growing_does_not_pay() {
    explore(stops_where_it_does_not_pay);
}

async fn stops_where_it_does_not_pay(runtime: Runtime) {
    // Twice what the server can do, however many ask.
    let stages = [(Duration::from_micros(600), Duration::from_secs(30))];
    let seen = load(&runtime, 8, QueueWait::new(ms(20)), &stages).await;
    assert!((7..=14).contains(&seen[0].0), "{}", seen[0].1);
    // The rule by latency makes it worse: every worker more makes every job slower.
    let seen = load(&runtime, 8, P95Latency::new(ms(9)), &stages).await;
    assert_eq!(seen[0].0, 64);
}

#[test]
fn jobs_that_end_a_few_times_in_a_window_do_not_hide_that_growing_pays() {
    explore(grows_for_long_jobs);
}

async fn grows_for_long_jobs(runtime: Runtime) {
    // Of jobs that all take as long, one window of 250 ms may see four rounds end and the next one five.
    for takes in [30, 45, 50, 52, 55, 60, 70, 90, 120, 300, 700] {
        // The work of almost twenty, which it takes a dozen steps to have.
        let time = Duration::from_secs(8) + 12 * ms(takes);
        let controller = QueueWait::new(ms(20));
        let seen = load_that_takes(ms(takes), &runtime, 1000, controller, &[(ms(takes) / 20, time)]).await;
        let (workers, stats) = &seen[0];
        let wanted = stats.counts.taken as f64 * ms(takes).as_secs_f64() / time.as_secs_f64();
        assert!(*workers as f64 >= wanted, "{takes} ms, {wanted}: {stats}");
    }
}

#[apply(runtime_test)]
async fn workers_leave_between_two_jobs_and_none_is_lost(runtime: Runtime) {
    struct Swings(bool);
    impl Controller for Swings {
        fn workers(&mut self, _: &weirs_pipelines::Window) -> usize {
            self.0 = !self.0;
            if self.0 { 5 } else { 1 }
        }
        fn window(&self) -> Duration {
            Duration::from_micros(50)
        }
    }
    let (runtime, watched) = runtime.watched();
    let work = async |n: u64| {
        yields(n as usize % 4).await;
        Ok::<_, Infallible>(n)
    };
    let pool = WorkerPool::builder(work)
        .adaptive(1..=5, Swings(false))
        .queue(8)
        .discard_results()
        .build(&runtime)
        .unwrap();
    for n in 0..200 {
        pool.submit(n).await.unwrap();
        if n % 20 == 0 {
            runtime.clock().sleep(Duration::from_micros(60)).await;
        }
    }
    let settled = pool.close().await;
    assert_eq!((settled.done, settled.interrupted), (200, 0));
    assert!(pool.stats().workers.len() <= 6);
    drop(pool);
    watched.idle().await;
}

#[apply(sim_test)]
async fn percentiles_are_right_and_the_table_shows_them(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let work = {
        let clock = clock.clone();
        move |takes: u64| {
            let takes = clock.sleep(ms(takes));
            async move {
                takes.await;
                Ok::<_, Infallible>(())
            }
        }
    };
    let pool =
        WorkerPool::builder(work).workers(1).queue(200).measured().discard_results().build(&runtime).unwrap();
    let before = pool.stats();
    pool.submit_many(1..=100).await.unwrap();
    pool.close().await;
    let stats = pool.stats();
    let times = stats.times.unwrap();
    let about = |found: Duration, exact: u64| {
        let off = found.as_secs_f64() / ms(exact).as_secs_f64() - 1.0;
        assert!(off.abs() < 1.0 / 16.0, "{found:?} {exact}");
    };
    assert_eq!(times.work.count, 100);
    about(times.work.p50, 50);
    about(times.work.p95, 95);
    about(times.work.p99, 99);
    // The last one waits for all before it.
    about(times.wait.p99, 99 * 98 / 2);
    assert!((stats.rate_since(&before) - 100.0 / 5.05).abs() < 1e-9);
    let table = stats.to_string();
    assert!(table.contains("100 taken, 100 done") && table.contains("\nworker 0"), "{table}");
}
