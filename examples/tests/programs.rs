//! The programs of this package, run as a user would, and what they print.

use std::process::Command;

#[test]
fn the_lost_wakeup_is_found_and_its_line_finds_it_again() {
    let first = output(Command::new(env!("CARGO_BIN_EXE_lost_wakeup")));
    assert!(first.contains("deadlock"), "{first}");
    assert!(first.contains("\"second waiter\""), "{first}");

    let line = first.lines().rev().find(|line| line.contains("WEIRS_SEED=")).expect("a line to paste").trim();
    assert!(line.ends_with(" cargo run --package weirs-examples --bin lost_wakeup"), "{line}");
    let mut pasted = Command::new(env!("CARGO_BIN_EXE_lost_wakeup"));
    for variable in line.split(' ').take_while(|word| word.contains('=')) {
        let (name, value) = variable.split_once('=').expect("a variable");
        pasted.env(name, value);
    }
    assert_eq!(report(&output(pasted)), report(&first), "the same seed tells the same story");
}

#[test]
fn the_stuck_and_the_leaked_are_named() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_stuck")));
    for word in ["deadlock", "\"transfer\"", "\"audit\"", "leak", "\"listener\"", "stuck.rs:"] {
        assert!(told.contains(word), "{word} is missing in:\n{told}");
    }
}

#[test]
fn what_is_there_at_the_deadline_is_a_table() {
    let table = "\
service   answer
search    42 hits
prices    129 offers
stock     failed: connection refused
reviews   timed out
adverts   cancelled
cut short by the deadline
";
    for runtime in ["sim", "smol", "tokio"] {
        let mut gather = Command::new(env!("CARGO_BIN_EXE_gather"));
        assert_eq!(
            {
                gather.args(["--runtime", runtime]);
                output(gather)
            },
            table,
            "on {runtime}"
        );
    }
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_gather"))), table);
}

#[test]
fn every_program_runs() {
    for program in [
        env!("CARGO_BIN_EXE_bevy_pool"),
        env!("CARGO_BIN_EXE_foreign_loop"),
        env!("CARGO_BIN_EXE_side_by_side"),
    ] {
        output(Command::new(program));
    }
}

/// What a program prints; it has to succeed.
fn output(mut command: Command) -> String {
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The part that the seed decides.
fn report(output: &str) -> &str {
    output.split_once("at most 100 seeds:").expect("the simulator's part").1
}
