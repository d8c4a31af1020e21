use cache_core::{Cacheable, cached};
use serde::{Deserialize, Serialize};

#[cached(ttl = "60s", compress = "zstd")]
async fn get(id: u64) -> u64 {
    id
}

#[derive(Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "60s", compress = "zstd")]
struct Row(u64);

fn main() {}
