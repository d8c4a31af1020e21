use cache_core::cached;

#[cached(ttl = "60s", finish)]
async fn get(id: Option<&str>) -> usize {
    id.map_or(0, str::len)
}

fn main() {}
