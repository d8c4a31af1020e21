//! Logging a connection in again, before its credentials end.

use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use super::connection::{Connection, Invocation};
use super::credentials::{Logins, Validity};
use super::fault::Fault;
use crate::clock;
use crate::config::{RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN};
use crate::store::backoff::Backoff;
use crate::store::redis::resp::Command;

/// Logs the connection in again before each end of its credentials. Returns when that has failed
/// until the end: then the server would refuse what is sent.
pub(super) async fn renew(
    connection: &Connection,
    logins: &Logins,
    validity: Option<Validity>,
    patience: Duration,
) -> Fault {
    let Some(mut validity) = validity else { return std::future::pending().await };
    let mut backoff = Backoff::new(RECONNECT_DELAY_MIN, RECONNECT_DELAY_MAX);
    let mut failure = None;
    sleep_until(validity.due).await;
    loop {
        if clock::now() >= validity.end {
            return failure.unwrap_or_else(|| Fault::unavailable("the credentials have ended"));
        }
        let attempt = timeout(patience, log_in_again(connection, logins)).await;
        match attempt.unwrap_or_else(|_| Err(Fault::unavailable("the credentials could not be renewed in time"))) {
            Ok(None) => return std::future::pending().await,
            Ok(Some(next)) => {
                validity = next;
                failure = None;
                backoff.reset();
                sleep_until(validity.due).await;
            }
            Err(fault) => {
                tracing::warn!(reason = %fault.message, "Redis credentials not renewed yet");
                failure = Some(fault);
                sleep_until(validity.end.min(clock::now() + backoff.next_delay())).await;
            }
        }
    }
}

async fn log_in_again(connection: &Connection, logins: &Logins) -> Result<Option<Validity>, Fault> {
    let Some(login) = logins.next().await? else { return Ok(None) };
    connection.send(&Invocation::command(login.credentials.add_to(Command::new("AUTH"))), None).await?;
    Ok(login.validity())
}
