use cache_core::cached;

struct Flight;

#[cached(ttl = "60s")]
async fn get(id: u64) -> Result<Flight, std::io::Error> {
    let _ = id;
    Ok(Flight)
}

fn main() {}
