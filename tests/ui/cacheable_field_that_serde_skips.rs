use cache_core::Cacheable;

#[derive(serde::Serialize, serde::Deserialize, Cacheable)]
#[cacheable(ttl = "1h")]
struct User {
    name: String,
    #[serde(rename = "hash", skip)]
    password_hash: String,
    #[serde(skip_serializing, default)]
    token: String,
}

#[derive(serde::Serialize, serde::Deserialize, Cacheable)]
#[cacheable(ttl = "1h")]
enum Mark {
    None(#[serde(skip_deserializing)] u8),
    Some {
        #[serde(skip_serializing_if = "String::is_empty")]
        text: String,
        #[serde(skip)]
        #[cacheable(lost)]
        length: usize,
    },
}

fn main() {}
