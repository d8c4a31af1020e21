//! What a Redis URL says: where to connect, and as whom.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::fault::Fault;
use super::host_port::HostPort;
#[cfg(feature = "tls")]
use super::tls::Tls;
#[cfg(feature = "tls")]
use crate::config::CERTIFICATE_FILE_BYTES_MAX;
use crate::config::{CLUSTER_SEEDS_MAX, PARTITIONS_MAX, SENTINELS_MAX};
use crate::store::Scheme;

/// Where a server listens. `Display` is safe to log: no user, no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp {
        place: HostPort,
        tls: bool,
    },
    Unix(PathBuf),
    /// Wherever the sentinels say that the primary of this name is.
    Sentinel {
        sentinels: Vec<HostPort>,
        primary: String,
        tls: bool,
    },
    /// The nodes of a cluster, found through these.
    Cluster {
        seeds: Vec<HostPort>,
        tls: bool,
    },
}

/// Where to connect, as whom, and to which database.
#[derive(Clone)]
pub(super) struct ServerUrl {
    pub(super) address: Address,
    /// `None`: the server's own default user.
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u64,
    /// User and password for the sentinels.
    pub(super) sentinel_login: (Option<String>, Option<String>),
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "without TLS a URL that names files is refused"))]
    pub(super) files: TlsFiles,
}

/// The files of certificates that a URL names.
#[derive(Clone, Default)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "without TLS a URL that names files is refused"))]
pub(super) struct TlsFiles {
    authorities: Option<PathBuf>,
    /// The certificate of this client, and its private key.
    identity: Option<(PathBuf, PathBuf)>,
}

const DEFAULT_PORT: u16 = 6379;
const DEFAULT_SENTINEL_PORT: u16 = 26379;

/// Far above any server's number of databases.
const DATABASE_DIGITS_MAX: usize = 9;

impl ServerUrl {
    /// Reads `redis://[[user]:password@]host[:port][/database]`, or
    /// `redis+unix:///path[?db=…&user=…&pass=…]`, or
    /// `redis-sentinel://[[user]:password@]host[:port][,…]/primary[/database]`, or
    /// `redis-cluster://[[user]:password@]host[:port][,…][/?partitions=…]`, with any [`Scheme`]
    /// of that kind. The sentinels have `?sentinel_user=…&sentinel_pass=…`.
    /// `?protocol=resp3` is accepted: RESP3 is spoken anyway. With TLS `?ca=…&cert=…&key=…` names
    /// files.
    ///
    /// # Errors
    /// Everything else is a configuration error. No error repeats the URL, which may hold a
    /// password.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let scheme = Scheme::of(text).map_err(|error| Fault::new(error.kind(), error.to_string()))?;
        let unix = scheme == Scheme::RedisUnix;
        if scheme.is_tls() && !cfg!(feature = "tls") {
            return Err(Fault::config("rediss:// needs the feature `tls` of cache-core"));
        }
        if !unix {
            check_credentials(text)?;
        }
        let (_, rest) = text.split_once("://").ok_or_else(malformed)?;
        if rest.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(malformed());
        }
        let (rest, fragment) = split_off(rest, '#');
        let (rest, query) = split_off(rest, '?');
        let query = Query::parse(query.unwrap_or_default(), scheme)?;
        if fragment.is_some() {
            return Err(Fault::config("a Redis URL takes no fragment; TLS certificates are always verified"));
        }
        if unix { Self::of_socket(rest, query) } else { Self::of_hosts(rest, query, scheme) }
    }

    fn of_socket(path: &str, query: Query) -> Result<Self, Fault> {
        if !path.starts_with('/') {
            return Err(malformed());
        }
        let database = query.database.map_or(Ok(0), |text| database(&text))?;
        let address = Address::Unix(place_name(path)?.into());
        let (user, password) = (query.user, query.password);
        Ok(Self { address, user, password, database, sentinel_login: (None, None), files: TlsFiles::default() })
    }

    fn of_hosts(rest: &str, mut query: Query, scheme: Scheme) -> Result<Self, Fault> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, places) = match authority.rsplit_once('@') {
            Some((login, places)) => (Some(login), places),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (present(decoded(user)?), present(decoded(password)?)),
            None => (None, None),
        };
        let tls = scheme.is_tls();
        let (address, path) = if scheme.is_sentinel() {
            let (primary, path) = path.split_once('/').unwrap_or((path, ""));
            let primary = present(place_name(primary)?).ok_or_else(|| {
                Fault::config(
                    "a URL of sentinels names the primary: redis-sentinel://host[:port][,…]/primary[/database]",
                )
            })?;
            (Address::Sentinel { sentinels: sentinels(places)?, primary, tls }, path)
        } else if scheme.is_cluster() {
            (Address::Cluster { seeds: seeds(places)?, tls }, path)
        } else {
            (Address::Tcp { place: place(places, DEFAULT_PORT)?, tls }, path)
        };
        let database = if path.is_empty() { 0 } else { database(path)? };
        if scheme.is_cluster() && database != 0 {
            return Err(Fault::config("a cluster has database 0 alone: leave the number out of the URL"));
        }
        query.partitions.take().map_or(Ok(()), |text| check_partitions(&text))?;
        let sentinel_login = (query.sentinel_user.take(), query.sentinel_password.take());
        Ok(Self { address, user, password, database, sentinel_login, files: query.files()? })
    }
}

/// The parameters that a URL may have.
#[derive(Default)]
struct Query {
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
    authorities: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
    partitions: Option<String>,
}

impl Query {
    fn parse(text: &str, scheme: Scheme) -> Result<Self, Fault> {
        let (tls, unix) = (scheme.is_tls(), scheme == Scheme::RedisUnix);
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (name, value) {
                ("protocol", "3" | "resp3") => {}
                ("protocol", _) => return Err(Fault::config("the only `protocol` in a Redis URL is resp3")),
                ("db", _) if unix => query.database = Some(value.to_owned()),
                ("user", _) if unix => query.user = present(decoded(value)?),
                ("pass", _) if unix => query.password = present(decoded(value)?),
                ("ca", _) if tls => query.authorities = Some(decoded(value)?.into()),
                ("cert", _) if tls => query.certificate = Some(decoded(value)?.into()),
                ("key", _) if tls => query.key = Some(decoded(value)?.into()),
                ("sentinel_user", _) if scheme.is_sentinel() => query.sentinel_user = present(decoded(value)?),
                ("sentinel_pass", _) if scheme.is_sentinel() => query.sentinel_password = present(decoded(value)?),
                ("partitions", _) if scheme.is_cluster() => query.partitions = Some(value.to_owned()),
                ("partitions", _) => {
                    return Err(Fault::config("`partitions` is for a cluster alone: redis-cluster://"));
                }
                ("ca" | "cert" | "key", _) => {
                    return Err(Fault::config("files of certificates in a Redis URL need TLS: rediss://"));
                }
                // A misspelled or misplaced database must not silently become database 0.
                ("db", _) => {
                    return Err(Fault::config("the database of a Redis URL is its path: redis://host:6379/1"));
                }
                _ => {
                    return Err(Fault::config(
                        "unknown parameter in the Redis URL: `protocol` is known, with TLS `ca`, `cert` and `key`, \
                         with sentinels `sentinel_user` and `sentinel_pass`, and with a cluster `partitions`",
                    ));
                }
            }
        }
        Ok(query)
    }

    fn files(self) -> Result<TlsFiles, Fault> {
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Fault::config("`cert` and `key` in a Redis URL go together")),
        };
        Ok(TlsFiles { authorities: self.authorities, identity })
    }
}

fn sentinels(places: &str) -> Result<Vec<HostPort>, Fault> {
    let sentinels = each_place(places, DEFAULT_SENTINEL_PORT)?;
    match sentinels.len() > SENTINELS_MAX {
        true => Err(Fault::config(format!("a Redis URL names {SENTINELS_MAX} sentinels at most"))),
        false => Ok(sentinels),
    }
}

fn seeds(places: &str) -> Result<Vec<HostPort>, Fault> {
    let seeds = each_place(places, DEFAULT_PORT)?;
    match seeds.len() > CLUSTER_SEEDS_MAX {
        true => Err(Fault::config(format!(
            "a Redis URL names {CLUSTER_SEEDS_MAX} nodes of a cluster at most: they tell of the others"
        ))),
        false => Ok(seeds),
    }
}

fn each_place(places: &str, default_port: u16) -> Result<Vec<HostPort>, Fault> {
    places.split(',').map(|text| place(text, default_port)).collect()
}

fn check_partitions(text: &str) -> Result<(), Fault> {
    match text.parse::<u16>() {
        Ok(partitions) if partitions.is_power_of_two() && partitions <= PARTITIONS_MAX => Ok(()),
        _ => Err(Fault::config(format!(
            "`partitions` in the URL of a cluster is a power of two, from 1 to {PARTITIONS_MAX}"
        ))),
    }
}

/// A host, and a port if it is not the usual one.
pub(super) fn place(text: &str, default_port: u16) -> Result<HostPort, Fault> {
    let (host, port) = match text.strip_prefix('[') {
        // An IPv6 address: its colons are not the one before the port.
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(malformed)?;
            let address: Ipv6Addr = address.parse().map_err(|_| malformed())?;
            (address.to_string(), port)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (place_name(&text[..end])?, &text[end..])
        }
    };
    let port = match port.strip_prefix(':') {
        Some("") => default_port,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.parse().map_err(|_| malformed())?
        }
        None if port.is_empty() => default_port,
        _ => return Err(malformed()),
    };
    if host.is_empty() || port == 0 {
        return Err(malformed());
    }
    if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        return Err(Fault::config("cannot connect to a wildcard address (0.0.0.0 or ::)"));
    }
    Ok(HostPort { host, port })
}

fn database(text: &str) -> Result<u64, Fault> {
    let is_number = text.len() <= DATABASE_DIGITS_MAX && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| is_number)
        .ok_or_else(|| Fault::config("the database in the Redis URL is not a number from 0 on"))
}

fn decoded(text: &str) -> Result<String, Fault> {
    Ok(percent_decode_str(text).decode_utf8().map_err(|_| malformed())?.into_owned())
}

/// A host, a path or the name of a primary: logs say where a connection leads.
fn place_name(text: &str) -> Result<String, Fault> {
    decoded(text).and_then(|name| if name.contains(char::is_control) { Err(malformed()) } else { Ok(name) })
}

fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The text before `mark`, and the text after it, if it is there.
fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
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

fn malformed() -> Fault {
    Fault::config(
        "malformed Redis URL: expected redis://[[user]:password@]host[:port][/database] with a port from 1 to \
         65535, and special characters in user and password percent-encoded",
    )
}

#[cfg(feature = "tls")]
impl TlsFiles {
    /// Reads the files. It is done once, when the cache is built.
    pub(super) fn add_to(&self, mut tls: Tls) -> Result<Tls, Fault> {
        if let Some(path) = &self.authorities {
            tls = tls.ca_pem(read(path)?);
        }
        if let Some((certificate, key)) = &self.identity {
            tls = tls.client_pem(read(certificate)?, read(key)?);
        }
        Ok(tls)
    }
}

#[cfg(feature = "tls")]
fn read(path: &std::path::Path) -> Result<Vec<u8>, Fault> {
    use std::io::Read;

    let failed = |error: std::io::Error| {
        Fault::config(format!("cannot read the certificate file {}: {}", path.display(), error.kind()))
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CERTIFICATE_FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    match text.len() as u64 > CERTIFICATE_FILE_BYTES_MAX {
        true => Err(Fault::config(format!("the certificate file {} is over 1 MiB", path.display()))),
        false => Ok(text),
    }
}

impl Address {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. } | Self::Sentinel { tls: true, .. } | Self::Cluster { tls: true, .. })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { place, .. } => place.fmt(f),
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Sentinel { primary, .. } => write!(f, "the primary {primary:?} of the sentinels"),
            Self::Cluster { seeds, .. } => {
                let seeds: Vec<String> = seeds.iter().map(HostPort::to_string).collect();
                write!(f, "the cluster of {}", seeds.join(", "))
            }
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
