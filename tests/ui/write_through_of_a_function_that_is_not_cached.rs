use cache_core::write_through;

async fn get(id: u64) -> u64 {
    id
}

#[write_through(get(id))]
async fn set(id: u64) -> u64 {
    get(id).await
}

fn main() {}
