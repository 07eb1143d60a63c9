//! The cases of OTP's `supervisor_SUITE`, under its names, as far as they are about the rules alone: played
//! with the machine and with children that do at once what they are asked to. OTP's `shutdown` reason is a
//! normal end here, and its `terminate_child` is a stop.

mod machine;

use machine::named::Supervisor;
use machine::world::{child, ns, rules};
use weirs_actors::supervise::machine::{Ending, Event};
use weirs_actors::supervise::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};

const PERMANENT: ChildRules = child(Restart::Permanent);
const TRANSIENT: ChildRules = child(Restart::Transient);
const TEMPORARY: ChildRules = child(Restart::Temporary);

fn significant(rules: ChildRules) -> ChildRules {
    ChildRules { significant: true, ..rules }
}

fn often(strategy: Strategy) -> Rules {
    Rules { most: 100, ..rules(strategy) }
}

#[test]
fn sup_start_normal() {
    let mut supervisor = Supervisor::new(rules(Strategy::OneForOne));
    assert_eq!(supervisor.begin(), "started");
    assert_eq!(supervisor.shutdown(), "exit Shutdown");
}

#[test]
fn sup_start_ignore_child() {
    let mut supervisor = Supervisor::new(rules(Strategy::OneForOne));
    supervisor.insert("a", PERMANENT);
    supervisor.insert("b", PERMANENT);
    supervisor.ignores("a");
    assert_eq!(supervisor.begin(), "run a, down a, run b, started");
    assert_eq!(supervisor.which_children(), "a:Down b");
    supervisor.ignores("c");
    assert_eq!(supervisor.add("c", PERMANENT), "run c, Started, down c");
    assert_eq!(supervisor.which_children(), "a:Down b c:Down");
    assert_eq!(supervisor.start("a"), "run a, Started");
}

#[test]
fn sup_start_ignore_temporary_child() {
    let mut supervisor = Supervisor::new(rules(Strategy::OneForOne));
    supervisor.insert("a", TEMPORARY);
    supervisor.insert("b", PERMANENT);
    supervisor.ignores("a");
    assert_eq!(supervisor.begin(), "run a, down a, forget a, run b, started");
    assert_eq!(supervisor.which_children(), "b");
}

#[test]
fn sup_start_ignore_temporary_child_start_child() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[]);
    supervisor.ignores("a");
    assert_eq!(supervisor.add("a", TEMPORARY), "run a, Started, down a, forget a");
    assert_eq!(supervisor.add("b", TEMPORARY), "run b, Started");
    assert_eq!(supervisor.which_children(), "b");
}

#[test]
fn sup_start_ignore_temporary_child_start_child_simple() {
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[]);
    for restart in [TEMPORARY, PERMANENT] {
        supervisor.ignores("a");
        assert_eq!(supervisor.add("a", restart), "run a, Started, down a, forget a");
    }
    assert_eq!(supervisor.which_children(), "");
}

#[test]
fn sup_start_child_returns_error() {
    let mut supervisor = Supervisor::new(rules(Strategy::OneForOne));
    for name in ["a", "b", "c", "d"] {
        supervisor.insert(name, PERMANENT);
    }
    supervisor.fails("c", 1);
    let words = "run a, run b, run c, down c, ask b, down b, ask a, down a, start failed c";
    // Those that were never started are down as well.
    assert_eq!(supervisor.begin().replace("down d, ", ""), words);
}

#[test]
fn sup_start_restart_child_returns_error() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT)]);
    assert_eq!(supervisor.stop("a"), "ask a, down a, Stopped");
    supervisor.fails("a", 1);
    assert_eq!(supervisor.start("a"), "run a, NotStarted, down a");
    assert_eq!(supervisor.which_children(), "a:Down");
    assert_eq!(supervisor.world.machine.restarts(supervisor.world.now), 0);
    assert_eq!(supervisor.start("a"), "run a, Started");
}

#[test]
fn sup_start_child_returns_error_simple() {
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[]);
    supervisor.fails("a", 1);
    assert_eq!(supervisor.add("a", PERMANENT), "run a, NotStarted, down a, forget a");
    assert_eq!(supervisor.which_children(), "");
}

#[test]
fn sup_stop_infinity() {
    let forever = ChildRules { stop: Stop::Forever, ..PERMANENT };
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", forever), ("b", forever)]);
    assert_eq!(supervisor.step(Event::Shutdown), "ask b");
    // It has all the time it wants.
    assert_eq!(supervisor.time_passes("b"), "");
    assert_eq!(supervisor.end("b"), "down b, ask a, down a, exit Shutdown");
}

#[test]
fn sup_stop_timeout() {
    let mut supervisor =
        Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT), ("b", PERMANENT)]);
    assert_eq!(supervisor.step(Event::Shutdown), "ask b");
    assert_eq!(supervisor.time_passes("b"), "kill b");
    assert_eq!(supervisor.crash("b"), "down b, ask a, down a, exit Shutdown");
}

#[test]
fn sup_stop_timeout_dynamic() {
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[("a", PERMANENT), ("b", PERMANENT)]);
    assert_eq!(supervisor.step(Event::Shutdown), "ask a, ask b");
    assert_eq!(supervisor.time_passes("a"), "kill a");
    assert_eq!(supervisor.end("b"), "down b");
    assert_eq!(supervisor.crash("a"), "down a, exit Shutdown");
}

#[test]
fn sup_stop_brutal_kill() {
    let brutal = ChildRules { stop: Stop::Kill, ..PERMANENT };
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT), ("b", brutal)]);
    assert_eq!(supervisor.shutdown(), "kill b, down b, ask a, down a, exit Shutdown");
}

#[test]
fn sup_stop_brutal_kill_dynamic() {
    let brutal = ChildRules { stop: Stop::Kill, ..PERMANENT };
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[("a", brutal), ("b", brutal)]);
    assert_eq!(supervisor.shutdown(), "kill a, kill b, down a, down b, exit Shutdown");
}

/// A child that ends by itself while it is stopped, and one that was to be stopped next.
#[test]
fn sup_stop_race() {
    let mut supervisor =
        Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT), ("b", PERMANENT)]);
    assert_eq!(supervisor.step(Event::Shutdown), "ask b");
    assert_eq!(supervisor.step(Event::Ended(supervisor.keys["a"], Ending::Abnormal)), "down a");
    assert_eq!(supervisor.crash("b"), "down b, exit Shutdown");
}

#[test]
fn child_adm() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT)]);
    assert_eq!(supervisor.stop("a"), "ask a, down a, Stopped");
    assert_eq!(supervisor.stop("a"), "Stopped");
    assert_eq!(supervisor.start("a"), "run a, Started");
    assert_eq!(supervisor.start("a"), "Running");
    assert_eq!(supervisor.delete("a"), "Running");
    assert_eq!(supervisor.stop("a"), "ask a, down a, Stopped");
    assert_eq!(supervisor.delete("a"), "Deleted, forget a");
    // It is not there any more.
    for gone in [Supervisor::start, Supervisor::stop, Supervisor::delete] {
        assert_eq!(gone(&mut supervisor, "a"), "");
    }
    assert_eq!(supervisor.add("a", PERMANENT), "run a, Started");
    assert_eq!(supervisor.which_children(), "a");
}

#[test]
fn child_adm_simple() {
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[]);
    assert_eq!(supervisor.add("a", PERMANENT), "run a, Started");
    assert_eq!(supervisor.add("b", PERMANENT), "run b, Started");
    assert_eq!(supervisor.stop("a"), "ask a, down a, Stopped, forget a");
    assert_eq!(supervisor.start("a"), "");
    assert_eq!(supervisor.which_children(), "b");
}

#[test]
fn permanent_normal() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT)]);
    assert_eq!(supervisor.end("a"), "run a");
}

#[test]
fn transient_normal() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", TRANSIENT)]);
    assert_eq!(supervisor.end("a"), "down a");
    assert_eq!(supervisor.which_children(), "a:Down");
}

#[test]
fn temporary_normal() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", TEMPORARY)]);
    assert_eq!(supervisor.end("a"), "down a, forget a");
}

#[test]
fn permanent_abnormal() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT)]);
    assert_eq!(supervisor.crash("a"), "run a");
}

#[test]
fn transient_abnormal() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", TRANSIENT)]);
    assert_eq!(supervisor.crash("a"), "run a");
}

#[test]
fn temporary_abnormal() {
    let mut supervisor = Supervisor::started(rules(Strategy::OneForOne), &[("a", TEMPORARY)]);
    assert_eq!(supervisor.crash("a"), "down a, forget a");
    assert_eq!(supervisor.which_children(), "");
}

/// A temporary child that a sibling took along does not come back.
#[test]
fn temporary_bystander() {
    let children = [("a", PERMANENT), ("b", TEMPORARY)];
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut supervisor = Supervisor::started(rules(strategy), &children);
        assert_eq!(supervisor.crash("a"), "ask b, down b, forget b, run a");
        assert_eq!(supervisor.which_children(), "a");
    }
}

#[test]
fn multiple_restarts() {
    let children = [("a", PERMANENT), ("b", PERMANENT), ("c", PERMANENT)];
    let mut supervisor = Supervisor::started(Rules { most: 3, ..rules(Strategy::OneForOne) }, &children);
    for name in ["a", "b", "c"] {
        assert_eq!(supervisor.crash(name), format!("run {name}"));
    }
    // Those of all children count together, and no longer than they are to.
    supervisor.world.now += ns(5);
    assert_eq!(supervisor.world.machine.restarts(supervisor.world.now), 0);
    for name in ["a", "b", "c"] {
        assert_eq!(supervisor.crash(name), format!("run {name}"));
    }
    supervisor.world.now += ns(4);
    assert_eq!(supervisor.crash("a"), "ask c, down c, ask b, down b, down a, gave up a");
}

#[test]
fn one_for_one() {
    let mut supervisor =
        Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT), ("b", PERMANENT)]);
    assert_eq!(supervisor.crash("a"), "run a");
    assert_eq!(supervisor.which_children(), "a b");
}

#[test]
fn one_for_one_escalation() {
    let mut supervisor =
        Supervisor::started(rules(Strategy::OneForOne), &[("a", PERMANENT), ("b", PERMANENT)]);
    supervisor.fails("a", 4);
    assert_eq!(supervisor.crash("a"), "run a, ask b, down b, down a, gave up a");
}

#[test]
fn one_for_all() {
    let children = [("a", PERMANENT), ("b", PERMANENT), ("c", PERMANENT)];
    let mut supervisor = Supervisor::started(rules(Strategy::OneForAll), &children);
    assert_eq!(supervisor.crash("b"), "ask c, ask a, run a, run b, run c");
    assert_eq!(supervisor.which_children(), "a b c");
}

#[test]
fn one_for_all_escalation() {
    let mut supervisor =
        Supervisor::started(rules(Strategy::OneForAll), &[("a", PERMANENT), ("b", PERMANENT)]);
    supervisor.fails("a", 4);
    assert_eq!(supervisor.crash("a"), "ask b, run a, down b, down a, gave up a");
}

#[test]
fn one_for_all_other_child_fails_restart() {
    let mut supervisor =
        Supervisor::started(often(Strategy::OneForAll), &[("a", PERMANENT), ("b", PERMANENT)]);
    supervisor.fails("b", 1);
    assert_eq!(supervisor.crash("a"), "ask b, run a, run b, ask a, run a, run b");
    // The other is stopped while it waits to be tried again: it does not come back, and the first one does.
    assert_eq!(supervisor.step(Event::Ended(supervisor.keys["a"], Ending::Abnormal)), "ask b");
    assert_eq!(supervisor.step(Event::StopChild(supervisor.keys["b"])), "ask b");
    assert_eq!(supervisor.end("b"), "down b, Stopped, run a");
    assert_eq!(supervisor.which_children(), "a b:Down");
    assert_eq!(supervisor.world.machine.restarts(supervisor.world.now), 3);
}

#[test]
fn rest_for_one() {
    let children = [("a", PERMANENT), ("b", PERMANENT), ("c", PERMANENT)];
    let mut supervisor = Supervisor::started(rules(Strategy::RestForOne), &children);
    assert_eq!(supervisor.crash("b"), "ask c, run b, run c");
    assert_eq!(supervisor.which_children(), "a b c");
}

#[test]
fn rest_for_one_escalation() {
    let children = [("a", PERMANENT), ("b", PERMANENT)];
    let mut supervisor = Supervisor::started(rules(Strategy::RestForOne), &children);
    supervisor.fails("a", 4);
    assert_eq!(supervisor.crash("a"), "ask b, run a, down b, down a, gave up a");
}

/// Those before the one that fails stay up.
#[test]
fn rest_for_one_other_child_fails_restart() {
    let children = [("a", PERMANENT), ("b", PERMANENT), ("c", PERMANENT)];
    let mut supervisor = Supervisor::started(often(Strategy::RestForOne), &children);
    supervisor.fails("b", 2);
    assert_eq!(supervisor.crash("a"), "ask c, ask b, run a, run b, run b, run b, run c");
    assert_eq!(supervisor.world.machine.restarts(supervisor.world.now), 3);
}

#[test]
fn simple_one_for_one() {
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[("a", PERMANENT), ("b", PERMANENT)]);
    assert_eq!(supervisor.crash("a"), "run a");
    assert_eq!(supervisor.shutdown(), "ask a, ask b, down a, down b, exit Shutdown");
}

#[test]
fn simple_one_for_one_escalation() {
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[("a", PERMANENT), ("b", PERMANENT)]);
    supervisor.fails("a", 4);
    assert_eq!(supervisor.crash("a"), "run a, down a, ask b, down b, gave up a");
}

#[test]
fn simple_one_for_one_restart_ignore() {
    let mut supervisor = Supervisor::started(rules(Strategy::Dynamic), &[("a", PERMANENT), ("b", PERMANENT)]);
    supervisor.ignores("a");
    assert_eq!(supervisor.crash("a"), "run a, down a, forget a");
    assert_eq!(supervisor.which_children(), "b");
}

/// With a supervisor that heeds them, and with one that does not.
#[test]
fn nonsignificant_children() {
    for auto_shutdown in [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let rules = Rules { auto_shutdown, ..often(Strategy::OneForOne) };
        let mut supervisor = Supervisor::started(rules, &[("a", TEMPORARY), ("b", TRANSIENT)]);
        assert_eq!(supervisor.end("b"), "down b");
        assert_eq!(supervisor.start("b"), "run b, Started");
        assert_eq!(supervisor.crash("b"), "run b");
        assert_eq!(supervisor.end("a"), "down a, forget a");
        assert_eq!(supervisor.which_children(), "b");
    }
}

#[test]
fn significant_temporary() {
    let children = [("a", significant(TEMPORARY)), ("b", significant(TEMPORARY)), ("c", PERMANENT)];
    for how in [Supervisor::end, Supervisor::crash] {
        let any = Rules { auto_shutdown: AutoShutdown::AnySignificant, ..often(Strategy::OneForOne) };
        let mut supervisor = Supervisor::started(any, &children);
        let words = "down a, forget a, ask c, down c, ask b, down b, done a";
        assert_eq!(how(&mut supervisor, "a"), words);
        let all = Rules { auto_shutdown: AutoShutdown::AllSignificant, ..any };
        let mut supervisor = Supervisor::started(all, &children);
        assert_eq!(how(&mut supervisor, "a"), "down a, forget a");
        assert_eq!(how(&mut supervisor, "b"), "down b, forget b, ask c, down c, done b");
    }
}

#[test]
fn significant_transient() {
    let children = [("a", significant(TRANSIENT)), ("b", significant(TRANSIENT)), ("c", PERMANENT)];
    let any = Rules { auto_shutdown: AutoShutdown::AnySignificant, ..often(Strategy::OneForOne) };
    let mut supervisor = Supervisor::started(any, &children);
    assert_eq!(supervisor.crash("a"), "run a");
    assert_eq!(supervisor.end("a"), "down a, ask c, down c, ask b, down b, done a");
    let all = Rules { auto_shutdown: AutoShutdown::AllSignificant, ..any };
    let mut supervisor = Supervisor::started(all, &children);
    assert_eq!(supervisor.end("a"), "down a");
    assert_eq!(supervisor.start("a"), "run a, Started");
    assert_eq!(supervisor.end("b"), "down b");
    assert_eq!(supervisor.crash("a"), "run a");
    assert_eq!(supervisor.end("a"), "down a, ask c, down c, done a");
}

#[test]
fn significant_simple() {
    let children = [("a", significant(TEMPORARY)), ("b", significant(TEMPORARY))];
    let any = Rules { auto_shutdown: AutoShutdown::AnySignificant, ..rules(Strategy::Dynamic) };
    let mut supervisor = Supervisor::started(any, &children);
    assert_eq!(supervisor.crash("a"), "down a, forget a, ask b, down b, done a");
    let all = Rules { auto_shutdown: AutoShutdown::AllSignificant, ..any };
    let mut supervisor = Supervisor::started(all, &children);
    assert_eq!(supervisor.stop("a"), "ask a, down a, Stopped, forget a");
    assert_eq!(supervisor.end("b"), "down b, forget b, done b");
}

/// Neither a sibling's restart nor a command ends the supervisor.
#[test]
fn significant_bystander() {
    let children = [("a", PERMANENT), ("b", significant(TEMPORARY)), ("c", significant(TRANSIENT))];
    for auto_shutdown in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
            let rules = Rules { auto_shutdown, ..often(strategy) };
            let mut supervisor = Supervisor::started(rules, &children);
            assert_eq!(supervisor.crash("a"), "ask c, ask b, down b, forget b, run a, run c");
            assert_eq!(supervisor.stop("c"), "ask c, down c, Stopped");
            assert_eq!(supervisor.which_children(), "a c:Down");
        }
    }
}

#[test]
fn order_of_children() {
    let children = [("a", PERMANENT), ("b", PERMANENT), ("c", PERMANENT)];
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let mut supervisor = Supervisor::started(often(strategy), &children);
        assert_eq!(supervisor.add("e", PERMANENT), "run e, Started");
        assert_eq!(supervisor.add("d", PERMANENT), "run d, Started");
        supervisor.crash("b");
        assert_eq!(supervisor.which_children(), "a b c e d");
        supervisor.stop("a");
        supervisor.start("a");
        assert_eq!(supervisor.which_children(), "a b c e d");
        let words = ["d", "e", "c", "b", "a"].map(|name| format!("ask {name}, down {name}, "));
        assert_eq!(supervisor.shutdown(), words.concat() + "exit Shutdown");
    }
}

#[test]
fn count_restarting_children() {
    let pausing = ChildRules { pauses: true, ..PERMANENT };
    let children = [("a", pausing), ("b", pausing)];
    let mut supervisor = Supervisor::started(often(Strategy::OneForOne), &children);
    assert_eq!(supervisor.crash("a"), "pause a 0");
    assert_eq!(supervisor.crash("b"), "pause b 0");
    assert_eq!(supervisor.which_children(), "a:Pausing b:Pausing");
    assert_eq!(supervisor.delete("a"), "Running");
    assert_eq!(supervisor.start("a"), "Running");
    assert_eq!(supervisor.stop("a"), "down a, Stopped");
    assert_eq!(supervisor.time_passes("a"), "");
    assert_eq!(supervisor.shutdown(), "down b, exit Shutdown");
}

#[test]
fn do_not_save_child_specs_for_temporary_children() {
    let mut supervisor = Supervisor::started(often(Strategy::OneForOne), &[("a", PERMANENT)]);
    for how in [Supervisor::end, Supervisor::crash, Supervisor::stop] {
        supervisor.add("b", TEMPORARY);
        how(&mut supervisor, "b");
        assert_eq!(supervisor.which_children(), "a");
    }
}

/// Starts that fail again and again leave room for commands in between: here a restart that never succeeds
/// is ended by a stop, and by a shutdown.
#[test]
fn hanging_restart_loop() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne, Strategy::Dynamic] {
        let mut supervisor = Supervisor::started(often(strategy), &[("a", PERMANENT)]);
        let a = supervisor.keys["a"];
        for _ in 0..50 {
            assert_eq!(supervisor.step(Event::Ended(a, Ending::Abnormal)), "run a");
        }
        assert_eq!(supervisor.step(Event::StartChild(a)), "Running");
        assert_eq!(supervisor.step(Event::StopChild(a)), "ask a");
        let leaves = if strategy == Strategy::Dynamic { ", forget a" } else { "" };
        let words = supervisor.step(Event::Ended(a, Ending::Abnormal));
        assert_eq!(words, format!("down a, Stopped{leaves}"));

        let mut supervisor = Supervisor::started(often(strategy), &[("a", PERMANENT)]);
        let a = supervisor.keys["a"];
        assert_eq!(supervisor.step(Event::Ended(a, Ending::Abnormal)), "run a");
        assert_eq!(supervisor.step(Event::Shutdown), "ask a");
        assert_eq!(supervisor.step(Event::Ended(a, Ending::Abnormal)), "down a, exit Shutdown");
    }
}
