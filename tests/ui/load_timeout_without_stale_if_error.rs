use cache_core::cached;

#[cached(ttl = "60s", load_timeout = "200ms")]
async fn get(id: u64) -> Result<u64, String> {
    Ok(id)
}

fn main() {}
