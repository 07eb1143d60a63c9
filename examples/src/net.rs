//! Sockets that are the same on smol, async-std, tokio and the simulated network, so that a program is
//! written once and its runtime is chosen when it starts.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use futures_io::{AsyncRead, AsyncWrite};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use weirs_runtime::{AsyncStd, Runtime, Smol, Tokio, block_on};
use weirs_testing::sim::Sim;
use weirs_testing::sim::net as simulated;

/// Connects and listens. Addresses are text, such as `127.0.0.1:80` or `example.org:80`.
pub trait Net: Clone + Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// What accepts them.
    type Listener: Send + Sync + 'static;
    /// An address that a name stands for.
    type Address: Clone + Send + Sync + 'static;

    /// Looks a name up.
    fn resolve(&self, name: &str) -> impl Future<Output = io::Result<Self::Address>> + Send;

    /// Connects to an address.
    fn connect(&self, address: &Self::Address) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Listens, on a port of the system's choice if that is 0. Gives the address that others connect to.
    fn listen(&self, address: &str) -> impl Future<Output = io::Result<(Self::Listener, String)>> + Send;

    /// The next connection.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A program that runs on any of them.
pub trait Program {
    /// What it comes to.
    type Output: Send + 'static;

    /// Runs it.
    fn run<N: Net>(self, net: N, runtime: Runtime) -> impl Future<Output = Self::Output> + Send;
}

/// Which runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// smol's global executor, with as many threads as `SMOL_THREADS` says.
    Smol,
    /// async-std's.
    AsyncStd,
    /// tokio's, with several threads.
    Tokio,
    /// None: simulated time, a simulated network, and this seed.
    Sim(u64),
}

impl Kind {
    /// The one that is called so.
    pub fn parse(name: &str, seed: u64) -> Option<Self> {
        Some(match name {
            "smol" => Self::Smol,
            "async-std" => Self::AsyncStd,
            "tokio" => Self::Tokio,
            "sim" => Self::Sim(seed),
            _ => return None,
        })
    }

    /// Runs the program there.
    ///
    /// # Errors
    /// The runtime cannot be started; or the simulation failed, by a deadlock or a leak.
    pub fn run<P: Program + Send + 'static>(self, program: P) -> io::Result<P::Output> {
        match self {
            Self::Smol => Ok(block_on(program.run(SmolNet, Runtime::from(Smol::global())))),
            Self::AsyncStd => {
                Ok(async_std::task::block_on(program.run(AsyncStdNet, Runtime::from(AsyncStd))))
            }
            Self::Tokio => {
                let tokio = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
                let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
                let output = tokio.block_on(program.run(TokioNet, runtime));
                // Dropped, it would wait for the look-up of a name that nobody wants to know any more.
                tokio.shutdown_background();
                Ok(output)
            }
            Self::Sim(seed) => {
                let run = Sim::new(seed).step_limit(u64::MAX).allow_leaks().run(|runtime| {
                    let net = simulated::Net::new(runtime.clock());
                    net.set_latency(std::time::Duration::from_millis(1));
                    program.run(SimNet::new(net), runtime)
                });
                run.map(|run| run.output).map_err(|failure| io::Error::other(failure.to_string()))
            }
        }
    }
}

/// What a name stands for: whoever connects tries one after another.
fn all(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<Arc<[SocketAddr]>> {
    let addresses: Arc<[_]> = addresses.into_iter().collect();
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "no address")),
        false => Ok(addresses),
    }
}

/// smol's sockets.
#[derive(Clone, Copy, Debug)]
pub struct SmolNet;

impl Net for SmolNet {
    type Stream = smol::net::TcpStream;
    type Listener = smol::net::TcpListener;
    type Address = Arc<[SocketAddr]>;

    async fn resolve(&self, name: &str) -> io::Result<Self::Address> {
        match name.parse() {
            Ok(address) => all([address]),
            Err(_) => all(smol::net::resolve(name).await?),
        }
    }

    async fn connect(&self, address: &Self::Address) -> io::Result<Self::Stream> {
        smol::net::TcpStream::connect(&address[..]).await
    }

    async fn listen(&self, address: &str) -> io::Result<(Self::Listener, String)> {
        let listener = smol::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }
}

/// async-std's sockets.
#[derive(Clone, Copy, Debug)]
pub struct AsyncStdNet;

impl Net for AsyncStdNet {
    type Stream = async_std::net::TcpStream;
    type Listener = async_std::net::TcpListener;
    type Address = Arc<[SocketAddr]>;

    async fn resolve(&self, name: &str) -> io::Result<Self::Address> {
        match name.parse() {
            Ok(address) => all([address]),
            Err(_) => all(async_std::net::ToSocketAddrs::to_socket_addrs(name).await?),
        }
    }

    async fn connect(&self, address: &Self::Address) -> io::Result<Self::Stream> {
        async_std::net::TcpStream::connect(&address[..]).await
    }

    async fn listen(&self, address: &str) -> io::Result<(Self::Listener, String)> {
        let listener = async_std::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }
}

/// tokio's own sockets.
#[derive(Clone, Copy, Debug)]
pub struct TokioNet;

impl Net for TokioNet {
    type Stream = Compat<tokio::net::TcpStream>;
    type Listener = tokio::net::TcpListener;
    type Address = Arc<[SocketAddr]>;

    async fn resolve(&self, name: &str) -> io::Result<Self::Address> {
        match name.parse() {
            Ok(address) => all([address]),
            Err(_) => all(tokio::net::lookup_host(name).await?),
        }
    }

    async fn connect(&self, address: &Self::Address) -> io::Result<Self::Stream> {
        Ok(tokio::net::TcpStream::connect(&address[..]).await?.compat())
    }

    async fn listen(&self, address: &str) -> io::Result<(Self::Listener, String)> {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0.compat())
    }
}

/// The simulated network, as one host sees it. Whatever listens is a host of its own.
#[derive(Clone, Debug)]
pub struct SimNet {
    net: simulated::Net,
    hosts: Arc<AtomicU16>,
}

impl SimNet {
    /// Sockets in this network.
    pub fn new(net: simulated::Net) -> Self {
        Self { net, hosts: Arc::default() }
    }
}

impl Net for SimNet {
    type Stream = simulated::Stream;
    type Listener = simulated::Listener;
    type Address = String;

    async fn resolve(&self, name: &str) -> io::Result<String> {
        Ok(name.to_owned())
    }

    async fn connect(&self, address: &String) -> io::Result<Self::Stream> {
        self.net.host("client").connect(address).await
    }

    async fn listen(&self, _: &str) -> io::Result<(Self::Listener, String)> {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed);
        let listener = self.net.host(&format!("host-{number}")).listen(80)?;
        let address = listener.address();
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        listener.accept().await
    }
}
