//! [`Run`]: a run that went well.

use std::time::Duration;

/// A run that went well.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_testing::sim::Sim;
///
/// let run = Sim::new(17).run(|runtime| async move {
///     runtime.clock().sleep(Duration::from_secs(3600)).await;
///     "rested"
/// });
/// let run = run.unwrap();
/// assert_eq!(run.output, "rested");
/// assert_eq!(run.elapsed, Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run<T> {
    /// What the body gave.
    pub output: T,
    /// How many steps it took: a step is a poll of a task, a blocking job, or a jump of the clock.
    pub steps: u64,
    /// How much virtual time it took.
    pub elapsed: Duration,
    /// What its trace comes to: two runs with the same hash did the same things in the same order.
    pub trace_hash: u64,
    /// How many tasks there were, the body included.
    pub tasks: usize,
}
