//! [`Names`]: the addresses of the hosts, each looked up once.

use std::time::Duration;

use smol::lock::OnceCell;
use weirs_limiters::Semaphore;
use weirs_runtime::Clock;

use super::check::Fault;
use super::descriptors::ran_out;
use crate::net::Net;

/// So many look-ups at once: each takes a thread, and descriptors that nobody counts.
const AT_ONCE: u64 = 8;

/// The addresses of the hosts. A host of a thousand endpoints is looked up once, and if nobody knows it,
/// nobody is asked again.
pub(super) struct Names<N: Net> {
    known: Vec<OnceCell<Result<N::Address, Fault>>>,
    places: Semaphore,
    clock: Clock,
    limit: Duration,
}

impl<N: Net> Names<N> {
    pub(super) fn new(hosts: usize, clock: &Clock, limit: Duration) -> Self {
        let known = (0..hosts).map(|_| OnceCell::new()).collect();
        Self { known, places: Semaphore::new(AT_ONCE), clock: clock.clone(), limit }
    }

    /// The address of a host. Waiting for a place does not count as time of the host.
    pub(super) async fn address(&self, net: &N, at: usize, host: &str) -> Result<N::Address, Fault> {
        let look_up = async || {
            let _place = self.places.acquire(1).await.map_err(|_| Fault::NoDescriptor)?;
            match self.clock.timeout(self.limit, net.resolve(host)).await {
                Ok(Ok(address)) => Ok(Ok(address)),
                Ok(Err(error)) if ran_out(&error) => Err(Fault::NoDescriptor),
                Ok(Err(_)) => Ok(Err(Fault::Unresolvable)),
                Err(_) => Ok(Err(Fault::LookUp)),
            }
        };
        self.known[at].get_or_try_init(look_up).await?.clone()
    }
}
