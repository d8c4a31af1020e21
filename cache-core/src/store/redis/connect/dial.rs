//! Byte streams to a server: TCP, TLS over TCP, Unix sockets.

use std::future::Future;
use std::io;
use std::pin::Pin;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::fault::Fault;
use super::url::Address;
use crate::config::TCP_KEEPALIVE;

pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// Opens one byte stream. It is a function, so that tests can bring streams of their own.
pub(super) type Dial = Box<dyn Fn() -> Dialing + Send + Sync>;
pub(super) type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

pub(super) fn to(address: Address) -> Result<Dial, Fault> {
    match address {
        Address::Tcp { host, port, tls: false } => Ok(Box::new(move || {
            let host = host.clone();
            Box::pin(async move { Ok(Box::new(tcp(&host, port).await?) as Box<dyn Transport>) })
        })),
        #[cfg(feature = "tls")]
        Address::Tcp { host, port, tls: true } => tls::dial(host, port),
        #[cfg(not(feature = "tls"))]
        Address::Tcp { tls: true, .. } => Err(Fault::config("rediss:// needs the feature `tls` of cache-core")),
        #[cfg(unix)]
        Address::Unix(path) => Ok(Box::new(move || {
            let path = path.clone();
            Box::pin(async move { Ok(Box::new(tokio::net::UnixStream::connect(path).await?) as Box<dyn Transport>) })
        })),
        #[cfg(not(unix))]
        Address::Unix(_) => Err(Fault::config("this platform has no Unix sockets")),
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Commands are small, and callers wait for each: Nagle's algorithm would hold commands back for
    // a delayed acknowledgement.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(crate::config::TCP_USER_TIMEOUT))?;
    Ok(stream)
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::{Dial, Fault, Transport, tcp};

    /// The certificate must be valid for `host` and come from one of Mozilla's authorities.
    pub(super) fn dial(host: String, port: u16) -> Result<Dial, Fault> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // A provider of our own: the process-wide provider may be missing, and the application
        // chooses it.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| Fault::config("no TLS version can be used"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(host.clone())
            .map_err(|_| Fault::config("the host of the rediss:// URL is not a name that a certificate can have"))?;
        Ok(Box::new(move || {
            let (host, name, connector) = (host.clone(), name.clone(), connector.clone());
            Box::pin(async move {
                let stream = connector.connect(name, tcp(&host, port).await?).await?;
                Ok(Box::new(stream) as Box<dyn Transport>)
            })
        }))
    }
}
