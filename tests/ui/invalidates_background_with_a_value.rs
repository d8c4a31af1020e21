use cache_core::invalidates;

#[invalidates(tags = ["flight"], background = true)]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
