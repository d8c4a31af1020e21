use cache_core::cached;

struct Repo;

impl Repo {
    #[cached(ttl = "60s", skip(self), companion = GetFlight)]
    async fn get(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
