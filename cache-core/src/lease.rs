//! The exclusive right to load a key: renewed while its owner loads, given back whatever becomes of the owner.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::cache::Inner;
use crate::clock::within;
use crate::store::Token;

/// A lease that was asked for. Dropped, it is given back in the background: the answer may be lost, and a token that holds
/// nothing gives nothing back.
pub(crate) struct Lease {
    inner: Arc<Inner>,
    key: Arc<str>,
    pub(crate) token: Token,
    renewal: Option<AbortHandle>,
    owed: bool,
}

impl Lease {
    pub(crate) fn new(inner: &Arc<Inner>, key: &Arc<str>) -> Self {
        Self { inner: inner.clone(), key: key.clone(), token: Token::new(), renewal: None, owed: true }
    }

    /// Renews the lease at a third of its time until [`end_renewal`](Self::end_renewal), for at most as long as a load may
    /// take that still fills. Without a runtime it simply runs out.
    pub(crate) fn keep_alive(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let renewals = renew(self.inner.clone(), self.key.clone(), self.token);
        let bounded = tokio::time::timeout(self.inner.config.fence_retention, renewals);
        self.renewal = Some(runtime.spawn(async { _ = bounded.await }).abort_handle());
    }

    pub(crate) fn end_renewal(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
    }

    /// Nothing has to be given back: a fill does it, or the lease is somebody else's.
    pub(crate) fn forget(&mut self) {
        self.owed = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end_renewal();
        if self.owed {
            release(self.inner.clone(), self.key.clone(), self.token);
        }
    }
}

async fn renew(inner: Arc<Inner>, key: Arc<str>, token: Token) {
    let lease = inner.config.lease;
    loop {
        tokio::time::sleep(lease / 3).await;
        let Ok(store) = inner.store() else { return };
        // A failure is not the end of it: the next attempt comes before the lease runs out.
        if let Ok(false) = within(inner.config.operation_deadline, store.renew_lease(&key, token, lease)).await {
            return;
        }
    }
}

fn release(inner: Arc<Inner>, key: Arc<str>, token: Token) {
    let mut release: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        if let Ok(store) = inner.store() {
            let limit: Duration = inner.config.operation_deadline;
            // It runs out by itself if this fails.
            _ = within(limit, store.release_lease(&key, token)).await;
        }
    });
    // The embedded store answers at once: the next call of this task must not meet the lease.
    if release.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(release);
    }
}
