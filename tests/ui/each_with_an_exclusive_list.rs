use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids)]
async fn get_flights(ids: &mut [u64]) -> Result<HashMap<u64, String>, String> {
    Ok(ids.iter().map(|id| (*id, String::new())).collect())
}

fn main() {}
