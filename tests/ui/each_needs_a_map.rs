use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", each = ids)]
async fn get_flights(ids: &[u64]) -> Result<Vec<String>, String> {
    Ok(ids.iter().map(|_| String::new()).collect())
}

fn main() {}
