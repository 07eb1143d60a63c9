//! [`Schedule`]: which endpoint comes next, so that no host has more checks at once than it may, and none has
//! to wait for another.

use std::collections::VecDeque;

use super::targets::Targets;

/// Which endpoint comes next.
pub(super) struct Schedule {
    hosts: Vec<Host>,
    /// Hosts that have something to check, and room for it.
    ready: VecDeque<usize>,
    per_host: usize,
}

struct Host {
    endpoints: VecDeque<usize>,
    running: usize,
    ready: bool,
}

impl Schedule {
    pub(super) fn new(targets: &Targets, per_host: usize) -> Self {
        let mut hosts: Vec<_> = targets
            .hosts
            .iter()
            .map(|_| Host { endpoints: VecDeque::new(), running: 0, ready: true })
            .collect();
        for (at, endpoint) in targets.endpoints.iter().enumerate() {
            hosts[endpoint.host].endpoints.push_back(at);
        }
        Self { ready: (0..hosts.len()).collect(), hosts, per_host }
    }

    /// The next endpoint that may be checked now.
    pub(super) fn take(&mut self) -> Option<usize> {
        loop {
            let at = self.ready.pop_front()?;
            let host = &mut self.hosts[at];
            host.ready = false;
            let Some(endpoint) = host.endpoints.pop_front() else { continue };
            host.running += 1;
            self.offer(at);
            return Some(endpoint);
        }
    }

    /// A check of that host has ended.
    pub(super) fn done(&mut self, host: usize) {
        self.hosts[host].running -= 1;
        self.offer(host);
    }

    /// A check that could not be made comes again.
    pub(super) fn put_back(&mut self, host: usize, endpoint: usize) {
        self.hosts[host].endpoints.push_back(endpoint);
        self.done(host);
    }

    fn offer(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        if !host.ready && host.running < self.per_host && !host.endpoints.is_empty() {
            host.ready = true;
            self.ready.push_back(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_turns_and_none_has_too_many() {
        let mut targets = Targets::default();
        for path in ["/1", "/2", "/3"] {
            targets.add("a:80", path);
        }
        targets.add("b:80", "/1");
        let mut schedule = Schedule::new(&targets, 2);
        let taken: Vec<_> = std::iter::from_fn(|| schedule.take()).collect();
        assert_eq!(taken, [0, 3, 1]);
        schedule.done(1);
        assert_eq!(schedule.take(), None);
        schedule.put_back(0, 0);
        assert_eq!((schedule.take(), schedule.take()), (Some(2), None));
        schedule.done(0);
        assert_eq!((schedule.take(), schedule.take()), (Some(0), None));
    }
}
