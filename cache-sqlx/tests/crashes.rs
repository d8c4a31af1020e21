//! Processes and connections that die at the worst moment, on PostgreSQL and a server that others
//! share.

mod databases;

use std::process::{Child, Command, Stdio};

use cache_core::{Cache, Invalidation};
use cache_sqlx::{ErrorKind, Outbox, Transactions, Triggers};
use cache_tests::{TestStore, run, until};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, PgPool, Postgres};

/// What a process of ours is to do, and where: see [`in_another_process`].
const ORDERS: &str = "CACHE_SQLX_TEST_ORDERS";

/// A `COMMIT` of a sale waits for this lock, so that a test can hold it there.
const GATE: &str = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()";

/// One row of stock, cached by all processes.
struct Shop {
    store: TestStore,
    cache: Cache,
    pool: PgPool,
    outbox: Outbox<Postgres>,
}

impl Shop {
    async fn open(store: TestStore) -> Self {
        let (cache, pool) = (store.cache().await, databases::postgres().await);
        let outbox = Outbox::new(pool.clone());
        outbox.migrate().await.unwrap();
        execute(&pool, "CREATE TABLE stock (id INT PRIMARY KEY, units INT NOT NULL)").await;
        execute(&pool, "INSERT INTO stock VALUES (1, 10)").await;
        let shop = Self { store, cache, pool, outbox };
        assert_eq!(shop.units_cached().await, 10);
        shop
    }

    async fn units_cached(&self) -> i32 {
        let load = || async { sqlx::query_scalar("SELECT units FROM stock").fetch_one(&self.pool).await };
        self.cache.get_or_load("stock:1", load).await.unwrap()
    }

    async fn is_cached(&self) -> bool {
        self.cache.peek::<i32>("stock:1").await.unwrap().is_some()
    }

    async fn units(&self) -> i32 {
        sqlx::query_scalar("SELECT units FROM stock").fetch_one(&self.pool).await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    async fn rows(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM cache_outbox").await
    }

    /// Holds every `COMMIT` of a sale until it is dropped.
    async fn hold_commits(&self) -> PgConnection {
        execute(&self.pool, GATE).await;
        let mut gate = PgConnection::connect_with(&self.pool.connect_options()).await.unwrap();
        sqlx::query("SELECT pg_advisory_lock(42)").execute(&mut gate).await.unwrap();
        gate
    }

    async fn until_a_commit_waits(&self) {
        let waiting =
            "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()";
        until(async || self.count(waiting).await == 1).await;
    }

    /// Another process, which does what `role` says.
    fn process(&self, role: &str) -> Process {
        let options = self.pool.connect_options();
        let (port, database) = (options.get_port(), options.get_database().unwrap());
        let orders = [
            role,
            &format!("postgres://postgres@127.0.0.1:{port}/{database}"),
            self.store.url(),
            self.store.namespace(),
        ];
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "in_another_process", "--nocapture"])
            .env(ORDERS, orders.join(" "))
            .stdout(Stdio::null())
            .spawn();
        Process(child.unwrap())
    }
}

/// Dropped, it is killed with SIGKILL.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn sell(shop: (&Cache, &Outbox<Postgres>)) -> Result<(), cache_sqlx::Error> {
    let (cache, outbox) = shop;
    let mut tx = outbox.begin(cache).await?;
    sqlx::query("UPDATE stock SET units = units - 1 WHERE id = 1").execute(&mut *tx).await?;
    tx.invalidates(Invalidation::new().key("stock:1"));
    tx.commit().await.map(drop)
}

/// What the processes of the tests below run; without orders there is nothing to do.
#[test]
fn in_another_process() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let [role, database, url, namespace] = orders.split(' ').collect::<Vec<_>>()[..] else { panic!("orders") };
    run(0, async {
        let cache = Cache::builder().url(url).namespace(namespace).build().unwrap();
        let outbox = Outbox::new(PgPool::connect(database).await.unwrap());
        match role {
            "sell" => sell((&cache, &outbox)).await.unwrap(),
            "listen" => drop(outbox.listen(&cache).await),
            _ => panic!("no such role"),
        }
    });
}

fn each_server(test: impl AsyncFn(Shop)) {
    run(2, async {
        for store in [TestStore::redis(), TestStore::valkey()] {
            test(Shop::open(store).await).await;
        }
    });
}

#[test]
fn killed_between_commit_and_open_nothing_old_is_served_and_the_outbox_knows_what_is_left() {
    each_server(async |shop| {
        let gate = shop.hold_commits().await;
        let seller = shop.process("sell");
        shop.until_a_commit_waits().await;
        assert_eq!((shop.units().await, shop.rows().await), (10, 0));
        // Closed: what was loaded before the `COMMIT` is not stored.
        assert!(!shop.is_cached().await);
        assert_eq!(shop.units_cached().await, 10);
        assert!(!shop.is_cached().await);
        drop(seller);
        drop(gate);
        // The server has the `COMMIT`, and nobody is there to hear of it.
        until(async || shop.units().await == 9).await;
        assert_eq!(shop.units_cached().await, 9);
        assert_eq!(shop.rows().await, 1);
        assert_eq!(shop.outbox.relay(&shop.cache).await.unwrap().done, 1);
        assert_eq!(shop.units_cached().await, 9);
    });
}

#[test]
fn a_commit_of_unknown_outcome_counts_as_written() {
    each_server(async |shop| {
        let gate = shop.hold_commits().await;
        let (cache, outbox) = (shop.cache.clone(), shop.outbox.clone());
        let seller = tokio::spawn(async move { sell((&cache, &outbox)).await });
        shop.until_a_commit_waits().await;
        execute(&shop.pool, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory'")
            .await;
        let error = seller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database, "{error}");
        assert!(error.as_database().is_some());
        assert!(!shop.is_cached().await);
        drop(gate);
    });
}

#[test]
fn a_commit_that_is_refused_counts_as_written() {
    each_server(async |shop| {
        execute(&shop.pool, "CREATE TABLE parts (stock INT REFERENCES stock (id) DEFERRABLE INITIALLY DEFERRED)").await;
        let mut tx = shop.cache.begin(&shop.pool).await.unwrap();
        sqlx::query("INSERT INTO parts VALUES (2)").execute(&mut *tx).await.unwrap();
        tx.invalidates(Invalidation::new().key("stock:1"));
        assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::Database);
        assert!(!shop.is_cached().await);
    });
}

#[test]
fn a_listener_that_is_killed_leaves_what_the_next_one_does() {
    each_server(async |shop| {
        Triggers::declare("table stock: key stock:{id}").unwrap().install(&shop.pool).await.unwrap();
        let listeners =
            "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
        let listener = shop.process("listen");
        until(async || shop.count(listeners).await == 1).await;
        drop(listener);
        until(async || shop.count(listeners).await == 0).await;
        execute(&shop.pool, "UPDATE stock SET units = 3").await;
        assert_eq!((shop.units_cached().await, shop.rows().await), (10, 1));
        let _listener = shop.process("listen");
        until(async || !shop.is_cached().await).await;
        assert_eq!(shop.units_cached().await, 3);
        until(async || shop.rows().await == 0).await;
    });
}
