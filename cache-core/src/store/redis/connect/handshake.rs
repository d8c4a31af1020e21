//! What is said on a fresh connection before any call may use it.

use std::sync::Arc;

use redis::{FromRedisValue, Pipeline, RedisError, Value};
use tokio::time::Instant;

use super::connection::Connection;
use super::fault::Fault;
use super::primary::{Hello, Primary};
use super::shared::Shared;

/// What a server says of itself.
#[derive(Debug, PartialEq, Eq)]
struct ServerInfo {
    run_id: String,
    /// `allkeys-lru` and its like.
    evicts_any_key: bool,
}

/// Selects the database, names the connection, loads the scripts, and makes sure that the server is the primary that
/// this process talked to last, or is prepared as a new one. Asks for pushes of what is tracked, and goes without where it
/// may not have them.
pub(super) async fn handshake(connection: &mut Connection, shared: &Shared) -> Result<Arc<Primary>, Fault> {
    let mut greeting = Pipeline::new();
    // Database 0 is where a connection begins; a user need not have the permission to select it.
    let selects = shared.target.database != 0;
    if selects {
        greeting.cmd("SELECT").arg(shared.target.database);
    }
    // The driver has said it to log in, and keeps the answer to itself.
    greeting.cmd("HELLO").arg(3);
    greeting.cmd("CLIENT").arg("SETNAME").arg("cache-core");
    // Not NOLOOP: calls of one process wait for each other's leases on the same connection. Nothing else tracks on it.
    greeting.cmd("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN");
    for section in ["server", "memory"] {
        greeting.cmd("INFO").arg(section);
    }
    for script in shared.scripts {
        greeting.cmd("SCRIPT").arg("LOAD").arg(script.source);
    }
    let asked_at = Instant::now();
    let replies = connection.send_all(&greeting).await?;
    let (select, replies) = replies.split_at(usize::from(selects));
    let [hello, _name, tracking, server, memory, scripts @ ..] = replies else {
        return Err(Fault::config(format!("what answers at {} is not a Redis server", shared.target.address)));
    };
    if let [Value::ServerError(error)] = select {
        let fault = Fault::of(&RedisError::from(error.clone()));
        // Anything without a code of its own is about the number.
        return Err(match fault.code() {
            Some("ERR") => Fault::config(format!("Redis has no database {}", shared.target.database)),
            _ => fault,
        });
    }
    connection.pushes = check(tracking).is_ok();
    check(hello)?;
    if Hello::parse(hello).is_replica {
        return Err(Fault::unavailable(format!("{} is a replica", shared.target.address)));
    }
    let info = ServerInfo::parse(&[text(server)?, text(memory)?].join("\n"))?;
    for reply in scripts {
        check(reply)?;
    }
    shared.note_eviction(info.evicts_any_key);
    shared.adopt_primary(connection, &info.run_id, asked_at).await
}

fn check(reply: &Value) -> Result<(), Fault> {
    match reply {
        Value::ServerError(error) => Err(Fault::of(&RedisError::from(error.clone()))),
        _ => Ok(()),
    }
}

fn text(reply: &Value) -> Result<String, Fault> {
    check(reply)?;
    String::from_redis_value(reply.clone())
        .map_err(|_| Fault::config("the server's INFO is not text: it is not Redis or Valkey"))
}

impl ServerInfo {
    fn parse(text: &str) -> Result<Self, Fault> {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim).unwrap_or_default()
        };
        let run_id = field("run_id");
        if run_id.is_empty() {
            return Err(Fault::config("the server's INFO has no run_id: it is not Redis or Valkey"));
        }
        Ok(Self { run_id: run_id.to_owned(), evicts_any_key: field("maxmemory_policy").starts_with("allkeys-") })
    }
}
