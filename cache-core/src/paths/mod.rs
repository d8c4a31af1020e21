//! Ways through the cache, bytes in and bytes out: no type of a user's, and nothing of Redis.

pub(crate) mod closing;
mod comparison;
mod drive;
mod ending;
pub(crate) mod explain;
pub(crate) mod invalidate;
pub(crate) mod lease;
pub(crate) mod listing;
pub(crate) mod load;
mod panics;
pub(crate) mod preview;
mod quota;
pub(crate) mod read;
pub(crate) mod recovery;
pub(crate) mod refresh;
pub(crate) mod stamp;
pub(crate) mod subject;
pub(crate) mod trail;
pub(crate) mod verify;
pub(crate) mod wait;
pub(crate) mod window;
pub(crate) mod write_through;
