//! One attempt at one endpoint: connect, ask, and read the head of the answer.

use std::fmt;
use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use weirs_resilience::Class;

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
    /// The connection was closed before there was an answer.
    Closed,
    Unresolvable,
    /// Nobody said in time what the name stands for.
    LookUp,
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
            | io::ErrorKind::NotConnected => Self::Reset,
            _ => Self::Unreachable,
        }
    }

    /// Whether another attempt may go better: what is wrong with the request stays wrong.
    pub(super) fn may_pass(self) -> bool {
        !matches!(self, Self::Status(400..=407 | 409..=428 | 430..=499) | Self::NoDescriptor)
    }

    /// What it says about the host, and not only about this endpoint.
    pub(super) fn of_host(self) -> Class {
        match self {
            Self::Status(400..=499) => Class::Permanent,
            Self::NoDescriptor => Class::Ignored,
            _ => Class::Failure,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset"),
            Self::Closed => f.write_str("closed without an answer"),
            Self::Unresolvable => f.write_str("name not found"),
            Self::LookUp => f.write_str("name not looked up in time"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::NoHttp => f.write_str("no HTTP answer"),
            Self::NoDescriptor => f.write_str("no descriptor was left"),
        }
    }
}

/// Asks once.
pub(super) async fn attempt<N: Net>(
    net: &N,
    address: &N::Address,
    host: &str,
    path: &str,
) -> Result<u16, Fault> {
    let mut stream = net.connect(address).await.map_err(|error| Fault::of(&error))?;
    // The usual port is not named.
    let host = host.strip_suffix(":80").unwrap_or(host);
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: weirs-probe\r\n\
         accept: */*\r\nconnection: close\r\n\r\n"
    );
    let asked = stream.write_all(request.as_bytes()).await;
    // The answer comes into what held the request: thousands of these wait at the same time.
    let mut answer = request.into_bytes();
    let mut length = 0;
    loop {
        answer.resize((length * 2).max(256), 0);
        // Whoever answers before it has read the request, and closes, has answered all the same.
        match (stream.read(&mut answer[length..]).await, &asked) {
            (Ok(0), Ok(())) => return Err(Fault::Closed),
            (Ok(0), Err(error)) => return Err(Fault::of(error)),
            (Ok(number), _) => length += number,
            (Err(error), _) => return Err(Fault::of(&error)),
        }
        answer.truncate(length);
        if let Some(status) = status(&mut answer)? {
            return if (200..400).contains(&status) { Ok(status) } else { Err(Fault::Status(status)) };
        }
        length = answer.len();
        if length > HEAD {
            return Err(Fault::NoHttp);
        }
    }
}

/// The status, when its head is there. Heads that only say that there is more to come are taken out.
fn status(answer: &mut Vec<u8>) -> Result<Option<u16>, Fault> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(answer) {
            Ok(httparse::Status::Complete(end)) => match parsed.code {
                // To change the protocol was not asked for, so that is no interim answer.
                Some(100 | 102..=199) => drop(answer.drain(..end)),
                Some(status @ 200..=599 | status @ 101) => return Ok(Some(status)),
                _ => return Err(Fault::NoHttp),
            },
            Ok(httparse::Status::Partial) => return Ok(None),
            // Nobody needs them all, but they have to come to an end.
            Err(httparse::Error::TooManyHeaders) => match end_of_head(answer) {
                None => return Ok(None),
                Some(_) => return parsed.code.filter(|code| *code >= 200).ok_or(Fault::NoHttp).map(Some),
            },
            Err(_) => return Err(Fault::NoHttp),
        }
    }
}

/// Where the first empty line is.
fn end_of_head(answer: &[u8]) -> Option<usize> {
    let ends = |rest: &[u8]| rest.starts_with(b"\n\r\n") || rest.starts_with(b"\n\n");
    (0..answer.len()).find(|at| ends(&answer[*at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Result<Option<u16>, Fault> {
        status(&mut answer.as_bytes().to_vec())
    }

    #[test]
    fn a_status_is_read_when_its_head_is_there() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("HTTP/1.1 20"), Ok(None));
        assert_eq!(read("HTTP/1.1 200 OK\r\nserver: x\r\n"), Ok(None));
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n"), Ok(Some(200)));
        assert_eq!(read("HTTP/1.0 404\r\n\r\n"), Ok(Some(404)));
        assert_eq!(read("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n4\r\nwell"), Ok(Some(200)));
        assert_eq!(read("HTTP/1.1 101 Switching\r\n\r\n"), Ok(Some(101)));
    }

    #[test]
    fn interim_answers_are_not_the_answer() {
        assert_eq!(read("HTTP/1.1 100 Continue\r\n\r\n"), Ok(None));
        assert_eq!(read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\n\r\n"), Ok(Some(503)));
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        assert_eq!(read(&format!("{hints}{hints}HTTP/1.1 2")), Ok(None));
        assert_eq!(read(&format!("{hints}{hints}HTTP/1.1 204 No Content\r\n\r\n")), Ok(Some(204)));
    }

    #[test]
    fn what_is_no_http_is_not_guessed_at() {
        for answer in
            ["SSH-2.0-OpenSSH\r\n", "\0\0\0", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n", "<html>"]
        {
            assert_eq!(read(answer), Err(Fault::NoHttp), "{answer:?}");
        }
    }

    #[test]
    fn more_headers_than_anybody_reads_are_no_trouble() {
        let head = format!("HTTP/1.1 500 x\r\n{}\r\n", "a: b\r\n".repeat(100));
        assert_eq!(read(&head), Ok(Some(500)));
        assert_eq!(read(&head[..head.len() - 2]), Ok(None));
    }
}
