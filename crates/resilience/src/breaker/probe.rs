//! Probing out of band: whoever does it spares the callers.

use std::convert::Infallible;
use std::future::Future;

use super::permit::Permit;
use super::{Breaker, Ready};

/// What [`Breaker::probe_with`] gives: nothing, ever.
pub type Probed = Infallible;

/// See [`Breaker::probe_with`].
pub(super) async fn run<F, Fut, T, E>(breaker: &Breaker, mut probe: F) -> Probed
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let _there = There::new(breaker);
    loop {
        Ready::to_probe(breaker).await;
        let Ok(held) = breaker.admit(true, None) else { continue };
        let permit = Permit::new(breaker, held);
        match probe().await {
            Ok(_) => permit.success(),
            Err(_) => permit.failure(),
        };
    }
}

/// As long as it is there, callers leave the probing to it.
struct There<'b>(&'b Breaker);

impl<'b> There<'b> {
    fn new(breaker: &'b Breaker) -> Self {
        breaker.change(|_, machine, _| machine.probers += 1);
        Self(breaker)
    }
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        self.0.change(|_, machine, _| machine.probers -= 1);
    }
}
