use cache_core::cached;

struct Db;

#[cached(ttl = "60s", stale_while_revalidate = "30s", skip(db))]
async fn get(db: &Db, id: u64) -> u64 {
    let _ = db;
    id
}

fn main() {}
