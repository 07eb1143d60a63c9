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
            hosts[endpoint.host()].endpoints.push_back(at);
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the plain rule: an endpoint may be taken as long as its host has room.
        #[test]
        fn each_is_done_once_and_no_host_has_too_many(
            of in prop::collection::vec(0..4usize, 0..40),
            per_host in 1..4usize,
            script in prop::collection::vec((0..3u8, any::<prop::sample::Index>()), 0..120),
        ) {
            let mut targets = Targets::default();
            for (number, host) in of.iter().enumerate() {
                targets.add(&format!("host-{host}:80"), &format!("/{number}"));
            }
            let host = |at: usize| targets.endpoints[at].host();
            let mut schedule = Schedule::new(&targets, per_host);
            let mut waiting: Vec<usize> = (0..of.len()).collect();
            let (mut running, mut done) = (Vec::new(), Vec::new());
            // In the end whatever is left is done.
            let rest = (0..of.len() * 2).map(|step| (step as u8 % 2, None));
            for (what, which) in script.into_iter().map(|(what, which)| (what, Some(which))).chain(rest) {
                match (what, running.is_empty()) {
                    (0, _) | (_, true) => {
                        let of_host = |at| running.iter().filter(|other| host(**other) == at).count();
                        let room = |at: &usize| of_host(host(*at)) < per_host;
                        match schedule.take() {
                            Some(at) => {
                                prop_assert!(room(&at) && waiting.contains(&at));
                                waiting.retain(|other| *other != at);
                                running.push(at);
                            }
                            None => prop_assert!(!waiting.iter().any(room)),
                        }
                    }
                    (what, false) => {
                        let at = running.swap_remove(which.map_or(0, |which| which.index(running.len())));
                        if what == 1 {
                            schedule.done(host(at));
                            done.push(at);
                        } else {
                            schedule.put_back(host(at), at);
                            waiting.push(at);
                        }
                    }
                }
            }
            done.sort_unstable();
            prop_assert_eq!(done, (0..of.len()).collect::<Vec<_>>());
        }
    }

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
