use cache_core::{Cache, CacheContext, cached, invalidates, write_through};

#[derive(CacheContext)]
struct App {
    cache: Cache,
}

#[derive(CacheContext)]
struct Admin {
    cache: Cache,
}

#[cached(ttl = "60s", context = app)]
async fn get_flight(app: &App, id: u64) -> u64 {
    id
}

#[cached(ttl = "60s")]
async fn get_airport(id: u64) -> u64 {
    id
}

#[invalidates(keys = [get_flight(id)], context = admin)]
async fn delay(admin: &Admin, id: u64) {}

#[invalidates(keys = [get_airport(id)], context = app)]
async fn close(app: &App, id: u64) {}

#[cached(ttl = "60s", context = admin, depends_on = [get_flight(id)])]
async fn get_delay(admin: &Admin, id: u64) -> u64 {
    id
}

#[write_through(get_flight(id), context = admin)]
async fn write_flight(admin: &Admin, id: u64) -> u64 {
    id
}

fn main() {}
