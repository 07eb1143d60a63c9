//! Real signals to real processes: this program starts itself and signals that.
#![cfg(all(unix, feature = "signals"))]

#[path = "common/process.rs"]
mod process;

use std::os::unix::process::ExitStatusExt;

use weirs_runtime::{Clock, block_on};
use weirs_scopes::{EscalationStep, Signal, Signals, join};

use process::{LIMIT, Process, STORY, say};

#[test]
fn signals_are_seen_by_all_who_listen() {
    let mut child = Process::start("two_listeners");
    child.expect("ready");
    child.signal(Signal::Interrupt);
    child.expect("first SIGINT");
    child.expect("second SIGINT");
    child.signal(Signal::Terminate);
    child.expect("first SIGTERM");
    child.expect("second SIGTERM");
    // Only one of the two listens for this.
    child.signal(Signal::User1);
    child.expect("second SIGUSR1");
    assert!(child.end().success());
}

#[test]
fn after_the_last_is_dropped_a_second_ctrl_c_ends_the_process() {
    let mut child = Process::start("dropped");
    child.expect("ready");
    child.signal(Signal::Interrupt);
    child.expect("first SIGINT");
    child.expect("dropped");
    child.signal(Signal::Interrupt);
    assert_eq!(child.end().signal(), Some(Signal::Interrupt.number()));
}

#[test]
fn what_still_listens_keeps_the_process_alive() {
    let mut child = Process::start("one_dropped");
    child.expect("ready");
    child.signal(Signal::Interrupt);
    child.expect("the other SIGINT");
    child.signal(Signal::Hangup);
    assert_eq!(child.end().signal(), Some(Signal::Hangup.number()), "for which nobody listens any more");
}

#[test]
fn the_third_signal_is_death_by_it() {
    let mut child = Process::start("escalation");
    child.expect("ready");
    child.signal(Signal::Terminate);
    child.expect("graceful SIGTERM");
    child.signal(Signal::Interrupt);
    child.expect("force SIGINT");
    child.signal(Signal::Terminate);
    assert_eq!(child.end().signal(), Some(Signal::Terminate.number()));
}

#[test]
fn the_last_signal_needs_nobody_who_polls() {
    let mut child = Process::start("stuck");
    child.expect("ready");
    child.signal(Signal::Interrupt);
    child.expect("graceful SIGINT");
    child.signal(Signal::Interrupt);
    assert_eq!(child.end().signal(), Some(Signal::Interrupt.number()));
}

#[test]
fn a_signal_nobody_ever_listened_for_is_left_alone() {
    let mut child = Process::start("dropped");
    child.expect("ready");
    child.signal(Signal::Terminate);
    assert_eq!(child.end().signal(), Some(Signal::Terminate.number()));
}

/// What a child does; a test only in name.
#[test]
fn child() {
    let Ok(story) = std::env::var(STORY) else { return };
    match story.as_str() {
        "two_listeners" => block_on(two_listeners()),
        "dropped" => block_on(dropped()),
        "one_dropped" => block_on(one_dropped()),
        "escalation" => block_on(escalation()),
        "stuck" => block_on(stuck()),
        other => panic!("no story is called {other}"),
    }
}

async fn two_listeners() {
    let mut first = Signals::interrupt_and_terminate().unwrap();
    let mut second = Signals::new([Signal::User1, Signal::Interrupt, Signal::Terminate]).unwrap();
    say("ready");
    for _ in 0..2 {
        let (one, two) = join((first.recv(), second.recv())).await;
        say(&format!("first {one}"));
        say(&format!("second {two}"));
    }
    say(&format!("second {}", second.recv().await));
    assert_eq!(first.try_recv(), None);
}

async fn dropped() {
    let mut signals = Signals::new([Signal::Interrupt]).unwrap();
    say("ready");
    say(&format!("first {}", signals.recv().await));
    drop(signals);
    say("dropped");
    wait_for_the_end();
}

async fn one_dropped() {
    let mut other = Signals::new([Signal::Interrupt]).unwrap();
    drop(Signals::new([Signal::Interrupt, Signal::Hangup]).unwrap());
    say("ready");
    say(&format!("the other {}", other.recv().await));
    wait_for_the_end();
}

async fn escalation() {
    let mut escalation = Signals::interrupt_and_terminate().unwrap().escalate();
    say("ready");
    for _ in 0..2 {
        match escalation.next_step().await {
            EscalationStep::Graceful(signal) => say(&format!("graceful {signal}")),
            EscalationStep::Force(signal) => say(&format!("force {signal}")),
        }
    }
    escalation.next_step().await;
    say("it gave a third step");
}

async fn stuck() {
    let mut escalation = Signals::interrupt_and_terminate().unwrap().escalate().without_force();
    say("ready");
    say(&format!("graceful {}", escalation.next_step().await.signal()));
    wait_for_the_end();
}

/// Blocks the thread for as long as the parent lives: it holds the other end of standard input.
fn wait_for_the_end() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Here, in this process: a signal that nobody took is there for the next who asks.
#[test]
fn giving_up_loses_no_signal() {
    let mut signals = Signals::new([Signal::User2]).unwrap();
    block_on(async {
        let mut recv = signals.recv();
        assert!(futures_lite::future::poll_once(&mut recv).await.is_none());
        drop(recv);
        Signal::User2.raise().unwrap();
        let clock = Clock::default();
        assert_eq!(clock.timeout(LIMIT, signals.recv()).await, Ok(Signal::User2));
        assert_eq!(signals.try_recv(), None);
    });
}
