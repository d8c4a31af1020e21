//! Byte streams to a server: TCP, TLS over TCP, Unix sockets.

use std::io;
use std::path::Path;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::access::Access;
use super::fault::Fault;
use super::host_port::HostPort;
#[cfg(feature = "tls")]
use super::tls;
#[cfg(feature = "tls")]
use super::url::Address;
use super::url::ServerUrl;
use crate::config::TCP_KEEPALIVE;

pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// Opens byte streams, by TLS or not.
#[derive(Clone)]
pub(super) struct Dialer {
    #[cfg(feature = "tls")]
    connector: Option<tokio_rustls::TlsConnector>,
}

impl Dialer {
    /// # Errors
    /// `Config`: TLS that cannot be as it is asked for.
    #[cfg(feature = "tls")]
    pub(super) fn new(target: &ServerUrl, access: &Access) -> Result<Self, Fault> {
        if !target.address.is_tls() {
            let unused = access.tls.is_some();
            return if unused { Err(Fault::config(tls::Tls::UNUSED)) } else { Ok(Self { connector: None }) };
        }
        let named = match &target.address {
            Address::Tcp { place, .. } => std::slice::from_ref(place),
            Address::Cluster { seeds, .. } => seeds,
            _ => &[],
        };
        named.iter().try_for_each(|place| tls::name_of(&place.host).map(drop))?;
        let connector = target.files.add_to(access.tls.clone().unwrap_or_default())?.connector()?;
        Ok(Self { connector: Some(connector) })
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn new(target: &ServerUrl, _: &Access) -> Result<Self, Fault> {
        match target.address.is_tls() {
            true => Err(Fault::config("rediss:// needs the feature `tls` of cache-core")),
            false => Ok(Self {}),
        }
    }

    pub(super) async fn open(&self, place: &HostPort) -> Result<Box<dyn Transport>, Fault> {
        let failed = |error| Fault::of_dial(place, &error);
        #[cfg(feature = "tls")]
        if let Some(connector) = &self.connector {
            let name = tls::name_of(&place.host)?;
            let stream = tcp(place).await.map_err(failed)?;
            return Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?));
        }
        Ok(Box::new(tcp(place).await.map_err(failed)?))
    }
}

#[cfg(unix)]
pub(super) async fn unix(path: &Path) -> Result<Box<dyn Transport>, Fault> {
    let stream = tokio::net::UnixStream::connect(path).await;
    Ok(Box::new(stream.map_err(|error| Fault::of_dial(&path.display(), &error))?))
}

#[cfg(not(unix))]
pub(super) async fn unix(_: &Path) -> Result<Box<dyn Transport>, Fault> {
    Err(Fault::config("this platform has no Unix sockets"))
}

async fn tcp(place: &HostPort) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((&*place.host, place.port)).await?;
    // Commands are small, and callers wait for each: Nagle's algorithm would hold commands back for
    // a delayed acknowledgement.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(crate::config::TCP_USER_TIMEOUT))?;
    Ok(stream)
}
