use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "row", ttl = "60s", each = ids, near = "5s")]
async fn rows(ids: &[u64]) -> Result<HashMap<u64, String>, String> {
    Ok(ids.iter().map(|id| (*id, String::new())).collect())
}

fn main() {}
