use cache_core::{Invalidation, invalidates};

#[invalidates(tags = ["flight"], after = tx)]
async fn set(tx: Invalidation) {
    drop(tx);
}

fn main() {}
