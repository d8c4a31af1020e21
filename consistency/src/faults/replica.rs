//! A second server, that follows the first one and may take its place.

use std::io;
use std::time::Duration;

use cache_tests::Server;
use tokio::time::timeout;

use super::stage::{Stage, command};

/// How long a replica may take to have what the primary has.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(5);

impl Stage {
    /// Starts a replica, and returns when it follows.
    pub(super) async fn add_replica(&mut self) -> io::Result<()> {
        let replica = tokio::task::block_in_place(|| Server::start(self.kind));
        follow(&replica, &self.server).await?;
        self.replica = Some(replica);
        self.until_caught_up().await
    }

    /// No client is elsewhere than the primary from now on, and there is no replica.
    pub(super) fn remove_replica(&mut self) {
        self.replica = None;
    }

    /// Writes wait until the replica has what the primary has; then their roles change. Clients are
    /// left where they are.
    pub(super) async fn change_roles(&mut self) -> io::Result<()> {
        command::<()>(&self.server, &["CLIENT", "PAUSE", "3000", "WRITE"]).await?;
        self.until_caught_up().await?;
        self.promote_replica().await?;
        follow(&self.server, self.replica()?).await?;
        command(&self.server, &["CLIENT", "UNPAUSE"]).await
    }

    /// The replica follows nobody any more.
    pub(super) async fn promote_replica(&self) -> io::Result<()> {
        command(self.replica()?, &["REPLICAOF", "NO", "ONE"]).await
    }

    /// Clients are led to the replica, which is the primary by now; the other one follows it.
    pub(super) async fn lead_to_replica(&mut self) -> io::Result<()> {
        let replica = self.replica()?;
        self.proxy.lead_to(replica.address()).await;
        self.proxy.cut().await;
        follow(&self.server, replica).await?;
        if let Some(replica) = &mut self.replica {
            std::mem::swap(replica, &mut self.server);
        }
        Ok(())
    }

    /// The server that was made a replica is the primary again.
    pub(super) async fn lead_again(&self) -> io::Result<()> {
        command::<()>(&self.server, &["REPLICAOF", "NO", "ONE"]).await?;
        follow(self.replica()?, &self.server).await
    }

    fn replica(&self) -> io::Result<&Server> {
        self.replica.as_ref().ok_or_else(|| io::Error::other("there is no replica"))
    }

    async fn until_caught_up(&self) -> io::Result<()> {
        let replica = self.replica()?;
        let catches_up = async {
            loop {
                let (written, has) = (replication(&self.server).await?, replication(replica).await?);
                let offset = |text: &str, name| field(text, name).and_then(|offset| offset.parse::<u64>().ok());
                let is_linked = field(&has, "master_link_status") == Some("up");
                if is_linked && offset(&has, "slave_repl_offset") >= offset(&written, "master_repl_offset") {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(FOLLOWS_WITHIN, catches_up).await?
    }
}

async fn follow(follower: &Server, leader: &Server) -> io::Result<()> {
    let address = leader.address();
    command(follower, &["REPLICAOF", &address.ip().to_string(), &address.port().to_string()]).await
}

async fn replication(server: &Server) -> io::Result<String> {
    command(server, &["INFO", "replication"]).await
}

pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
