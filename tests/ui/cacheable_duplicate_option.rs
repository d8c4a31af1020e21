use cache_core::Cacheable;

#[derive(serde::Serialize, serde::Deserialize, Cacheable)]
#[cacheable(ttl = "1h")]
#[cacheable(ttl = "2h")]
struct Flight {
    id: u64,
}

fn main() {}
