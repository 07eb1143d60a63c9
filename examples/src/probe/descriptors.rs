//! How many files a process may have open, and what to do about it.

use std::io;

/// What is left for everything else: the standard streams, the reactor, the output files.
const RESERVE: u64 = 40;

/// Raises the limit as far as it goes, and gives how many sockets there may be.
pub(super) fn sockets() -> u64 {
    let limit = rlimit::increase_nofile_limit(1 << 20).unwrap_or(256);
    limit.saturating_sub(RESERVE).max(8)
}

/// Whether there was no descriptor left, for the process or for the system.
pub(super) fn ran_out(error: &io::Error) -> bool {
    // EMFILE and ENFILE, the same on every Unix; WSAEMFILE.
    matches!(error.raw_os_error(), Some(24 | 23 | 10024))
}
