//! Reads of which copies are kept, and who is told of changes.

use std::sync::Arc;

use bytes::Bytes;

use super::connect::reply_code;
use super::resp::Command;
use super::{RedisStore, reply};
use crate::clock::Instant;
use crate::error::Error;
use crate::store::Voucher;

pub(super) async fn get(
    store: &RedisStore,
    key: &str,
    until: Instant,
) -> Result<(Option<Bytes>, Option<Arc<Voucher>>), Error> {
    let get = Command::new("GET").joined(store.layout.value_parts(key));
    let (value, voucher) = match store.pool.read_to_copy(store.stripe(key), get, until).await {
        // As of a read without a copy.
        Err(error) if reply_code(&error) == Some("WRONGTYPE") => (Some(Bytes::new()), None),
        answer => {
            let (reply, voucher) = answer?;
            (reply::value(reply)?, voucher)
        }
    };
    store.large.note(key, value.as_ref().map_or(0, Bytes::len));
    Ok((value, voucher))
}
