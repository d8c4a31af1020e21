use cache_core::cached;

#[cached(ttl = "60s", stale_if_error = "10m", load_timeout = "200ms", skip(db))]
async fn get(db: &mut Vec<u64>, id: u64) -> Result<u64, String> {
    db.push(id);
    Ok(id)
}

fn main() {}
