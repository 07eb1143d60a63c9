//! One attempt at one endpoint: connect, ask, and read the head of the answer.

use std::fmt;
use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::descriptors::ran_out;
use crate::net::Net;

/// The most bytes that the head of an answer may have.
const HEAD: usize = 16 * 1024;

/// Why an attempt gave no healthy answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fault {
    /// It answered with this status.
    Status(u16),
    Refused,
    Reset,
    Unresolvable,
    Unreachable,
    /// What came was no HTTP.
    NoHttp,
    /// This process, or the system, had no descriptor left: that says nothing about the endpoint.
    NoDescriptor,
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        if ran_out(error) {
            return Self::NoDescriptor;
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => Self::Reset,
            _ => Self::Unreachable,
        }
    }

    /// Whether another attempt may go better: what is wrong with the request stays wrong.
    pub(super) fn may_pass(self) -> bool {
        !matches!(self, Self::Status(400..=428 | 430..=499) | Self::Unresolvable | Self::NoDescriptor)
    }

    /// Whether it says something about the host, and not only about this endpoint.
    pub(super) fn is_of_host(self) -> bool {
        !matches!(self, Self::Status(400..=499) | Self::NoDescriptor)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset"),
            Self::Unresolvable => f.write_str("name not found"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::NoHttp => f.write_str("no HTTP answer"),
            Self::NoDescriptor => f.write_str("no descriptor was left"),
        }
    }
}

/// Asks once.
pub(super) async fn attempt<N: Net>(net: &N, host: &str, path: &str) -> Result<u16, Fault> {
    let address = net.resolve(host).await.map_err(|error| match Fault::of(&error) {
        Fault::NoDescriptor => Fault::NoDescriptor,
        _ => Fault::Unresolvable,
    })?;
    let mut stream = net.connect(&address).await.map_err(|error| Fault::of(&error))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: weirs-probe\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| Fault::of(&error))?;
    let mut answer = Vec::with_capacity(512);
    let mut buffer = [0; 512];
    loop {
        let number = stream.read(&mut buffer).await.map_err(|error| Fault::of(&error))?;
        if number == 0 {
            return Err(Fault::Reset);
        }
        answer.extend_from_slice(&buffer[..number]);
        if let Some(status) = status(&answer)? {
            return if (200..400).contains(&status) { Ok(status) } else { Err(Fault::Status(status)) };
        }
        if answer.len() > HEAD {
            return Err(Fault::NoHttp);
        }
    }
}

/// The status, when the head is there.
fn status(answer: &[u8]) -> Result<Option<u16>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(answer) {
        Ok(httparse::Status::Complete(_)) => Ok(parsed.code),
        Ok(httparse::Status::Partial) => Ok(None),
        // The status line is enough for a verdict.
        Err(httparse::Error::TooManyHeaders) => Ok(parsed.code),
        Err(_) => Err(Fault::NoHttp),
    }
}
