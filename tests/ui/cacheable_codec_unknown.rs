use cache_core::Cacheable;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "60s", codec = "messagepack", compress = 1)]
struct Row(u64);

fn main() {}
