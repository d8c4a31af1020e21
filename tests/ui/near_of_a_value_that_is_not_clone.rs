use cache_core::cached;

#[derive(serde::Serialize, serde::Deserialize)]
struct Row(u64);

#[cached(prefix = "row", ttl = "60s", near = "5s")]
async fn row(id: u64) -> Row {
    Row(id)
}

fn main() {}
