//! [`Shelf`]: the crate that a row is about.

/// A section of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shelf {
    /// Its heading.
    pub(super) title: &'static str,
    /// Its plot is called after it.
    pub(super) file: &'static str,
    /// What is measured there.
    pub(super) about: &'static str,
    /// The first parts of the names of its rows.
    subjects: &'static [&'static str],
}

/// The sections, in their order. The last takes what no other knows.
pub(super) const SHELVES: [Shelf; 11] = [
    Shelf {
        title: "weirs-runtime",
        file: "runtime",
        about: "Tasks that do nothing, and timers. A task of ours is a cell that owns its future, in a \
                task of the executor: it cannot be cheaper than that task alone, and the goals say how \
                much dearer it may be.",
        subjects: &["spawn", "timer", "runtime", "block-on", "clock"],
    },
    Shelf {
        title: "weirs-scopes",
        file: "scopes",
        about: "Scopes in one task beside `FuturesUnordered` and moro, parallel scopes beside `JoinSet` \
                and plain spawning, tokens beside those of tokio-util, races and joins.",
        subjects: &["token", "select", "join", "task-scope", "scope", "scopes", "group"],
    },
    Shelf {
        title: "weirs-channels-utils",
        file: "channels-utils",
        about: "The channel beside async-channel and tokio's, many streams as one and one stream as many, \
                and several futures at once over a stream. The goals are for two cores that are free: on a \
                crowded machine all channels come nearer to each other.",
        subjects: &[
            "channel",
            "merge",
            "tee",
            "concurrent",
            "channels",
            "broadcast",
            "watch",
            "oneshot",
            "bridge",
        ],
    },
    Shelf {
        title: "weirs-limiters",
        file: "limiters",
        about: "Rates and keyed rates beside governor, semaphores beside tokio's and async-lock's.",
        subjects: &["rate", "semaphore", "keyed", "limiter", "limiters", "window"],
    },
    Shelf {
        title: "weirs-resilience",
        file: "resilience",
        about: "Breakers, stacks of policies and policies alone, around work that goes well at once: what \
                is left is overhead, a few nanoseconds of it.",
        subjects: &["breaker", "stack", "policy", "budget", "resilience", "cache"],
    },
    Shelf {
        title: "weirs-pipelines",
        file: "pipelines",
        about: "Pools, pipelines and `par_map` beside Go, beside loops by hand over channels of others, \
                and beside a task for each job.",
        subjects: &["pipeline", "pool", "par-map", "workers", "crossover", "computing", "pipelines", "fan"],
    },
    Shelf {
        title: "weirs-actors",
        file: "actors",
        about: "Messages, questions and lives of actors, beside a loop that reads an async-channel and \
                beside the actors of others. An actor of ours is supervised; the loop is not.",
        subjects: &["actors", "actor", "supervise", "supervisor", "children"],
    },
    Shelf {
        title: "weirs-testing",
        file: "testing",
        about: "The simulator. There is no peer that does the same; more steps are better here.",
        subjects: &["simulator"],
    },
    Shelf {
        title: "Whole programs",
        file: "programs",
        about: "Servers and jobs as a program would have them, beside the same in Go and in plain tokio.",
        subjects: &["probe", "echo", "batch", "idle", "seeds"],
    },
    Shelf {
        title: "Instruction counts",
        file: "instructions",
        about: "Instructions of single operations beside those that were kept before: what no load touches.",
        subjects: &["instructions"],
    },
    Shelf { title: "Other rows", file: "others", about: "What belongs to no crate above.", subjects: &[] },
];

/// The section of a row.
pub(super) fn shelf_of(name: &str) -> &'static Shelf {
    let subject = name.split('/').next().unwrap_or_default();
    let known = SHELVES.iter().find(|shelf| shelf.subjects.contains(&subject));
    known.unwrap_or(&SHELVES[SHELVES.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn every_row_has_its_section() {
        for row in rows::experiments().iter().flat_map(|experiment| &experiment.rows) {
            let shelf = shelf_of(&row.name);
            assert!(!shelf.subjects.is_empty(), "{}: add its first part to a shelf", row.name);
        }
    }

    #[test]
    fn whoever_is_not_known_is_not_lost() {
        assert_eq!(shelf_of("dance/waltz").title, "Other rows");
        assert_eq!(shelf_of("spawn/smol").title, "weirs-runtime");
    }
}
