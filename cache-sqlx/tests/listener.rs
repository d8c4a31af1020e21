//! A listener applies every change, whatever becomes of its notifications and connections.

mod databases;

use std::time::{Duration, Instant};

use cache_core::{Cache, key};
use cache_sqlx::limits::RELAY_INTERVAL;
use cache_sqlx::{ErrorKind, Outbox, Triggers};
use cache_tests::until;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres};
use tokio::task::JoinHandle;

/// A listener on flights that change.
struct Listening {
    pool: PgPool,
    cache: Cache,
    outbox: Outbox<Postgres>,
    task: JoinHandle<()>,
}

impl Listening {
    async fn start() -> Self {
        let pool = databases::postgres().await;
        let outbox = Outbox::new(pool.clone());
        outbox.migrate().await.unwrap();
        run(&pool, "CREATE TABLE flights (id INT PRIMARY KEY, gate INT NOT NULL)").await;
        run(&pool, "INSERT INTO flights SELECT i, 0 FROM generate_series(1, 100) AS i").await;
        Triggers::declare("table flights: key flight:{id}").unwrap().install(&pool).await.unwrap();
        let cache = Cache::in_memory();
        let task = Self::listen(&outbox, &cache);
        let listening = Self { pool, cache, outbox, task };
        until(async || listening.listeners().await.len() == 1).await;
        listening
    }

    fn listen(outbox: &Outbox<Postgres>, cache: &Cache) -> JoinHandle<()> {
        let (outbox, cache) = (outbox.clone(), cache.clone());
        tokio::spawn(async move {
            outbox.listen(&cache).await;
        })
    }

    /// The server's processes of connections that listen.
    async fn listeners(&self) -> Vec<i32> {
        let found = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()";
        sqlx::query_scalar(found).fetch_all(&self.pool).await.unwrap()
    }

    async fn fill(&self, id: u32) {
        let loaded = self.cache.get_or_load(key!("flight:{id}"), || async { Ok::<_, std::io::Error>(0) }).await;
        assert_eq!(loaded.unwrap(), 0);
    }

    async fn change(&self, id: u32) {
        run(&self.pool, &format!("UPDATE flights SET gate = gate + 1 WHERE id = {id}")).await;
    }

    async fn until_gone(&self, id: u32) {
        until(async || self.cache.peek::<i32>(key!("flight:{id}")).await.unwrap().is_none()).await;
    }

    async fn rows(&self) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM cache_outbox").fetch_one(&self.pool).await.unwrap()
    }
}

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

#[test]
fn a_notification_wakes_it() {
    cache_tests::run(0, async {
        let listening = Listening::start().await;
        let began = Instant::now();
        for id in 1..=10 {
            listening.fill(id).await;
            listening.change(id).await;
            listening.until_gone(id).await;
        }
        // Without notifications each change would take an interval.
        assert!(began.elapsed() < 5 * RELAY_INTERVAL, "{:?}", began.elapsed());
        until(async || listening.rows().await == 0).await;
    });
}

#[test]
fn what_nobody_notified_of_is_applied_within_an_interval() {
    cache_tests::run(0, async {
        let listening = Listening::start().await;
        listening.fill(1).await;
        let silent = r#"{"version":1,"keys":["flight:1"],"tags":[],"patterns":[],"everything":false}"#;
        run(&listening.pool, &format!("INSERT INTO cache_outbox (intent) VALUES ('{silent}')")).await;
        listening.until_gone(1).await;
    });
}

#[test]
fn cut_connections_lose_nothing() {
    cache_tests::run(0, async {
        let listening = Listening::start().await;
        for id in 1..=20 {
            listening.fill(id).await;
            let pids = listening.listeners().await;
            // Before, at the time of, and after the change.
            let cut = async {
                for pid in pids {
                    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&listening.pool).await.unwrap();
                }
            };
            match id % 3 {
                0 => drop((cut.await, listening.change(id).await)),
                1 => drop(tokio::join!(cut, listening.change(id))),
                _ => drop((listening.change(id).await, cut.await)),
            }
        }
        for id in 1..=20 {
            listening.until_gone(id).await;
        }
        until(async || listening.rows().await == 0).await;
    });
}

#[test]
fn what_is_written_while_nobody_listens_is_applied_by_the_next_one() {
    cache_tests::run(0, async {
        let mut listening = Listening::start().await;
        listening.task.abort();
        let _ = (&mut listening.task).await;
        listening.fill(1).await;
        listening.change(1).await;
        assert_eq!(listening.rows().await, 1);
        let began = Instant::now();
        listening.task = Listening::listen(&listening.outbox, &listening.cache);
        listening.until_gone(1).await;
        assert!(began.elapsed() < Duration::from_secs(60));
        until(async || listening.rows().await == 0).await;
    });
}

#[test]
fn several_listeners_share_the_rows() {
    cache_tests::run(2, async {
        let listening = Listening::start().await;
        let others = [(); 3].map(|()| Listening::listen(&listening.outbox, &listening.cache));
        until(async || listening.listeners().await.len() == 4).await;
        for id in 1..=50 {
            listening.fill(id).await;
            listening.change(id).await;
        }
        for id in 1..=50 {
            listening.until_gone(id).await;
        }
        until(async || listening.rows().await == 0).await;
        others.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn a_relay_leaves_the_rows_of_another_one_alone() {
    cache_tests::run(0, async {
        let mut listening = Listening::start().await;
        listening.task.abort();
        let _ = (&mut listening.task).await;
        listening.fill(1).await;
        listening.change(1).await;
        let mut claim = listening.pool.begin().await.unwrap();
        sqlx::query("SELECT FROM cache_outbox FOR UPDATE").execute(&mut *claim).await.unwrap();
        assert_eq!(listening.outbox.relay(&listening.cache).await.unwrap().done, 0);
        claim.rollback().await.unwrap();
        assert_eq!(listening.outbox.relay(&listening.cache).await.unwrap().done, 1);
    });
}

/// Even while nothing runs that the pool has begun.
#[test]
fn the_rows_of_a_relay_that_failed_are_free_at_once() {
    cache_tests::run(0, async {
        let mut listening = Listening::start().await;
        listening.task.abort();
        let _ = (&mut listening.task).await;
        listening.change(1).await;
        let away = Cache::open("redis://127.0.0.1:1").unwrap();
        assert_eq!(listening.outbox.relay(&away).await.unwrap_err().kind(), ErrorKind::Cache);
        let options = (*listening.pool.connect_options()).clone();
        // This thread stands still meanwhile.
        let free = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(free_rows(options)));
        assert_eq!(free.join().unwrap(), 1);
    });
}

async fn free_rows(options: PgConnectOptions) -> usize {
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let free = sqlx::query("SELECT FROM cache_outbox FOR UPDATE SKIP LOCKED").fetch_all(&mut connection).await;
    free.unwrap().len()
}
