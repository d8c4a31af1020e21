use cache_core::cached;

struct Repo;

impl Repo {
    #[cached(ttl = "60s")]
    async fn get(id: u64) -> u64 {
        id
    }
}

fn main() {}
