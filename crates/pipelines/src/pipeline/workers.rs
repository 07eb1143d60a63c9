//! [`Workers`]: how many jobs a stage does at once.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::plan::Check;
use crate::{Controller, Window};

/// How many jobs a stage does at once: a number, or as many as a [`Controller`] says.
///
/// # Examples
/// A stage that asks a server, with as many workers as are needed to have no job wait for longer than 20
/// milliseconds:
/// ```
/// use std::time::Duration;
/// use futures_lite::stream;
/// use weirs_pipelines::{Pipeline, QueueWait, Workers};
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let clock = runtime.clock().clone();
///     let ask = move |n: u64| {
///         let answer = clock.sleep(Duration::from_millis(50));
///         async move { answer.await; Ok::<_, std::fmt::Error>(n) }
///     };
///     let workers = Workers::adaptive(1..=40, QueueWait::new(Duration::from_millis(20)));
///     let plan = Pipeline::source(stream::iter(0..2000)).stage("ask", workers, ask).collect();
///     let stats = plan.run(&runtime).unwrap().await.unwrap().stats;
///     // Far more than one worker can do.
///     assert!(stats.stage("ask").unwrap().workers > 10);
/// }).unwrap();
/// ```
pub struct Workers {
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) controller: Option<Steady>,
}

/// A controller that was asked for its window.
pub(super) struct Steady {
    controller: Box<dyn Controller>,
    window: Duration,
}

impl Workers {
    /// As many as the controller says, at least and at most so many; at first, the least.
    ///
    /// The controller is asked once in each of its [windows](Controller::window). What it is shown as waiting
    /// are the items inside the stage, of which there are at most [so many](crate::Pipeline::unread) besides
    /// those that its workers do: a full stage has a queue, and so [`QueueWait`](crate::QueueWait) grows when
    /// the stage holds the source up. A worker that is one too many leaves between two jobs.
    ///
    /// # Panics
    /// If the controller does, when it is asked how long its window is.
    pub fn adaptive(workers: RangeInclusive<usize>, controller: impl Controller) -> Self {
        let window = controller.window();
        let controller = Steady { controller: Box::new(controller), window };
        Self { least: *workers.start(), most: *workers.end(), controller: Some(controller) }
    }

    pub(super) fn check(&self, check: &mut Check, name: &'static str) {
        check.at_least_one(self.least, name);
        check.holds(self.least <= self.most, name, "the least is above the most");
        let has_window = self.controller.as_ref().is_none_or(|steady| !steady.window.is_zero());
        check.holds(has_window, name, "the window of its controller is zero");
    }

    /// Whether it is one worker, and stays one.
    pub(super) fn is_one(&self) -> bool {
        self.most == 1 && self.controller.is_none()
    }
}

impl From<usize> for Workers {
    fn from(number: usize) -> Self {
        Self { least: number, most: number, controller: None }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.controller {
            None => write!(f, "{}", self.most),
            Some(_) => write!(f, "{}..={}", self.least, self.most),
        }
    }
}

impl Controller for Steady {
    fn workers(&mut self, window: &Window) -> usize {
        self.controller.workers(window)
    }

    fn window(&self) -> Duration {
        self.window
    }
}
