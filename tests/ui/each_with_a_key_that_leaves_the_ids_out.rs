use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids, key = "{airline}")]
async fn get_flights(airline: &str, ids: &[u64]) -> Result<HashMap<u64, String>, String> {
    Ok(ids.iter().map(|id| (*id, airline.to_owned())).collect())
}

fn main() {}
