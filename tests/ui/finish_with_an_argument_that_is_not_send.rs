use std::rc::Rc;

use cache_core::cached;

#[cached(ttl = "60s", finish)]
async fn get(id: Rc<u64>) -> u64 {
    *id
}

fn main() {}
