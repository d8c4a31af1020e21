use std::collections::HashMap;

use cache_core::cached;

type Flights = HashMap<u64, String>;

#[cached(prefix = "flight", ttl = "60s", each = ids)]
async fn get_flights(ids: &[u64]) -> Result<Flights, String> {
    Ok(ids.iter().map(|id| (*id, String::new())).collect())
}

fn main() {}
