//! One call of a user's function, a value in and a value out: no leases, flights or stores.

mod call;
mod coding;
mod copying;
mod finish;
mod invalidating;
mod many;
mod observing;
mod payload;
mod refreshing;
mod sampling;
mod start;
mod writing;

pub use call::{Call, Load, Refresh, Step};
pub(crate) use call::{get_or_load, peek};
pub use coding::Coding;
pub use copying::Copying;
pub use finish::Handover;
pub use invalidating::{Invalidating, Mode};
pub use many::{BatchMap, ManyCall, ManyLoad, ManyStep, Mapping, fill_many, lookup_many};
pub use refreshing::refresh;
pub use sampling::Sampling;
pub use start::{Home, Start};
pub use writing::Writing;

pub use crate::paths::load::finish::Finish;
pub(crate) use writing::{put, writing};
