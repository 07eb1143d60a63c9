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

#[test]
fn cancelling_cascades() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_cascade")));
    let expected = "request 0.0 has ended: the client hung up\n\
        request 0.1 has ended: the session has expired\n\
        the other session goes on: true\n\
        request 1.0 has ended: the service is going down\n\
        request 1.1 has ended: the service is going down\n";
    assert_eq!(told, expected);
}

#[test]
fn a_scope_is_a_wait_group() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_wait_group")));
    let expected = "all have ended: [5, 4, 5]\n\
        the first error: the east gauge is broken\n\
        both values: 3 metres\n";
    assert_eq!(told, expected);
}

#[test]
fn done_is_a_channel_or_a_token() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_done_channel")));
    let mut lines: Vec<&str> = told.lines().collect();
    // In which order the workers stop is up to their timers.
    lines[..3].sort_unstable();
    lines[4..7].sort_unstable();
    let channel = |worker| format!("channel: worker {worker} has stopped after some ticks: true");
    let token = |worker| format!("token: worker {worker} has stopped: the shift is over");
    let mut expected: Vec<String> = (1..=3).map(channel).collect();
    expected.push("channel: all have stopped".into());
    expected.extend((1..=3).map(token));
    expected.push("token: all have stopped".into());
    assert_eq!(lines, expected);
}

#[test]
fn a_token_is_a_context_with_a_timeout() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_context_timeout")));
    let expected = "the query is gone\n\
        a quick database: one row\n\
        the query is gone\n\
        a slow database: the deadline has passed, and it was the deadline: true\n\
        the request itself goes on: true\n";
    assert_eq!(told, expected);
}

#[test]
fn a_thousand_borrowed_items_fan_out() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_fan_out")));
    let expected = "all: Ok(()), 7890 characters, at most 8 at once\n\
        one fails: a child of the scope failed: item 500 cannot be read; done before it: true\n";
    assert_eq!(told, expected);
}

#[test]
fn what_was_forgotten_is_named() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_fire_and_forget")));
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("detached: ") && lines[0].contains(" of 3 entries"), "{told}");
    assert_eq!(lines[1], "tracked: 3 of 3 entries are written");
    assert_eq!(lines[2], "1 still alive after 1s:");
    assert!(
        lines[4].starts_with("upload the metrics ") && lines[4].contains("fire_and_forget.rs:"),
        "{told}"
    );
    assert_eq!(lines.len(), 5, "{told}");
}

/// The real process, with a real signal in the middle of a request.
#[cfg(unix)]
#[test]
fn a_server_ends_in_order() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::Stdio;

    let mut server =
        Command::new(env!("CARGO_BIN_EXE_graceful")).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("one more line").expect("text");
    let address = next().strip_prefix("listening on ").expect("where it listens").to_owned();

    let mut client = TcpStream::connect(&address).expect("a connection");
    client.write_all(b"a question\n").expect("it is sent");
    assert_eq!(next(), "asked: a question");
    let kill = Command::new("kill").args(["-s", "TERM", &server.id().to_string()]).status();
    assert!(kill.expect("it is sent").success());
    assert_eq!(next(), "no more connections: SIGTERM");

    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "A QUESTION\n", "what was begun is finished");
    assert_eq!(next(), "the log is written");
    let report: String = lines.map(|line| line.expect("text") + "\n").collect();
    assert!(report.starts_with("shutdown (SIGTERM) in "), "{report}");
    let connections = report.lines().find(|line| line.contains("connections")).expect("the group");
    assert_eq!(connections.split_whitespace().collect::<Vec<_>>()[1..], ["1", "0", "0", "0", "0"]);
    assert!(server.wait().expect("it ends").success());
}
