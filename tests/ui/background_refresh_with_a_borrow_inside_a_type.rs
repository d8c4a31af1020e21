use std::borrow::Cow;

use cache_core::cached;

#[cached(ttl = "60s", stale_while_revalidate = "30s")]
async fn get(name: Option<&str>, title: Cow<'_, str>) -> usize {
    name.map_or(0, str::len) + title.len()
}

fn main() {}
