//! [`Host`]: one end of the links, which listens and connects.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

use super::{Listener, Net, Stream, pair, stream};

/// A host of a [`Net`], by its name; made by [`Net::host`].
#[derive(Clone, Debug)]
pub struct Host {
    net: Net,
    name: Arc<str>,
}

impl Host {
    pub(super) fn new(net: Net, name: &str) -> Self {
        Self { net, name: name.into() }
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Listens at a port, until the listener is dropped. Up to 128 connections wait to be accepted.
    ///
    /// # Errors
    /// [`AddrInUse`](ErrorKind::AddrInUse) when somebody listens there.
    pub fn listen(&self, port: u16) -> Result<Listener> {
        Listener::new(&self.net, &self.name, port)
    }

    /// Connects to an address, which is a host's name and a port: `server:80`.
    ///
    /// It takes the way there and back; a link that is cut is waited for.
    ///
    /// # Cancel safety
    /// If it is dropped before it completes, the other end may see a connection that is closed at once.
    ///
    /// # Errors
    /// [`ConnectionRefused`](ErrorKind::ConnectionRefused) when nobody listens there, or too many wait to be
    /// accepted; [`InvalidInput`](ErrorKind::InvalidInput) when it is no address.
    pub async fn connect(&self, address: &str) -> Result<Stream> {
        let invalid =
            || Error::new(ErrorKind::InvalidInput, format!("{address:?} is no address: host:port is one"));
        let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let port: u16 = port.parse().map_err(|_| invalid())?;

        let pair = pair(&self.name, host);
        self.net.cross(&pair).await;
        let host: Arc<str> = host.into();
        let backlog = self.net.lock().listeners.get(&(Arc::clone(&host), port)).cloned();
        let connected = backlog.and_then(|backlog| {
            let (near, far) = stream::connect(&self.net, &self.name, &host);
            backlog.offer(far).then_some(near)
        });
        self.net.cross(&pair).await;
        connected.ok_or_else(|| {
            Error::new(ErrorKind::ConnectionRefused, format!("nobody takes connections at {address}"))
        })
    }
}
