//! Tests against a server that misbehaves on command, in memory and in paused time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

mod calls;
pub(in crate::store::redis) mod cluster;
mod copies;
mod credentials;
pub(in crate::store::redis) mod fake;
mod handshake;
mod losses;
mod primaries;
mod pushes;
mod readiness;
mod runtimes;
mod supervision;
#[cfg(feature = "tls")]
mod tls;

use crate::store::far;
use crate::store::redis::scripts;
use fake::{Answer, Fake};

const DEADLINE: Duration = crate::config::OPERATION_DEADLINE;

fn config(connections: usize) -> Config {
    Config { connections, ..Config::default() }
}

fn pool_with(fake: &Arc<Fake>, config: &Config, on_new_primary: MeetingHook) -> Pool {
    hooked(
        fake,
        config,
        Hooks {
            on_connection: doing_nothing(),
            on_new_primary,
            on_loss: Box::new(|_| ()),
            on_change: Box::new(|_| ()),
        },
    )
}

fn hooked(fake: &Arc<Fake>, config: &Config, hooks: Hooks) -> Pool {
    let target = ServerUrl::parse("redis://zoe:s3cr3t@fake.test/1").unwrap();
    let logins = Logins::of(&target, None).unwrap();
    Pool::of_server(target, fake.dial(), &making(logins, config, hooks))
}

fn making(logins: Logins, config: &Config, hooks: Hooks) -> Making {
    Making { logins, config: config.clone(), scripts: scripts::ALL, hooks: Arc::new(hooks) }
}

fn pool(fake: &Arc<Fake>) -> Pool {
    pool_with(fake, &config(1), finding_all())
}

fn doing_nothing() -> Hook {
    Box::new(|_| Box::pin(async { Ok(()) }))
}

fn finding_all() -> MeetingHook {
    Box::new(|_| Box::pin(async { Ok(Inheritance::Whole) }))
}

/// The deadline of a call that is made now.
fn in_time() -> Instant {
    Instant::now() + crate::config::OPERATION_DEADLINE
}

async fn get(pool: &Pool, key: &str) -> Result<String, Error> {
    let reply = pool.command(StripeKey::new(key), Command::new("GET").arg(key), in_time()).await?;
    Ok(reply.text().unwrap_or_default().to_owned())
}

/// The output of a future, and how long it took in paused time.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    let output = future.await;
    (output, started.elapsed())
}

/// Checks that a message for users holds no credentials, nothing that was sent, and none of the
/// server's own words.
fn check_discreet(error: &Error) {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        shown += &format!(" {error} {error:?}");
        source = error.source();
    }
    for secret in ["s3cr3t", "zoe", "private"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
