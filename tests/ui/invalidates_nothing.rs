use cache_core::invalidates;

#[invalidates]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
