use cache_core::cached;

struct Repo;

trait Get {
    async fn get(&self, id: u64) -> u64;
}

impl Get for Repo {
    #[cached(ttl = "60s", stale_while_revalidate = "30s", companion = none, skip(self))]
    async fn get(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
