use cache_core::Cacheable;

#[derive(serde::Serialize, serde::Deserialize, Cacheable)]
#[cacheable(ttl = "1h")]
struct User {
    #[cacheable(tags = ["user:{name}"])]
    name: String,
}

fn main() {}
