use cache_core::cached;

trait Flights {
    #[cached(ttl = "60s", skip(self), companion = none)]
    async fn get(&self, id: u64) -> u64;
}

fn main() {}
