use cache_core::cached;

#[cached(ttl = "60s", stale_if_error = "soon")]
async fn unparsable(id: u64) -> Result<u64, ()> {
    Ok(id)
}

#[cached(ttl = "60s", stale_while_revalidate = "-30s")]
async fn negative(id: u64) -> u64 {
    id
}

#[cached(ttl = "60s", stale_while_revalidate = -30)]
async fn negative_number(id: u64) -> u64 {
    id
}

fn main() {}
