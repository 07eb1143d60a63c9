//! One service, three servers: a task for each connection, a bounded pool that says when it is busy, and one
//! task for all connections.
//!
//! | server | connections at a time | memory for each | one that is slow, or is silent |
//! |---|---|---|---|
//! | [`tasks`] | as many as come | a task | keeps its task |
//! | [`pool`] | one for each worker; some wait, the others hear "busy" | none while it waits | is let go |
//! | [`one_task`] | as many as come | a child of a scope | keeps its child; one that computes holds up all |

mod one_task;
mod pool;
mod tasks;

use std::io::Result;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use weirs_runtime::Clock;

pub use one_task::one_task;
pub use pool::{BUSY, pool};
pub use tasks::tasks;

/// A longer line is cut.
const LONGEST: u64 = 4096;
/// How long a listener that cannot accept, for want of descriptors, waits before it tries again.
const PAUSE: Duration = Duration::from_millis(5);

/// Answers lines, until there are none or none came for so long.
async fn converse<S>(stream: S, clock: &Clock, idle: Duration) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reader = BufReader::with_capacity(256, stream);
    loop {
        let mut line = String::new();
        let length = clock.timeout(idle, (&mut reader).take(LONGEST).read_line(&mut line)).await;
        // Nothing more comes, or nothing came in time.
        if length.unwrap_or(Ok(0))? == 0 {
            return reader.get_mut().close().await;
        }
        let answer = format!("Processed: {}\n", line.trim_end().to_uppercase());
        reader.get_mut().write_all(answer.as_bytes()).await?;
    }
}
