use cache_core::cached;

#[cached(ttl = "60s", early_refresh, skip(seen))]
async fn get(id: u64, seen: &mut Vec<u64>) -> u64 {
    seen.push(id);
    id
}

fn main() {}
