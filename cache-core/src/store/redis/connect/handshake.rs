//! The dialogue on a fresh connection, before any call may use the connection.

use std::sync::Arc;

use super::connection::Connection;
use super::credentials::{Login, Validity, hello};
use super::fault::Fault;
use super::primary::{Hello, Primary};
use super::shared::Shared;
use crate::clock;
use crate::error::ErrorKind;
use crate::store::redis::resp::{Command, Reply};

/// So much of an id is as good as all of it, and arguments of less than 64 bytes cost a script
/// less. `clock.lua` has the number too.
const REIGN_CHARS: usize = 16;

/// The answers of `INFO`, where the user may run it.
#[derive(Debug, Default, PartialEq, Eq)]
struct ServerInfo {
    run_id: Option<String>,
    /// Of the server's data: it changes when a replica is made a primary.
    replication_id: Option<String>,
    /// Whether the eviction policy is `allkeys-lru` or its like.
    evicts_any_key: bool,
}

/// Logs in, selects the database, asks for pushes of tracked keys, and loads the scripts. Makes
/// sure that the server is a primary, and that it lets the library do what it needs. If it is not
/// the primary that this process talked to last, it is prepared as a new one. If the server refuses
/// something that can be done without, that is logged and the connection goes on. Returns the
/// primary, and how long the login lasts.
pub(super) async fn handshake(
    connection: &mut Connection,
    shared: &Shared,
) -> Result<(Arc<Primary>, Option<Validity>), Fault> {
    let login = shared.logins.next().await?;
    let asked_at = clock::now();
    let greeted = log_in(connection, login.as_ref()).await;
    let hello = greeted.map_err(|fault| fault.in_greeting(&shared.target.address))?;
    let Greeting { select, name, tracking, info, scripts } = Greeting::send(connection, shared).await?;
    if let Some(select) = select {
        check_select(&select, shared.target.database)?;
    }
    let Hello { is_replica, is_in_cluster } = Hello::parse(&hello)?;
    if is_in_cluster && shared.duty.is_none() {
        return Err(Fault::config(format!(
            "{0} is a node of a Redis Cluster, which takes the keys of its own slots only: redis-cluster://{0} is \
             the URL of a cluster, or rediss-cluster://",
            shared.target.address
        )));
    }
    if is_replica {
        return Err(Fault::unavailable(format!("{} is a replica", shared.target.address)));
    }
    let mut missing = Vec::new();
    connection.pushes = is_granted("CLIENT TRACKING", &tracking, &mut missing)?;
    connection.voucher = connection.voucher.take().filter(|_| connection.pushes);
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
    let reign = told.reign();
    if let Some(reign) = &reign {
        connection.leads_to(reign);
    }
    connection.serves = shared.serves();
    let on_connection = (shared.hooks.on_connection)(connection.clone());
    on_connection.await.map_err(|error| Fault::of_hook(&error, shared.duty.is_some()))?;
    shared.note_missing(missing);
    shared.note_eviction(told.evicts_any_key);
    let primary = shared.adopt_primary(connection, reign.as_deref(), asked_at).await?;
    Ok((primary, login.and_then(|login| login.validity())))
}

/// Says hello, in a round trip of its own: Redis closes the connection of a user that is unknown
/// yet and sends as much as the scripts are.
async fn log_in(connection: &Connection, login: Option<&Login>) -> Result<Reply, Fault> {
    match connection.send_all(&[hello(login.map(|login| &login.credentials))]).await?.pop() {
        Some(Reply::Error(error)) => Err(Fault::of_reply(&error)),
        reply => reply.ok_or_else(Fault::connection_lost),
    }
}

/// The replies to the commands that are sent in one go after that.
struct Greeting {
    select: Option<Reply>,
    name: Reply,
    tracking: Reply,
    info: [Reply; 3],
    scripts: Vec<Reply>,
}

impl Greeting {
    async fn send(connection: &Connection, shared: &Shared) -> Result<Self, Fault> {
        let database = shared.target.database;
        let mut greeting = Vec::new();
        // A connection begins in database 0, and a user need not have the permission to select
        // that.
        let selects = database != 0;
        if selects {
            greeting.push(Command::new("SELECT").number(database));
        }
        greeting.push(Command::new("CLIENT").arg("SETNAME").arg("cache-core"));
        // Without NOLOOP: calls of one process wait for each other's leases on the same connection.
        // Nothing else tracks keys on this connection.
        let tracking = Command::new("CLIENT").arg("TRACKING").arg("ON");
        // On a connection for copies, every key that is read: to say so for each read would cost
        // the server twice as much as the read.
        greeting.push(if connection.voucher.is_some() { tracking } else { tracking.arg("OPTIN") });
        greeting.push(Command::new("INFO").arg("server"));
        greeting.push(Command::new("INFO").arg("memory"));
        greeting.push(Command::new("INFO").arg("replication"));
        greeting.extend(shared.scripts.iter().map(|script| Command::new("SCRIPT").arg("LOAD").arg(&*script.text())));
        let mut replies = connection.send_all(&greeting).await?.into_iter();
        let mut next = || {
            // There is one reply for each command.
            replies.next().ok_or_else(Fault::connection_lost)
        };
        Ok(Self {
            select: if selects { Some(next()?) } else { None },
            name: next()?,
            tracking: next()?,
            info: [next()?, next()?, next()?],
            scripts: replies.collect(),
        })
    }
}

fn check(command: &str, reply: &Reply) -> Result<(), Fault> {
    match reply {
        Reply::Error(error) => Err(Fault::of_reply(error).to(command)),
        _ => Ok(()),
    }
}

fn check_select(reply: &Reply, database: u64) -> Result<(), Fault> {
    check("SELECT", reply).map_err(|fault| match fault.code() {
        // An error without a code of its own is about the number of the database.
        Some("ERR") if fault.kind == ErrorKind::Protocol => Fault::config(format!("Redis has no database {database}")),
        _ => fault,
    })
}

/// Whether the server grants a command that can be done without. A refusal that holds only for the
/// moment is an error: the connection is tried again later.
fn is_granted(command: &'static str, reply: &Reply, missing: &mut Vec<&'static str>) -> Result<bool, Fault> {
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
    /// What tells this primary from every other, and from itself at another time: a primary that
    /// followed another one and is back has the other one's data.
    fn reign(&self) -> Option<String> {
        let some_of = |id: &str| id.chars().take(REIGN_CHARS).collect::<String>();
        let run_id = some_of(self.run_id.as_deref()?);
        Some([run_id, some_of(self.replication_id.as_deref().unwrap_or_default())].join("/"))
    }

    /// Reads one section of `INFO`. A text in another format tells nothing.
    fn read(&mut self, section: &Reply) {
        let text = section.text().unwrap_or_default();
        for (field, value) in text.lines().filter_map(|line| line.trim_end().split_once(':')) {
            match field {
                "run_id" if !value.is_empty() => self.run_id = Some(value.to_owned()),
                "master_replid" if !value.is_empty() => self.replication_id = Some(value.to_owned()),
                "maxmemory_policy" => self.evicts_any_key = value.starts_with("allkeys-"),
                _ => {}
            }
        }
    }
}
