use cache_core::{Invalidation, invalidates};

#[invalidates(tags = ["flight"], after = txn)]
async fn set(tx: &mut Invalidation, id: u64) {
    let _ = (tx, id);
}

fn main() {}
