//! One connection, and the commands and scripts that are sent on it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use super::fault::Fault;
use super::pipeline::Pipeline;
use crate::error::Error;
use crate::store::Voucher;
use crate::store::redis::resp::{Command, Reply};
use crate::store::redis::scripts::Script;

/// One command, ready to be sent, more than once if need be.
pub(super) struct Invocation<'a> {
    command: Command,
    script: Option<&'a Script>,
    /// Whether the server is to push the next change of the keys that the command reads.
    tracked: bool,
}

impl<'a> Invocation<'a> {
    pub(super) fn command(command: Command) -> Self {
        Self { command, script: None, tracked: false }
    }

    pub(super) fn script(script: &'a Script, keys: &[&str], args: &[&[u8]]) -> Self {
        let mut command = Command::new("EVALSHA").arg(script.sha1()).number(keys.len() as u64).args(keys);
        if let (true, [root, rest @ ..]) = (script.knows_the_clock, args) {
            command = command.arg(root).gap().args(rest);
        } else {
            command = command.args(args);
        }
        Self { command, script: Some(script), tracked: false }
    }

    pub(super) fn tracked(command: Command) -> Self {
        Self { command, script: None, tracked: true }
    }

    pub(super) fn is_tracked(&self) -> bool {
        self.tracked
    }
}

/// A connection to the primary. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    pipeline: Arc<Pipeline>,
    /// Whether the server pushes changes of what a tracked command reads.
    pub(super) pushes: bool,
    /// Of a connection for copies: every change of what was read on it is pushed.
    pub(super) voucher: Option<Arc<Voucher>>,
    /// A partition that the server has, for hooks to try what they may do there. 0 unless it is a
    /// node of a cluster.
    pub(super) serves: u16,
    /// The mark of the primary to which it leads. Each script that knows the clock is given it, and
    /// finds out by it that another primary has written the clock.
    mark: Arc<str>,
}

/// The mark of a primary that does not tell who it is: what every clock has.
const MARK_OF_ANY: &str = "!seq";
const REIGN_PREFIX: &str = "!reign:";

impl Connection {
    pub(super) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline, pushes: false, voucher: None, serves: 0, mark: MARK_OF_ANY.into() }
    }

    /// The connection leads to the primary of this reign.
    pub(super) fn leads_to(&mut self, reign: &str) {
        self.mark = [REIGN_PREFIX, reign].concat().into();
    }

    /// A partition that the server has, or had of late.
    pub(crate) fn serves(&self) -> u16 {
        self.serves
    }

    /// The reign of the primary to which it leads; `None`: the server does not tell.
    pub(crate) fn reign(&self) -> Option<&str> {
        self.mark.strip_prefix(REIGN_PREFIX)
    }

    /// Runs a script on this very connection, without the pool's deadline and breaker: for hooks of
    /// the handshake, which has a deadline of its own.
    pub(crate) fn run<'a>(
        &'a self,
        script: &'a Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> impl Future<Output = Result<Reply, Error>> + Send + use<'a> {
        let invocation = Invocation::script(script, keys, args);
        async move { Ok(self.send(&invocation, None).await.map_err(|fault| fault.at(&invocation.command))?) }
    }

    /// Waits for the reply until the deadline. Dropping the future leaves the command's outcome
    /// unknown and the order of other replies untouched.
    pub(super) async fn send(&self, invocation: &Invocation<'_>, deadline: Option<Instant>) -> Result<Reply, Fault> {
        let command = &invocation.command;
        if invocation.tracked {
            return self.send_tracked(command, deadline).await;
        }
        let mark = self.mark.as_bytes();
        let error = match self.pipeline.send_with(std::slice::from_ref(command), mark, deadline)?.reply().await? {
            Reply::Error(error) => error,
            reply => return Ok(reply),
        };
        let fault = Fault::of_reply(&error);
        let Some(script) = invocation.script.filter(|_| fault.code() == Some("NOSCRIPT")) else {
            return Err(fault.to(command.name()));
        };
        // The server does not know the script: after SCRIPT FLUSH, after a restart that this
        // connection outlived, or because it lets nobody load scripts. `SCRIPT LOAD` and a second
        // `EVALSHA` would take one round trip more, and `EVAL` loads the script as well.
        let eval = command.renamed("EVAL", script.text().as_bytes());
        match self.pipeline.send_with(&[eval], mark, deadline)?.reply().await? {
            Reply::Error(error) => Err(Fault::of_reply(&error).to("EVAL")),
            reply => Ok(reply),
        }
    }

    async fn send_tracked(&self, command: &Command, deadline: Option<Instant>) -> Result<Reply, Fault> {
        if !self.pushes {
            return Err(Fault::no_pushes());
        }
        // Both in one write: `CLIENT CACHING` counts for the very next command of the connection.
        let both = [Command::new("CLIENT").arg("CACHING").arg("YES"), command.clone()];
        let mut last = Reply::Null;
        for reply in self.pipeline.send(&both, deadline)?.replies().await? {
            match reply {
                Reply::Error(error) => return Err(Fault::of_reply(&error)),
                reply => last = reply,
            }
        }
        Ok(last)
    }

    /// Sends several commands of the handshake in one write. Every command has its reply, which may
    /// be an error. A lost connection says at which command.
    pub(super) async fn send_all(&self, commands: &[Command]) -> Result<Vec<Reply>, Fault> {
        let send = |command| self.pipeline.send(std::slice::from_ref(command), None);
        let sent = commands.iter().map(send).collect::<Result<Vec<_>, _>>()?;
        let mut replies = Vec::with_capacity(commands.len());
        for (command, exchange) in commands.iter().zip(sent) {
            replies.push(exchange.reply().await.map_err(|fault| fault.at(command))?);
        }
        Ok(replies)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
