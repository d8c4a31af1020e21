use std::rc::Rc;

use cache_core::cached;

#[cached(ttl = "60s", finish)]
async fn get(id: u64) -> u64 {
    let shared = Rc::new(id);
    std::future::ready(()).await;
    *shared
}

fn main() {}
