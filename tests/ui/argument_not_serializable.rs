use cache_core::cached;

struct Db;

#[cached(ttl = "60s")]
async fn get(db: &Db, id: u64) -> u64 {
    let _ = db;
    id
}

fn main() {}
