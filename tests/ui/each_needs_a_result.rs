use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids)]
async fn get_flights(ids: &[u64]) -> HashMap<u64, String> {
    ids.iter().map(|id| (*id, String::new())).collect()
}

fn main() {}
