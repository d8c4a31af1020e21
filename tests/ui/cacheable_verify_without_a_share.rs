use cache_core::Cacheable;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "60s", verify)]
struct Flight(u64);

fn main() {}
