//! The files that a rule does not bind, with the reasons.

/// A file, or a folder with a slash at its end, and why. `*` is one segment of the path.
pub(super) type Exception = (&'static str, &'static str);

/// Who may take time and threads out of the air.
pub(super) const MAY_BE_AMBIENT: [Exception; 9] = [
    ("crates/runtime/src/clock/real.rs", "the clock driver: where real time comes in"),
    ("crates/runtime/src/clock/real/", "the same, for each system"),
    ("crates/runtime/src/adapters/", "an adapter reads its own runtime's clock"),
    ("crates/testing/src/watchdog.rs", "it must fire even when no executor runs"),
    ("crates/*/benches/", "a measurement needs the real clock"),
    ("tests/models/", "the threads are loom's"),
    ("tests/versus/", "measurements need the real clock, and peers know no other"),
    ("examples/", "programs show how the crates meet code that has its own time and threads"),
    ("xtask/", "runs processes, never the simulator"),
];

/// Who may be `unsafe`.
pub(super) const MAY_BE_UNSAFE: [Exception; 8] = [
    ("crates/channels-utils/tests/hostile.rs", "a waker whose clone panics is made in no other way"),
    ("crates/runtime/src/clock/real/linux.rs", "asks the system for the time, measured"),
    ("crates/runtime/src/task/cell.rs", "the task cell: one allocation for a task, measured"),
    ("crates/runtime/src/task/runner.rs", "the executor's part of the task cell, without a box of its own"),
    ("crates/scopes/src/scope/cell.rs", "the cell of a scope's child: one allocation for a child, measured"),
    ("crates/scopes/src/scope/cell/", "the lists and the queue that such cells are in"),
    ("crates/testing/src/alloc.rs", "a global allocator that counts is unsafe by its trait"),
    ("tests/", "counting allocators, and peers' interfaces"),
];

/// Whether one of the exceptions is about this file.
pub(super) fn excepted(path: &str, exceptions: &[Exception]) -> bool {
    exceptions.iter().any(|(pattern, _)| covers(pattern, path))
}

fn covers(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let mut wanted = pattern.trim_end_matches('/').split('/');
    let begins =
        wanted.all(|wanted| segments.next().is_some_and(|segment| wanted == "*" || wanted == segment));
    begins && (pattern.ends_with('/') || segments.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_files_and_folders() {
        assert!(covers("tests/", "tests/versus/src/main.rs") && covers("a/b.rs", "a/b.rs"));
        assert!(covers("crates/*/benches/", "crates/a/benches/b.rs"));
        assert!(!covers("a/b.rs", "a/b.rs/c") && !covers("a/b/", "a/bc/d"));
        assert!(!covers("crates/*/benches/", "crates/a/src/b"));
    }
}
