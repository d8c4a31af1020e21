//! A way to a node on which every reply takes its time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const CHUNK_BYTES: usize = 64 * 1024;
/// Replies on their way: far more than a node gives within the delay, so that nothing but the delay
/// holds them up.
const CHUNKS_MAX: usize = 4_096;

/// Dropping it takes no new connection.
pub struct Link {
    address: SocketAddr,
    acceptor: JoinHandle<()>,
}

impl Link {
    /// Each byte of a reply arrives `delay` later than without it, however many are on their way.
    pub async fn start(node: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let acceptor = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a listener accepts");
                tokio::spawn(serve(client, node, delay));
            }
        });
        Self { address, acceptor }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// One connection, until either side closes it.
async fn serve(client: TcpStream, node: SocketAddr, delay: Duration) {
    let Ok(node) = TcpStream::connect(node).await else { return };
    let _ = (client.set_nodelay(true), node.set_nodelay(true));
    let ((mut from_client, to_client), (from_node, mut to_node)) = (client.into_split(), node.into_split());
    let (arriving, arrived) = mpsc::channel(CHUNKS_MAX);
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_node) => {}
        () = receive(from_node, delay, arriving) => {}
        () = deliver(arrived, to_client) => {}
    }
}

async fn receive(mut node: OwnedReadHalf, delay: Duration, arriving: mpsc::Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = node.read(&mut buffer).await {
        if arriving.send((Instant::now() + delay, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn deliver(mut arrived: mpsc::Receiver<(Instant, Vec<u8>)>, mut client: OwnedWriteHalf) {
    while let Some((at, bytes)) = arrived.recv().await {
        tokio::time::sleep_until(at).await;
        if client.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
