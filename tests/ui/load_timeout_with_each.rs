use std::collections::HashMap;

use cache_core::cached;

#[cached(ttl = "60s", each = ids, load_timeout = "200ms", stale_if_error = "10m")]
async fn get(ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

fn main() {}
