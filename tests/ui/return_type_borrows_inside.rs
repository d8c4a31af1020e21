use cache_core::cached;

#[derive(serde::Serialize, serde::Deserialize)]
struct Flight<'a> {
    origin: &'a str,
}

#[cached(ttl = "60s")]
async fn get<'a>(origin: &'a str) -> Flight<'a> {
    Flight { origin }
}

fn main() {}
