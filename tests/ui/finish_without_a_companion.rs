use cache_core::cached;

struct Repo;

trait Depths {
    async fn depth(&self, id: u64) -> u64;
}

impl Depths for Repo {
    #[cached(ttl = "60s", finish, companion = none, skip(self))]
    async fn depth(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
