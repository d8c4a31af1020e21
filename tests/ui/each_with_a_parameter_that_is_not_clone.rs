use std::collections::HashMap;

use cache_core::cached;

struct Ticket;

#[cached(prefix = "flight", ttl = "60s", each = ids, skip(ticket))]
async fn get_flights(ticket: Ticket, ids: &[u64]) -> Result<HashMap<u64, String>, String> {
    drop(ticket);
    Ok(ids.iter().map(|id| (*id, String::new())).collect())
}

fn main() {}
