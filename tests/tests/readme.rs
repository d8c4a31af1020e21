//! The README's example compiles and does what is said below it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use cache_core::{Cache, cached, invalidates};
use serde::{Deserialize, Serialize};

type DbError = std::convert::Infallible;

#[derive(Default)]
struct Db {
    delays: Mutex<BTreeMap<u64, i32>>,
}

impl Db {
    async fn flight(&self, id: u64) -> Result<Flight, DbError> {
        let delay_min = *self.delays.lock().unwrap().get(&id).unwrap_or(&0);
        Ok(Flight { id, origin: "DFW".to_owned(), delay_min })
    }

    async fn set_delay(&self, id: u64, delay_min: i32) -> Result<(), DbError> {
        self.delays.lock().unwrap().insert(id, delay_min);
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Flight {
    id: u64,
    origin: String,
    delay_min: i32,
}

#[cached(prefix = "flight", ttl = "60s", skip(db), tags = ["airport:{result.origin}"])]
async fn get_flight(db: &Db, id: u64) -> Result<Flight, DbError> {
    db.flight(id).await
}

// Falls when either flight changes: what a load reads through the cache is recorded.
#[cached(prefix = "worst_delay", ttl = "30s", skip(db))]
async fn worst_delay(db: &Db, a: u64, b: u64) -> Result<i32, DbError> {
    Ok(get_flight(db, a).await?.delay_min.max(get_flight(db, b).await?.delay_min))
}

#[invalidates(keys = [get_flight(id)])]
async fn set_delay(db: &Db, id: u64, delay_min: i32) -> Result<(), DbError> {
    db.set_delay(id, delay_min).await
}

#[test]
fn this_file_holds_the_readmes_example() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("```rust\n").expect("the README has an example");
    let (example, _) = after.split_once("```").expect("the example ends");
    assert!(include_str!("readme.rs").contains(example), "README.md and tests/tests/readme.rs differ");
}

#[tokio::test]
async fn the_readmes_example_does_what_the_readme_says() {
    let cache = Cache::in_memory().install().unwrap();
    let db = Db::default();
    assert_eq!(worst_delay(&db, 41, 42).await.unwrap(), 0);
    set_delay(&db, 42, 90).await.unwrap();
    assert!(cache.peek(get_flight::key(&42)).await.unwrap().is_none());
    assert_eq!(worst_delay(&db, 41, 42).await.unwrap(), 90);
    // flight:41, flight:42 and worst_delay:41:42.
    assert_eq!(cache.invalidate_tag("airport:DFW").await.unwrap().entries, 3);
    assert!(get_flight(&db, 41).await.unwrap().id == 41);
}
