//! What the calls of one process share: starts no load and sends nothing.

pub(crate) mod budget;
pub(crate) mod debts;
pub(crate) mod feed;
mod identity;
mod load_tasks;
pub(crate) mod near;
mod owners;
pub(crate) mod provenance;
pub(crate) mod quota;
mod refreshes;
mod remembered;
mod runtime;
mod schedules;
pub(crate) mod scoped;
pub(crate) mod single_flight;
pub(crate) mod tenants;
pub(crate) mod trace;
mod turn;
mod verifications;

pub(crate) use identity::new_id;
pub(crate) use owners::Clash;
pub(crate) use refreshes::Reservation;
pub(crate) use runtime::{Handle, Runtime};
pub(crate) use schedules::Term;
pub use turn::Turn;
