use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids, verify)]
async fn flights(ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

fn main() {}
