//! One connection: a child of the pool. Whatever happens to it is its own affair.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::io::{BufReader, split};
use futures_lite::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use weirs_actors::actor::Addr;
use weirs_actors::supervise::Incarnation;
use weirs_channels_utils::Missed;

use super::room::{Line, Seat, Told};
use crate::net::Net;

/// How long a line may be, in bytes.
const LONGEST: u64 = 1000;
/// How long the room may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn serve<N: Net>(stream: N::Stream, room: Addr<Told>, life: Incarnation) -> io::Result<()> {
    let (reading, mut writing) = split(stream);
    let mut reading = BufReader::new(reading);
    let Ok(seat) = life.token().run(greet(&mut reading, &mut writing, &room)).await else { return Ok(()) };
    let Some(mut seat) = seat? else { return Ok(()) };
    let name = Arc::clone(seat.name());
    // Neither is dropped in the middle of a line, but at the end.
    future::or(talk(&mut reading, &name, &room), hear(&mut writing, &mut seat, &life)).await?;
    seat.leave().await;
    writing.close().await
}

/// Asks for a name until there is one that is free.
async fn greet(
    reading: &mut (impl AsyncBufRead + Unpin),
    writing: &mut (impl AsyncWrite + Unpin),
    room: &Addr<Told>,
) -> io::Result<Option<Seat>> {
    loop {
        writing.write_all(b"* your name?\n").await?;
        let Some(name) = line(reading).await? else { return Ok(None) };
        match room.ask(|reply| Told::Join(name, reply)).within(PATIENCE).await {
            Ok(Some(seat)) => {
                writing.write_all(format!("* welcome, {}\n", seat.name()).as_bytes()).await?;
                return Ok(Some(seat));
            }
            Ok(None) => writing.write_all(b"* that name is taken\n").await?,
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// What this one says. While the room is busy it is not read, so that its sender waits.
async fn talk(
    reading: &mut (impl AsyncBufRead + Unpin),
    name: &Arc<str>,
    room: &Addr<Told>,
) -> io::Result<()> {
    while let Some(text) = line(reading).await? {
        match text.as_str() {
            "/quit" => break,
            // A bug, which nobody else should notice.
            "/crash" => panic!("{name} asked for it"),
            _ => {
                let said = Line { from: Some(Arc::clone(name)), text: text.into() };
                if room.tell(Told::Say(said)).await.is_err() {
                    return Err(io::Error::other("the room is closed"));
                }
            }
        }
    }
    Ok(())
}

/// What this one hears, until the server ends.
async fn hear(
    writing: &mut (impl AsyncWrite + Unpin),
    seat: &mut Seat,
    life: &Incarnation,
) -> io::Result<()> {
    let token = life.token();
    while let Ok(heard) = token.run(seat.hear()).await {
        let text = match heard {
            Some(Ok(Line { from: Some(name), text })) => format!("{name}: {text}\n"),
            Some(Ok(Line { from: None, text })) => format!("* {text}\n"),
            Some(Err(Missed::Lagged(lines))) => format!("* {lines} lines are missing here\n"),
            Some(Err(Missed::Disconnected)) | None => break,
        };
        writing.write_all(text.as_bytes()).await?;
    }
    writing.write_all(b"* the server ends\n").await
}

/// The next line; none at the end.
async fn line(reading: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reading.take(LONGEST).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && line.len() as u64 == LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}
