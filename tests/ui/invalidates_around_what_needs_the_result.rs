use cache_core::invalidates;

#[invalidates(tags = ["state:{result}"], around)]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
