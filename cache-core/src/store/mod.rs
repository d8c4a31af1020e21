//! Where entries live; one method is one round trip: knows nothing of types, freshness, flights and functions.

#[cfg(test)]
mod conformance;
mod deadline;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod store;
mod watches;

pub(crate) use deadline::within;
#[cfg(feature = "redis")]
pub(crate) use store::StoreHealth;
pub(crate) use store::{
    ClockReading, Drained, Fill, FillReply, IfPresent, LeaseReply, Recall, Refusal, Store, StoreFuture, SweepReply,
    SweepScope, Token, Written,
};
#[cfg(any(feature = "redis", test))]
pub(crate) use watches::Watches;
pub(crate) use watches::{Change, Watch};
