use cache_core::cached;

#[cached(tll = "60s")]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}
