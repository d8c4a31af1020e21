use std::collections::HashMap;

use cache_core::cached;

struct Db;

impl Db {
    #[cached(prefix = "flight", ttl = "60s", each = ids, skip(self, log))]
    async fn get_flights(&mut self, log: &mut String, ids: &[u64]) -> Result<HashMap<u64, String>, String> {
        log.push('.');
        Ok(ids.iter().map(|id| (*id, String::new())).collect())
    }
}

fn main() {}
