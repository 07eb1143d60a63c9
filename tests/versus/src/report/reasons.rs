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
    ("idle/connection", "its task is ours (see `idle/task`): 139 of the 149 bytes that it has more"),
    ("idle/child", "a child is a task of ours, and the scope keeps it in a list"),
    ("timer/200k-sleeps", "met on a quiet machine (0.7 to 0.8)"),
    ("timer/create-poll-drop/futures-timer", "met on a quiet machine (0.1)"),
    ("timer/create-poll-drop/async-io", "at the edge (0.22 to 0.36)"),
    // weirs-scopes
    ("token", "met on a quiet machine, or at its edge"),
    (
        "token/cancel-tree",
        "a million nodes of memory are walked, at 0.87 of the peer's instructions: 0.26 to 0.30 from run to \
         run",
    ),
    (
        "token/scale-depth",
        "a token with one child has three allocations, a list of children among them; the peer's has two: \
         1,258 instructions, and 932",
    ),
    ("select/race/fair", "the order is drawn from the clock's entropy, all of it, so that a seed replays it"),
    (
        "select/ready",
        "157 instructions, 112 of tokio's: 56 draw and arrange an order that has a seed, 45 move futures",
    ),
    (
        "join/yields/futures/10",
        "a box for each future, pinned without `unsafe`: the allocator has 3,000 of 5,560 instructions; \
         the peer, 1,850, has one box for up to thirty",
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
    (
        "join/yields/futures/100000",
        "two allocations a future, its box and its waker; the peer has one: 1,144 instructions, and 949",
    ),
    (
        "task-scope/cancel/tokio-mt",
        "a cancel drops the children before it returns, on its own thread; the peer's two threads share them",
    ),
    (
        "scope/wake/10",
        "a wake is a turn of the scope, which looks for what was cancelled or has ended, and parks under a \
         lock: 290 of 567 instructions; the peer has 382",
    ),
    (
        "scope/scale/futures/10",
        "the scope itself, its token and its driver, 5,400 instructions, are spread over ten children",
    ),
    (
        "task-scope/scale",
        "a cell within the executor's task, and a seat in the scope that is taken and left under its lock: \
         3,020 instructions a child, 2,670 of the peer's; with ten, the scope itself is spread over them",
    ),
    (
        "task-scope/scale-cancel",
        "the same as `task-scope/scale`: 3,600 instructions a child, 2,900 of the peer's",
    ),
    ("scope/spawn-join", "each child has a handle that gives its result; the peer has none"),
    ("task-scope/spawn", "a child is a task of ours (see `spawn`), and the scope counts it besides"),
    ("task-scope/join-set", "a child is a task of ours (see `spawn`), and the scope counts it besides"),
    (
        "task-scope/join-set/handles",
        "ours awaits a handle for each child; the peer gives results as they come",
    ),
    // weirs-channels-utils
    (
        "channel",
        "317 instructions an item, 541 of async-channel's, but one lock for both ends: two threads wait for \
         it where the peer's ends have an atomic each; the goals are for two cores that are free",
    ),
    (
        "channel/spsc-1",
        "each item is two waits and two wakes: 2,390 instructions, 2,040 of tokio's; each wait has a place \
         in a list under the lock",
    ),
    (
        "merge/8-ready",
        "whose turn it is, its burst and who was woken are kept, for nothing where all are ready at any \
         time: 115 instructions an item, 76 of the peer's",
    ),
    (
        "merge/scale-inputs",
        "whoever gave an item is asked for more at once, in its burst, and with one item each that is in \
         vain: two polls an item, 1,060 instructions; the peer asks when the next is there, one poll, 696",
    ),
    (
        "merge/8-channels",
        "409 instructions an item, 744 of `select_all`'s: the rest is threads that wake each other; the \
         goals are for two cores that are free",
    ),
    (
        "tee/broadcast-2",
        "each reader has a queue of its own, into which every item is put alone: see `tee/broadcast-8`",
    ),
    (
        "tee/broadcast-8",
        "each reader has a queue of its own, into which every item is put alone: 5,580 instructions an item \
         for eight readers, 3,070 of the peer's one queue; in batches it is 730 (`tee/batches`)",
    ),
    (
        "tee/batches-8",
        "at the edge (0.23 to 0.29): 730 instructions an item for eight readers, 3,070 of the peer's",
    ),
    (
        "tee/tee-2",
        "349 instructions an item for both readers, 1,259 of async-broadcast's: 0.1 would be 63 for a \
         reader, less than a look at its queue under the lock and the copy of the item",
    ),
    ("tee/tee-2/*/go", "it matters whether both readers run at once (0.42 to 0.69)"),
    (
        "tee/tee-8",
        "1,247 instructions an item for all eight readers, 3,067 of the peer's: 0.1 would be 38 for a \
         reader, less than a look at its queue under the lock and the copy of the item",
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
    (
        "semaphore/two-threads",
        "0.29 of the peer's instructions, and 0.08 to 0.44 of its time from run to run: it matters whether \
         both threads run at once",
    ),
    (
        "semaphore/contention-fair",
        "a turn that was waited for is 758 instructions, 546 of tokio's: ours has its place in a list, taken \
         and left under the lock; tokio links the futures themselves, with `unsafe`",
    ),
    (
        "semaphore/contention-barging",
        "who waits has a place in a list and is called from it, under the lock; then it takes for itself",
    ),
    (
        "semaphore/scale-served",
        "758 instructions a turn, 546 of tokio's: ours has its place in a list, taken and left under the \
         lock; tokio links the futures themselves, with `unsafe`",
    ),
    (
        "semaphore/scale-given-up",
        "510 instructions, 225 of tokio's: its place in the list is beside the future and not in it",
    ),
    (
        "semaphore/scale-given-up/tokio/flatness",
        "not work but memory: as many instructions among 100,000 as among ten, and 8.8 lines that the second \
         cache has not; among ten none (tokio 6.9)",
    ),
    (
        "semaphore/scale-given-up/tokio/100000",
        "not work but memory: as many instructions as among ten, and 8.8 lines that the second cache has not \
         (tokio 6.9), which wait for each other: the future, its place, the places beside it",
    ),
    (
        "rate/scale-given-up",
        "as `semaphore/scale-given-up`: places in no order have left the cache, and no more is done \
         than among ten",
    ),
    (
        "keyed/scale-hit",
        "governor's clock is quanta's here, which reads the processor's counter; ours asks the system",
    ),
    (
        "keyed/scale-new",
        "a new key is looked for without a lock, under the locks of its two buckets, and by the name before \
         a change of its quota: 1,400 instructions; governor, 850, hashes it once and locks one shard",
    ),
    ("keyed/hit", "most of the time goes into fetching memory, on both sides"),
    ("keyed/hit-two-threads", "most of the time goes into fetching memory, on both sides"),
    // weirs-resilience
    ("stack", "a stack that is empty costs 11.6 ns already"),
    ("policy/bulkhead-free", "ours is measured through a whole stack, of which an empty one costs 11.6 ns"),
    (
        "breaker/consecutive/two-threads",
        "103 instructions a call, 181 of the peer's: 0.1 takes two threads that run at once, \
         where its are in each other's way",
    ),
    (
        "breaker/count-window/two-threads",
        "each call is written into the window: 210 instructions, 181 of the peer's; 0.3 takes two threads \
         that run at once, where its are in each other's way",
    ),
    (
        "breaker/time-window/two-threads",
        "each call is written into a part of the window, by the clock: 267 instructions, 181 of the peer's, \
         which counts calls and asks for no time",
    ),
    ("breaker/consecutive/recloser", "103 instructions a call, 181 of the peer's: the goal would be 90"),
    (
        "breaker/consecutive/failsafe",
        "at the edge (0.28 to 0.31): 127 instructions on both sides, ours without a lock",
    ),
    (
        "policy/retry-first-success",
        "a call goes through the frame of a stack: 222 instructions, 163 of the peer's loop",
    ),
    ("budget/withdraw", "at the edge on a quiet machine (0.41)"),
    // weirs-pipelines
    ("pool", "some 560 instructions a job: out of the queue, its fence, the time, and its result handed on"),
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
        "some 1,010 instructions a job: a worker's step, the stage's judge, and results pass the task",
    ),
    ("pipeline/buffered", "four hops from channel to channel, each with its wake"),
    (
        "pipeline/serial",
        "a step in one task costs about 15 ns; with 128 places Go hands over without a switch",
    ),
    (
        "pipeline/scale-items",
        "the compiler makes one loop of the peer's closures, 44 instructions an item; ours are 950, with a \
         fence against panics at each stage, counts and two queues, and 21,000 for a pipeline as such",
    ),
    (
        "pipeline/scale-stages",
        "a stage is 256 instructions: 88 its fence against panics, 82 its step, 51 its judge; the compiler \
         makes one loop of the peer's closures, of which each is 6",
    ),
    ("pipeline/spin", "nearly all is the same computing on both sides: any cost of ours misses a goal of 1"),
    ("crossover", "level by the processor's time: on the wall it matters who had both cores"),
    ("par-map/*/*/buffered", "the peer runs all in one task: handing a job over costs more than adding one"),
    ("par-map", "the panic of each job is looked for twice, and its result goes through one more channel"),
    (
        "computing",
        "a job is 910 instructions beside its computing, the worker's step and a fence against its panic; \
         rayon, 30, splits the range among its threads",
    ),
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
        "not counted: the queue, the workers' hands and the unread results each have places for jobs",
    ),
    (
        "batch/pipeline/tokio/peak-bytes",
        "7,800 bytes more for its stages, queues and counts, whatever the number of records",
    ),
    (
        "batch/fan-out/tokio/peak-bytes",
        "not counted: the queue, the workers' hands and the unread results each have places for jobs",
    ),
    (
        "seeds/batch",
        "our clock's thread wakes each sleeper when it is due: 4.1 switches of threads for a picture of 50 \
         limited workers, 1.4 by hand on tokio, whose timers are its scheduler's",
    ),
    ("seeds/pipeline-20us", "nearly all is the same computing on both sides: any cost of ours is seen"),
    (
        "seeds/fan-out-cpu",
        "nearly all is the same computing on both sides: any cost of ours misses a goal of 1",
    ),
    ("batch/pool", "nearly all is the same computing on both sides: any cost of ours misses a goal of 1"),
    ("batch/fan-out", "nearly all is the same computing on both sides: any cost of ours misses a goal of 1"),
    ("echo/one", "one task does what Go's goroutines share: Go has nothing of the kind"),
    // weirs-actors
    (
        "actors/tell",
        "273 instructions, 542 of the loop's; the goal is 217: the queue under its lock has 103, the fence \
         against the handler's panics 86",
    ),
    ("actors/tell-of-four", "a message goes through two lanes and counters, under one lock for four senders"),
    (
        "actors/ask",
        "2,850 instructions, 3,040 of the loop's, of which half are the executor's on both sides; ours are \
         two looks at the queue, one box, and a note of who waits for whom",
    ),
    ("actors/spawn", "an actor alone has a whole supervisor, with its rules, its list and its report"),
    ("actors/spawn-alone", "an actor alone has a whole supervisor, with its rules, its list and its report"),
    (
        "actors/scale-children",
        "an actor, its place under a supervisor, its start and end there: 14,300 instructions and 7 \
         allocations; a bare task has 2,230 and one",
    ),
    (
        "actors/scale-mailbox/async-channel/10",
        "the start and the end of a whole tree, 29,000 instructions, are spread over ten messages",
    ),
    (
        "actors/crash-and-restart/tokio-ct/async-channel",
        "8,370 instructions, 6,370 of the loop's, which starts a new task: ours ask a supervisor, 1,350 for \
         its rules and report, and the question waits in the queue meanwhile",
    ),
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
