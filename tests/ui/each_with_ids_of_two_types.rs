use std::collections::HashMap;

use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids)]
async fn get_flights(ids: &[&str]) -> Result<HashMap<String, String>, String> {
    Ok(ids.iter().map(|id| (id.to_string(), String::new())).collect())
}

fn main() {}
