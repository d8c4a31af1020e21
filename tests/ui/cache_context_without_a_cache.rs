use cache_core::CacheContext;

#[derive(CacheContext)]
struct App {
    cached: u64,
}

#[derive(CacheContext)]
struct Marked {
    #[cache]
    cached: u64,
}

fn main() {}
