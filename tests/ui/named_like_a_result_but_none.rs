use cache_core::cached;

#[derive(serde::Serialize, serde::Deserialize)]
struct SearchResult<T>(T);

#[cached(ttl = "60s")]
async fn get(id: u64) -> SearchResult<u64> {
    SearchResult(id)
}

fn main() {}
