use cache_core::cached;

#[cached(prefix = "row", ttl = "60s", near = "5m")]
async fn row(id: u64) -> u64 {
    id
}

fn main() {}
