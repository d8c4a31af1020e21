//! The task that keeps one connection: connect, handshake, publish, watch, replace.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout, timeout_at};

use super::connection::Connection;
use super::credentials::{Logins, Validity};
use super::fault::Fault;
use super::handshake::handshake;
use super::pipeline::{Driver, Pipeline};
use super::primary::{Hello, Primary};
use super::renewal::renew;
use super::route::{Outdated, StreamDial, never};
use super::shared::Shared;
use super::stripe::{LinkState, Stripe, Tenure};
use crate::ablation::{ProcessRule, keeps};
use crate::clock;
use crate::config::{
    ANSWER_TIMEOUT, NEAR_ASK_INTERVAL, PRIMARY_ASK_INTERVAL, RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN, SILENCE_MAX,
};
use crate::store::backoff::Backoff;
use crate::store::redis::at_once::all;
use crate::store::redis::resp::Reply;
use crate::store::{Voucher, Watches};

/// Reads and writes the socket. It runs inside the supervisor's task, so that neither outlives the
/// other.
type Driving = Pin<Box<dyn Future<Output = Fault> + Send>>;

/// A connection that is ready for calls.
struct Opening {
    driving: Driving,
    connection: Connection,
    primary: Arc<Primary>,
    login: Option<Validity>,
}

impl Stripe {
    /// Starts a supervisor on the tokio runtime of the caller, unless the supervisor with the
    /// number `replaced` was replaced already.
    pub(super) fn start(self: &Arc<Self>, replaced: u64) -> Result<(), Fault> {
        let runtime = Handle::try_current().map_err(|_| Fault::no_runtime())?;
        self.take_over(replaced, |tenure| runtime.spawn(supervise(self.clone(), tenure)).abort_handle());
        Ok(())
    }
}

async fn supervise(stripe: Arc<Stripe>, tenure: Tenure) {
    let shared = &stripe.shared;
    let mut backoff = Backoff::new(RECONNECT_DELAY_MIN, RECONNECT_DELAY_MAX);
    // The reason why the connection is down, as last logged.
    let mut down_for = None;
    loop {
        let mut outdated = never();
        let fault = match attempt(&stripe, &mut outdated).await {
            Err(fault) => fault,
            Ok(mut opening) => {
                let (connection, primary) = (Arc::new(opening.connection.clone()), opening.primary.clone());
                if !tenure.publish(LinkState::Live(connection, primary), None) {
                    return;
                }
                tracing::info!(address = %shared.target.address, stripe = stripe.index, "Redis connection stands");
                if down_for.take().is_some() {
                    shared.note_up();
                }
                shared.breaker.probe_soon(clock::now());
                let stood_since = clock::now();
                let fault = watch_over(&mut opening, &mut outdated, &stripe).await;
                shared.note_trouble();
                // With it ends what vouched for copies.
                drop(opening);
                // A connection that ends soon after each attempt is not worth an attempt at once.
                if clock::since(stood_since) >= RECONNECT_DELAY_MAX {
                    backoff.reset();
                    tracing::warn!(address = %shared.target.address, stripe = stripe.index, reason = %fault.message,
                        "Redis connection lost");
                    if !tenure.publish(LinkState::Connecting, Some(shared.connect_timeout)) {
                        return;
                    }
                    continue;
                }
                fault
            }
        };
        shared.note_trouble();
        if down_for.as_ref() != Some(&fault.message) {
            shared.note_down(&fault, stripe.index);
            down_for = Some(fault.message.clone());
        }
        let delay = backoff.next_delay();
        if !tenure.publish(LinkState::Down(fault), Some(delay + shared.connect_timeout)) {
            return;
        }
        tokio::select! {
            () = sleep(delay) => {}
            () = changed(&mut outdated) => backoff.reset(),
        }
    }
}

/// Comes soon after the way to the server has become another one: what may be long in coming back
/// is the server that was there before.
async fn changed(outdated: &mut Outdated) {
    told_by(outdated).await;
    sleep(RECONNECT_DELAY_MIN).await;
}

/// What tells of another server lives on in `outdated` if the attempt fails.
async fn attempt(stripe: &Stripe, outdated: &mut Outdated) -> Result<Opening, Fault> {
    let shared = &stripe.shared;
    timeout(shared.connect_timeout, open(stripe, outdated)).await.unwrap_or_else(|_| {
        let (address, limit) = (&shared.target.address, shared.connect_timeout);
        // Redis answers nothing to a TLS handshake: it waits for the end of a line.
        let hint = match &shared.logins {
            _ if address.is_tls() => ": a port that speaks no TLS is silent, and rediss:// wants one",
            Logins::Provided(_) => ", its wait for the provider of credentials included",
            Logins::Fixed(_) => "",
        };
        Err(Fault::unavailable(format!("{address} did not complete the handshake within {limit:?}{hint}")))
    })
}

async fn open(stripe: &Stripe, outdated: &mut Outdated) -> Result<Opening, Fault> {
    let route = (stripe.shared.dial)().await?;
    *outdated = route.outdated;
    tokio::select! {
        biased;
        opening = greet(stripe, route.stream) => opening,
        fault = told_by(outdated) => Err(fault),
    }
}

/// Why the way is the wrong one. It is told as often as it is asked for.
async fn told_by(outdated: &mut Outdated) -> Fault {
    let fault = outdated.as_mut().await;
    *outdated = Box::pin(ready(fault.clone()));
    fault
}

async fn greet(stripe: &Stripe, stream: StreamDial) -> Result<Opening, Fault> {
    let (shared, stream) = (&stripe.shared, stream.await?);
    let pipeline = Arc::new(Pipeline::default());
    let voucher = stripe.keeps_copies.then(Voucher::of_connection);
    let mut driving: Driving = match &voucher {
        None => {
            let told = stripe.watches.clone();
            Box::pin(Driver::new(pipeline.clone(), stream, move |message: Vec<Reply>| wake(&told, &message)))
        }
        Some(voucher) => {
            let told = Vouching { shared: shared.clone(), voucher: voucher.clone() };
            Box::pin(Driver::new(pipeline.clone(), stream, move |message: Vec<Reply>| told.drop_copies(&message)))
        }
    };
    tokio::spawn(pipeline.clone().keep_deadlines());
    let mut connection = Connection::new(pipeline);
    connection.voucher = voucher;
    let (primary, login) = {
        let mut greeting = std::pin::pin!(handshake(&mut connection, shared));
        tokio::select! {
            biased;
            outcome = &mut greeting => outcome?,
            end = &mut driving => {
                // The connection has ended, but the last reply may be there already.
                driving = Box::pin(ready(end));
                greeting.await?
            }
        }
    };
    Ok(Opening { driving, connection, primary, login })
}

/// Wakes the waits that a push tells of. Runs in the driver, in the order of the stream.
fn wake(watches: &Watches, message: &[Reply]) {
    told(message, |name| match name {
        Some(name) => watches.wake(name),
        None => watches.wake_all(),
    });
}

/// The keys that a push tells of; `None`: all of them may have changed.
fn told(message: &[Reply], tell: impl Fn(Option<&[u8]>)) {
    if message.first().and_then(Reply::text) != Some("invalidate") {
        return;
    }
    match message.get(1) {
        Some(Reply::Array(names)) => {
            for name in names {
                if let Reply::Bulk(name) = name {
                    tell(Some(name));
                }
            }
        }
        _ => tell(None),
    }
}

/// The end of a connection for copies, which is part of its driver. Dropped with the driver, it
/// ends what vouched for the copies.
struct Vouching {
    shared: Arc<Shared>,
    voucher: Arc<Voucher>,
}

impl Vouching {
    /// Drops the copies that a push tells of. Runs in the driver, in the order of the stream.
    fn drop_copies(&self, message: &[Reply]) {
        told(message, |name| {
            if name.is_some() || keeps(ProcessRule::NilPushDropsAll) {
                (self.shared.hooks.on_change)(name);
            }
        });
    }
}

impl Drop for Vouching {
    fn drop(&mut self) {
        // In this order: what becomes a copy before the second step is dropped by it, and later
        // nothing does.
        self.voucher.revoke();
        if keeps(ProcessRule::LossEndsCopies) {
            (self.shared.hooks.on_change)(None);
        }
    }
}

/// Returns when the connection is no good any more, with the reason.
async fn watch_over(opening: &mut Opening, outdated: &mut Outdated, stripe: &Stripe) -> Fault {
    let shared = &stripe.shared;
    let Opening { driving, connection, primary, login } = opening;
    let mut known = shared.primary.subscribe();
    tokio::select! {
        biased;
        end = driving => end,
        fault = told_by(outdated) => fault,
        () = replaced(&mut known, primary) => Fault::unavailable("another Redis primary took over"),
        fault = asking(connection, primary, stripe), if !stripe.keeps_copies => fault,
        fault = vouching(connection, primary, stripe), if stripe.keeps_copies => fault,
        fault = renew(connection, &shared.logins, *login, shared.connect_timeout) => fault,
    }
}

async fn replaced(known: &mut watch::Receiver<Option<Arc<Primary>>>, primary: &Arc<Primary>) {
    if !primary.is_identified() {
        return std::future::pending().await;
    }
    // An error means that the pool is gone, and this task ends with it.
    let _ = known.wait_for(|known| !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, primary))).await;
}

/// Asks again and again whether the server is still there, and still a primary. Returns when it is
/// not. Nothing else would tell: a half-open socket reports nothing, a response timeout leaves the
/// socket in place, and a server that was made a replica goes on answering reads.
async fn asking(connection: &Connection, primary: &Primary, stripe: &Stripe) -> Fault {
    // A call may be given longer than that to be answered, and so is its server.
    let patience = ANSWER_TIMEOUT.max(stripe.shared.operation_deadline);
    let (mut replies, mut heard_at) = (stripe.replies(), clock::now());
    loop {
        probe(connection, &stripe.shared).await;
        sleep(PRIMARY_ASK_INTERVAL).await;
        let now = clock::now();
        if stripe.replies() != replies {
            (replies, heard_at) = (stripe.replies(), now);
        }
        if !primary.is_due(now) && now - heard_at < SILENCE_MAX {
            continue;
        }
        match timeout(patience, primary.ask(connection, None)).await {
            Ok(Err(fault)) if fault.wants_another_server => return fault,
            Ok(_) => heard_at = clock::now(),
            Err(_) if stripe.replies() == replies => return Fault::unavailable("Redis does not answer"),
            Err(_) => {}
        }
    }
}

/// Asks so often that there is always an answer to vouch for the copies, and at once after a change
/// of this process. Returns when the connection is no good any more.
async fn vouching(connection: &Connection, primary: &Primary, stripe: &Stripe) -> Fault {
    let Some(voucher) = &connection.voucher else { return asking(connection, primary, stripe).await };
    let patience = ANSWER_TIMEOUT.max(stripe.shared.operation_deadline);
    loop {
        // Whatever is doubted from here on waits for the next question.
        let asked_at = clock::now();
        let asked = async { tokio::join!(primary.ask(connection, None), serving(connection, &stripe.shared)) };
        match timeout(patience, asked).await {
            // What is in a slot that another node serves changes there, and this one tells nothing.
            Ok((_, Err(fault))) if fault.misrouting.is_some() => return fault,
            Ok((Ok(()), Ok(()))) => {
                let begins = keeps(ProcessRule::TrustBeginsWithTheQuestion);
                voucher.answered(if begins { asked_at } else { clock::now() });
            }
            Ok((Err(fault), _)) if fault.wants_another_server || fault.connection_lost => return fault,
            Ok(_) => {}
            Err(_) => return Fault::unavailable("Redis does not answer"),
        }
        let _ = timeout_at(asked_at + NEAR_ASK_INTERVAL, stripe.doubts.notified()).await;
    }
}

/// Asks a node of a cluster whether it serves its slots, or what is left of them.
async fn serving(connection: &Connection, shared: &Shared) -> Result<(), Fault> {
    let probes = shared.probes();
    for answer in all(probes.iter().map(|probe| connection.send(probe, None))).await {
        match answer {
            Err(fault) if !fault.is_of_a_move() => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// Asks the store while the breaker is open, in place of a caller. A process that is out of service
/// until the store is back has no callers.
async fn probe(connection: &Connection, shared: &Shared) {
    if !shared.breaker.is_open() {
        return;
    }
    let Ok(permit) = shared.breaker.admit(clock::now()) else { return };
    // Waits no longer than a caller would: a server that is slower is of no use.
    match timeout(shared.operation_deadline.min(ANSWER_TIMEOUT), connection.send(&Hello::question(), None)).await {
        Ok(outcome) if !outcome.as_ref().is_err_and(Fault::is_failure_of_the_store) => permit.succeeded(),
        _ => permit.failed(clock::now()),
    }
}
