use cache_core::cached;

#[cached(ttl = "60s", stale_if_error = "10m", load_timeout = "0ms")]
async fn get(id: u64) -> Result<u64, String> {
    Ok(id)
}

fn main() {}
