use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids)]
async fn get_flights(ids: u64) -> Result<HashMap<u64, String>, String> {
    Ok(HashMap::from([(ids, String::new())]))
}

fn main() {}
