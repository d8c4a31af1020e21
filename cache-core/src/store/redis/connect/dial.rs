//! Byte streams to a server: TCP, TLS over TCP, Unix sockets.

use std::future::Future;
use std::io;
use std::pin::Pin;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::access::Access;
use super::fault::Fault;
#[cfg(feature = "tls")]
use super::tls;
use super::url::{Address, ServerUrl};
use crate::config::TCP_KEEPALIVE;

pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// Opens one byte stream. It is a function, so that tests can bring streams of their own.
pub(super) type Dial = Box<dyn Fn() -> Dialing + Send + Sync>;
pub(super) type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

/// Opens connections to the URL's address.
///
/// # Errors
/// `Config`: TLS that cannot be as it is asked for, or an address that this build cannot reach.
pub(super) fn to(target: &ServerUrl, access: &Access) -> Result<Dial, Fault> {
    check(target, access)?;
    match target.address.clone() {
        Address::Tcp { host, port, tls: false } => Ok(Box::new(move || {
            let host = host.clone();
            Box::pin(async move { Ok(Box::new(tcp(&host, port).await?) as Box<dyn Transport>) })
        })),
        #[cfg(feature = "tls")]
        Address::Tcp { host, port, tls: true } => {
            let connector = target.files.add_to(access.tls.clone().unwrap_or_default())?.connector()?;
            let name = tls::name_of(&host)?;
            Ok(Box::new(move || {
                let (host, name, connector) = (host.clone(), name.clone(), connector.clone());
                Box::pin(async move {
                    let stream = connector.connect(name, tcp(&host, port).await?).await?;
                    Ok(Box::new(stream) as Box<dyn Transport>)
                })
            }))
        }
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

#[cfg(feature = "tls")]
fn check(target: &ServerUrl, access: &Access) -> Result<(), Fault> {
    match &access.tls {
        Some(_) if !target.address.is_tls() => Err(Fault::config(tls::Tls::UNUSED)),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "tls"))]
fn check(_: &ServerUrl, _: &Access) -> Result<(), Fault> {
    Ok(())
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
