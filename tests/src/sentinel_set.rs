//! A primary, its replica, and three sentinels that watch over them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::{Raw, Server, ServerKind, ServerOptions, until};

/// The name by which the sentinels know the primary.
pub const PRIMARY: &str = "main";
/// The user as whom the sentinels log in to the servers, and its password.
const USER: &str = "watcher";
/// How long a primary is silent before the sentinels replace it.
pub const DOWN_AFTER: Duration = Duration::from_millis(500);

/// How long a failover may take that is not given up.
const FAILOVER_PATIENCE: Duration = Duration::from_secs(10);

/// Two servers, one the replica of the other, and three sentinels. Dropping it kills all of them.
#[derive(Debug)]
pub struct SentinelSet {
    /// What all of them are.
    pub kind: ServerKind,
    /// The first primary, then its replica.
    pub servers: [Server; 2],
    /// The sentinels.
    pub sentinels: Vec<Server>,
}

impl SentinelSet {
    /// Starts all five; returns once the sentinels know each other and the replica.
    pub async fn start(kind: ServerKind) -> Self {
        let user = format!("user {USER} on >{USER} ~* &* +@all");
        // Who has not logged in is nobody: else a sentinel that may not log in would do without.
        let options = || ServerOptions::new().password(USER).line(format!("masterauth {USER}")).line(&user);
        let primary = Server::with(kind, options());
        let at = |address: SocketAddr| format!("{} {}", address.ip(), address.port());
        let replica = Server::with(kind, options().line(format!("replicaof {}", at(primary.address()))));
        let watch = [
            format!("sentinel monitor {PRIMARY} {} 2", at(primary.address())),
            format!("sentinel down-after-milliseconds {PRIMARY} {}", DOWN_AFTER.as_millis()),
            format!("sentinel failover-timeout {PRIMARY} 3000"),
            format!("sentinel auth-user {PRIMARY} {USER}"),
            format!("sentinel auth-pass {PRIMARY} {USER}"),
        ];
        let sentinels = (0..3).map(|_| Server::with(kind, ServerOptions::new().sentinel(&watch))).collect();
        let set = Self { kind, servers: [primary, replica], sentinels };
        until(async || {
            for sentinel in &set.sentinels {
                let mut raw = sentinel.raw().await;
                let told: std::collections::HashMap<String, String> =
                    raw.command("SENTINEL", &["MASTER", PRIMARY]).await;
                if told["num-other-sentinels"] != "2" || told["num-slaves"] != "1" {
                    return false;
                }
            }
            let replication: String = set.servers[1].raw().await.command("INFO", &["replication"]).await;
            replication.contains("master_link_status:up")
        })
        .await;
        set
    }

    /// The URL that names all sentinels.
    pub fn url(&self) -> String {
        let places: Vec<String> = self.sentinels.iter().map(|sentinel| sentinel.address().to_string()).collect();
        format!("redis-sentinel://:{USER}@{}/{PRIMARY}", places.join(","))
    }

    /// Which of the two servers the first sentinel that answers takes for the primary.
    pub async fn primary(&self) -> usize {
        let mut raw = self.raw_sentinel().await;
        let place: Vec<String> = raw.command("SENTINEL", &["GET-MASTER-ADDR-BY-NAME", PRIMARY]).await;
        let is_it = |server: &Server| server.address().port().to_string() == place[1];
        self.servers.iter().position(is_it).expect("it is one of the two")
    }

    /// Keeps the sentinels away from a server, which goes on as if nothing had happened.
    pub async fn hide(&self, server: usize) {
        let mut raw = self.servers[server].raw().await;
        raw.command::<()>("ACL", &["SETUSER", USER, "off"]).await;
        raw.command::<u32>("CLIENT", &["KILL", "USER", USER]).await;
    }

    /// Has the sentinels make the replica the primary; returns when they have agreed.
    pub async fn fail_over(&self) {
        let before = self.primary().await;
        let agreed = || until(async || self.primary().await != before);
        loop {
            // Refused while one is under way, which may be given up.
            let mut raw = self.raw_sentinel().await;
            let _ = redis::cmd("SENTINEL").arg("FAILOVER").arg(PRIMARY).exec_async(raw.connection()).await;
            // Asked for again too soon, they would go on to make the first one the primary again.
            if timeout(FAILOVER_PATIENCE, agreed()).await.is_ok() {
                return;
            }
        }
    }

    async fn raw_sentinel(&self) -> Raw {
        self.sentinels[0].raw().await
    }
}
