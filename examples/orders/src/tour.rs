//! Places orders over HTTP, says what happens, and checks everything it says.

use std::time::Instant;

use cache_core::Cache;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::client::{Answer, Client};
use crate::setup::{Outcome, PATIENCE, Process, ScratchDatabase, ScratchFile, database_url, open_cache, open_postgres};
use crate::staleness;
use crate::{postgres, sqlite};

/// Changes of another program that the tour measures: `orders staleness` measures more.
const CHANGES: usize = 100;

/// The shop that this process has open, beside those that serve.
enum Open {
    Postgres(postgres::shop::Shop),
    Sqlite(sqlite::shop::Shop),
}

/// Runs all chapters; `Ok(false)`: a printed claim was not true.
pub(crate) async fn run() -> Outcome<bool> {
    let namespace = format!("orders-{:016x}", fastrand::u64(..));
    let (cache, is_shared) = open_cache(&namespace).await?;
    match database_url() {
        Some(server) if is_shared => {
            println!("Orders and stock in PostgreSQL, served by two processes with one cache.");
            let database = ScratchDatabase::create(&server).await?;
            let shop = open_postgres(&database.url, cache.clone()).await?;
            let processes =
                [Process::start(&database.url, &namespace).await?, Process::start(&database.url, &namespace).await?];
            let [here, there] = &processes;
            let mut tour = Tour::new(vec![&here.client, &there.client], Open::Postgres(shop));
            tour.reads_and_orders().await?;
            tour.other_programs(&database.url).await?;
            tour.measured(&server).await?;
            let outcome = tour.finish(&cache).await;
            drop(processes);
            database.remove().await?;
            outcome
        }
        Some(_) => Err("with PostgreSQL the tour runs two processes, and CACHE_URL names no cache for both".into()),
        None => {
            println!("Orders and stock in SQLite, served by one process.");
            let (file, shop) = ScratchFile::open(cache.clone()).await?;
            sqlite::prepare(&shop.outbox, &shop.pool).await?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let client = Client::new(listener.local_addr()?);
            let router = shop.router();
            let serving = tokio::spawn(async move { axum::serve(listener, router).await });
            let mut tour = Tour::new(vec![&client], Open::Sqlite(shop));
            tour.reads_and_orders().await?;
            let outcome = tour.finish(&cache).await;
            serving.abort();
            drop(file);
            outcome
        }
    }
}

struct Tour<'a> {
    /// One of each process.
    clients: Vec<&'a Client>,
    open: Open,
    claims: usize,
    untrue: usize,
}

impl<'a> Tour<'a> {
    fn new(clients: Vec<&'a Client>, open: Open) -> Self {
        Self { clients, open, claims: 0, untrue: 0 }
    }

    /// Prints a claim, and counts it.
    fn claim(&mut self, claim: &str, is_true: bool) {
        self.claims += 1;
        self.untrue += usize::from(!is_true);
        println!("   {} {claim}", if is_true { "✓" } else { "✗ NOT TRUE:" });
    }

    async fn finish(self, cache: &Cache) -> Outcome<bool> {
        cache.clear().await?;
        println!("{} of {} claims are true.", self.claims - self.untrue, self.claims);
        Ok(self.untrue == 0)
    }

    /// What each process answers, and how often all of them asked the database for it.
    async fn everywhere(&self, path: &str) -> Outcome<(Vec<Answer>, u64)> {
        let mut answers = Vec::new();
        for client in &self.clients {
            answers.push(client.get(path).await?);
        }
        let reads = answers.iter().map(|answer| answer.reads).sum();
        Ok((answers, reads))
    }

    /// The units of a product that every process shows; `None`: they do not agree.
    async fn units(&self, product: u64) -> Outcome<(Option<i64>, u64)> {
        let (answers, reads) = self.everywhere(&format!("/products/{product}")).await?;
        let units = answers[0].body["units"].as_i64();
        let agree = answers.iter().all(|answer| answer.body["units"].as_i64() == units);
        Ok((units.filter(|_| agree), reads))
    }

    async fn order(&self, product: u64, units: i64) -> Outcome<Answer> {
        let order = json!({ "customer": "Smith & Sons", "product": product, "units": units });
        Ok(self.clients[0].post("/orders", &order).await?)
    }

    async fn reads_and_orders(&mut self) -> Outcome<()> {
        const CUSTOMER: &str = "/customers/Smith%20&%20Sons/orders";
        println!("\n1. Reads");
        let first = self.units(1).await?;
        self.claim("the first read of a product asks the database once, for all processes", first == (Some(10), 1));
        let again = self.units(1).await?;
        self.claim("the next ones ask for nothing", again == (Some(10), 0));
        let sample = self.units(3).await?;
        self.everywhere(CUSTOMER).await?;

        println!("\n2. An order, in one transaction");
        let placed = self.order(1, 2).await?;
        self.claim("the order is placed, with the last sample", placed.status == 201 && placed.body["sample"] == true);
        let after = self.units(1).await?;
        self.claim("every process shows what is left, which is read once", after == (Some(8), 1));
        let (orders, reads) = self.everywhere(CUSTOMER).await?;
        let all_list_it = orders.iter().all(|answer| answer.body.as_array().map_or(0, Vec::len) == 1);
        self.claim("every process lists the order, which is read once", all_list_it && reads == 1);
        let gone = self.units(3).await?.0;
        self.claim("and the sample is gone", sample.0 == Some(1) && gone == Some(0));

        println!("\n3. An order that is refused");
        let refused = self.order(1, 100).await?;
        self.claim("it is refused", refused.status == 409);
        let left = self.units(1).await?;
        self.claim("rolled back, it has removed nothing", left == (Some(8), 0));

        println!("\n4. A savepoint that is rolled back");
        let placed = self.order(1, 1).await?;
        self.claim("the order is placed, without a sample", placed.status == 201 && placed.body["sample"] == false);
        let left = self.units(1).await?;
        self.claim("what the transaction has changed is shown, and read once", left == (Some(7), 1));
        let sample = self.units(3).await?;
        self.claim("what the savepoint would have changed stays cached", sample == (Some(0), 0));

        println!("\n5. Reads while a transaction is open");
        self.units(2).await?;
        let meanwhile = async { (self.units(2).await, self.units(2).await) };
        let (before, open) = match &self.open {
            Open::Postgres(shop) => postgres::held::sale(shop, meanwhile).await.map_err(|_| "no sale")?,
            Open::Sqlite(shop) => sqlite::held::sale(shop, meanwhile).await.map_err(|_| "no sale")?,
        };
        self.claim("until the COMMIT the old units are true, and shown", before?.0 == Some(5) && open?.0 == Some(5));
        let after = self.units(2).await?;
        self.claim("after it nobody shows them", after == (Some(4), 1));
        Ok(())
    }

    /// A change that no program of ours makes.
    async fn other_programs(&mut self, database: &str) -> Outcome<()> {
        println!("\n6. A change typed in psql");
        let shown = self.units(1).await?.0;
        let changed = "UPDATE stock SET units = 77 WHERE product = 1";
        let psql = Command::new("psql").args([database, "-qc", changed]).status().await;
        match psql {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("psql failed: {status}").into()),
            Err(_) => {
                println!("   psql is not here: a bare connection does it");
                let options: sqlx::postgres::PgConnectOptions = database.parse()?;
                sqlx::raw_sql(AssertSqlSafe(changed)).execute(&mut options.connect().await?).await?;
            }
        }
        let began = Instant::now();
        while self.units(1).await?.0 != Some(77) && began.elapsed() < PATIENCE {}
        let took = began.elapsed();
        let in_time = shown == Some(7) && took < cache_sqlx::limits::RELAY_INTERVAL;
        self.claim(&format!("both processes show it, after {took:.0?} and not only after an interval"), in_time);
        Ok(())
    }

    /// In a database of its own: the listeners of one outbox share one cache.
    async fn measured(&mut self, server: &str) -> Outcome<()> {
        println!("\n7. How long changes of other programs stay unseen");
        let database = ScratchDatabase::create(server).await?;
        let mut windows = staleness::measure(&database, CHANGES).await?;
        database.remove().await?;
        windows.sort_unstable();
        let (median, longest) = (windows[CHANGES / 2], windows[CHANGES - 1]);
        println!("   {CHANGES} changes: p50 {median:.1?}, max {longest:.1?}");
        self.claim("a notification wakes the listener", median < cache_sqlx::limits::RELAY_INTERVAL / 2);
        Ok(())
    }
}
