//! Redis as one opens it by hand: a server needs one client, and a cluster another.

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, FromRedisValue};

const EXPECTED: &str = "a Redis at CACHE_URL";

#[derive(Clone)]
pub(crate) enum Redis {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Redis {
    /// The URL is as the library takes it.
    pub(crate) async fn connect(url: &str) -> Self {
        if let Some((scheme, rest)) = url.split_once("-cluster://") {
            let (login, places) = rest.split_at(rest.find('@').map_or(0, |at| at + 1));
            let nodes = places.split(['/', '?']).next().unwrap_or_default().split(',');
            let client =
                ClusterClient::new(nodes.map(|node| format!("{scheme}://{login}{node}"))).expect("a Redis URL");
            return Self::Cluster(client.get_async_connection().await.expect(EXPECTED));
        }
        let client = Client::open(url).expect("a Redis URL");
        Self::Server(client.get_multiplexed_async_connection().await.expect(EXPECTED))
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, command: Cmd) -> T {
        let answer = match self.clone() {
            Self::Server(mut connection) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => command.query_async(&mut connection).await,
        };
        answer.expect("Redis answers")
    }
}
