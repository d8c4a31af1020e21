use cache_core::{Cache, CacheContext};

#[derive(CacheContext)]
struct App {
    near: Cache,
    far: Cache,
}

#[derive(CacheContext)]
struct Marked(#[cache] Cache, #[cache] Cache);

fn main() {}
