//! The dialogue on a fresh connection, before any call may use the connection.

use std::sync::Arc;

use redis::{FromRedisValue, Pipeline, RedisError, Value};

use super::connection::Connection;
use super::fault::Fault;
use super::primary::{Hello, Primary};
use super::shared::Shared;
use crate::clock;
use crate::error::ErrorKind;

/// The answers of `INFO`, where the user may run it.
#[derive(Debug, Default, PartialEq, Eq)]
struct ServerInfo {
    run_id: Option<String>,
    /// Whether the eviction policy is `allkeys-lru` or its like.
    evicts_any_key: bool,
}

/// Selects the database, asks for pushes of tracked keys, and loads the scripts. Makes sure that
/// the server is a primary, and that it lets the library do what it needs. If it is not the primary
/// that this process talked to last, it is prepared as a new one. If the server refuses something
/// that can be done without, that is logged and the connection goes on.
pub(super) async fn handshake(connection: &mut Connection, shared: &Shared) -> Result<Arc<Primary>, Fault> {
    let asked_at = clock::now();
    let Greeting { select, hello, name, tracking, info, scripts } = Greeting::send(connection, shared).await?;
    if let Some(select) = select {
        check_select(&select, shared.target.database)?;
    }
    check("HELLO", &hello)?;
    let Hello { is_replica, is_in_cluster } = Hello::parse(&hello)?;
    if is_in_cluster {
        return Err(Fault::config(format!(
            "{} is a node of a Redis Cluster, which takes the keys of its own slots only: give the URL of a \
             standalone server",
            shared.target.address
        )));
    }
    if is_replica {
        return Err(Fault::unavailable(format!("{} is a replica", shared.target.address)));
    }
    let mut missing = Vec::new();
    connection.pushes = is_granted("CLIENT TRACKING", &tracking, &mut missing)?;
    is_granted("CLIENT SETNAME", &name, &mut missing)?;
    for script in &scripts {
        is_granted("SCRIPT LOAD", script, &mut missing)?;
    }
    let mut told = ServerInfo::default();
    for section in &info {
        if is_granted("INFO", section, &mut missing)? {
            told.read(section);
        }
    }
    let on_connection = (shared.hooks.on_connection)(connection.clone());
    on_connection.await.map_err(|error| Fault::new(error.kind(), error.to_string()))?;
    shared.note_missing(missing);
    shared.note_eviction(told.evicts_any_key);
    shared.adopt_primary(connection, told.run_id.as_deref(), asked_at).await
}

/// The replies to the commands that are sent in one go.
struct Greeting {
    select: Option<Value>,
    hello: Value,
    name: Value,
    tracking: Value,
    info: [Value; 2],
    scripts: Vec<Value>,
}

impl Greeting {
    async fn send(connection: &Connection, shared: &Shared) -> Result<Self, Fault> {
        let mut greeting = Pipeline::new();
        // A connection begins in database 0, and a user need not have the permission to select
        // that.
        let selects = shared.target.database != 0;
        if selects {
            greeting.cmd("SELECT").arg(shared.target.database);
        }
        // The driver has sent `HELLO` already to log in, but keeps the reply to itself.
        greeting.cmd("HELLO").arg(3);
        greeting.cmd("CLIENT").arg("SETNAME").arg("cache-core");
        // Without NOLOOP: calls of one process wait for each other's leases on the same connection.
        // Nothing else tracks keys on this connection.
        greeting.cmd("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN");
        greeting.cmd("INFO").arg("server");
        greeting.cmd("INFO").arg("memory");
        for script in shared.scripts {
            greeting.cmd("SCRIPT").arg("LOAD").arg(script.source);
        }
        let mut replies = connection.send_all(&greeting).await?.into_iter();
        let mut next = || {
            let fault = || Fault::config(format!("what answers at {} is not a Redis server", shared.target.address));
            replies.next().ok_or_else(fault)
        };
        Ok(Self {
            select: if selects { Some(next()?) } else { None },
            hello: next()?,
            name: next()?,
            tracking: next()?,
            info: [next()?, next()?],
            scripts: replies.collect(),
        })
    }
}

fn check(command: &str, reply: &Value) -> Result<(), Fault> {
    match reply {
        Value::ServerError(error) => Err(Fault::of(&RedisError::from(error.clone())).to(command)),
        _ => Ok(()),
    }
}

fn check_select(reply: &Value, database: i64) -> Result<(), Fault> {
    check("SELECT", reply).map_err(|fault| match fault.code() {
        // An error without a code of its own is about the number of the database.
        Some("ERR") if fault.kind == ErrorKind::Protocol => Fault::config(format!("Redis has no database {database}")),
        _ => fault,
    })
}

/// Whether the server grants a command that can be done without. A refusal that holds only for the
/// moment is an error: the connection is tried again later.
fn is_granted(command: &'static str, reply: &Value, missing: &mut Vec<&'static str>) -> Result<bool, Fault> {
    match check(command, reply) {
        Ok(()) => Ok(true),
        Err(fault) if fault.is_failure_of_the_store() => Err(fault),
        Err(_) => {
            if !missing.contains(&command) {
                missing.push(command);
            }
            Ok(false)
        }
    }
}

impl ServerInfo {
    /// Reads one section of `INFO`. A text in another format tells nothing.
    fn read(&mut self, section: &Value) {
        let text = String::from_redis_value(section.clone()).unwrap_or_default();
        for (field, value) in text.lines().filter_map(|line| line.trim_end().split_once(':')) {
            match field {
                "run_id" if !value.is_empty() => self.run_id = Some(value.to_owned()),
                "maxmemory_policy" => self.evicts_any_key = value.starts_with("allkeys-"),
                _ => {}
            }
        }
    }
}
