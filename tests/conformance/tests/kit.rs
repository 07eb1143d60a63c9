//! The checks of the conformance kit, on every runtime: watched and one by one, and on the bare adapters.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use weirs_runtime::{AsyncStd, Runtime, Smol, Tokio};
use weirs_testing::conformance::{self, CHECKS, Report};
use weirs_testing::runtime_test;

macro_rules! every_check {
    ($($name:ident)+) => {
        runtime_test! {$(
            async fn $name(runtime: Runtime) {
                conformance::$name(runtime).await;
            }
        )+}

        #[test]
        fn no_check_is_left_out() {
            let here = BTreeSet::from([$(stringify!($name)),+]);
            let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
            assert_eq!(here, all);
        }
    };
}

every_check! {
    a_join_gives_the_value
    a_joiner_may_come_late
    a_joiner_may_give_way_to_another
    dropping_the_handle_cancels
    detaching_lets_it_run
    cancelling_waits_until_the_future_is_dropped
    cancelling_an_idle_task_drops_it_at_once
    cancelling_a_finished_task_gives_its_value
    a_task_may_cancel_itself
    finishing_beats_being_cancelled
    an_abort_handle_cancels_from_elsewhere
    a_result_is_given_once
    a_handle_may_be_dropped_by_its_own_task
    tasks_may_own_tasks
    a_task_knows_its_name_and_place
    many_tasks_all_end
    a_panic_is_an_error_to_the_joiner
    a_payload_may_be_anything
    a_destructor_may_panic_while_cancelled
    a_destructor_may_panic_after_the_end
    a_detached_panic_goes_to_the_hook
    an_output_that_nobody_takes_may_panic
    a_payload_may_panic_when_dropped
    a_joiners_waker_may_panic
    a_hook_may_panic
    a_blocking_job_gives_its_value
    a_blocking_panic_is_an_error
    a_blocking_job_without_a_place_is_unsupported
    a_blocking_job_cancelled_in_the_queue_never_runs
    a_running_blocking_job_ends_as_it_does
    a_sleep_that_is_due_is_ready
    a_sleep_ends_when_it_is_due
    an_endless_sleep_may_be_dropped
    a_sleep_may_be_reset
    a_sleep_may_change_hands
    a_sleep_stays_ready
    many_sleeps_all_end
    a_timeout_lets_a_result_through
    a_timeout_elapses
    a_timeout_polls_at_least_once
    a_panic_passes_through_a_timeout
    an_interval_ticks
    an_interval_of_zero_is_an_error
}

#[test]
fn every_check_runs_everywhere() {
    let output = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format=terse"]).output();
    let listing = String::from_utf8(output.unwrap().stdout).unwrap();
    let tests: BTreeSet<&str> = listing.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    for check in CHECKS {
        for runtime in ["smol", "smol_mt", "async_std", "tokio_ct", "tokio_mt", "tokio_paused", "sim"] {
            let test = format!("{}::{runtime}", check.name);
            assert!(tests.contains(test.as_str()), "there is no {test}");
        }
    }
}

/// Without the task list that `runtime_test!` adds, as programs have them.
mod bare {
    use super::*;

    fn passed(report: &Report) {
        assert!(report.is_success(), "{report}");
    }

    #[test]
    fn smol() {
        let executor = Arc::new(smol::Executor::new());
        let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
        passed(&conformance::run(&runtime, |check| smol::block_on(executor.run(check))));
        passed(&conformance::run(&Runtime::from(Smol::global()), smol::block_on));
    }

    #[test]
    fn async_std() {
        passed(&conformance::run(&Runtime::from(AsyncStd), async_std::task::block_on));
    }

    #[test]
    fn tokio_ct() {
        tokio_on(&mut tokio::runtime::Builder::new_current_thread());
    }

    #[test]
    fn tokio_mt() {
        tokio_on(tokio::runtime::Builder::new_multi_thread().worker_threads(2));
    }

    fn tokio_on(builder: &mut tokio::runtime::Builder) {
        let tokio = builder.enable_time().build().unwrap();
        let adapter = Tokio::on(tokio.handle().clone());
        passed(&conformance::run(&Runtime::from(adapter.clone()), |check| tokio.block_on(check)));
        // In tokio's time, which nobody pauses here.
        let hosted = Runtime::from(adapter.clone()).with_clock(adapter.clock());
        passed(&conformance::run(&hosted, |check| tokio.block_on(check)));
    }

    #[test]
    fn a_foreign_pool() {
        let pool = futures::executor::ThreadPool::builder().pool_size(2).create().unwrap();
        passed(&conformance::run(&Runtime::new(pool), futures::executor::block_on));
    }
}
