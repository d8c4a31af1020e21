#![doc = include_str!("../README.md")]

mod commit;
mod dialect;
mod error;
pub mod limits;
mod outbox;
mod transaction;

pub use commit::Committed;
pub use dialect::Dialect;
pub use error::{Error, ErrorKind};
pub use outbox::{Outbox, Relayed};
pub use transaction::{Transaction, Transactions};
