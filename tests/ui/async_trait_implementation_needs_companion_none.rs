use cache_core::cached;

#[async_trait::async_trait]
trait Flights {
    async fn get(&self, id: u64) -> u64;
}

struct Repo;

#[async_trait::async_trait]
impl Flights for Repo {
    #[cached(ttl = "60s", skip(self))]
    async fn get(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
