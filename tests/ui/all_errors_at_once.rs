use cache_core::cached;

#[cached(prefix = "", ttl = 60, tags = ["{nobody}"], when = 1, verson = 2)]
fn get(id: u64) -> u64 {
    id
}

async fn caller() -> u64 {
    get(1)
}

fn main() {}
