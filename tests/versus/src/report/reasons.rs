//! Why we lose where we do: what stands in the way, by the names of rows.

/// The beginning of names, with a star for any one part, and the reason. The longest that fits counts. What
/// is not known has no line: the report says so.
const REASONS: &[(&str, &str)] = &[
    // weirs-runtime
    (
        "spawn",
        "a task of ours is a cell within a task of the executor: its state, waker and handle come on top",
    ),
    ("spawn/single", "the same task on top; most of the time is the wake of a thread, on both sides"),
    ("idle/task", "our cell stands beside the executor's own allocation, and keeps name, place and joiner"),
    ("idle/child", "a child is a task of ours, and the scope keeps it in a list"),
    ("timer/200k-sleeps", "met on a quiet machine (0.7 to 0.8)"),
    ("timer/create-poll-drop/futures-timer", "met on a quiet machine (0.1)"),
    // weirs-scopes
    ("token", "met on a quiet machine, or at its edge"),
    ("token/cancel-tree", "a million nodes of memory are walked: 0.26 to 0.30 from run to run"),
    ("select/race/fair", "the order is drawn from the clock's entropy, all of it, so that a seed replays it"),
    (
        "join/yields/futures/10",
        "ours has a box for each future, pinned without `unsafe`; the peer has one for up to thirty",
    ),
    (
        "join/growth",
        "100,000 handles have left the cache: a plain loop (`join/growth/in-turn`) grows as well",
    ),
    (
        "scope/growth",
        "100,000 handles have left the cache: a plain loop (`join/growth/in-turn`) grows as well",
    ),
    ("scope/wake/growth", "children at random have left the cache: the peer's own growth stands beside it"),
    ("scope/spawn-join", "each child has a handle that gives its result; the peer has none"),
    ("task-scope/spawn", "a child is a task of ours (see `spawn`), and the scope counts it besides"),
    ("task-scope/join-set", "a child is a task of ours (see `spawn`), and the scope counts it besides"),
    (
        "task-scope/join-set/handles",
        "ours awaits a handle for each child; the peer gives results as they come",
    ),
    // weirs-channels-utils
    ("channel", "one lock about the ring, for each item; the goals are for two cores that are free"),
    (
        "merge/8-ready",
        "a list of who was woken is kept, which is for nothing where all are ready at any time",
    ),
    ("merge/8-channels", "eight senders wake one task; the goals are for two cores that are free"),
    (
        "tee/broadcast-2",
        "one by one, each item and each reader takes the lock; batches do not (`tee/batches`)",
    ),
    (
        "tee/broadcast-8",
        "one by one, each item and each reader takes the lock; batches do not (`tee/batches`)",
    ),
    (
        "tee/tokio-2",
        "ours waits for slow readers; tokio's drops for them, and its time is that of what was left",
    ),
    (
        "tee/tokio-8",
        "ours waits for slow readers; tokio's drops for them, and its time is that of what was left",
    ),
    // weirs-limiters
    ("rate/admit/governor-quanta", "quanta reads the processor's counter; ours asks the system for the time"),
    ("rate/deny/governor-quanta", "quanta reads the processor's counter; ours asks the system for the time"),
    ("rate/deny", "at the edge on a quiet machine (1.12)"),
    ("rate/deny-two-threads", "at the edge on a quiet machine (1.12 to 1.19)"),
    ("semaphore/two-threads", "0.08 to 0.44 from run to run: it matters whether both threads run at once"),
    ("keyed/hit", "most of the time goes into fetching memory, on both sides"),
    ("keyed/hit-two-threads", "most of the time goes into fetching memory, on both sides"),
    // weirs-resilience
    ("stack", "a stack that is empty costs 11.6 ns already"),
    ("policy/bulkhead-free", "ours is measured through a whole stack, of which an empty one costs 11.6 ns"),
    ("breaker/*/two-threads", "where two threads take turns, the peer's are not in each other's way"),
    ("budget/withdraw", "at the edge on a quiet machine (0.41)"),
    // weirs-pipelines
    ("pool", "the step of a worker is half of a job's cost: a slip, a fence for its panic, the time"),
    ("pool/one-by-one", "each job that is handed in alone wakes a worker"),
    ("pool/closures", "a box for each job on both sides, and the step of a worker (see `pool`)"),
    ("pool/spin-2us", "the step of a worker on a job of 2 µs; two plain threads have none of it"),
    ("workers/spin-20us", "the pool's own cost, and that of a thousand workers who take turns"),
    (
        "workers/wait-1ms",
        "Go keeps its timers inside of its scheduler; ours come from a clock beside the executor",
    ),
    (
        "pipeline/fan",
        "a job has two fences against its panic, the pool's and the stage's, and results pass the task",
    ),
    ("pipeline/buffered", "four hops from channel to channel, each with its wake"),
    (
        "pipeline/serial",
        "a step in one task costs about 15 ns; with 128 places Go hands over without a switch",
    ),
    ("par-map/*/*/buffered", "the peer runs all in one task: handing a job over costs more than adding one"),
    ("par-map", "the panic of each job is looked for twice, and its result goes through one more channel"),
    ("computing", "rayon's threads steal from each other; ours take from one queue"),
    // Whole programs
    ("probe", "boxes in its stack of policies, a place for each timer, and four runtimes in one program"),
    ("echo/*/smol", "its sockets ask the system anew for each line; those of Go do once for each connection"),
    (
        "echo/*/async-std",
        "its sockets ask the system anew for each line; those of Go do once for each connection",
    ),
    ("seeds/pool", "our clock wakes each sleeper when it is due; Go and tokio gather a millisecond's"),
    ("seeds/fan-out", "our clock wakes each sleeper when it is due; Go and tokio gather a millisecond's"),
    (
        "batch/pool/tokio/peak-bytes",
        "a place in the queue has 270 bytes, for the slip and the times of a job",
    ),
    (
        "batch/fan-out/tokio/peak-bytes",
        "a place in the queue has 270 bytes, for the slip and the times of a job",
    ),
    ("echo/one", "one task does what Go's goroutines share: Go has nothing of the kind"),
    // weirs-actors
    (
        "actors/tell",
        "a message goes through two lanes and counters in 255 instructions; the loop has none of that",
    ),
    ("actors/tell-of-four", "a message goes through two lanes and counters, under one lock for four senders"),
    (
        "actors/ask",
        "half is the executor's; ours are two looks at the queue, one box, and a note of who waits for whom",
    ),
    ("actors/spawn", "an actor alone has a whole supervisor, with its rules, its list and its report"),
    ("actors/spawn-alone", "an actor alone has a whole supervisor, with its rules, its list and its report"),
    ("actors/bytes", "of 1,534 bytes the task with its future is 448, the queue 232, the node 200"),
    ("actors/snapshot-of-100000", "each node is behind a lock and a pointer of its own"),
];

/// The reason of the longest beginning that fits.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let fitting = REASONS.iter().filter(|(pattern, _)| fits(pattern, name));
    fitting.max_by_key(|(pattern, _)| pattern.split('/').count()).map(|(_, reason)| *reason)
}

/// Whether the name begins with these parts.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = name.split('/');
    pattern.split('/').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn parts_are_whole() {
        assert!(fits("spawn", "spawn/smol") && fits("par-map/*/*/buffered", "par-map/trivial/smol/buffered"));
        assert!(!fits("rate/deny", "rate/deny-two-threads/governor") && !fits("a/b", "a"));
    }

    #[test]
    fn the_longest_beginning_counts() {
        assert_ne!(reason("spawn/single/smol"), reason("spawn/smol"));
        assert_eq!(reason("dance"), None);
    }

    #[test]
    fn every_reason_is_about_something_that_is_measured() {
        let experiments = rows::experiments();
        let rows = || experiments.iter().flat_map(|experiment| &experiment.rows);
        for (pattern, _) in REASONS {
            assert!(
                rows().any(|row| fits(pattern, &row.name)),
                "nothing that is measured begins with {pattern}: take the line out"
            );
        }
    }
}
