#![doc = include_str!("../README.md")]
// On docs.rs each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod commit;
mod dialect;
mod error;
pub mod limits;
#[cfg(feature = "postgres")]
mod listener;
mod outbox;
mod transaction;
#[cfg(feature = "postgres")]
mod triggers;

pub use commit::Committed;
pub use dialect::Dialect;
pub use error::{Error, ErrorKind};
pub use outbox::{Outbox, Relayed};
pub use transaction::{Transaction, Transactions};
#[cfg(feature = "postgres")]
pub use triggers::Triggers;
