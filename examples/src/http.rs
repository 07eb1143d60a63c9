//! As much of HTTP/1.1 as small programs need: one request and one answer for each connection.

use std::io::{Error, ErrorKind, Result};

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// More than this is not read.
const MOST: usize = 64 * 1024;
const HEADERS: usize = 16;

/// What a server is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// What for.
    pub path: String,
    headers: Vec<(String, String)>,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// The rest of it.
    pub body: String,
}

impl Request {
    /// The value of this header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Asks, and waits for the whole answer.
///
/// # Errors
/// The connection's; or what comes is no answer.
pub async fn ask<S>(mut stream: S, path: &str, headers: &[(&str, &str)]) -> Result<Response>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::new();
    while read_more(&mut stream, &mut bytes).await? {}
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(&bytes).map_err(Error::other)? {
        httparse::Status::Complete(length) => Ok(Response {
            status: parsed.code.unwrap_or_default(),
            body: String::from_utf8_lossy(&bytes[length..]).into_owned(),
        }),
        httparse::Status::Partial => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// Waits for a request.
///
/// # Errors
/// The connection's; or what comes is no request.
pub async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Request> {
    let mut bytes = Vec::new();
    loop {
        let more = read_more(stream, &mut bytes).await?;
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        if parsed.parse(&bytes).map_err(Error::other)?.is_complete() {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value)));
            let headers = headers.collect();
            return Ok(Request { path: parsed.path.unwrap_or("/").to_owned(), headers });
        }
        if !more {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Answers, and says that this was all.
///
/// # Errors
/// The connection's.
pub async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, status: u16, body: &str) -> Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} \r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await?;
    stream.close().await
}

/// Whether there was more to read.
async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> Result<bool> {
    let mut part = [0; 512];
    let length = stream.read(&mut part).await?;
    bytes.extend_from_slice(&part[..length]);
    if bytes.len() > MOST { Err(Error::other("too long")) } else { Ok(length > 0) }
}
