//! How a payload is written, packed and sealed: knows nothing of entries, keys and stores.

mod compression;
mod format;
mod seal;
mod storage;

pub use compression::Compression;
pub(crate) use compression::Inflation;
pub(crate) use format::JSON;
#[cfg(feature = "codec")]
pub use format::{Codec, CodecId, TakeDecoded};
pub use format::{CodecError, Format};
pub use seal::{OpenError, Seal, SealedValue};
pub(crate) use storage::Storage;
