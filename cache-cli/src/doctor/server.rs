//! A connection to the server beside the cache's own, for what no cache asks for.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, TlsCertificates,
};
use tokio::sync::mpsc::UnboundedSender;

use crate::ending::Failure;
use crate::target::Target;

/// A connection to the server, as the user that the cache logs in as.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    connection: MultiplexedConnection,
    timeout: Duration,
}

/// What a server says to a command.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The user may not, in the server's words.
    NotPermitted(String),
    /// There is no such command: the server is older, or it was renamed.
    Unknown,
    Other(String),
}

impl Refusal {
    fn of(error: &RedisError) -> Self {
        let words = error.to_string();
        match error.code() {
            Some("NOPERM") => Self::NotPermitted(words),
            _ if words.contains("nknown command") || words.contains("nknown subcommand") => Self::Unknown,
            _ => Self::Other(words),
        }
    }
}

impl Server {
    pub(crate) async fn connect(target: &Target) -> Result<Self, Failure> {
        Self::connect_to(target, target.url()).await
    }

    /// To another URL, as the same user.
    pub(crate) async fn connect_to(target: &Target, url: &str) -> Result<Self, Failure> {
        let client = client(target, url)?;
        let timeout = target.timeout();
        let connection = client.get_multiplexed_async_connection_with_config(&config(timeout)).await;
        let connection = connection.map_err(|error| failure(&error))?;
        Ok(Self { client, connection, timeout })
    }

    /// A second connection, which is pushed to.
    pub(crate) async fn with_pushes(&self, pushes: UnboundedSender<PushInfo>) -> Answer<Self> {
        let info = self.client.get_connection_info().clone();
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(resp3)).map_err(|error| Refusal::of(&error))?;
        let config = config(self.timeout).set_push_sender(pushes);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        let connection = connection.map_err(|error| Refusal::of(&error))?;
        Ok(Self { client, connection, timeout: self.timeout })
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Answer<T> {
        let mut command = Cmd::new();
        words.iter().for_each(|word| _ = command.arg(word));
        command.query_async(&mut self.connection.clone()).await.map_err(|error| Refusal::of(&error))
    }

    /// The answers to many commands of which each answers a number, in one round trip to each of
    /// the servers; `None`: this one was refused by all of them, or there is nothing.
    pub(crate) async fn numbers(servers: &[Self], commands: &[Vec<String>]) -> Answer<Vec<Option<u64>>> {
        let mut found = vec![None; commands.len()];
        for server in servers {
            let answers = server.own_numbers(commands).await?;
            found.iter_mut().zip(answers).for_each(|(found, answer)| *found = found.or(answer));
        }
        Ok(found)
    }

    async fn own_numbers(&self, commands: &[Vec<String>]) -> Answer<Vec<Option<u64>>> {
        let mut pipeline = redis::pipe();
        for words in commands {
            let mut command = Cmd::new();
            words.iter().for_each(|word| _ = command.arg(word));
            pipeline.add_command(command);
        }
        pipeline.ignore_errors();
        let answers: Vec<redis::Value> =
            pipeline.query_async(&mut self.connection.clone()).await.map_err(|error| Refusal::of(&error))?;
        let number = |answer: redis::Value| match answer {
            redis::Value::Int(number) => u64::try_from(number).ok(),
            _ => None,
        };
        Ok(answers.into_iter().map(number).collect())
    }

    /// A section of `INFO`.
    pub(crate) async fn info(&self, section: &str) -> Answer<Info> {
        Ok(Info::read(&self.ask::<String>(&["INFO", section]).await?))
    }

    /// The user that is logged in.
    pub(crate) fn user(&self) -> &str {
        self.client.get_connection_info().redis_settings().username().unwrap_or("default")
    }
}

/// The fields of `INFO`, with their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info(HashMap<String, String>);

impl Info {
    pub(crate) fn read(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A number in a field such as `calls=3,usec_per_call=4.5`.
    pub(crate) fn part(&self, name: &str, part: &str) -> Option<f64> {
        let parts = self.text(name)?.split(',').filter_map(|pair| pair.split_once('='));
        parts.into_iter().find(|(named, _)| *named == part)?.1.parse().ok()
    }
}

fn config(timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout))
}

/// The driver reads no parameters of certificates, and knows fewer schemes than the cache does.
fn client(target: &Target, url: &str) -> Result<Client, Failure> {
    let wrong = |_: RedisError| Failure::wrong("`doctor` does not understand the URL of the server");
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or((address, ""));
    let scheme = scheme.to_ascii_lowercase().replace("valkey", "redis");
    if scheme.contains("sentinel") {
        return Err(Failure::wrong("`doctor` looks at one server: give the URL of the primary, not of its sentinels"));
    }
    let (files, kept): (Vec<_>, Vec<_>) = query.split('&').filter_map(|pair| pair.split_once('=')).partition(is_file);
    let kept: Vec<_> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let question_mark = if kept.is_empty() { "" } else { "?" };
    let url = format!("{scheme}://{rest}{question_mark}{}", kept.join("&"));
    let info = url.as_str().into_connection_info().map_err(wrong)?;
    let settings = logged_in(info.redis_settings().clone(), target)?;
    let info = info.set_redis_settings(settings);
    let client =
        if files.is_empty() { Client::open(info) } else { Client::build_with_tls(info, certificates(&files)?) };
    client.map_err(wrong)
}

fn is_file((name, _): &(&str, &str)) -> bool {
    matches!(*name, "ca" | "cert" | "key")
}

fn logged_in(settings: RedisConnectionInfo, target: &Target) -> Result<RedisConnectionInfo, Failure> {
    Ok(match (target.password()?, target.user()) {
        (Some(password), Some(user)) => settings.set_username(user).set_password(password),
        (Some(password), None) => settings.set_password(password),
        (None, _) => settings,
    })
}

fn certificates(files: &[(&str, &str)]) -> Result<TlsCertificates, Failure> {
    let read = |wanted: &str| match files.iter().find(|(name, _)| *name == wanted) {
        Some((_, path)) => {
            fs::read(path).map(Some).map_err(|error| Failure::wrong(format!("{path}: {}", error.kind())))
        }
        None => Ok(None),
    };
    let client_tls = match (read("cert")?, read("key")?) {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        _ => None,
    };
    Ok(TlsCertificates { client_tls, root_cert: read("ca")? })
}

/// The driver's words name the address, and no credential.
fn failure(error: &RedisError) -> Failure {
    let is_login =
        error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("WRONGPASS" | "NOAUTH"));
    if is_login { Failure::wrong(error.to_string()) } else { Failure::unreachable(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_section_are_read() {
        let info =
            Info::read("# Memory\r\nused_memory:42\r\nmaxmemory_policy:noeviction\r\ncmdstat_get:calls=3,usec=9\r\n");
        assert_eq!(info.number("used_memory"), Some(42));
        assert_eq!(info.text("maxmemory_policy"), Some("noeviction"));
        assert_eq!(info.part("cmdstat_get", "usec"), Some(9.0));
        assert_eq!((info.number("missing"), info.part("cmdstat_get", "x")), (None, None));
    }
}
