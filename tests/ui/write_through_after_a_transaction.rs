use cache_core::{Invalidation, cached, write_through};

#[cached(prefix = "flight", ttl = "60s")]
async fn get_flight(id: u64) -> u64 {
    id
}

#[write_through(get_flight(id), after = tx)]
async fn set_flight(tx: &mut Invalidation, id: u64) -> u64 {
    let _ = tx;
    id
}

fn main() {}
