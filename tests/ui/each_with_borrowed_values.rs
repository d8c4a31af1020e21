use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids)]
async fn get_flights(ids: &[u64]) -> Result<HashMap<u64, &'static str>, String> {
    Ok(ids.iter().map(|id| (*id, "late")).collect())
}

fn main() {}
