//! [`Odd`]: a server whose answers are odd.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

/// A server whose answer is decided by the path.
#[derive(Clone, Default)]
pub(crate) struct Odd {
    /// How many requests have come.
    pub asked: Arc<AtomicUsize>,
    /// How many connections are open.
    pub open: Arc<AtomicUsize>,
}

impl Odd {
    /// Serves until the process of the test ends, and gives its address.
    pub(crate) fn start(&self, address: &str) -> Option<String> {
        let listener = smol::block_on(TcpListener::bind(address)).ok()?;
        let address = listener.local_addr().expect("an address").to_string();
        let odd = self.clone();
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let odd = odd.clone();
                smol::spawn(async move {
                    odd.open.fetch_add(1, Ordering::SeqCst);
                    let _ = odd.answer(stream).await;
                    odd.open.fetch_sub(1, Ordering::SeqCst);
                })
                .detach();
            }
        };
        smol::spawn(serve).detach();
        Some(address)
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let mut buffer = [0; 256];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                number => request.extend_from_slice(&buffer[..number]),
            }
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let request = String::from_utf8_lossy(&request);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let answer = match path {
            "/interim" => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "/hints" => "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n",
            "/old" => "HTTP/1.0 200 OK\r\n\r\nwell",
            "/chunked" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n",
            "/garbage" => "SSH-2.0-OpenSSH_9.2\r\n",
            "/empty" => "",
            "/half" => "HTTP/1.1 200 OK\r\nserver: ",
            "/endless" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                loop {
                    stream.write_all(b"endless: endless\r\n").await?;
                }
            }
            "/line" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nendless: ").await?;
                loop {
                    stream.write_all(&[b'x'; 256]).await?;
                }
            }
            "/hang" => {
                while stream.read(&mut buffer).await? > 0 {}
                return Ok(());
            }
            "/drip" => {
                for byte in "HTTP/1.1 204 No Content\r\n\r\n".bytes() {
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                    smol::future::yield_now().await;
                }
                return Ok(());
            }
            path => {
                let head = format!("HTTP/1.1 {} x\r\ncontent-length: 0\r\n\r\n", &path[1..]);
                return stream.write_all(head.as_bytes()).await;
            }
        };
        stream.write_all(answer.as_bytes()).await
    }
}
