//! What both layers are told of what may be kept.

use cache_core::Cache;

use crate::limits::BODY_BYTES_MAX;

/// The settings that both layers have.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    pub(crate) cache: Cache,
    pub(crate) keeps_authorized: bool,
    pub(crate) body_bytes_max: usize,
}

impl Keeping {
    pub(crate) fn of(cache: &Cache) -> Self {
        Self { cache: cache.clone(), keeps_authorized: false, body_bytes_max: BODY_BYTES_MAX }
    }
}

/// The setters of a layer for them, each with what it means there.
macro_rules! keeping_setters {
    ($(#[$authorized:meta])* keep_authorized; $(#[$bytes:meta])* body_bytes_max;) => {
        $(#[$authorized])*
        #[must_use]
        pub fn keep_authorized(self) -> Self {
            self.with(|settings| settings.keeping.keeps_authorized = true)
        }

        $(#[$bytes])*
        #[must_use]
        pub fn body_bytes_max(self, body_bytes_max: usize) -> Self {
            self.with(|settings| settings.keeping.body_bytes_max = body_bytes_max)
        }
    };
}
pub(crate) use keeping_setters;
