//! What the calls of one process share: starts no load and sends nothing.

pub(crate) mod budget;
pub(crate) mod provenance;
pub(crate) mod single_flight;
