use cache_core::{Cache, cached, invalidates, write_through};

#[cached(ttl = "60s", context = cahce)]
async fn get_flight(cache: &Cache, id: u64) -> u64 {
    id
}

#[invalidates(tags = ["flights"], context = self)]
async fn delay(cache: &Cache) {}

#[write_through(get_flight(id), context = database)]
async fn write_flight(cache: &Cache, id: u64) -> u64 {
    id
}

fn main() {}
