//! [`one_task`]: what an event loop does, without its callbacks.

use std::time::Duration;

use weirs_runtime::Clock;
use weirs_scopes::{Scope, scope};

use super::{PAUSE, converse};
use crate::net::Net;

/// All connections in the task that awaits this. Dropped, it drops them.
///
/// Each is a child of a scope: it is polled when its socket has something, and not otherwise. What is a state
/// machine by hand elsewhere, with `on_open`, `on_traffic` and `on_close`, is an async function here.
pub async fn one_task<N: Net>(listener: N::Listener, clock: Clock, idle: Duration) {
    let (listener, clock) = (&listener, &clock);
    scope(|connections: Scope<'_>| async move {
        loop {
            match N::accept(listener).await {
                Ok(stream) => {
                    connections.spawn(async move { drop(converse(stream, clock, idle).await) });
                }
                Err(_) => clock.sleep(PAUSE).await,
            }
        }
    })
    .await
}
