use std::collections::HashMap;

use cache_core::cached;

#[cached(ttl = "60s", each = ids, stale_while_revalidate = "30s", stale_if_error = "10m", early_refresh)]
async fn get(ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

#[cached(each = ids, adaptive_ttl = "10s..1h")]
async fn adapt(ids: &[u64]) -> Result<HashMap<u64, u64>, String> {
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

fn main() {}
