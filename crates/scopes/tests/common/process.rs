//! A test program that starts itself as a child, listens to what it says, and signals it.
//!
//! The program has a test named `child` that plays the story that it is told.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use weirs_scopes::Signal;

/// Names the story that the child plays.
pub(crate) const STORY: &str = "WEIRS_SIGNALS_STORY";
/// A child that says nothing for so long hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Tells the parent. What libtest prints between is no such line.
pub(crate) fn say(line: &str) {
    eprintln!("child: {line}");
}

/// A child of this program, under a watchdog.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    _stdin: ChildStdin,
}

impl Process {
    pub(crate) fn start(story: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(STORY, story);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let (stdin, stderr) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
        let read = move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("child: ") {
                    let _ = sender.send(line.to_owned());
                }
            }
        };
        std::thread::Builder::new().spawn(read).unwrap();
        Self { child, lines, _stdin: stdin }
    }

    pub(crate) fn expect(&mut self, line: &str) {
        match self.lines.recv_timeout(LIMIT) {
            Ok(said) => assert_eq!(said, line),
            Err(error) => panic!("the child did not say {line:?}: {error}; {:?}", self.child.try_wait()),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal.to_string().trim_start_matches("SIG"), &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// How it ended. Standard error is closed by then, so nothing more was said.
    pub(crate) fn end(mut self) -> ExitStatus {
        let more = self.lines.recv_timeout(LIMIT);
        assert_eq!(more, Err(RecvTimeoutError::Disconnected));
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a child that has ended already there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
