use cache_core::invalidates;

#[invalidates(tags = ["flight"])]
fn set(id: u64) -> u64 {
    id
}

fn main() {}
