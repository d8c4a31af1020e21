use cache_core::cached;

#[cached(ttl = "60s")]
async fn airport(iata: &str) -> String {
    iata.to_owned()
}

#[cached(ttl = "60s", depends_on = [airport(id)])]
async fn get(id: Option<u64>) -> u64 {
    id.unwrap_or(0)
}

fn main() {}
