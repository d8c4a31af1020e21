//! The server that a run is about, and how to log in.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use cache_core::{Cache, Credentials};

use crate::args::ServerArguments;
use crate::ending::Failure;

const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
/// The variable with the password. Not an argument: it is never on the command line.
const PASSWORD_VARIABLE: &str = "CACHE_PASSWORD";
/// Longer passwords are the wrong file.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// The server that a run is about.
pub(crate) struct Target {
    arguments: ServerArguments,
}

impl Target {
    pub(crate) fn new(arguments: ServerArguments) -> Self {
        Self { arguments }
    }

    pub(crate) fn url(&self) -> &str {
        self.arguments.url.as_deref().unwrap_or(DEFAULT_URL)
    }

    pub(crate) fn admin(&self) -> Option<&str> {
        self.arguments.admin.as_deref()
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.arguments.namespace
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.arguments.timeout)
    }

    /// The user to log in as, if it is not in the URL.
    pub(crate) fn user(&self) -> Option<&str> {
        self.arguments.user.as_deref()
    }

    /// A cache at the server, which need not be there.
    pub(crate) fn open(&self) -> Result<Cache, Failure> {
        if self.url().to_ascii_lowercase().starts_with("memory:") {
            return Err(Failure::wrong("an embedded cache is in its own process: ask that one at its admin page"));
        }
        let builder = Cache::builder().url(self.url()).namespace(self.namespace()).connections(1);
        let builder = builder.operation_deadline(self.timeout()).connect_timeout(self.timeout());
        let builder = match (self.password()?, self.user()) {
            (Some(password), user) => {
                let credentials = match user {
                    Some(user) => Credentials::new(user, password),
                    None => Credentials::of_default_user(password),
                };
                builder.credentials(move || std::future::ready(Ok::<_, std::convert::Infallible>(credentials.clone())))
            }
            (None, Some(_)) => return Err(Failure::wrong(format!("the user has no password: {PASSWORD_VARIABLE}"))),
            (None, None) => builder,
        };
        Ok(builder.build()?)
    }

    /// A cache that answers.
    pub(crate) async fn ready(&self) -> Result<Cache, Failure> {
        let cache = self.open()?;
        cache.ready(self.timeout()).await?;
        Ok(cache)
    }

    /// The password that is not in the URL.
    pub(crate) fn password(&self) -> Result<Option<String>, Failure> {
        match &self.arguments.password_file {
            Some(file) => password_in(file).map(Some),
            None => Ok(std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty())),
        }
    }
}

fn password_in(path: &Path) -> Result<String, Failure> {
    let mut password = String::new();
    let read = File::open(path).and_then(|file| file.take(PASSWORD_BYTES_MAX).read_to_string(&mut password));
    // What is wrong with the content is not said: it may hold a part of it.
    let wrong = |why: &str| Failure::wrong(format!("the password file {}: {why}", path.display()));
    read.map_err(|error| wrong(&error.kind().to_string()))?;
    match password.trim_end_matches(['\r', '\n']) {
        "" => Err(wrong("it is empty")),
        password => Ok(password.to_owned()),
    }
}

/// Whether a URL holds a password: `user:password@`, or a parameter of a unix socket or of
/// sentinels.
pub(crate) fn has_password(url: &str) -> bool {
    without_passwords(url) != url
}

/// A text without the passwords of the URLs in it.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let ends = |character: char| character.is_whitespace() || character == '\'';
        let (url, behind) = after.split_at(after.find(ends).unwrap_or(after.len()));
        told.push_str(before);
        told.push_str(&without_password(url));
        rest = behind;
    }
    told + rest
}

/// What stands behind the scheme of a URL.
fn without_password(url: &str) -> String {
    let (places, query) = url.split_once('?').map_or((url, None), |(places, query)| (places, Some(query)));
    // A password may hold what should have been escaped: the last `@` counts.
    let places = match places.rsplit_once('@') {
        Some((login, place)) if login.contains(':') => {
            format!("{}:***@{place}", login.split(':').next().unwrap_or_default())
        }
        _ => places.to_owned(),
    };
    let parameter = |pair: &str| match pair.split_once('=') {
        Some((name @ ("pass" | "sentinel_pass"), _)) => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    match query {
        Some(query) => format!("{places}?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&")),
        None => places,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_is_told() {
        for (text, told) in [
            ("redis://h:1/2", "redis://h:1/2"),
            ("redis://user@h", "redis://user@h"),
            ("redis://:pw@h:1/2", "redis://:***@h:1/2"),
            ("wrong 'rediss://u:p:w@w@h' here", "wrong 'rediss://u:***@h' here"),
            ("redis+unix:///s?db=1&pass=pw&user=u", "redis+unix:///s?db=1&pass=***&user=u"),
            ("redis-sentinel://a,b/p?sentinel_pass=pw", "redis-sentinel://a,b/p?sentinel_pass=***"),
        ] {
            assert_eq!(without_passwords(text), told);
            assert_eq!(has_password(text), text != told, "{text}");
        }
    }
}
