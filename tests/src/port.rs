//! Free loopback ports that stay free.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

/// Below the range from which systems give ports to outgoing connections. A server that
/// is stopped for a while would else lose its port to a client, or a client that
/// reconnects would meet itself there.
const PORTS: Range<u16> = 10_000..32_000;
const ATTEMPTS: usize = 100;

/// A loopback address that nobody listens on at this moment. Whoever takes
/// it must be ready to try another.
pub(crate) fn free() -> SocketAddr {
    free_at(Ipv4Addr::LOCALHOST.into())
}

/// The same at another address of this machine.
pub(crate) fn free_at(host: IpAddr) -> SocketAddr {
    (0..ATTEMPTS)
        .map(|_| SocketAddr::from((host, fastrand::u16(PORTS))))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port at this address")
}
