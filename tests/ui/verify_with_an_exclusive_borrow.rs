use cache_core::cached;

#[cached(prefix = "flight", ttl = "60s", skip(db), verify = 0.01)]
async fn flight(db: &mut Vec<u64>, id: u64) -> u64 {
    db.push(id);
    id
}

fn main() {}
