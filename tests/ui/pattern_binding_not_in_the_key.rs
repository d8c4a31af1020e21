use cache_core::cached;

#[cached(ttl = "60s", key = "{a}")]
async fn get((a, b): (u32, u32)) -> u32 {
    a + b
}

fn main() {}
