use cache_core::cached;

#[cached(ttl = "60s")]
struct Flight {
    id: u64,
}

fn main() {}
