//! One connection, and the commands and scripts that are sent on it.

use std::fmt;
use std::future::Future;

use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, ToRedisArgs, Value};

use super::fault::{Fault, is_noscript};
use crate::error::Error;
use crate::store::redis::scripts::Script;

/// One command, ready to be sent, more than once if need be.
pub(super) struct Invocation<'a> {
    command: Cmd,
    script: Option<&'a Script>,
    /// Whether the server is to push the next change of the keys that the command reads.
    tracked: bool,
}

impl<'a> Invocation<'a> {
    pub(super) fn command(command: Cmd) -> Self {
        Self { command, script: None, tracked: false }
    }

    pub(super) fn script(script: &'a Script, keys: &impl ToRedisArgs, args: &impl ToRedisArgs) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.sha1()).arg(keys.num_of_args()).arg(keys).arg(args);
        Self { command, script: Some(script), tracked: false }
    }

    pub(super) fn tracked(command: Cmd) -> Self {
        Self { command, script: None, tracked: true }
    }

    pub(super) fn is_tracked(&self) -> bool {
        self.tracked
    }

    fn name(&self) -> &str {
        match self.command.args_iter().next() {
            Some(Arg::Simple(name)) => std::str::from_utf8(name).unwrap_or_default(),
            _ => "",
        }
    }

    /// The same call with the script's text. `SCRIPT LOAD` and a second `EVALSHA` would take one
    /// round trip more, and `EVAL` loads the script as well.
    fn with_source(&self, script: &Script) -> Cmd {
        let mut eval = redis::cmd("EVAL");
        eval.arg(script.source);
        for arg in self.command.args_iter().skip(2) {
            if let Arg::Simple(bytes) = arg {
                eval.arg(bytes);
            }
        }
        eval
    }
}

/// A connection to the primary. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    inner: MultiplexedConnection,
    /// Whether the server pushes changes of what a tracked command reads.
    pub(super) pushes: bool,
}

impl Connection {
    pub(super) fn new(inner: MultiplexedConnection) -> Self {
        Self { inner, pushes: false }
    }

    /// Runs a script on this very connection, without the pool's deadline and breaker: for hooks of
    /// the handshake, which has a deadline of its own.
    pub(crate) fn run<'a>(
        &'a self,
        script: &'a Script,
        keys: impl ToRedisArgs,
        args: impl ToRedisArgs,
    ) -> impl Future<Output = Result<Value, Error>> + Send {
        let invocation = Invocation::script(script, &keys, &args);
        async move { Ok(self.clone().send(&invocation).await?) }
    }

    /// Dropping the future leaves the command's outcome unknown and the order of other replies
    /// untouched.
    ///
    /// `&mut` because the driver wants it. Callers have a clone of their own, and a second clone
    /// would cost as much as the rest.
    pub(super) async fn send(&mut self, invocation: &Invocation<'_>) -> Result<Value, Fault> {
        if invocation.tracked {
            return self.send_tracked(&invocation.command).await;
        }
        let error = match self.inner.send_packed_command(&invocation.command).await.and_then(Value::extract_error) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(script) = invocation.script.filter(|_| is_noscript(&error)) else {
            return Err(Fault::of(&error).to(invocation.name()));
        };
        // The server does not know the script: after SCRIPT FLUSH, after a restart that this
        // connection outlived, or because it lets nobody load scripts.
        let eval = invocation.with_source(script);
        let reply = self.inner.send_packed_command(&eval).await.and_then(Value::extract_error);
        reply.map_err(|error| Fault::of(&error).to("EVAL"))
    }

    async fn send_tracked(&self, command: &Cmd) -> Result<Value, Fault> {
        if !self.pushes {
            return Err(Fault::no_pushes());
        }
        // Both in one write: `CLIENT CACHING` counts for the very next command of the connection.
        let mut both = redis::Pipeline::new();
        both.cmd("CLIENT").arg("CACHING").arg("YES");
        both.add_command(command.clone());
        let mut reply = Value::Nil;
        for answer in self.send_all(&both).await? {
            reply = answer.extract_error().map_err(|error| Fault::of(&error))?;
        }
        Ok(reply)
    }

    /// Sends several commands in one write. Every command has its reply, which may be an error.
    pub(super) async fn send_all(&self, pipeline: &redis::Pipeline) -> Result<Vec<Value>, Fault> {
        let mut inner = self.inner.clone();
        inner.send_packed_commands(pipeline, 0, pipeline.len()).await.map_err(|error| Fault::of(&error))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
