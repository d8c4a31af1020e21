use cache_core::cached;

#[derive(Clone)]
struct Tree;

impl Tree {
    #[cached(ttl = "60s", early_refresh, skip(self))]
    async fn depth(&self, id: u64) -> u64 {
        match id {
            0 => 0,
            _ => Box::pin(self.depth(id - 1)).await + 1,
        }
    }
}

fn main() {}
