use std::sync::Arc;

use cache_core::{Cache, cached, invalidates, write_through};

struct App {
    cache: Cache,
}

#[cached(ttl = "60s", context = app)]
async fn get_flight(app: &App, id: u64) -> u64 {
    let _ = app;
    id
}

#[cached(ttl = "60s", context = app, depends_on = [get_flight(id)])]
async fn get_airport(app: Arc<App>, id: u64) -> u64 {
    let _ = app;
    id
}

#[invalidates(keys = [get_flight(id)], context = app)]
async fn delay(app: &App, id: u64) {
    let _ = (app, id);
}

#[write_through(get_flight(id), context = app)]
async fn write_flight(app: App, id: u64) -> u64 {
    let _ = app;
    id
}

fn main() {}
