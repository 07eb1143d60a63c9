//! [`tasks`]: what Go's `net/http` does.

use std::time::Duration;

use weirs_runtime::Runtime;
use weirs_scopes::Group;

use super::{PAUSE, converse};
use crate::net::Net;

/// A task for each connection. Dropped, it drops them.
pub async fn tasks<N: Net>(listener: N::Listener, runtime: Runtime, idle: Duration) {
    let connections = Group::<()>::new(&runtime);
    loop {
        match N::accept(&listener).await {
            Ok(stream) => {
                let clock = runtime.clock().clone();
                // Whoever hangs up in the middle does no harm to anybody else.
                connections.spawn(async move { drop(converse(stream, &clock, idle).await) });
            }
            Err(_) => runtime.clock().sleep(PAUSE).await,
        }
    }
}
