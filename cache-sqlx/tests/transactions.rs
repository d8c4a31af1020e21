//! What a transaction does with the cache when it ends.

mod databases;

use cache_core::{Cache, Invalidation, invalidates};
use cache_sqlx::{ErrorKind, Outbox, Transaction, Transactions};
use databases::each_database;
use sqlx::{Acquire, Database, Executor, Pool};

/// One row of stock, and the cached number of its units.
async fn stock<DB: Database>(pool: &Pool<DB>) -> Cache
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let mut connection = pool.acquire().await.unwrap();
    for statement in ["CREATE TABLE stock (id INTEGER PRIMARY KEY, units INTEGER)", "INSERT INTO stock VALUES (1, 10)"]
    {
        sqlx::raw_sql(statement).execute(&mut *connection).await.unwrap();
    }
    let cache = Cache::in_memory();
    fill(&cache).await;
    cache
}

async fn fill(cache: &Cache) {
    let loaded: Result<u32, Infallible> = cache.get_or_load("stock:1", || async { Ok(10) }).await;
    assert_eq!(loaded, Ok(10));
}

type Infallible = std::convert::Infallible;

async fn is_cached(cache: &Cache) -> bool {
    cache.peek::<u32>("stock:1").await.unwrap().is_some()
}

fn units() -> Invalidation {
    Invalidation::new().key("stock:1")
}

/// A cache whose store nobody runs.
fn unreachable_cache() -> Cache {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Cache::open(&format!("redis://127.0.0.1:{port}")).unwrap()
}

const SELL: &str = "UPDATE stock SET units = 9 WHERE id = 1";

macro_rules! units_of {
    ($pool:expr) => {
        sqlx::query_scalar::<_, i32>("SELECT units FROM stock").fetch_one(&$pool).await.unwrap()
    };
}

each_database! {
    async fn commit_removes_what_was_collected_and_not_before(pool: Pool) {
        let cache = stock(&pool).await;
        let mut tx = cache.begin(&pool).await.unwrap();
        sqlx::query(SELL).execute(&mut *tx).await.unwrap();
        tx.invalidates(units());
        assert!(is_cached(&cache).await);
        tx.commit().await.unwrap().invalidation.unwrap();
        assert!(!is_cached(&cache).await);
        assert_eq!(units_of!(pool), 9);
    }

    async fn rollback_and_drop_forget(pool: Pool) {
        let cache = stock(&pool).await;
        for dropped in [false, true] {
            let mut tx = cache.begin(&pool).await.unwrap();
            sqlx::query(SELL).execute(&mut *tx).await.unwrap();
            tx.invalidates(units());
            if dropped { drop(tx) } else { tx.rollback().await.unwrap() }
            assert!(is_cached(&cache).await);
            assert_eq!(units_of!(pool), 10);
        }
    }

    async fn a_savepoint_counts_only_if_it_is_released(pool: Pool) {
        let cache = stock(&pool).await;
        for (released, remains) in [(false, true), (true, false)] {
            let mut tx = cache.begin(&pool).await.unwrap();
            let mut savepoint = tx.begin().await.unwrap();
            let mut inner = savepoint.begin().await.unwrap();
            sqlx::query(SELL).execute(&mut *inner).await.unwrap();
            inner.invalidates(units());
            inner.commit().await.unwrap();
            if released { savepoint.commit().await.map(drop).unwrap() } else { savepoint.rollback().await.unwrap() }
            assert!(is_cached(&cache).await);
            tx.commit().await.unwrap();
            assert_eq!(is_cached(&cache).await, remains);
        }
    }

    async fn a_savepoint_that_is_dropped_is_forgotten(pool: Pool) {
        let cache = stock(&pool).await;
        let mut tx = cache.begin(&pool).await.unwrap();
        let mut savepoint = tx.begin().await.unwrap();
        savepoint.invalidates(units());
        drop(savepoint);
        tx.commit().await.unwrap();
        assert!(is_cached(&cache).await);
    }

    async fn a_transaction_of_sqlx_is_adopted_and_a_savepoint_is_refused(pool: Pool) {
        let cache = stock(&pool).await;
        let mut tx = cache.adopt(pool.begin().await.unwrap()).unwrap();
        tx.invalidates(units());
        let nested = tx.as_sqlx().begin().await.unwrap();
        let error = cache.adopt(nested).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("in a transaction already"), "{error}");
        let error = cache.begin(tx.as_sqlx()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        tx.commit().await.unwrap();
        assert!(!is_cached(&cache).await);
    }

    async fn a_function_adds_to_its_transaction(pool: Pool) {
        #[invalidates(keys = ["stock:{id}"], after = tx)]
        async fn sell(tx: &mut Transaction<'_, Db>, id: u32) -> Result<(), sqlx::Error> {
            assert_eq!(id, 1);
            sqlx::query(SELL).execute(&mut **tx).await.map(drop)
        }
        let cache = stock(&pool).await;
        let mut tx = cache.begin(&pool).await.unwrap();
        sell(&mut tx, 1).await.unwrap();
        assert!(is_cached(&cache).await);
        tx.commit().await.unwrap();
        assert!(!is_cached(&cache).await);
    }

    async fn without_a_cache_the_caller_decides(pool: Pool) {
        drop(stock(&pool).await);
        let cache = unreachable_cache();
        let mut tx = cache.begin(&pool).await.unwrap();
        sqlx::query(SELL).execute(&mut *tx).await.unwrap();
        tx.invalidates(units());
        let error = tx.commit().await.unwrap_err();
        assert_eq!((error.kind(), error.as_cache().is_some()), (ErrorKind::Cache, true));
        assert_eq!(units_of!(pool), 10);
        let mut tx = cache.begin(&pool).await.unwrap();
        sqlx::query(SELL).execute(&mut *tx).await.unwrap();
        tx.invalidates(units());
        let committed = tx.commit_regardless().await.unwrap();
        assert!(committed.invalidation.is_err());
        assert_eq!(units_of!(pool), 9);
    }

    async fn a_pattern_is_invalidated_only_by_a_commit_that_goes_on_without_closing(pool: Pool) {
        let cache = stock(&pool).await;
        let mut tx = cache.begin(&pool).await.unwrap();
        sqlx::query(SELL).execute(&mut *tx).await.unwrap();
        tx.invalidates(Invalidation::new().pattern("stock:*"));
        let error = tx.commit().await.unwrap_err();
        assert!(error.to_string().contains("a pattern cannot be closed"), "{error}");
        assert_eq!((units_of!(pool), is_cached(&cache).await), (10, true));
        let mut tx = cache.begin(&pool).await.unwrap();
        sqlx::query(SELL).execute(&mut *tx).await.unwrap();
        tx.invalidates(Invalidation::new().pattern("stock:*"));
        tx.commit_regardless().await.unwrap().invalidation.unwrap();
        assert_eq!((units_of!(pool), is_cached(&cache).await), (9, false));
    }

    async fn a_load_from_before_the_commit_is_not_stored_after_it(pool: Pool) {
        let cache = stock(&pool).await;
        let mut tx = cache.begin(&pool).await.unwrap();
        sqlx::query(SELL).execute(&mut *tx).await.unwrap();
        tx.invalidates(units());
        cache.invalidate(units()).await.unwrap();
        let (has_read, read) = tokio::sync::oneshot::channel();
        let (go_on, released) = tokio::sync::oneshot::channel();
        let slow = async {
            cache.get_or_load("stock:1", || async {
                has_read.send(()).unwrap();
                released.await.unwrap();
                Ok::<u32, Infallible>(10)
            }).await
        };
        let selling = async {
            read.await.unwrap();
            tx.commit().await.unwrap();
            go_on.send(()).unwrap();
        };
        let (loaded, ()) = tokio::join!(slow, selling);
        assert_eq!(loaded, Ok(10));
        assert!(!is_cached(&cache).await);
    }

    async fn nothing_collected_asks_no_cache(pool: Pool) {
        drop(stock(&pool).await);
        let mut tx = unreachable_cache().begin(&pool).await.unwrap();
        sqlx::query(SELL).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap().invalidation.unwrap();
        assert_eq!(units_of!(pool), 9);
    }

    async fn the_outbox_holds_what_is_not_done(pool: Pool) {
        let cache = stock(&pool).await;
        let outbox = Outbox::<Db>::new(pool.clone());
        outbox.migrate().await.unwrap();
        outbox.migrate().await.unwrap();
        macro_rules! rows {
            () => { sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM cache_outbox").fetch_one(&pool).await.unwrap() };
        }
        // Done: the row is gone.
        let mut tx = outbox.begin(&cache).await.unwrap();
        tx.invalidates(units());
        tx.commit().await.unwrap();
        assert_eq!(rows!(), 0);
        assert!(!is_cached(&cache).await);
        // Rolled back: there was none.
        let mut tx = outbox.begin(&cache).await.unwrap();
        tx.invalidates(units());
        tx.rollback().await.unwrap();
        assert_eq!(rows!(), 0);
        // Not done: it stays, and a relay does it.
        let away = unreachable_cache();
        let mut tx = outbox.begin(&away).await.unwrap();
        tx.invalidates(units());
        assert!(tx.commit_regardless().await.unwrap().invalidation.is_err());
        assert_eq!(rows!(), 1);
        assert_eq!(outbox.relay(&away).await.unwrap_err().kind(), ErrorKind::Cache);
        assert_eq!(rows!(), 1);
        fill(&cache).await;
        assert_eq!(outbox.relay(&cache).await.unwrap().done, 1);
        assert_eq!(rows!(), 0);
        assert!(!is_cached(&cache).await);
    }

    async fn a_row_that_cannot_be_read_stays_and_keeps_none_from_being_done(pool: Pool) {
        let cache = stock(&pool).await;
        let outbox = Outbox::<Db>::new(pool.clone());
        outbox.migrate().await.unwrap();
        // More than one page, the unreadable row in front.
        let intent = units().to_json().unwrap();
        let insert = |intent: &str| format!("INSERT INTO cache_outbox (intent) VALUES ('{intent}')");
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert(&intent.replace("\"version\":1", "\"version\":2")))).execute(&pool).await.unwrap();
        for _ in 0..150 {
            sqlx::raw_sql(sqlx::AssertSqlSafe(insert(&intent))).execute(&pool).await.unwrap();
        }
        let relayed = outbox.relay(&cache).await.unwrap();
        assert_eq!((relayed.done, relayed.unreadable), (150, 1));
        assert!(!is_cached(&cache).await);
        let relayed = outbox.relay(&cache).await.unwrap();
        assert_eq!((relayed.done, relayed.unreadable), (0, 1));
    }
}
