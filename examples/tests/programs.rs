//! The programs of this package, run as a user would, and what they print.

use std::process::{Command, Stdio};

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
fn the_connection_pool_leaks_nothing() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_connection_pool")));
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "out: 1 and 2",
            "a third caller: the deadline passed while waiting",
            "after one who went away: 0 wait",
            "2 broke, so out: 1 and 3",
            "idle for a while, closed: 2",
            "back in the pool: 2 of 2",
        ]
    );
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

#[test]
fn until_somebody_says_stop() {
    let expected = "1\n\
        2\n\
        3\n\
        Stopped: three is enough\n\
        left in the channel: 2\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_or_done"))), expected);
}

#[test]
fn both_consumers_get_every_item() {
    let expected = "logged: 1 2 3 4 5 6 7 8 9 10\n\
        sum: 55\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_tee"))), expected);
}

#[test]
fn a_channel_of_channels_is_one() {
    let expected: String = (0..30).map(|number| format!("{number}\n")).collect();
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_bridge"))), expected);
}

#[test]
fn the_first_three_answers_win() {
    let expected = "results for 'Go concurrency patterns':\n\
        \x20 -> Web source 1: a result after 5ms\n\
        \x20 -> Images: a result after 50ms\n\
        \x20 -> Web source 2: a result after 300ms\n\
        Videos: not needed any more\n\
        Three results are enough.\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_search"))), expected);
}

#[test]
fn a_pipeline_stops_with_its_consumer() {
    let expected = "1\n\
        4\n\
        9\n\
        16\n\
        Result exceeded 10, canceling pipeline.\n\
        Pipeline finished.\n\
        numbers made: 4\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_pipeline"))), expected);
}

#[test]
fn every_tenth_item() {
    let expected = "of a stream: [10, 20, 30]\n\
        of a channel: [1, 11, 21, 31], and 31 came back\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_sampling"))), expected);
}

#[test]
fn a_ring_keeps_the_newest() {
    let expected = "push 1\n\
        push 2\n\
        push 3\n\
        push 4: 1 had to go\n\
        push 5: 2 had to go\n\
        in the ring: [3, 4, 5]\n\
        lost: 2\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_ring_buffer"))), expected);
}

#[test]
fn a_full_queue_refuses() {
    let expected = "one: queued\n\
        two: queued\n\
        three: no room\n\
        done: Ok(\"one\")\n\
        three again: queued\n\
        four: nobody reads\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_try_enqueue"))), expected);
}

#[test]
fn nobody_waits_for_a_reader_that_is_gone() {
    let expected = "reader: in time: false\n\
        worker: nobody takes 42, so I am done\n\
        nothing is left behind\n";
    for runtime in ["smol", "async-std", "tokio", "sim"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rendezvous_leak"));
        command.args(["--runtime", runtime]);
        assert_eq!(output(command), expected, "{runtime}");
    }
}

#[test]
fn an_hour_of_trouble_is_a_timeline() {
    let expected = "\
minutes  answered  instead  failed  refused  attempts/call  circuit
 0 -  5      4575        0       0        0           1.00  ..........
 5 - 10      4579        0       0        0           1.00  ..........
10 - 15         8     4756       0     4800           0.04  OOOOOOOOOO
15 - 20      4510       79       0       81           0.98  ..........
20 - 25      4593        0       0        0           1.00  ..........
25 - 30      3623      298     207        0           1.21  ..........
30 - 35      3665      289     206        0           1.20  ..........
35 - 40      4576        0       0        0           1.00  ..........
40 - 45      4605        0       0        0           1.00  ..........
45 - 50      1734     2891       0     2539           0.53  .OO..OO..O
50 - 55      1943     2685       0     2384           0.56  O..OO..OO.
55 - 60      4588        0       0        0           1.00  ..........
";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_outage"))), expected);
    let mut other = Command::new(env!("CARGO_BIN_EXE_outage"));
    other.arg("8");
    assert_ne!(output(other), expected);
}

#[test]
fn an_older_answer_while_the_circuit_is_open() {
    let expected = "\
call 1: Err(Inner(\"unreachable\"))
call 2: Err(Inner(\"unreachable\"))
call 3: Err(Inner(\"unreachable\"))
call 4: Err(Inner(\"unreachable\"))
call 5: Err(Inner(\"unreachable\"))
call 6: Ok(\"yesterday's rate\")
call 7: Ok(\"yesterday's rate\")
call 8: Ok(\"yesterday's rate\")
the service was asked 5 times, the circuit is Open
ten at once: 3 fresh, 7 older
the service was asked 3 times, the circuit is Closed
";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_breaker_fallback"))), expected);
}

#[test]
fn workers_lose_nothing_in_an_outage() {
    let expected = "\
submitted: 135, refused because the queue was full: 45
processed: 135, lost: 0
asked while it was down: 9, the circuit opened 2 times and is Closed
";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_resilient_worker"))), expected);
}

/// The real process, with a real signal in the middle of a request.
#[cfg(unix)]
#[test]
fn a_server_ends_in_order() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;

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

#[test]
fn each_job_of_a_worker_pool_has_its_own_end() {
    let told = output(Command::new(env!("CARGO_BIN_EXE_worker_pool")));
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], "OK:    job 1 - Content of https://example.com/1 (17ms)");
    assert_eq!(lines[6], "FAIL:  job 7 - failed to fetch https://example.com/7");
    assert_eq!(lines[9], "ALAS:  job 10 - the job panicked: page 10 is too long");
    assert_eq!(lines[14], "14 jobs: 11 done, 2 failed, 1 panicked");
}

#[test]
fn an_outage_uses_up_no_order() {
    let expected = "\
second  circuit    queued  waiting workers  done
     0  Closed         60                0     0
     1  Closed         36                0    19
     2  Open           36                4    19
     3  Open           36                4    19
     4  Open           36                4    19
     5  Closed         30                0    24
     6  Closed         10                0    43
60 taken: 56 done, 1 by fallback, 3 dead; 67 calls
dead letter 26: another attempt would not help (Some(Inner(\"no such thing\")))
dead letter 39: another attempt would not help (Some(Inner(\"no such thing\")))
dead letter 52: another attempt would not help (Some(Inner(\"no such thing\")))
";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_resilient_pipeline"))), expected);
}

#[test]
fn a_live_pipeline_is_a_line_each_second_without_a_terminal() {
    let expected = "\
\x20        queued before               charged    order to charge  turned
sec load parse price charge  circuit   per s  done     p50     p95    away  dead
  0  100     0     0      0  closed        0     0    0 ms    0 ms       0     0
  1  100     0     0      0  closed       94    94   72 ms   92 ms       0     1
  2  100     0     0      0  closed      101   195   73 ms   96 ms       0     3
-- who charges does not answer
  3  100     0     0      0  closed       98   293   73 ms   96 ms       0     4
  4  100     0    17     64  open          3   296   73 ms   96 ms       0     5
  5  100    47    63     64  open          0   296   73 ms   96 ms       0     5
  6  100    64    63     64  open          0   296   73 ms   96 ms      86     5
-- who charges answers again
  7  100    64    63     64  open          0   296   73 ms   96 ms     192     5
  8  100    26    52     64  closed       75   371   78 ms   4.5 s     261     6
-- no more orders: finishes what is there
  9  100     0     0     64  closed      185   556  836 ms   4.5 s     261     8
";
    let live = |arguments: &[&str]| {
        let mut live = Command::new(env!("CARGO_BIN_EXE_live_pipeline"));
        live.args(arguments).stdin(Stdio::null());
        live
    };
    let told = output(live(&["--runtime", "sim", "--seconds", "9"]));
    assert_eq!(&told[..expected.len().min(told.len())], expected, "{told}");
    assert!(told.ends_with(", 0 lost\n"), "{told}");
    assert_eq!(told, output(live(&["--runtime", "sim", "--seconds", "9"])));
    assert_ne!(told, output(live(&["--runtime", "sim", "--seconds", "9", "--seed", "8"])));

    let started = ["smol", "async-std", "tokio"].map(|runtime| {
        let mut live = live(&["--runtime", runtime, "--seconds", "1"]);
        live.stdout(Stdio::piped()).spawn().expect("it starts")
    });
    for live in started {
        let output = live.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.ends_with(", 0 lost\n"), "{told}");
    }
}

/// In a real terminal, with real keys.
#[cfg(target_os = "linux")]
#[test]
fn a_live_pipeline_gives_the_terminal_back() {
    use std::io::{Read, Write};

    let command = format!("stty cols 80 rows 24; {}; stty -a", env!("CARGO_BIN_EXE_live_pipeline"));
    let mut terminal = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut keys = terminal.stdin.take().expect("a pipe");
    let mut shown = terminal.stdout.take().expect("a pipe");
    let mut until = |wanted: &str| {
        let (mut text, mut part) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&text).contains(wanted) {
            let read = shown.read(&mut part).expect("text");
            assert!(read > 0, "no {wanted:?} in {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&part[..read]);
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let red = "\u{1b}[38;5;9m";
    let began = until("from the order to its charge");
    assert!(began.contains("\u{1b}[?1049h") && !began.contains(red), "{began:?}");
    keys.write_all(b"o").expect("it is typed");
    until(&format!("{red}on"));
    // The first one finishes what is there, the second one does not.
    keys.write_all(b"qq").expect("it is typed");
    let ended = until("-extproc");
    let (_, after) = ended.split_once("\u{1b}[?1049l").expect("it leaves the screen");
    let (report, modes) = after.split_once(", 0 lost\r\n").expect("a report");
    assert!(report.starts_with("\u{1b}[?25h"), "{report:?}");
    for mode in ["icanon", "isig", "echo"] {
        assert!(modes.split_whitespace().any(|word| word == mode), "{mode} in {modes}");
    }
    assert!(terminal.wait().expect("it ends").success());
}

#[test]
fn a_crash_of_the_consumer_loses_no_message() {
    let expected = "the consumer crashed: true\n\
        the broker has 12 of 20 messages again\n\
        the next consumer: 12 received, 8 of them again, 12 acknowledged\n\
        20 results, 20 different ones\n";
    assert_eq!(output(Command::new(env!("CARGO_BIN_EXE_broker"))), expected);
}

/// The real process, with a real signal in the middle, and again.
#[cfg(unix)]
#[test]
fn a_batch_goes_on_where_it_was_stopped() {
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::path::Path;

    const RECORDS: usize = 30_000;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch");
    let _ = fs::remove_dir_all(&directory);
    let batch = || {
        let mut batch = Command::new(env!("CARGO_BIN_EXE_batch"));
        batch.arg(&directory).arg(RECORDS.to_string());
        batch
    };
    let mut first = batch().stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(first.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("one more line").expect("text");
    assert_eq!(next(), "begins after line 0");
    assert_eq!(next(), "works");
    let kill = Command::new("kill").args(["-s", "INT", &first.id().to_string()]).status();
    assert!(kill.expect("it is sent").success());
    assert_eq!(next(), "SIGINT: finishes what it has begun");
    let written: usize =
        next().strip_prefix("written up to line ").expect("how far").parse().expect("a number");
    assert!(first.wait().expect("it ends").success());
    let whole = |lines: usize| (1..=lines).map(|number| format!("RECORD {number}\n")).collect::<String>();
    let output_file = directory.join("output.txt");
    assert!(written < RECORDS);
    assert!(fs::read_to_string(&output_file).expect("the output") == whole(written), "it is whole");

    // Half a line, as a power failure leaves it.
    let mut text = whole(written);
    text.push_str("RECO");
    fs::write(&output_file, text).expect("it is written");
    let told = output(batch());
    assert!(told.starts_with(&format!("begins after line {written}\n")), "{told}");
    assert!(told.ends_with(&format!("written up to line {RECORDS}\n")), "{told}");
    assert!(
        fs::read_to_string(&output_file).expect("the output") == whole(RECORDS),
        "nothing is missing or twice"
    );
    let _ = fs::remove_dir_all(&directory);
}
