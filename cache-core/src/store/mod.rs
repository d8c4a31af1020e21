//! Where entries live, a round trip or a few a method: nothing of types, flights and functions.

mod agenda;
mod backoff;
mod breaker;
mod catalogue;
mod closing;
#[cfg(test)]
mod conformance;
mod copies;
mod facts;
mod fence_trail;
mod known_clocks;
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
mod script;
mod scripted;
mod store;
mod tour;
mod visit;
mod watches;

pub(crate) use catalogue::{Catalogue, CataloguePage};
pub(crate) use closing::{ClosingId, too_many_closed};
pub(crate) use copies::{CopyKeeper, CopyKeepers, Remains, Voucher};
pub(crate) use facts::{KeyFacts, LeaseFacts, NameFacts};
use fence_trail::TrailPage;
pub(crate) use fence_trail::{FenceTrail, TrailPosition};
pub(crate) use known_clocks::KnownClocks;
pub(crate) use operation::Operation;
pub(crate) use partition::Partitions;
use partition::place_of;
#[cfg(feature = "redis")]
pub(crate) use partition::{crc16, crc16_next};
pub use place::StoreKey;
pub(crate) use preview::{Look, Sight};
pub(crate) use removal::Removal;
pub(crate) use scheme::Scheme;
pub(crate) use scope::SweepScope;
pub use script::{StoreGate, StoreRequest, StoreScript};
pub(crate) use scripted::ScriptedStore;
#[cfg(feature = "redis")]
pub(crate) use store::LossListener;
pub(crate) use store::{
    ClockReading, Fill, FillReply, IfHeld, IfPresent, LeaseReply, LeaseRequest, Recall, Refusal, Store, StoreFuture,
    StoreHealth, StoreLoss, SweepReply, Token, WriteReply,
};
pub(crate) use visit::{
    Chunk, Encounter, FollowedMark, HomeReading, Intent, MetMark, StoppingPlace, UnvisitedName, VisitReply,
};
#[cfg(any(feature = "redis", test))]
pub(crate) use watches::Watches;
pub(crate) use watches::{Change, Watch};

/// The names that `CACHE_ABLATE` may have: rules of the processes, and those of a store.
#[cfg(cache_ablation)]
pub fn rules_of(is_embedded: bool) -> std::collections::BTreeSet<&'static str> {
    let of_store: Vec<_> = if is_embedded { rules::NAMES.to_vec() } else { redis::rules() };
    crate::ablation::OF_PROCESSES.iter().copied().chain(of_store).collect()
}

/// Far enough for any answer that a test waits for.
#[cfg(test)]
pub(crate) fn far() -> crate::clock::Instant {
    crate::clock::now() + std::time::Duration::from_secs(3_600)
}
