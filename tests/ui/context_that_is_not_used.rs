use std::sync::Arc;

use cache_core::{Cache, CacheContext, cached, invalidates, write_through};

#[derive(Clone, CacheContext)]
struct App {
    cache: Cache,
}

#[cached(ttl = "60s", skip(app))]
async fn get_flight(app: &App, id: u64) -> u64 {
    let _ = app;
    id
}

#[cached(ttl = "60s", skip(app), stale_while_revalidate = "60s")]
async fn get_airport(app: Arc<App>, id: u64) -> u64 {
    let _ = app;
    id
}

#[cached(ttl = "60s")]
async fn get_plane(id: u64) -> u64 {
    id
}

#[invalidates(tags = ["flights"])]
async fn delay(app: &App) {
    let _ = app;
}

#[write_through(get_plane(id))]
async fn write_plane(app: &App, id: u64) -> u64 {
    let _ = app;
    id
}

impl App {
    #[invalidates(tags = ["flights"])]
    async fn cancel(&self) {
        let _ = self;
    }
}

fn main() {}
