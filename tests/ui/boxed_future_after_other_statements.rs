use std::future::Future;
use std::pin::Pin;

use cache_core::cached;

#[cached(ttl = "60s")]
fn get(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    let next = id + 1;
    Box::pin(async move { next })
}

fn main() {}
