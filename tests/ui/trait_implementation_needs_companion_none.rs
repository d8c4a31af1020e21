use cache_core::cached;

trait Flights {
    async fn get(&self, id: u64) -> u64;
}

struct Repo;

impl Flights for Repo {
    #[cached(ttl = "60s", skip(self))]
    async fn get(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
