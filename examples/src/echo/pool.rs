//! [`pool`]: so many workers, so many connections that wait for one, and a word for all others.

use std::time::Duration;

use futures_lite::AsyncWriteExt;
use weirs_pipelines::{BuildError, WorkerPool};
use weirs_runtime::Runtime;

use super::{PAUSE, converse};
use crate::net::Net;

/// What those hear for whom there is no room.
pub const BUSY: &str = "Server busy, try again later.\n";
/// As long as it may take to tell them.
const TELL_WITHIN: Duration = Duration::from_millis(100);

/// As many connections at a time as there are workers. Dropped, it drops them.
///
/// # Errors
/// There are no workers, or there is no queue.
pub async fn pool<N: Net>(
    listener: N::Listener,
    runtime: Runtime,
    workers: usize,
    queue: usize,
    idle: Duration,
) -> Result<(), BuildError> {
    let clock = runtime.clock().clone();
    let work = move |stream: N::Stream| {
        let clock = clock.clone();
        async move { converse(stream, &clock, idle).await }
    };
    let pool = WorkerPool::builder(work).workers(workers).queue(queue).discard_results().build(&runtime)?;
    loop {
        match N::accept(&listener).await {
            Ok(stream) => {
                let Err(refused) = pool.try_submit(stream) else { continue };
                let mut stream = refused.into_inner();
                let tell = async {
                    stream.write_all(BUSY.as_bytes()).await?;
                    stream.close().await
                };
                // One that does not listen holds up nobody for long.
                let _ = runtime.clock().timeout(TELL_WITHIN, tell).await;
            }
            Err(_) => runtime.clock().sleep(PAUSE).await,
        }
    }
}
