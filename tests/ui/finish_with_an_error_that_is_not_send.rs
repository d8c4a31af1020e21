use std::rc::Rc;

use cache_core::cached;

#[cached(ttl = "60s", finish)]
async fn get(id: u64) -> Result<u64, Rc<str>> {
    Ok(id)
}

fn main() {}
