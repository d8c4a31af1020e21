use cache_core::invalidates;

#[invalidates(tag = ["flight"])]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
