use cache_core::{Cache, CacheContext, cached, invalidates, write_through};

#[derive(CacheContext)]
struct App {
    cache: Cache,
}

#[cached(ttl = "60s", context = app)]
async fn get_flight(app: &App, id: u64) -> u64 {
    id
}

#[invalidates(keys = [get_flight(id)])]
async fn delay(id: u64) {}

#[cached(ttl = "60s", depends_on = [get_flight(id)])]
async fn get_delay(id: u64) -> u64 {
    id
}

#[write_through(get_flight(id))]
async fn write_flight(id: u64) -> u64 {
    id
}

fn main() {}
