use cache_core::invalidates;

#[invalidates(keys = ["flight:{id}"], patterns = ["board:*"], around)]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
