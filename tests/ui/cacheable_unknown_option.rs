use cache_core::Cacheable;

#[derive(serde::Serialize, serde::Deserialize, Cacheable)]
#[cacheable(ttl = "1h", tag = ["flight"])]
struct Flight {
    id: u64,
}

fn main() {}
