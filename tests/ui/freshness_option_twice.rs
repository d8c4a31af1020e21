use cache_core::cached;

#[cached(ttl = "60s", stale_if_error = "30s", early_refresh, stale_if_error = "10m", early_refresh = 2.0)]
async fn get(id: u64) -> Result<u64, ()> {
    Ok(id)
}

fn main() {}
