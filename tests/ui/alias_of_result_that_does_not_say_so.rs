use cache_core::cached;

type Outcome = Result<u64, std::io::Error>;

#[cached(ttl = "60s")]
async fn get(id: u64) -> Outcome {
    Ok(id)
}

fn main() {}
