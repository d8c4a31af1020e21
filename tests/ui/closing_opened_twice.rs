use cache_core::{Cache, Error, Invalidation};

async fn change(cache: &Cache) -> Result<(), Error> {
    let closing = cache.close(Invalidation::new().key("flight:42")).await?;
    closing.open().await?;
    closing.open().await?;
    Ok(())
}

fn main() {
    let _ = change;
}
