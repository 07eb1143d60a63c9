//! The programs and patterns of the documents that the project began with, run as a user would on every
//! runtime that they offer, and what they print. The table in README.md says which is which.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use weirs_examples::net::{Kind, Net, Program};
use weirs_examples::{echo, http};
use weirs_runtime::Runtime;
use weirs_testing::runtime_test;
use weirs_testing::sim::net::duplex;

const REAL: [&str; 3] = ["smol", "async-std", "tokio"];
const ALL: [&str; 4] = ["sim", "smol", "async-std", "tokio"];

/// What a program prints on each of these runtimes; it has to succeed. They run side by side.
fn tell(program: &str, runtimes: &[&'static str], arguments: &[&str]) -> Vec<(&'static str, String)> {
    let start = |runtime: &&'static str| -> (&'static str, Child) {
        let mut command = Command::new(program);
        command.args(["--runtime", runtime]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        (runtime, command.spawn().expect("it starts"))
    };
    let running: Vec<_> = runtimes.iter().map(start).collect();
    let end = |(runtime, child): (&'static str, Child)| {
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} on {runtime}: {}\n{text}{errors}", output.status);
        (runtime, text)
    };
    running.into_iter().map(end).collect()
}

/// The same text on each of them.
fn same(program: &str, runtimes: &[&'static str], expected: &str) {
    for (runtime, told) in tell(program, runtimes, &[]) {
        assert_eq!(told, expected, "{program} on {runtime}");
    }
}

/// The same lines on each of them, in whatever order.
fn same_lines(program: &str, runtimes: &[&'static str], expected: &[String]) {
    let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    for (runtime, told) in tell(program, runtimes, &[]) {
        let mut lines: Vec<_> = told.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, expected, "{program} on {runtime}");
    }
}

#[test]
fn a_hundred_services_are_healthy() {
    same(env!("CARGO_BIN_EXE_health_check"), &ALL, "Healthy: 100 / 100\n");
}

#[test]
fn the_values_of_a_table_come_in_order_and_are_159_6() {
    let expected = "\
Line 1: value = 42.5
Line 2: value = 17.3
Line 4: value = 99.1
Line 5: value = 0.7
Total: 159.6
";
    for parsers in ["1", "2", "4"] {
        for (runtime, told) in tell(env!("CARGO_BIN_EXE_csv_pipeline"), &ALL, &["--parsers", parsers]) {
            assert_eq!(told, expected, "{parsers} parsers on {runtime}");
        }
    }
}

#[test]
fn five_workers_double_ten_jobs() {
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_doubles"), &ALL, &[]) {
        let mut results: Vec<u32> = numbers(&told, "Result: ");
        let mut jobs: Vec<u32> =
            told.lines().filter_map(|line| line.split_once(" processing job ")?.1.parse().ok()).collect();
        results.sort_unstable();
        jobs.sort_unstable();
        assert_eq!(results, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20], "on {runtime}");
        assert_eq!(jobs, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "on {runtime}");
        let workers =
            (0..5).filter(|worker| told.contains(&format!("Worker {worker} processing job"))).count();
        assert_eq!(workers, 5, "on {runtime}: {told}");
    }
}

/// The numbers behind this word.
fn numbers<T: std::str::FromStr>(told: &str, word: &str) -> Vec<T> {
    told.lines().filter_map(|line| line.strip_prefix(word)?.parse().ok()).collect()
}

#[test]
fn the_seventh_download_fails() {
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_download_pool"), &ALL, &[]) {
        for id in 1..=10 {
            let begun = format!(": processing job {id} (https://example.com/{id})\n");
            assert_eq!(told.matches(&begun).count(), 1, "on {runtime}: {told}");
        }
        let ends: Vec<_> = told.lines().skip(10).collect();
        let mut expected: Vec<_> = (1..=10)
            .map(|id| match id {
                7 => "  FAIL: job 7 - failed to fetch https://example.com/7".to_owned(),
                id => format!("  OK:   job {id} - Content of https://example.com/{id} ({}ms)", id * 17 % 100),
            })
            .collect();
        expected.extend([String::new(), "Done: 9 succeeded, 1 failed".to_owned()]);
        assert_eq!(ends, expected, "on {runtime}");
    }
    // The first three jobs are begun at once, by all three workers.
    let simulated = &tell(env!("CARGO_BIN_EXE_download_pool"), &["sim"], &[])[0].1;
    let mut first: Vec<_> = simulated.lines().take(3).map(|line| line.split(':').next().unwrap()).collect();
    first.sort_unstable();
    assert_eq!(first, ["Worker 1", "Worker 2", "Worker 3"]);
}

#[test]
fn even_squares_and_a_limit_of_time() {
    let expected = "4\n16\n1\n4\n9\nout of time: 3 done, cut short: [4]\n";
    same(env!("CARGO_BIN_EXE_even_squares"), &["sim"], expected);
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_even_squares"), &REAL, &[]) {
        assert!(told.starts_with("4\n16\n"), "on {runtime}: {told}");
    }
}

#[test]
fn three_workers_compete_and_their_results_are_one_stream() {
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_fan_out_fan_in"), &ALL, &[]) {
        let mut squares: Vec<u32> = numbers(&told, "Main received squared value: ");
        squares.sort_unstable();
        assert_eq!(squares, [1, 4, 9, 16, 25, 36, 49, 64, 81, 100], "on {runtime}");
        assert_eq!(told.matches(" finished, input channel closed\n").count(), 3, "on {runtime}");
        assert!(told.ends_with("All numbers processed.\n"), "on {runtime}: {told}");
    }
}

#[test]
fn workers_that_are_told_to_stop_have_stopped() {
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_stop_workers"), &ALL, &[]) {
        for id in 0..3 {
            let line = |what| format!("ContextualWorker {id} {what}\n");
            assert!(told.contains(&line("starting")), "on {runtime}: {told}");
            let working = told.matches(&line("working...")).count();
            assert!(if runtime == "sim" { working == 4 } else { working >= 1 }, "on {runtime}: {told}");
        }
        let end = "\
Main: Canceling all workers via context...
Main: Waiting for workers to shut down...
";
        let (_, stopping) = told.split_once(end).expect("the end");
        let mut lines: Vec<_> = stopping.lines().collect();
        assert_eq!(lines.pop(), Some("Main: All workers shut down. Exiting."), "on {runtime}");
        lines.sort_unstable();
        let mut expected: Vec<_> = (0..3)
            .flat_map(|id| {
                let worker = format!("ContextualWorker {id}");
                [
                    format!("{worker} canceled: context canceled. Shutting down..."),
                    format!("{worker} finished cleanup."),
                ]
            })
            .collect();
        expected.sort_unstable();
        assert_eq!(lines, expected, "on {runtime}");
    }
}

#[test]
fn each_error_is_in_its_place() {
    let expected = "3: 6\n-1: negative number\n4: 8\n-1: negative number\n5: 10\n";
    same(env!("CARGO_BIN_EXE_errors_in_order"), &ALL, expected);
}

#[test]
fn ten_tasks_run_three_at_a_time() {
    let mut lines: Vec<_> =
        (0..10).flat_map(|id| [format!("Task {id} running"), format!("Task {id} done")]).collect();
    lines.push("at most 3 at once".to_owned());
    same_lines(env!("CARGO_BIN_EXE_semaphore"), &ALL, &lines);
}

#[test]
fn five_requests_a_second() {
    let mut expected: String = (0..20).map(|request| format!("Request {request} sent\n")).collect();
    expected += "15 of them had to wait: true\none more now: false\nwithin a millisecond: true\n";
    same(env!("CARGO_BIN_EXE_token_bucket"), &ALL, &expected);
}

#[test]
fn each_user_has_a_limit_of_their_own() {
    let expected = "\
anna asks 8 times: 5 allowed
bert asks 3 times: 3 allowed
2.5 s later, anna asks 8 times: 2 allowed
anna may come again in 500ms
100000 strangers: all let in: true, and the table has not grown
";
    same(env!("CARGO_BIN_EXE_per_key_limit"), &["sim"], expected);
}

#[test]
fn a_log_of_times_has_no_edge() {
    let expected = "\
second   7  8  9 10 11 12 13 14 15 16 17 18 19 20
fixed    2  2  1  2  2  1  0  0  0  0  0  0  0  2
log      2  2  1  0  0  0  0  0  0  0  2  2  1  0
";
    same(env!("CARGO_BIN_EXE_sliding_window"), &["sim"], expected);
}

#[test]
fn as_many_workers_as_are_needed() {
    let expected = "\
second  workers  waiting
     0        1        1
     3        1        1
     6        1        1
     9        2        1
    12        6      239
    15       18      191
    18       27        1
    21       25        1
    24       24        1
    27       23        1
2400 done
";
    same(env!("CARGO_BIN_EXE_adaptive_workers"), &["sim"], expected);
}

#[test]
fn no_panic_is_lost() {
    let expected = "\
the hook hears: exploded, and nobody awaits it
Panicked: exploded
the scope: exploded in a scope
";
    same(env!("CARGO_BIN_EXE_lost_panic"), &ALL, expected);
}

#[test]
fn a_bounded_queue_stays_small() {
    let expected = "\
unbounded: 10000 read, 10000 of them had to be kept at a time
bounded: 10000 read, never more than 4 were kept: true
";
    same(env!("CARGO_BIN_EXE_unbounded_queue"), &ALL, expected);
}

#[test]
fn a_lock_that_waits_for_itself_is_named() {
    let told = &tell(env!("CARGO_BIN_EXE_lock_across_await"), &["sim"], &[])[0].1;
    for word in ["deadlock", "\"pricing\"", "\"refresh\"", "lock_across_await.rs:"] {
        assert!(told.contains(word), "{word} is missing in:\n{told}");
    }
    assert!(told.ends_with("let go before it: nothing found in 10 seeds\n"), "{told}");
}

#[test]
fn an_actor_has_its_state_to_itself() {
    let expected = "\
after 100 deposits: Ok(5050)
withdraw 5000: Ok(Ok(50))
withdraw 5000: Ok(Err(\"50 is not enough for 5000\"))
";
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_actor"), &ALL, &[]) {
        let end = told.strip_prefix(expected).unwrap_or_else(|| panic!("on {runtime}: {told}"));
        assert!(end.starts_with("when it is closed: "), "on {runtime}: {told}");
    }
}

#[test]
fn what_failed_begins_anew() {
    let expected = "\
one for one:
  app/index: started, life 1
  app/index: ready
  app/feed: started, life 1
  app/feed: ready
  app/feed: failed: no connection
  app/feed: started, life 2
  app/feed: ready
  app/feed: panicked: half a message
  app/feed: started, life 3
  app/feed: ready
  app/feed: stopped
  app/index: stopped
  app: over: stopped
  stopped: 2, in order: true
one for all:
  app/index: started, life 1
  app/index: ready
  app/feed: started, life 1
  app/feed: ready
  app/feed: failed: no connection
  app/index: stopped
  app/index: started, life 2
  app/index: ready
  app/feed: started, life 2
  app/feed: ready
  app/feed: panicked: half a message
  app/index: stopped
  app/index: started, life 3
  app/index: ready
  app/feed: started, life 3
  app/feed: ready
  app/feed: stopped
  app/index: stopped
  app: over: stopped
  stopped: 2, in order: true
again and again:
  gave up on feed: failed: no connection in life 3
";
    same(env!("CARGO_BIN_EXE_supervisor"), &ALL, expected);
}

#[test]
fn the_first_error_ends_the_other_fetches() {
    let expected = "all three pages are here\nbad status: 500; given up: 1\n";
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_fetch_urls"), &ALL, &[]) {
        let alike = told.replace("given up: 2", "given up: 1"); // whether the first was there by then
        let alike = alike.replace("given up: 3", "given up: 1");
        assert_eq!(alike, expected, "on {runtime}");
    }
}

#[test]
fn one_service_is_three_servers() {
    let expected = |connections| {
        format!(
            "\
tasks: 100 connections at a time, 100 answers
pool: client 1: Processed: HELLO
pool: client 2: Processed: HELLO
pool: client 5: Server busy, try again later.
pool: client 1 says nothing, and is let go: true
pool: client 2 says nothing, and is let go: true
pool: client 3: Processed: HELLO AT LAST
pool: client 4: Processed: HELLO AT LAST
one task: {connections} connections at a time, {connections} answers
"
        )
    };
    let echo = env!("CARGO_BIN_EXE_echo");
    assert_eq!(tell(echo, &["sim"], &[])[0].1, expected(10_000));
    for (runtime, told) in tell(echo, &REAL, &["--connections", "300"]) {
        assert_eq!(told, expected(300), "on {runtime}");
    }
}

#[test]
fn a_deadline_shrinks_at_each_hop() {
    for (runtime, told) in tell(env!("CARGO_BIN_EXE_deadline"), &ALL, &[]) {
        let lines: Vec<_> = told.lines().collect();
        let shape: Vec<_> = lines.iter().filter(|line| !line.contains(" had ")).copied().collect();
        let expected = [
            "the query of the store is over",
            "/quick: 200",
            "  one row",
            "the query of the store is over",
            "/slow: 504",
            "  too late, and dropped",
        ];
        assert_eq!(shape, expected, "on {runtime}: {told}");
        let budget = |line: &&str| line.split_once(" had ")?.1.strip_suffix(" ms")?.parse().ok();
        let budgets: Vec<u64> = lines.iter().filter_map(budget).collect();
        for hops in budgets.chunks(3) {
            let [gateway, service, store] = hops else { panic!("three hops: {told}") };
            assert!(*gateway == 2000 && *service <= 1600 && *store <= 1200, "on {runtime}: {told}");
            assert!(store < service, "on {runtime}: {told}");
        }
        if runtime == "sim" {
            assert_eq!(budgets, [2000, 1600, 1200, 2000, 1600, 1200]);
        }
    }
}

#[test]
fn pictures_are_resized_within_the_limit() {
    let expected = "\
picture 30: no picture that I know
59 resized, 1 failed, all bytes together 6568159
not faster than a hundred a second: true
";
    same(env!("CARGO_BIN_EXE_images"), &ALL, expected);
}

#[test]
fn the_twelve_lines_of_the_checklist() {
    let expected = "\
Patterns applied
  [x] or-done: the orders end because the list is full
  [x] rate limit: 539 calls, within the quota: true
  [x] back-pressure: a queue of 50, 662 orders turned away, 538 taken
  [x] circuit breaker: it opened 2 times
Resilience
  [x] timeouts: no call took longer than 200ms: true
  [x] fallbacks: 12 orders had another answer
  [x] a plan for bad days: written by the policies themselves
      when the other side is slow
        => the caller gets another answer, after 200ms at the latest
      when the other side hangs
        => the caller gets another answer, after 200ms at the latest
      when the other side gives errors
        => the caller gets another answer
      when the other side refuses
        => the caller gets another answer
      when the work panics
        => the caller gets the panic
      when the caller goes away
        => the work is dropped first, then what the policies hold is given back
      when the calls double
        => the other side gets all of it
  [x] dead letters: 5, each with its reason: another attempt would not help
Monitoring
  [x] queue depth: at most 50
  [x] refusals of the limit: 501 calls had to wait
  [x] state of the circuit: Closed, Open, HalfOpen, Open, HalfOpen, Closed
  [x] latency: p50 32ms, p95 56ms, p99 59ms
";
    same(env!("CARGO_BIN_EXE_checklist"), &["sim"], expected);
}

#[test]
fn more_workers_bring_as_much_as_they_can() {
    let expected = "\
1000 jobs of 1ms, 1 at a time: 1s
1000 jobs of 1ms, 10 at a time: 100ms
1000 jobs of 1ms, 100 at a time: 10ms
100 jobs of 100µs, 1 at a time: 10ms
100 jobs of 100µs, 4 at a time: 2.5ms
100 jobs of 100µs, 8 at a time: 1.3ms
";
    same(env!("CARGO_BIN_EXE_speedups"), &["sim"], expected);
}

runtime_test! {
    async fn a_request_and_its_answer_come_through_the_smallest_pipe(_runtime: Runtime) {
        let (client, mut server) = duplex(3);
        let serve = async {
            let request = http::read_request(&mut server).await.unwrap();
            assert_eq!((request.path.as_str(), request.header("Budget-MS")), ("/row", Some("17")));
            http::answer(&mut server, 404, "no such row").await.unwrap();
            drop(server);
        };
        let ask = http::ask(client, "/row", &[("budget-ms", "17")]);
        let (answer, ()) = future::zip(ask, serve).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "no such row"));
    }

    async fn what_is_no_request_is_an_error(_runtime: Runtime) {
        let endless = vec![b'a'; 100_000];
        for bytes in [&b"\0\x01\x02 nonsense\r\n\r\n"[..], b"GET /half HTTP/1.1\r\nhost:", &endless] {
            let (mut client, mut server) = duplex(512);
            let write = async {
                // The server may have heard enough before the end.
                let _ = client.write_all(bytes).await;
                drop(client);
            };
            let read = async {
                let request = http::read_request(&mut server).await;
                drop(server);
                request
            };
            let ((), request) = future::zip(write, read).await;
            assert!(request.is_err());
        }
    }
}

#[test]
fn a_server_that_is_dropped_drops_its_connections() {
    for kind in [Kind::Smol, Kind::AsyncStd, Kind::Tokio].into_iter().chain((0..50).map(Kind::Sim)) {
        let over = kind.run(DroppedServers).and_then(|result| result);
        assert_eq!(over.unwrap(), 3, "on {kind:?}");
    }
}

struct DroppedServers;

impl Program for DroppedServers {
    type Output = io::Result<usize>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<usize> {
        let idle = Duration::from_secs(3600);
        let mut over = 0;
        for kind in 0..3 {
            let (listener, address) = net.listen("127.0.0.1:0").await?;
            let server = match kind {
                0 => runtime.spawn(echo::tasks::<N>(listener, runtime.clone(), idle)),
                1 => runtime.spawn(echo::one_task::<N>(listener, runtime.clock().clone(), idle)),
                _ => {
                    let pool = echo::pool::<N>(listener, runtime.clone(), 1, 1, idle);
                    runtime.spawn(async move { pool.await.expect("one worker") })
                }
            };
            let mut stream = net.connect(&net.resolve(&address).await?).await?;
            stream.write_all(b"hello\n").await?;
            let mut answer = *b"Processed: ?????\n";
            stream.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"Processed: HELLO\n");
            assert!(server.cancel().await.is_err());
            over += usize::from(stream.read(&mut answer).await.unwrap_or(0) == 0);
        }
        Ok(over)
    }
}
