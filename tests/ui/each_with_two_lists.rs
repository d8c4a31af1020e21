use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids, each = days)]
async fn get_flights(ids: &[u64], days: &[u32]) -> Result<HashMap<u64, String>, String> {
    Ok(ids.iter().map(|id| (*id, days.len().to_string())).collect())
}

fn main() {}
