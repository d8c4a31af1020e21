//! The exclusive right to load a key: renewed while its owner loads, given back whatever becomes of the owner.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::cache::Inner;
use crate::clock::within;
use crate::config::BATCH_WINDOW;
use crate::store::Token;
use crate::window::{self, Boxed};

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

/// Renews the leases of one batch, until dropped.
pub(crate) struct Renewal(Option<AbortHandle>);

impl Renewal {
    /// As [`Lease::keep_alive`] does, by one task for all.
    pub(crate) fn of_all<'a>(inner: &Arc<Inner>, leases: impl Iterator<Item = &'a Lease>) -> Self {
        let leases: Vec<(Arc<str>, Token)> = leases.map(|lease| (lease.key.clone(), lease.token)).collect();
        let runtime = Handle::try_current().ok().filter(|_| !leases.is_empty());
        Self(runtime.map(|runtime| {
            let renewals = renew_all(inner.clone(), leases);
            let bounded = tokio::time::timeout(inner.config.fence_retention, renewals);
            runtime.spawn(async { _ = bounded.await }).abort_handle()
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn renew_all(inner: Arc<Inner>, mut leases: Vec<(Arc<str>, Token)>) {
    let Ok(store) = inner.store() else { return };
    while !leases.is_empty() {
        tokio::time::sleep(inner.config.lease / 3).await;
        let mut lost = HashSet::new();
        let renewals = leases.iter().map(|(key, token)| -> Boxed<'_, Option<u128>> {
            let renewal = store.renew_lease(key, *token, inner.config.lease);
            Box::pin(async {
                matches!(within(inner.config.operation_deadline, renewal).await, Ok(false)).then_some(token.0)
            })
        });
        window::run(renewals, BATCH_WINDOW, |ended| {
            lost.extend(ended);
            ControlFlow::Continue(())
        })
        .await;
        leases.retain(|(_, token)| !lost.contains(&token.0));
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
