//! A chat server as a tree: what `bin/chat.rs` is made of. Start reading at [`open`].

mod room;
mod session;
pub mod story;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::AsyncWriteExt;
use weirs_actors::supervise::{Event, Incarnation, Pool, Spec, StartError, Stop, Supervisor, Tree};
use weirs_resilience::Backoff;
use weirs_runtime::Runtime;

use crate::net::Net;
use room::Room;

/// Starts a server for those who connect to this listener.
///
/// ```text
/// chat
/// ├─ room      an actor: who is there, and what is said
/// ├─ sessions  a pool: one child for each connection
/// └─ door      a task: accepts
/// ```
///
/// It is stopped from the bottom up: nobody comes in any more, those who are there are told, the room is
/// closed. If the room crashes, those who were in it have to come again; if the door does, nobody notices.
///
/// # Errors
/// Those of [`Supervisor::start`]; with these settings there is none.
pub async fn open<N: Net>(
    listener: N::Listener,
    runtime: &Runtime,
    observer: impl Fn(&Event<'_>) + Send + Sync + 'static,
) -> Result<Tree, StartError> {
    let (room, room_spec) = Spec::actor("room", Room::new);
    let (sessions, sessions_spec) =
        Pool::once("sessions", move |stream, life| session::serve::<N>(stream, room.clone(), life))
            .most(10_000)
            // Who does not read is not waited for.
            .stop(Stop::Within(Duration::from_secs(1)))
            .build();
    let listener = Arc::new(listener);
    let door = Spec::task("door", move |life| accept::<N>(Arc::clone(&listener), sessions.clone(), life))
        .backoff(Backoff::exponential(Duration::from_millis(50)).cap(Duration::from_secs(5)));
    Supervisor::rest_for_one()
        .name("chat")
        .intensity(10, Duration::from_secs(60))
        .observe(observer)
        .children([room_spec, sessions_spec, door])
        .start(runtime)
        .await
}

/// Accepts until it is asked to stop. An error, such as too many open files, ends this life; the next begins
/// after a pause.
async fn accept<N: Net>(
    listener: Arc<N::Listener>,
    sessions: Pool<N::Stream>,
    life: Incarnation,
) -> io::Result<()> {
    let token = life.token();
    while let Ok(accepted) = token.run(N::accept(&listener)).await {
        if let Err(refused) = sessions.try_start_child(accepted?) {
            if let Some(mut stream) = refused.into_args() {
                // It is gone already: no matter.
                let _ = stream.write_all(b"* there is no room\n").await;
            }
        }
    }
    Ok(())
}
