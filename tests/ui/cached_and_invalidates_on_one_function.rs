use cache_core::{cached, invalidates};

#[cached(ttl = "60s")]
#[invalidates(tags = ["flight"])]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}
