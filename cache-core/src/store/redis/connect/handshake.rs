//! What is said on a fresh connection before any call may use it.

use std::sync::Arc;

use redis::{FromRedisValue, Pipeline, RedisError, Value};

use super::connection::Connection;
use super::fault::Fault;
use super::primary::{Hello, Primary};
use super::shared::Shared;
use crate::clock;
use crate::error::ErrorKind;

/// What `INFO` tells, where it may be asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct ServerInfo {
    run_id: Option<String>,
    /// `allkeys-lru` and its like.
    evicts_any_key: bool,
}

/// Selects the database, asks for pushes of what is tracked, loads the scripts, and makes sure that
/// the server is a primary that lets the library do what it needs, and the one that this process
/// talked to last, or is prepared as a new one. What can be done without is done without, and said.
pub(super) async fn handshake(connection: &mut Connection, shared: &Shared) -> Result<Arc<Primary>, Fault> {
    let asked_at = clock::now();
    let Greeting { select, hello, name, tracking, info, scripts } = Greeting::send(connection, shared).await?;
    if let Some(select) = select {
        check_select(&select, shared.target.database)?;
    }
    check("HELLO", &hello)?;
    let Hello { is_replica, is_in_cluster } = Hello::parse(&hello);
    if is_in_cluster {
        return Err(Fault::config(format!(
            "{} is a node of a Redis Cluster, which takes the keys of its own slots only: give the URL of a standalone server",
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

/// The replies to what is sent in one go.
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
        // Database 0 is where a connection begins; a user need not have the permission to select
        // it.
        let selects = shared.target.database != 0;
        if selects {
            greeting.cmd("SELECT").arg(shared.target.database);
        }
        // The driver has said it to log in, and keeps the answer to itself.
        greeting.cmd("HELLO").arg(3);
        greeting.cmd("CLIENT").arg("SETNAME").arg("cache-core");
        // Not NOLOOP: calls of one process wait for each other's leases on the same connection.
        // Nothing else tracks on it.
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
        // Anything without a code of its own is about the number.
        Some("ERR") if fault.kind == ErrorKind::Protocol => Fault::config(format!("Redis has no database {database}")),
        _ => fault,
    })
}

/// Whether the server does what can be done without. One that refuses for the moment is asked again
/// later.
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
    /// Text that is not that of Redis tells nothing.
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
