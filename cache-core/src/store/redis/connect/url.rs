//! What a Redis URL says: where to connect, and as whom.

use std::fmt;
use std::path::PathBuf;

use redis::{IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};

use super::fault::Fault;
use crate::store::Scheme;

/// Where a server listens. `Display` is safe to log: no user, no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// Where to connect, as whom, and to which database.
#[derive(Clone)]
pub(super) struct ServerUrl {
    pub(super) address: Address,
    /// User and password. Our own handshake selects the database, to tell its errors apart.
    pub(super) login: RedisConnectionInfo,
    pub(super) database: i64,
}

const DEFAULT_PORT: u16 = 6379;

impl ServerUrl {
    /// Reads `redis://[[user]:password@]host[:port][/database]`, or
    /// `redis+unix:///path[?db=…&user=…&pass=…]`, with any [`Scheme`] of that kind.
    /// `?protocol=resp3` is accepted: RESP3 is spoken anyway.
    ///
    /// # Errors
    /// Everything else is a configuration error. No error repeats the URL, which may hold a
    /// password.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let scheme = Scheme::of(text).map_err(|error| Fault::new(error.kind(), error.to_string()))?;
        let (tls, unix) = (scheme == Scheme::RedisTls, scheme == Scheme::RedisUnix);
        if tls && !cfg!(feature = "tls") {
            return Err(Fault::config("rediss:// needs the feature `tls` of cache-core"));
        }
        if !unix {
            check_credentials(text)?;
        }
        let Some(url) = redis::parse_redis_url(text) else { return Err(malformed()) };
        check_query(url.query_pairs(), unix)?;
        if url.fragment().is_some() {
            return Err(Fault::config("a Redis URL takes no fragment; TLS certificates are always verified"));
        }
        if unix {
            let info = url.into_connection_info().map_err(|error| explain(&error))?;
            let redis::ConnectionAddr::Unix(path) = info.addr().clone() else { return Err(malformed()) };
            return Self::new(Address::Unix(path), info.redis_settings());
        }
        let port = url.port().unwrap_or(DEFAULT_PORT);
        // How the driver reads `rediss` depends on the driver's own TLS features, which are not
        // used here.
        let mut plain = url;
        if plain.set_scheme("redis").is_err() {
            return Err(malformed());
        }
        let info = plain.into_connection_info().map_err(|error| explain(&error))?;
        let redis::ConnectionAddr::Tcp(host, _) = info.addr().clone() else { return Err(malformed()) };
        if host.is_empty() || port == 0 {
            return Err(malformed());
        }
        Self::new(Address::Tcp { host, port, tls }, info.redis_settings())
    }

    fn new(address: Address, settings: &RedisConnectionInfo) -> Result<Self, Fault> {
        let database = settings.db();
        if database < 0 {
            return Err(bad_database());
        }
        let login = settings.clone().set_db(0).set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        Ok(Self { address, login, database })
    }
}

/// Refuses a URL with one of these characters in its password: the character would end the part of
/// the URL that holds the password, and the rest up to the `@` would be read as something else.
fn check_credentials(text: &str) -> Result<(), Fault> {
    let (_, rest) = text.split_once("://").unwrap_or_default();
    match rest.find(['#', '/', '?']) {
        Some(end) if rest[end..].contains('@') => Err(Fault::config(
            "special characters in the user and password of a Redis URL have to be percent-encoded: `#` is %23, \
             `/` is %2F, `?` is %3F and `@` is %40",
        )),
        _ => Ok(()),
    }
}

fn check_query<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
    unix: bool,
) -> Result<(), Fault> {
    for (name, value) in pairs {
        match (&*name, &*value) {
            ("protocol", "3" | "resp3") => {}
            ("protocol", _) => return Err(Fault::config("the only `protocol` in a Redis URL is resp3")),
            ("db" | "user" | "pass", _) if unix => {}
            // A misspelled or misplaced database must not silently become database 0.
            ("db", _) => return Err(Fault::config("the database of a Redis URL is its path: redis://host:6379/1")),
            _ => return Err(Fault::config("unknown parameter in the Redis URL: only `protocol` is known")),
        }
    }
    Ok(())
}

fn explain(error: &redis::RedisError) -> Fault {
    // The driver's text is compared, never shown.
    let text = error.to_string();
    if text.contains("database number") {
        bad_database()
    } else if text.contains("wildcard") {
        Fault::config("cannot connect to a wildcard address (0.0.0.0 or ::)")
    } else {
        malformed()
    }
}

fn bad_database() -> Fault {
    Fault::config("the database in the Redis URL is not a number from 0 on")
}

fn malformed() -> Fault {
    Fault::config(
        "malformed Redis URL: expected redis://[[user]:password@]host[:port][/database] with a port from 1 to \
         65535, and special characters in user and password percent-encoded",
    )
}

impl Address {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerUrl")
            .field("address", &self.address)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
