//! From a read to a copy in this process.

use std::sync::Arc;
use std::time::Duration;

use crate::entry::Entry;
use crate::key::NearPlace;
use crate::paths::subject::Subject;
use crate::runtime::near::{Lifespan, NewCopy, Placeholder};
use crate::store::Voucher;

/// The right to keep a copy of what was read.
pub(crate) struct CopyRight {
    placeholder: Placeholder,
    voucher: Arc<Voucher>,
}

impl CopyRight {
    pub(super) fn new(placeholder: Placeholder, voucher: Arc<Voucher>) -> Self {
        Self { placeholder, voucher }
    }

    /// Keeps a copy of the value of `entry` for this long, and no longer than the entry is fresh.
    pub(crate) fn keep<T: Send + Sync + 'static>(
        self,
        subject: &Subject,
        entry: &Entry,
        place: &NearPlace,
        lifespan: Lifespan,
        value: T,
    ) {
        let Self { placeholder, voucher } = self;
        let fresh_ms = entry.header().soft_expires_at_ms.saturating_sub(subject.runtime.wall_ms());
        placeholder.keep(NewCopy {
            place,
            lifespan: lifespan.at_most(Duration::from_millis(fresh_ms)),
            bytes: entry.size(),
            voucher,
            counters: subject.counters.clone(),
            value,
        });
    }
}
