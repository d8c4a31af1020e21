//! Sentinels: they say where the primary is, and tell when it is another one.
//!
//! The protocol: <https://redis.io/docs/latest/develop/reference/sentinel-clients/>.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::credentials::{Credentials, hello};
use super::dial::Dialer;
use super::dialogue::Dialogue;
use super::fault::Fault;
use super::host_port::HostPort;
use crate::config::{RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN, SENTINEL_ASK_INTERVAL};
use crate::error::ErrorKind;
use crate::store::backoff::Backoff;
use crate::store::redis::resp::{Command, Frame, Reply};

/// What a sentinel publishes when a primary has been replaced.
const SWITCH: &str = "+switch-master";

/// The sentinels of one primary.
pub(super) struct Sentinels {
    places: Vec<HostPort>,
    primary: String,
    login: Option<Credentials>,
    dialer: Dialer,
    /// How long one of them may take to answer.
    patience: Duration,
}

impl Sentinels {
    /// `patience`: how long it may take to open a connection to the primary, for which the
    /// sentinels are asked one after the other.
    pub(super) fn new(
        places: Vec<HostPort>,
        primary: String,
        login: Option<Credentials>,
        dialer: Dialer,
        patience: Duration,
    ) -> Self {
        let patience = patience / (places.len() as u32 + 1);
        Self { places, primary, login, dialer, patience }
    }

    /// Asks the sentinels in turn where the primary is. The one that knows goes on telling of
    /// changes.
    ///
    /// # Errors
    /// `Config` if every sentinel answered, and none of them can ever say: no sentinel, no such
    /// primary, no permission. `Unavailable` if one of them may be able to say later.
    pub(super) async fn find(&self) -> Result<Sighting, Fault> {
        let mut failure: Option<Fault> = None;
        for place in &self.places {
            let sighting = timeout(self.patience, Consultation::open(self, place)).await;
            match sighting
                .unwrap_or_else(|_| Err(Fault::unavailable(format!("the sentinel at {place} does not answer"))))
            {
                Ok(sighting) => return Ok(sighting),
                Err(fault) => {
                    let keep = failure.as_ref().is_some_and(|failure| failure.kind != ErrorKind::Config);
                    failure = if keep { failure } else { Some(fault) };
                }
            }
        }
        Err(failure.unwrap_or_else(|| Fault::unavailable("there is no sentinel to be asked")))
    }

    /// Ends when the sentinels have another primary. A sentinel that is lost is replaced.
    pub(super) async fn watch(self: Arc<Self>, mut sighting: Sighting) -> Fault {
        let mut backoff = Backoff::new(RECONNECT_DELAY_MIN, RECONNECT_DELAY_MAX);
        loop {
            let place = sighting.place.clone();
            if sighting.consultation.lasts(&self.primary, &place, self.patience).await == Ok(false) {
                return another_primary();
            }
            sighting = loop {
                sleep(backoff.next_delay()).await;
                match self.find().await {
                    Ok(next) if next.place == place => break next,
                    Ok(_) => return another_primary(),
                    Err(_) => {}
                }
            };
            backoff.reset();
        }
    }
}

fn another_primary() -> Fault {
    Fault::unavailable("the sentinels have another primary")
}

/// Where the primary is, and the sentinel that said so.
pub(super) struct Sighting {
    place: HostPort,
    consultation: Consultation,
}

impl Sighting {
    pub(super) fn place(&self) -> &HostPort {
        &self.place
    }
}

/// A connection to one sentinel.
struct Consultation {
    dialogue: Dialogue,
    /// What was published meanwhile of the primary: where it is now.
    switched_to: Option<HostPort>,
}

impl Consultation {
    async fn open(sentinels: &Sentinels, place: &HostPort) -> Result<Sighting, Fault> {
        let stream = sentinels.dialer.open(place).await?;
        let mut consultation = Self { dialogue: Dialogue::new(stream), switched_to: None };
        let to = |fault: Fault| fault.of_sentinel(place);
        consultation.log_in(sentinels.login.as_ref()).await.map_err(to)?;
        // First: nothing is missed between the answer and the subscription.
        consultation.subscribe(&sentinels.primary).await.map_err(to)?;
        match consultation.ask(&sentinels.primary).await.map_err(to)? {
            Some(primary) => Ok(Sighting { place: primary, consultation }),
            None => Err(Fault::config(format!(
                "the sentinel at {place} knows no primary of the name {:?}, which stands in the URL",
                sentinels.primary
            ))),
        }
    }

    async fn log_in(&mut self, login: Option<&Credentials>) -> Result<(), Fault> {
        self.dialogue.send(&hello(login)).await?;
        self.reply(None).await.map(drop)
    }

    async fn subscribe(&mut self, primary: &str) -> Result<(), Fault> {
        self.dialogue.send(&Command::new("SUBSCRIBE").arg(SWITCH)).await?;
        match self.dialogue.frame().await? {
            Frame::Push(message) => self.note(primary, &message),
            Frame::Reply(Reply::Error(error)) => return Err(Fault::of_reply(&error).to("SUBSCRIBE")),
            Frame::Reply(_) => return Err(Fault::not_a_reply()),
        }
        Ok(())
    }

    /// Where the primary is. `None`: there is none of this name.
    async fn ask(&mut self, primary: &str) -> Result<Option<HostPort>, Fault> {
        self.dialogue.send(&Command::new("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(primary)).await?;
        let reply = self.reply(Some(primary)).await?;
        match reply {
            Reply::Null => Ok(None),
            Reply::Array(address) => match address.as_slice() {
                [host, port] => place(host.text(), port.text()).map(Some).ok_or_else(Fault::not_a_reply),
                _ => Err(Fault::not_a_reply()),
            },
            _ => Err(Fault::not_a_reply()),
        }
    }

    /// Waits as long as the primary is at `known`. `Ok(false)`: it is elsewhere.
    async fn lasts(&mut self, primary: &str, known: &HostPort, patience: Duration) -> Result<bool, ()> {
        loop {
            if self.switched_to.take().is_some_and(|now| now != *known) {
                return Ok(false);
            }
            match timeout(SENTINEL_ASK_INTERVAL, self.dialogue.frame()).await {
                Ok(Ok(Frame::Push(message))) => self.note(primary, &message),
                Ok(_) => return Err(()),
                Err(_) => match timeout(patience, self.ask(primary)).await {
                    Ok(Ok(Some(now))) if now == *known => {}
                    Ok(Ok(Some(_))) => return Ok(false),
                    _ => return Err(()),
                },
            }
        }
    }

    async fn reply(&mut self, primary: Option<&str>) -> Result<Reply, Fault> {
        loop {
            match self.dialogue.frame().await? {
                Frame::Reply(Reply::Error(error)) => return Err(Fault::of_reply(&error)),
                Frame::Reply(reply) => return Ok(reply),
                Frame::Push(message) => primary.into_iter().for_each(|primary| self.note(primary, &message)),
            }
        }
    }

    /// Notes a message that says where the primary is now: its name, the old host and port, the new
    /// host and port.
    fn note(&mut self, primary: &str, message: &[Reply]) {
        let [kind, channel, payload] = message else { return };
        if kind.text() != Some("message") || channel.text() != Some(SWITCH) {
            return;
        }
        let mut words = payload.text().unwrap_or_default().split(' ');
        if words.next() == Some(primary) {
            self.switched_to = place(words.nth(2), words.next()).or(self.switched_to.take());
        }
    }
}

fn place(host: Option<&str>, port: Option<&str>) -> Option<HostPort> {
    let place = HostPort { host: host?.to_owned(), port: port?.parse().ok()? };
    (!place.host.is_empty() && place.port != 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    /// ★ It has named another primary and publishes nothing, as in TILT.
    #[tokio::test(start_paused = true)]
    async fn a_silent_sentinel_is_followed_within_a_second() {
        let (ours, mut theirs) = tokio::io::duplex(1_024);
        let answering = tokio::spawn(async move {
            let mut question = [0; 256];
            while theirs.read(&mut question).await.is_ok_and(|length| length > 0) {
                theirs.write_all(b"*2\r\n$5\r\nother\r\n$4\r\n6379\r\n").await.unwrap();
            }
        });
        let mut consultation = Consultation { dialogue: Dialogue::new(Box::new(ours)), switched_to: None };
        let known = HostPort { host: "known".to_owned(), port: 6_379 };
        let begun = Instant::now();
        assert_eq!(consultation.lasts("main", &known, Duration::from_secs(1)).await, Ok(false));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        drop(consultation);
        answering.await.unwrap();
    }
}
