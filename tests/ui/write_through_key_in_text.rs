use cache_core::write_through;

#[write_through("flight:{id}")]
async fn set(id: u64) -> u64 {
    id
}

fn main() {}
