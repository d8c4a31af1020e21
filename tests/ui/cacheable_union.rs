use cache_core::Cacheable;

#[derive(Clone, Copy, Cacheable)]
#[cacheable(ttl = "1h")]
union Flight {
    id: u64,
    number: i64,
}

fn main() {}
