use cache_core::{Cache, cached};

struct App {
    cache: Cache,
}

#[cached(ttl = "60s", context = app.cache)]
async fn get_flight(app: &App, id: u64) -> u64 {
    id
}

fn main() {}
