use cache_core::Cacheable;

#[derive(serde::Serialize, serde::Deserialize, Cacheable)]
#[cacheable(ttl = "1h", tags = ["state:{self.stat}"])]
struct Airport {
    state: String,
}

fn main() {}
