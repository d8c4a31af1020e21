use cache_core::cached;

#[cached(early_refresh)]
async fn get(id: u64) -> u64 {
    id
}

fn main() {}
