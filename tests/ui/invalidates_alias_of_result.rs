use cache_core::invalidates;

type Outcome = Result<u64, std::io::Error>;

#[invalidates(tags = ["flight"])]
async fn set(id: u64) -> Outcome {
    Ok(id)
}

fn main() {}
