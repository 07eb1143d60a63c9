//! The stages of a shutdown: who is told when, what becomes of whom, and how long it takes.

use std::future::pending;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::{
    CancelToken, MainEnd, MemberEnd, OrderError, Reason, Refusal, Report, Shutdown, ShutdownError, Stage,
};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

const SECOND: Duration = Duration::from_secs(1);

/// What happened, and when.
#[derive(Clone)]
struct Log {
    clock: Clock,
    begun: Instant,
    lines: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Log {
    fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), begun: clock.now(), lines: Arc::default() }
    }

    fn say(&self, line: impl Into<String>) {
        let at = (self.clock.now() - self.begun).as_secs();
        self.lines.lock().unwrap().push((at, line.into()));
    }

    fn guard(&self, name: &str) -> Said {
        Said(self.clone(), format!("{name} gone"))
    }

    fn lines(&self) -> Vec<(u64, String)> {
        self.lines.lock().unwrap().clone()
    }

    fn at(&self, line: &str) -> Option<u64> {
        self.lines().iter().find(|said| said.1 == line).map(|said| said.0)
    }
}

struct Said(Log, String);

impl Drop for Said {
    fn drop(&mut self) {
        self.0.say(self.1.clone());
    }
}

fn shutdown(runtime: &Runtime) -> Shutdown {
    Shutdown::builder()
        .lame_duck(5 * SECOND)
        .drain(10 * SECOND)
        .grace(4 * SECOND)
        .drop(SECOND)
        .cleanup(2 * SECOND)
        .build(runtime)
        .unwrap()
}

fn took(report: &Report) -> [u64; 5] {
    let stages = [Stage::LameDuck, Stage::Drain, Stage::Cancel, Stage::Drop, Stage::Cleanup];
    stages.map(|stage| report.took(stage).as_secs())
}

#[apply(sim_test)]
async fn each_stage_at_its_time(runtime: Runtime) {
    let log = Log::new(runtime.clock());
    let shutdown = shutdown(&runtime);
    for (token, line) in
        [(shutdown.triggered(), "triggered"), (shutdown.intake(), "intake"), (shutdown.token(), "token")]
    {
        let log = log.clone();
        std::mem::forget(token.on_cancel(move |why| log.say(format!("{line}: {why}"))));
    }
    let (ignores, ends) = (log.guard("ignores"), shutdown.token().clone());
    shutdown.spawn("ignores", async move {
        let _ignores = ignores;
        pending::<()>().await;
    });
    shutdown.spawn("ends", async move {
        ends.cancelled().await;
    });
    let (clock, said) = (runtime.clock().clone(), log.clone());
    shutdown.defer("first", async move {
        clock.sleep(SECOND).await;
        said.say("cleaned up");
    });
    let clock = runtime.clock().clone();
    let main = async {
        assert!(shutdown.is_ready());
        clock.sleep(SECOND).await;
        assert!(shutdown.trigger("enough") && !shutdown.trigger("again"));
        assert!(!shutdown.is_ready());
        pending::<()>().await;
    };
    let report = shutdown.run(main).await;
    let expected = [
        (1, "triggered: enough"),
        (6, "intake: enough"),
        (16, "token: the program is shutting down"),
        (20, "ignores gone"),
        (21, "cleaned up"),
    ];
    assert_eq!(log.lines(), expected.map(|(at, line)| (at, line.to_owned())));
    assert_eq!(took(&report), [5, 10, 4, 0, 1]);
    assert_eq!(report.total(), 20 * SECOND);
    assert!(matches!(report.main(), MainEnd::Dropped));
    assert_eq!(report.count(MemberEnd::Dropped), 1);
    assert_eq!(report.count(MemberEnd::Cancelled), 1);
    assert_eq!((report.exit_code(), report.reason().to_string().as_str()), (2, "enough"));
    let dropped = &report.group("").unwrap().named()[0];
    assert_eq!((dropped.name(), dropped.age(), dropped.end()), ("ignores", 20 * SECOND, MemberEnd::Dropped));
    assert!(dropped.location().file().ends_with("shutdown_stages.rs"));
}

#[apply(sim_test)]
async fn what_ends_early_is_not_waited_for(runtime: Runtime) {
    let shutdown = shutdown(&runtime);
    let (intake, clock) = (shutdown.intake().clone(), runtime.clock().clone());
    shutdown.spawn("drains", async move {
        intake.cancelled().await;
        clock.sleep(3 * SECOND).await;
    });
    let clock = runtime.clock().clone();
    let report = shutdown
        .run(async {
            clock.sleep(SECOND).await;
            shutdown.trigger("enough");
            shutdown.intake().cancelled().await;
        })
        .await;
    assert_eq!(took(&report), [5, 3, 0, 0, 0]);
    assert_eq!(report.exit_code(), 0);
    assert!(report.is_clean());
    assert_eq!(report.count(MemberEnd::Finished), 1);
}

#[apply(sim_test)]
async fn the_end_of_main_needs_no_lame_duck(runtime: Runtime) {
    let shutdown = shutdown(&runtime);
    shutdown.spawn("ignores", pending());
    let report = shutdown.run(async { Err::<(), _>("it did not work") }).await;
    assert_eq!(took(&report), [0, 10, 4, 0, 0]);
    assert_eq!((report.exit_code(), report.main().to_string().as_str()), (1, "failed: it did not work"));
    assert!(!shutdown.spawn("late", pending()));
    let late = shutdown.group("late").try_spawn("late", pending()).unwrap_err();
    assert_eq!(late.why(), Refusal::Cancelled);
}

#[apply(sim_test)]
async fn a_group_that_stands_before_another_has_its_part_of_the_grace(runtime: Runtime) {
    let log = Log::new(runtime.clock());
    let shutdown = shutdown(&runtime);
    let database = shutdown.group("database");
    let http = shutdown.group("http").before("database").unwrap();
    for group in [&http, &database] {
        let (told, guard, token) = (log.clone(), log.guard(group.path()), group.token().clone());
        group.spawn("ignores", async move {
            let _guard = guard;
            token.cancelled().await;
            told.say("cancelled");
            pending::<()>().await;
        });
    }
    let report = shutdown.run(async {}).await;
    let expected = [(10, "cancelled"), (12, "http gone"), (12, "cancelled"), (14, "database gone")];
    assert_eq!(log.lines(), expected.map(|(at, line)| (at, line.to_owned())));
    assert_eq!(took(&report), [0, 10, 4, 0, 0]);
}

#[apply(sim_test)]
async fn a_group_is_told_when_those_before_it_are_empty(runtime: Runtime) {
    let log = Log::new(runtime.clock());
    let shutdown = shutdown(&runtime);
    shutdown.group("database/connections");
    shutdown.group("http").before("database").unwrap();
    // What is said of a group holds for those within it.
    for (path, seconds) in
        [("http", 1), ("http/connections", 3), ("database/connections", 2), ("database", 1), ("metrics", 1)]
    {
        let group = shutdown.group(path);
        let (clock, guard, intake) = (runtime.clock().clone(), log.guard(path), group.intake().clone());
        group.spawn("drains", async move {
            let _guard = guard;
            intake.cancelled().await;
            clock.sleep(seconds * SECOND).await;
        });
    }
    assert_eq!(shutdown.group("http").live(), 2);
    let report = shutdown.run(async {}).await;
    let gone =
        ["http gone", "http/connections gone", "metrics gone", "database gone"].map(|line| log.at(line));
    assert_eq!(gone, [Some(1), Some(3), Some(1), Some(4)]);
    assert_eq!(log.at("database/connections gone"), Some(5));
    assert_eq!(took(&report), [0, 5, 0, 0, 0]);
    assert_eq!(report.exit_code(), 0);
}

#[apply(runtime_test)]
async fn forcing_drops_at_once_in_order(runtime: Runtime) {
    let log = Log::new(runtime.clock());
    let shutdown = shutdown(&runtime);
    shutdown.group("c");
    shutdown.group("b").before("c").unwrap();
    shutdown.group("a").before("b").unwrap();
    for path in ["c", "a", "b"] {
        let guard = log.guard(path);
        shutdown.group(path).spawn("ignores", async move {
            let _guard = guard;
            pending::<()>().await;
        });
    }
    shutdown.defer("skipped", async { panic!("it must not run") });
    let report = shutdown
        .run(async {
            yields(3).await;
            shutdown.trigger("enough");
            yields(3).await;
            shutdown.force();
            pending::<()>().await;
        })
        .await;
    let lines: Vec<String> = log.lines().into_iter().map(|said| said.1).collect();
    assert_eq!(lines, ["a gone", "b gone", "c gone"]);
    assert!(report.is_forced());
    assert_eq!(report.unfinished_cleanup()[0].name(), "skipped");
    assert_eq!(report.exit_code(), 2);
    assert!(report.to_string().contains("shutdown (enough), forced in "), "{report}");
}

#[apply(sim_test)]
async fn the_stages_fit_the_total_whatever_happens(runtime: Runtime) {
    let shutdown = Shutdown::builder().total(10 * SECOND).lame_duck(2 * SECOND).build(&runtime).unwrap();
    shutdown.spawn("ignores", pending());
    shutdown.defer("endless", pending());
    let report = shutdown
        .run(async {
            shutdown.trigger("enough");
            pending::<()>().await;
        })
        .await;
    // Eight seconds in twenty parts; what is left of the drop is not used.
    assert_eq!(report.took(Stage::Drain), 8 * SECOND / 20 * 16);
    assert_eq!(report.took(Stage::Cancel), 8 * SECOND / 20 * 2);
    assert_eq!(report.took(Stage::Cleanup), 8 * SECOND / 20);
    assert!(report.total() <= 10 * SECOND);
    let endless = &report.unfinished_cleanup()[0];
    assert_eq!(
        (endless.name(), endless.end(), endless.age()),
        ("endless", MemberEnd::Dropped, 8 * SECOND / 20)
    );
}

#[apply(runtime_test)]
async fn an_essential_task_takes_the_others_with_it(runtime: Runtime) {
    let runtime = runtime.with_panic_hook(|_| {});
    let shutdown = Shutdown::new(&runtime);
    let group = shutdown.group("http");
    let token = group.intake().clone();
    group.spawn("connection", async move {
        token.cancelled().await;
    });
    group.spawn("not essential", async {});
    assert!(group.spawn_essential("listener", async {
        yields(2).await;
        std::panic::panic_any("as asked");
    }));
    let report = shutdown.run(shutdown.intake().cancelled()).await;
    assert_eq!(report.reason().to_string(), "the essential task \"listener\" has panicked");
    let http = report.group("http").unwrap();
    assert_eq!((http.count(MemberEnd::Panicked), http.named()[0].name()), (1, "listener"));
    assert_eq!(report.exit_code(), 2);
}

#[apply(runtime_test)]
async fn a_panic_of_main_ends_all_the_same(runtime: Runtime) {
    let shutdown = Shutdown::new(&runtime);
    let intake = shutdown.intake().clone();
    shutdown.spawn("drains", async move {
        intake.cancelled().await;
    });
    let log = Log::new(runtime.clock());
    let said = log.clone();
    shutdown.defer("second", async move { said.say("second") });
    let said = log.clone();
    shutdown.defer("first", async move { said.say("first") });
    let report = shutdown
        .run(async {
            if shutdown.is_ready() {
                std::panic::panic_any("as asked")
            }
        })
        .await;
    assert_eq!(report.main().to_string(), "panicked: as asked");
    assert_eq!(report.exit_code(), 101);
    assert_eq!(report.count(MemberEnd::Finished), 1);
    let lines: Vec<String> = log.lines().into_iter().map(|said| said.1).collect();
    assert_eq!(lines, ["first", "second"]);
}

#[apply(runtime_test)]
async fn main_may_be_local_and_borrow(runtime: Runtime) {
    let shutdown = Shutdown::new(&runtime);
    let (local, mut sum) = (Rc::new(3), 0);
    let report = {
        let sum = &mut sum;
        // In a task of its own kind, for what is not `Send` cannot be in one of the runtime's.
        weirs_runtime::block_on(async {
            shutdown
                .run(async move {
                    yields(1).await;
                    *sum += *local;
                })
                .await
        })
    };
    assert_eq!((sum, report.exit_code()), (3, 0));
}

#[apply(runtime_test)]
async fn a_group_takes_tasks_until_it_is_cancelled(runtime: Runtime) {
    let shutdown = Shutdown::new(&runtime);
    let group = shutdown.group("http");
    let (inner, intake) = (group.clone(), group.intake().clone());
    group.spawn("listener", async move {
        intake.cancelled().await;
        assert!(inner.spawn("the last request", yields(3)));
        assert!(inner.group("late").spawn("a late group", yields(3)));
        assert_eq!(inner.group("late").intake().reason().unwrap().to_string(), "enough");
        assert_eq!(inner.before("late").unwrap_err(), OrderError::TooLate);
    });
    shutdown.trigger("enough");
    let report = shutdown.run(shutdown.intake().cancelled()).await;
    assert_eq!(report.group("http").unwrap().count(MemberEnd::Finished), 2, "{report}");
    assert_eq!(report.group("http/late").unwrap().count(MemberEnd::Finished), 1, "{report}");
    let after = group.try_spawn("late", yields(1)).unwrap_err();
    assert_eq!(after.why(), Refusal::Cancelled);
    after.into_inner().await;
}

#[apply(runtime_test)]
async fn dropping_it_drops_all_that_is_idle(runtime: Runtime) {
    let log = Log::new(runtime.clock());
    let shutdown = Shutdown::new(&runtime);
    shutdown.group("b");
    shutdown.group("a").before("b").unwrap();
    let (begun, has_begun) = async_channel::bounded(2);
    for path in ["b", "a"] {
        let (guard, group, begun) = (log.guard(path), shutdown.group(path), begun.clone());
        shutdown.group(path).spawn("endless", async move {
            let _guard = guard;
            begun.send(()).await.unwrap();
            // It holds its own group, which must not keep it alive.
            let _group = group;
            pending::<()>().await;
        });
    }
    for _ in 0..2 {
        has_begun.recv().await.unwrap();
    }
    let group = shutdown.group("a");
    drop(shutdown.clone());
    assert_eq!(group.live(), 1);
    drop(shutdown);
    assert_eq!(group.live(), 0);
    assert_eq!(group.token().reason(), Some(Reason::Shutdown));
    // One that was still being polled goes with its poll.
    while log.lines().len() < 2 {
        yields(1).await;
    }
}

#[apply(sim_test)]
async fn running_twice_is_a_mistake(runtime: Runtime) {
    use futures::FutureExt;
    let shutdown = Shutdown::new(&runtime);
    shutdown.run(async {}).await;
    let again = std::panic::AssertUnwindSafe(shutdown.run(async {})).catch_unwind().await;
    assert!(again.is_err());
}

#[apply(runtime_test)]
async fn a_run_that_is_given_up_leaves_nothing(runtime: Runtime) {
    let live = weirs_testing::InFlight::new();
    let make = || {
        let (runtime, live) = (runtime.clone(), live.clone());
        async move {
            let shutdown = Shutdown::new(&runtime);
            let groups = [shutdown.group("http/a"), shutdown.group("http"), shutdown.group("db")];
            shutdown.group("http").before("db").unwrap();
            for group in groups {
                let (intake, guard) = (group.intake().clone(), live.enter());
                group.spawn("drains", async move {
                    let _guard = guard;
                    intake.cancelled().await;
                    yields(2).await;
                });
            }
            let guard = live.enter();
            shutdown.defer("cleanup", async move {
                let _guard = guard;
                yields(2).await;
            });
            let main = async {
                let _guard = live.enter();
                yields(2).await;
                shutdown.trigger("enough");
                yields(2).await;
            };
            shutdown.run(main).await;
        }
    };
    // What was being polled on another thread goes with its poll.
    let none_left = || async {
        while live.now() > 0 {
            yields(1).await;
        }
    };
    cancel_at_every_poll(make, |_| none_left()).await;
    cancel_at_every_wake(make, |_| none_left()).await;
}

#[apply(sim_test)]
async fn in_the_simulator_it_is_all_gone_before_the_drop_returns(runtime: Runtime) {
    let live = weirs_testing::InFlight::new();
    cancel_at_every_poll(
        || {
            let (runtime, live) = (runtime.clone(), live.clone());
            async move {
                let shutdown = Shutdown::new(&runtime);
                let (intake, guard) = (shutdown.intake().clone(), live.enter());
                shutdown.spawn("drains", async move {
                    let _guard = guard;
                    intake.cancelled().await;
                    yields(2).await;
                });
                shutdown.run(yields(3)).await;
            }
        },
        async |_| assert_eq!(live.now(), 0),
    )
    .await;
}

#[apply(sim_test)]
async fn bad_times_and_orders_are_refused(runtime: Runtime) {
    let build = |builder: weirs_scopes::ShutdownBuilder| builder.build(&runtime).map(|_| ());
    assert_eq!(build(Shutdown::builder().total(Duration::ZERO)), Err(ShutdownError::ZeroTotal));
    let error = build(Shutdown::builder().total(SECOND).drain(SECOND).cleanup(SECOND));
    assert_eq!(error, Err(ShutdownError::StagesExceedTotal { stages: 2 * SECOND, total: SECOND }));
    let error = build(Shutdown::builder().drain(Duration::MAX).lame_duck(SECOND)).unwrap_err();
    assert!(matches!(error, ShutdownError::StagesExceedTotal { .. }));
    assert_eq!(build(Shutdown::builder().total(Duration::MAX)), Ok(()));
    assert_eq!(build(Shutdown::builder().total(SECOND).drain(SECOND)), Ok(()));

    let shutdown = Shutdown::new(&runtime);
    let [a, b, c] = ["a", "b/inner", "c"].map(|path| shutdown.group(path));
    a.before("b").unwrap().before("b").unwrap();
    b.before("c").unwrap();
    let cycle = |result: Result<_, OrderError>| matches!(result, Err(OrderError::Cycle { .. }));
    assert!(cycle(c.before("a")) && cycle(a.before("a")) && cycle(b.before("b")) && cycle(b.before("a")));
    assert!(cycle(shutdown.group("b").before("b/inner")));
    assert_eq!(c.before("d").unwrap_err(), OrderError::Unknown { path: "d".into() });
}

#[apply(sim_test)]
async fn a_long_chain_of_groups_ends_in_order(runtime: Runtime) {
    let shutdown = Shutdown::new(&runtime);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let number = 200;
    for at in (0..number).rev() {
        let group = shutdown.group(&at.to_string());
        if at + 1 < number {
            group.before(&(at + 1).to_string()).unwrap();
        }
        let (ended, intake): (_, CancelToken) = (Arc::clone(&ended), group.intake().clone());
        group.spawn("drains", async move {
            intake.cancelled().await;
            ended.lock().unwrap().push(at);
        });
    }
    let report = shutdown.run(async {}).await;
    assert_eq!(report.exit_code(), 0, "{report}");
    assert_eq!(*ended.lock().unwrap(), (0..number).collect::<Vec<_>>());
}
