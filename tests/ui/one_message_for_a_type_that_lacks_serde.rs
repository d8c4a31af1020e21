use std::collections::HashMap;

use cache_core::{cached, write_through};

struct Flight;

#[cached(ttl = "60s", stale_while_revalidate = "1h", stale_if_error = "1h", when = |_| true)]
async fn refreshed(id: u64) -> Result<Flight, String> {
    let _ = id;
    Ok(Flight)
}

#[cached(ttl = "60s", each = ids)]
async fn batch(ids: &[u64]) -> Result<HashMap<u64, Flight>, String> {
    let _ = ids;
    Ok(HashMap::new())
}

#[cached(ttl = "60s", negative_ttl = "1s")]
async fn optional(id: u64) -> Option<Flight> {
    let _ = id;
    None
}

#[write_through(optional(id))]
async fn write(id: u64) -> Option<Flight> {
    let _ = id;
    None
}

struct Id;

#[cached(ttl = "60s", key = "{id}")]
async fn by_template(id: Id) -> u64 {
    let _ = id;
    1
}

#[cached(ttl = "60s")]
async fn by_parts((id, n): (Id, u64)) -> u64 {
    let _ = id;
    n
}

#[cached(ttl = "60s", skip(id), tags = ["group:{id}"])]
async fn by_tag(id: Id) -> u64 {
    let _ = id;
    1
}

#[cached(ttl = "60s", key = "{n}", tags = ["group:{id}:{result}"], skip(id))]
async fn by_tag_and_result(id: Id, n: u64) -> u64 {
    let _ = id;
    n
}

#[cached(ttl = "60s", tags = ["group:{id}"], depends_on = ["other:{id}:{result}"])]
async fn by_all(id: Id) -> u64 {
    let _ = id;
    1
}

fn main() {}
