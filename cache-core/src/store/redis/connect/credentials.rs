//! What a connection logs in with: what the URL says, or what a provider gives for a time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::fault::Fault;
use super::url::ServerUrl;
use crate::clock;
use crate::config::{CREDENTIALS_MARGIN_MAX, DURATION_MAX};
use crate::store::redis::resp::Command;

/// What a connection logs in with, and for how long the server lets it.
///
/// # Example
/// ```
/// # use std::time::Duration;
/// use cache_core::{Cache, Credentials};
///
/// # async fn token() -> Result<String, std::io::Error> { Ok("t0k3n".to_owned()) }
/// let cache = Cache::builder()
///     .url("redis://cache.internal")
///     .credentials(|| async {
///         let token = token().await?;
///         Ok::<_, std::io::Error>(
///             Credentials::new("shop", token).valid_for(Duration::from_secs(15 * 60)),
///         )
///     })
///     .build()?;
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    user: Option<String>,
    password: String,
    valid_for: Option<Duration>,
}

impl Credentials {
    /// A user of the server and its password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some(user.into()), password: password.into(), valid_for: None }
    }

    /// Those in a URL. A user without a password is nobody.
    pub(super) fn in_url(user: Option<&String>, password: Option<&String>) -> Option<Self> {
        Some(Self { user: user.cloned(), password: password?.clone(), valid_for: None })
    }

    /// The password of the server's default user.
    pub fn of_default_user(password: impl Into<String>) -> Self {
        Self { user: None, password: password.into(), valid_for: None }
    }

    /// They end after this time, counted from the moment at which the provider was asked. Before
    /// that, each connection asks the provider again and logs in anew, while calls go on. Without
    /// this they are asked for at each connect only.
    #[must_use]
    pub fn valid_for(mut self, time: Duration) -> Self {
        self.valid_for = Some(time);
        self
    }

    /// The arguments of `AUTH`, alone or in `HELLO`. `HELLO` always names the user.
    pub(super) fn add_to(&self, command: Command) -> Command {
        command.arg(self.user.as_deref().unwrap_or("default")).arg(&self.password)
    }
}

/// The first command on a connection: asks for RESP3, and logs in.
pub(super) fn hello(credentials: Option<&Credentials>) -> Command {
    let hello = Command::new("HELLO").arg("3");
    match credentials {
        Some(credentials) => credentials.add_to(hello.arg("AUTH")),
        None => hello,
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("valid_for", &self.valid_for).finish_non_exhaustive()
    }
}

type ProviderError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Result<Credentials, ProviderError>> + Send>>;

/// Gives credentials when a connection needs them.
#[derive(Clone)]
pub(crate) struct CredentialsProvider(Arc<dyn Fn() -> Answer + Send + Sync>);

impl CredentialsProvider {
    pub(crate) fn new<F, E>(provide: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<ProviderError>,
    {
        Self(Arc::new(move || {
            let answer = provide();
            Box::pin(async move { answer.await.map_err(Into::into) })
        }))
    }
}

/// What the connections of a pool log in with.
#[derive(Clone)]
pub(super) enum Logins {
    Fixed(Option<Credentials>),
    Provided(CredentialsProvider),
}

impl Logins {
    /// # Errors
    /// `Config`: the URL has credentials, and the builder a provider.
    pub(super) fn of(target: &ServerUrl, provider: Option<&CredentialsProvider>) -> Result<Self, Fault> {
        match (&target.password, provider) {
            (_, None) => Ok(Self::Fixed(Credentials::in_url(target.user.as_ref(), target.password.as_ref()))),
            (None, Some(provider)) if target.user.is_none() => Ok(Self::Provided(provider.clone())),
            _ => Err(Fault::config("the URL has credentials, and the builder a provider of others: leave one out")),
        }
    }

    /// The login for a connection, as of now.
    pub(super) async fn next(&self) -> Result<Option<Login>, Fault> {
        let asked_at = clock::now();
        let credentials = match self {
            Self::Fixed(credentials) => credentials.clone(),
            Self::Provided(CredentialsProvider(provide)) => Some(
                provide()
                    .await
                    .map_err(|error| Fault::unavailable(format!("the provider of credentials failed: {error}")))?,
            ),
        };
        Ok(credentials.map(|credentials| Login { credentials, asked_at }))
    }
}

/// Credentials, and when they were asked for.
pub(super) struct Login {
    pub(super) credentials: Credentials,
    asked_at: Instant,
}

impl Login {
    /// How long this login lasts; `None`: as long as the connection.
    pub(super) fn validity(&self) -> Option<Validity> {
        let lifetime = self.credentials.valid_for?.min(DURATION_MAX);
        let margin = (lifetime / 4).min(CREDENTIALS_MARGIN_MAX);
        Some(Validity { due: self.asked_at + (lifetime - margin), end: self.asked_at + lifetime })
    }
}

/// When a connection logs in again, and when it is too late for that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) due: Instant,
    pub(super) end: Instant,
}
