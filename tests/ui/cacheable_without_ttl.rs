use cache_core::Cacheable;

#[derive(serde::Serialize, serde::Deserialize, Cacheable)]
struct Flight {
    id: u64,
}

fn main() {}
