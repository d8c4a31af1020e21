use cache_core::{Cache, cached, invalidates};

struct Context {
    cache: Cache,
}

#[cached(ttl = "60s", skip(context), cache = context.cache)]
async fn get(context: &Context, id: u64) -> u64 {
    let _ = context;
    id
}

#[invalidates(keys = [get(id)])]
async fn change(context: &Context, id: u64) {
    let _ = (context, id);
}

struct Repo(u64);

impl Repo {
    #[cached(ttl = "60s", key = "{self.0}:{id}", cache = Cache::in_memory())]
    async fn get(&self, id: u64) -> u64 {
        id
    }

    #[invalidates(keys = [self.get(result)])]
    async fn change(&self, id: u64) -> Option<u64> {
        Some(id)
    }
}

fn main() {}
