use cache_core::invalidates;

#[invalidates(tags = ["flight"], around = true)]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
