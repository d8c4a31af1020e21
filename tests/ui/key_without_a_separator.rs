use cache_core::cached;

#[cached(ttl = "60s", key = "{a}-{b}")]
async fn get(a: String, b: String) -> String {
    a + &b
}

fn main() {}
