//! Where entries live, a method a round trip: nothing of types, freshness, flights and functions.

mod catalogue;
mod closing;
#[cfg(test)]
mod conformance;
mod copies;
mod facts;
mod fence_trail;
pub(crate) mod memory;
mod operation;
mod partition;
mod place;
mod preview;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod removal;
mod rules;
mod scheme;
mod scope;
mod store;
mod watches;

pub(crate) use catalogue::{Catalogue, CataloguePage};
pub(crate) use closing::{ClosingId, too_many_closed};
pub(crate) use copies::{CopyKeeper, CopyKeepers, Remains, Voucher};
pub(crate) use facts::{KeyFacts, LeaseFacts, NameFacts};
pub(crate) use fence_trail::{TrailPage, TrailPosition};
pub(crate) use operation::{Intent, Operation};
#[cfg(feature = "redis")]
pub(crate) use partition::{crc16, crc16_next};
pub use place::StoreKey;
pub(crate) use preview::{Look, Sight};
pub(crate) use removal::Removal;
pub(crate) use scheme::Scheme;
pub(crate) use scope::SweepScope;
#[cfg(feature = "redis")]
pub(crate) use store::LossListener;
#[cfg(any(feature = "redis", test))]
pub(crate) use store::StoreHealth;
pub(crate) use store::{
    ClockReading, Fill, FillReply, IfHeld, IfPresent, LeaseReply, LeaseRequest, Recall, Refusal, Store, StoreFuture,
    StoreLoss, SweepReply, Token, WriteReply,
};
#[cfg(any(feature = "redis", test))]
pub(crate) use watches::Watches;
pub(crate) use watches::{Change, Watch};

/// Far enough for any answer that a test waits for.
#[cfg(test)]
pub(crate) fn far() -> crate::clock::Instant {
    crate::clock::now() + std::time::Duration::from_secs(3_600)
}
