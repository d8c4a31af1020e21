//! A user's value on its way to the store.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::Compression;
use crate::entry::codec::{self, Encoding, Loss};
use crate::observe::NotStored;
use crate::paths::subject::Subject;

/// The bytes of `value`, which is a `T`. Now and then it is proved that the bytes bring the value
/// back. No part of it lives across an await: a `T` need not be `Send`.
pub(super) fn encode<T: Serialize + DeserializeOwned>(
    subject: &Subject,
    value: &impl Serialize,
) -> Result<Encoding, NotStored> {
    let (format, config) = (subject.format(), &subject.runtime.config);
    let encoded = codec::encode_as::<T>(value, format).map_err(|_| NotStored::Unencodable)?;
    // What is compressed later may be larger now, but never than what a reader would take.
    let inflated_bytes_max = if subject.compression() == Compression::None { 0 } else { config.inflated_bytes_max };
    let bytes_max = config.value_bytes_max.max(inflated_bytes_max);
    let is_wanted = match &encoded {
        Encoding::Value(payload) if payload.len() > bytes_max => return Err(NotStored::TooLarge),
        Encoding::Value(_) => true,
        Encoding::None => subject.policy.negative_ttl.is_some(),
        Encoding::Err => false,
    };
    let trust = &subject.counters.trust;
    if is_wanted && trust.tries::<T>() {
        codec::check::<T>(value, &encoded, format).map_err(|loss| {
            trust.suspect::<T>();
            match loss {
                Loss::Undecodable => NotStored::Undecodable,
                Loss::Changed => NotStored::Changed,
            }
        })?;
    }
    Ok(encoded)
}
