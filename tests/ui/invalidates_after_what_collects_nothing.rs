use cache_core::invalidates;

#[invalidates(tags = ["flight"], after = tx)]
async fn set(tx: &mut String) {
    tx.clear();
}

fn main() {}
