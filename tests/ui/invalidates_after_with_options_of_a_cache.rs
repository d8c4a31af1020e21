use cache_core::{Cache, Invalidation, invalidates};

#[invalidates(tags = ["flight"], after = tx, cache = cache, background, around, when = always)]
async fn set(cache: &Cache, tx: &mut Invalidation) {
    let _ = (cache, tx);
}

fn main() {}
