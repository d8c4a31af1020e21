//! A bad network, on demand.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Probe, port};

const ATTEMPTS: usize = 20;
const CHUNK_BYTES: usize = 16 * 1024;

/// What the proxy does to connections, those that are open already included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it forwards.
    None,
    /// Every chunk of a reply arrives this much later.
    Delay(Duration),
    /// The same, by a time of its own between these, so that one connection is ahead of another.
    DelayBetween(Duration, Duration),
    /// Bytes are held back in both directions, and delivered when the fault ends.
    Stall,
    /// Each connection is closed once this many more bytes of replies have passed. With 0 the
    /// server has done what it was asked, and the client never learns of it.
    CutAfter(u64),
    /// Open connections are closed; new ones are refused.
    Refuse,
    /// Connections are accepted and stay open, but every byte vanishes, as when a peer loses power.
    HalfOpen,
    /// Requests arrive; their replies vanish.
    LoseReplies,
    /// Replies are replaced by bytes that no protocol knows.
    Garbage,
    /// Each connection is reset in place of its next reply: what is under way to the client is
    /// lost.
    Reset,
    /// So many bytes of replies pass in a second, on each connection.
    Narrow(u32),
}

/// A TCP proxy on a loopback port whose faults are switched while it runs.
/// Dropping it closes everything.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    commands: mpsc::UnboundedSender<(Command, oneshot::Sender<()>)>,
    accepted: Probe,
    acceptor: JoinHandle<()>,
}

#[derive(Debug)]
enum Command {
    Set(Fault),
    Cut,
    Lead(SocketAddr),
}

impl FaultProxy {
    /// Starts in front of `upstream`, without a fault.
    pub async fn start(upstream: SocketAddr) -> Self {
        let (listener, address) = listen().await;
        let (commands, inbox) = mpsc::unbounded_channel();
        let accepted = Probe::new();
        let acceptor = Acceptor {
            address,
            upstream,
            listener: Some(listener),
            fault: watch::Sender::new(Fault::None),
            accepted: accepted.clone(),
            connections: JoinSet::new(),
        };
        Self { address, commands, accepted, acceptor: tokio::spawn(acceptor.run(inbox)) }
    }

    /// Where it listens; stays the same.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL without a password; with one, see [`Server::url_at`](crate::Server::url_at).
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Counts accepted connections.
    pub fn accepted(&self) -> &Probe {
        &self.accepted
    }

    /// Replaces the fault. Returns once it is in force.
    pub async fn set(&self, fault: Fault) {
        self.command(Command::Set(fault)).await;
    }

    /// Closes every open connection, once; new ones are served as the fault says.
    pub async fn cut(&self) {
        self.command(Command::Cut).await;
    }

    /// Leads new connections to another server, as when a name or an address moves to it. Those
    /// that are open stay where they are.
    pub async fn lead_to(&self, upstream: SocketAddr) {
        self.command(Command::Lead(upstream)).await;
    }

    async fn command(&self, command: Command) {
        let (done, is_done) = oneshot::channel();
        self.commands.send((command, done)).expect("the proxy runs");
        is_done.await.expect("the proxy runs");
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    for _ in 0..ATTEMPTS {
        let address = port::free();
        if let Ok(listener) = TcpListener::bind(address).await {
            return (listener, address);
        }
    }
    panic!("no free loopback port");
}

/// Owns the listener and all connections: they end with it.
struct Acceptor {
    address: SocketAddr,
    upstream: SocketAddr,
    /// None while connections are refused.
    listener: Option<TcpListener>,
    fault: watch::Sender<Fault>,
    accepted: Probe,
    connections: JoinSet<()>,
}

impl Acceptor {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<(Command, oneshot::Sender<()>)>) {
        loop {
            tokio::select! {
                command = inbox.recv() => {
                    let Some((command, done)) = command else { return };
                    match command {
                        Command::Set(fault) => self.set(fault).await,
                        Command::Cut => self.connections.shutdown().await,
                        Command::Lead(upstream) => self.upstream = upstream,
                    }
                    let _ = done.send(());
                }
                client = accept(self.listener.as_ref()) => {
                    self.accepted.mark();
                    self.connections.spawn(serve(client, self.upstream, self.fault.subscribe()));
                }
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn set(&mut self, fault: Fault) {
        self.fault.send_replace(fault);
        if fault == Fault::Refuse {
            self.listener = None;
            self.connections.shutdown().await;
        } else if self.listener.is_none() {
            self.listener = Some(TcpListener::bind(self.address).await.expect("the proxy's own port is free"));
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.expect("a loopback listener accepts").0,
        None => std::future::pending().await,
    }
}

/// One connection, until either side closes it.
async fn serve(client: TcpStream, upstream: SocketAddr, fault: watch::Receiver<Fault>) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_reader, client_writer) = client.into_split();
    let (server_reader, server_writer) = server.into_split();
    tokio::select! {
        () = requests(client_reader, server_writer, fault.clone()) => {}
        () = replies(server_reader, client_writer, fault) => {}
    }
}

/// Forwards what the client says. Returning closes the connection.
async fn requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, mut fault: watch::Receiver<Fault>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Some(chunk) = read(&mut client, &mut buffer, &mut fault).await {
        if chunk.fault == Fault::HalfOpen {
            return swallow(client).await;
        }
        if chunk.bytes.is_empty() || server.write_all(chunk.bytes).await.is_err() {
            return;
        }
    }
}

/// Forwards what the server answers. Returning closes the connection.
async fn replies(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, mut fault: watch::Receiver<Fault>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut passed_bytes = 0;
    while let Some(chunk) = read(&mut server, &mut buffer, &mut fault).await {
        if matches!(chunk.fault, Fault::HalfOpen | Fault::LoseReplies) {
            // For good: later replies without the lost ones would answer the wrong questions.
            swallow(server).await;
            return std::future::pending().await;
        }
        if chunk.fault_is_new {
            passed_bytes = 0;
        }
        let mut bytes = chunk.bytes;
        let mut closing = bytes.is_empty();
        match chunk.fault {
            Fault::CutAfter(bytes_max) => {
                let allowed = (bytes_max - passed_bytes).min(bytes.len() as u64);
                bytes = &mut bytes[..allowed as usize];
                passed_bytes += allowed;
                closing |= passed_bytes == bytes_max;
            }
            Fault::Garbage => bytes.fill(0xff),
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::DelayBetween(least, most) => {
                tokio::time::sleep(least + most.saturating_sub(least).mul_f64(fastrand::f64())).await;
            }
            Fault::Reset => {
                // An error is a connection that is gone already.
                let _ = client.as_ref().set_zero_linger();
                // Dropped, it would say a polite end first.
                return client.forget();
            }
            _ => {}
        }
        let written = match chunk.fault {
            Fault::Narrow(bytes_per_second) => trickle(bytes, bytes_per_second, &mut client).await,
            _ => client.write_all(bytes).await,
        };
        if written.is_err() || closing {
            return;
        }
    }
}

/// Writes a hundred times a second what is due.
async fn trickle(bytes: &[u8], bytes_per_second: u32, client: &mut OwnedWriteHalf) -> std::io::Result<()> {
    for piece in bytes.chunks((bytes_per_second / 100).max(1) as usize) {
        tokio::time::sleep(Duration::from_secs(piece.len() as u64) / bytes_per_second).await;
        client.write_all(piece).await?;
    }
    Ok(())
}

struct Chunk<'a> {
    /// Empty when the sender closed its side.
    bytes: &'a mut [u8],
    fault: Fault,
    /// The fault was set since the last bytes chunk.
    fault_is_new: bool,
}

/// The next bytes, once nothing stalls them, and the fault that is in force then.
async fn read<'a>(
    reader: &mut OwnedReadHalf,
    buffer: &'a mut [u8],
    fault: &mut watch::Receiver<Fault>,
) -> Option<Chunk<'a>> {
    let length = reader.read(buffer).await.ok()?;
    let fault_is_new = fault.has_changed().ok()?;
    let fault = *fault.wait_for(|fault| *fault != Fault::Stall).await.ok()?;
    Some(Chunk { bytes: &mut buffer[..length], fault, fault_is_new })
}

/// Reads until the sender closes its side.
async fn swallow(mut reader: OwnedReadHalf) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while reader.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}
