use cache_core::cached;

async fn airport(id: u64) -> u64 {
    id
}

#[cached(ttl = "60s", depends_on = [airport(id)])]
async fn get(id: u64) -> u64 {
    airport(id).await
}

fn main() {}
