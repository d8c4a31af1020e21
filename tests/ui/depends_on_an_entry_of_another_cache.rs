use cache_core::{Cache, cached};

#[cached(ttl = "60s", skip(cache), cache = cache)]
async fn airport(cache: &Cache, id: u64) -> u64 {
    let _ = cache;
    id
}

#[cached(ttl = "60s", depends_on = [airport(id)])]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}
