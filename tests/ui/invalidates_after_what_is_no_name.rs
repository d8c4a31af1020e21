use cache_core::{Invalidation, invalidates};

struct App {
    tx: Invalidation,
}

#[invalidates(tags = ["flight"], after = app.tx)]
async fn set(app: &mut App) {
    let _ = &app.tx;
}

fn main() {}
