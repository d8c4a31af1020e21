use cache_core::{Cache, CacheContext};

#[derive(CacheContext)]
enum App {
    Live(Cache),
    Test(Cache),
}

#[derive(CacheContext)]
#[cache_context(krate = cache_core)]
struct Misspelt(Cache);

fn main() {}
