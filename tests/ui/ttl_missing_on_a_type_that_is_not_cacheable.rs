use cache_core::cached;

#[derive(serde::Serialize, serde::Deserialize)]
struct Flight {
    id: u64,
}

#[cached]
async fn get(id: u64) -> Result<Flight, std::io::Error> {
    Ok(Flight { id })
}

fn main() {}
