use cache_core::invalidates;

#[invalidates(tags = ["flight"], when = err)]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
