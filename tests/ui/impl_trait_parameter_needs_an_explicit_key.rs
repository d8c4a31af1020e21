use cache_core::cached;

#[cached(ttl = "60s")]
async fn get(name: impl AsRef<str>) -> String {
    name.as_ref().to_owned()
}

fn main() {}
