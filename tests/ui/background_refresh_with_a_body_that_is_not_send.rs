use std::rc::Rc;

use cache_core::cached;

#[cached(ttl = "60s", stale_while_revalidate = "30s")]
async fn get(id: u64) -> u64 {
    let id = Rc::new(id);
    std::future::ready(()).await;
    *id
}

fn main() {}
