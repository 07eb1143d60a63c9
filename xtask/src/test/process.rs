//! A process whose lines are read as they come, and which is stopped when it is silent for too long.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Lines of standard error that are kept: the end tells most.
const KEPT: usize = 1_000;
/// How often a process that prints nothing is asked whether it still lives.
const GLANCE: Duration = Duration::from_millis(100);

/// How a process came to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None if it was stopped at the limit.
    pub(crate) status: Option<ExitStatus>,
    /// The last lines of standard error.
    pub(crate) errors: String,
}

/// Runs the command. `read` gets each line of standard output and tells whether it is a sign of life;
/// without one for `limit` the process is stopped, with all its children.
pub(crate) fn run(
    mut command: Command,
    limit: Duration,
    mut read: impl FnMut(&str) -> bool,
) -> Result<Ended, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |cause| Error::doing(format_args!("run {program}"), cause);
    let mut child = command.spawn().map_err(failed)?;

    let (sender, lines) = mpsc::channel();
    forward(child.stdout.take().expect("it is piped"), Line::Output, sender.clone());
    forward(child.stderr.take().expect("it is piped"), Line::Error, sender);

    let mut errors = VecDeque::new();
    let mut deadline = Instant::now() + limit;
    let status = loop {
        match lines.recv_timeout(GLANCE) {
            Ok(Line::Output(line)) => {
                if read(&line) {
                    deadline = Instant::now() + limit;
                }
            }
            Ok(Line::Error(line)) => keep(&mut errors, line),
            Err(RecvTimeoutError::Disconnected) => break Some(child.wait().map_err(failed)?),
            // A child of the child may hold the pipes open for ever; who has ended and is silent is done.
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait().map_err(failed)? {
                    break Some(status);
                }
            }
        }
        if Instant::now() >= deadline {
            stop(&mut child);
            break None;
        }
    };
    Ok(Ended { status, errors: Vec::from(errors).join("\n") })
}

enum Line {
    Output(String),
    Error(String),
}

/// Sends a pipe's lines from a thread of its own. The thread is not waited for: it ends with the pipe.
fn forward(pipe: impl Read + Send + 'static, kind: fn(String) -> Line, sender: Sender<Line>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if sender.send(kind(line)).is_err() {
                break;
            }
        }
    });
}

fn keep(lines: &mut VecDeque<String>, line: String) {
    if lines.len() == KEPT {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// Kills the process and its children: cargo's test of the documentation is a grandchild.
fn stop(child: &mut Child) {
    let children = descendants(child.id());
    let _ = child.kill();
    if !children.is_empty() {
        let _ = Command::new("kill").arg("-KILL").args(children.iter().map(u32::to_string)).status();
    }
    let _ = child.wait();
}

/// The children of a process and theirs, where the system tells (Linux does).
fn descendants(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.iter().flat_map(|&child| descendants(child)).chain(children.iter().copied()).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Ended, Vec<String>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut lines = Vec::new();
        let ended = run(command, limit, |line| {
            lines.push(line.to_owned());
            true
        });
        (ended.unwrap(), lines)
    }

    #[test]
    fn keeps_output_and_errors_apart() {
        let (ended, lines) = shell("echo out; echo wrong >&2; printf end; exit 3", Duration::from_secs(60));
        assert_eq!(lines, ["out", "end"]);
        assert_eq!(ended.errors, "wrong");
        assert_eq!(ended.status.unwrap().code(), Some(3));
    }

    #[test]
    fn a_silent_process_is_stopped_with_its_children() {
        let (ended, lines) = shell("echo $$; (sleep 1000; true) & sleep 1000", Duration::from_millis(300));
        assert!(ended.status.is_none());
        assert!(descendants(lines[0].parse().unwrap()).is_empty());
    }

    #[test]
    fn a_pipe_that_outlives_the_process_is_not_waited_for() {
        let (ended, _) = shell("sleep 3 & exit 0", Duration::from_secs(60));
        assert!(ended.status.unwrap().success());
    }
}
