//! How a pool comes to its server: at an address that stands in the URL, or where sentinels say.

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::credentials::Credentials;
use super::dial::{Dialer, Transport, unix};
use super::fault::Fault;
use super::host_port::HostPort;
use super::sentinel::Sentinels;
use super::url::{Address, ServerUrl};

/// Finds the way to the server. It is a function, so that tests can bring streams of their own.
pub(super) type Dial = Box<dyn Fn() -> Dialing + Send + Sync>;
pub(super) type Dialing = Pin<Box<dyn Future<Output = Result<Route, Fault>> + Send>>;

/// The way to the server.
pub(super) struct Route {
    /// Opens a byte stream.
    pub(super) stream: StreamDial,
    /// Counts from the moment at which the way was found, whether a stream is opened or not.
    pub(super) outdated: Outdated,
}

pub(super) type StreamDial = Pin<Box<dyn Future<Output = Result<Box<dyn Transport>, Fault>> + Send>>;

/// Comes when a way leads to the wrong server, with the reason.
pub(super) type Outdated = Pin<Box<dyn Future<Output = Fault> + Send>>;

/// Of a way that stays the right one.
pub(super) fn never() -> Outdated {
    Box::pin(pending())
}

impl Route {
    /// To the only server that there is.
    pub(super) fn fixed(stream: Box<dyn Transport>) -> Self {
        Self { stream: Box::pin(ready(Ok(stream))), outdated: never() }
    }
}

/// Opens a byte stream to a node of a cluster.
pub(super) type DialNode = Arc<dyn Fn(HostPort) -> Dialing + Send + Sync>;

/// How the streams of a URL are opened.
pub(super) enum Dials {
    /// To one server, wherever that is.
    Server(Dial),
    /// To the nodes of a cluster, of which these are told.
    Nodes { seeds: Vec<HostPort>, dial: DialNode },
}

/// Opens connections to what the URL says. `patience`: how long opening one may take.
///
/// # Errors
/// `Config`: TLS that cannot be as it is asked for.
pub(super) fn to(target: &ServerUrl, access: &Access, patience: Duration) -> Result<Dials, Fault> {
    let dialer = Dialer::new(target, access)?;
    Ok(Dials::Server(match target.address.clone() {
        Address::Tcp { place, .. } => Box::new(move || {
            let (dialer, place) = (dialer.clone(), place.clone());
            Box::pin(async move { Ok(Route::fixed(dialer.open(&place).await?)) })
        }),
        Address::Unix(path) => Box::new(move || {
            let path = path.clone();
            Box::pin(async move { Ok(Route::fixed(unix(&path).await?)) })
        }),
        Address::Sentinel { sentinels, primary, .. } => {
            let (user, password) = &target.sentinel_login;
            let login = Credentials::in_url(user.as_ref(), password.as_ref());
            let sentinels = Arc::new(Sentinels::new(sentinels, primary, login, dialer.clone(), patience));
            Box::new(move || {
                let (dialer, sentinels) = (dialer.clone(), sentinels.clone());
                Box::pin(async move {
                    let sighting = sentinels.find().await?;
                    let place = sighting.place().clone();
                    let stream = Box::pin(async move { dialer.open(&place).await });
                    Ok(Route { stream, outdated: Box::pin(sentinels.watch(sighting)) })
                })
            })
        }
        Address::Cluster { seeds, .. } => {
            let dial = Arc::new(move |place: HostPort| -> Dialing {
                let dialer = dialer.clone();
                Box::pin(async move { Ok(Route::fixed(dialer.open(&place).await?)) })
            });
            return Ok(Dials::Nodes { seeds, dial });
        }
    }))
}
