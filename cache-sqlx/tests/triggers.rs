//! Changes made past the application.

mod databases;

use cache_core::{Cache, Invalidation, key, tag};
use cache_sqlx::limits::INTENT_NAMES_MAX;
use cache_sqlx::{ErrorKind, Outbox, Triggers};
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool};

const FLIGHTS: &str = "CREATE TABLE flights (
    id BIGINT PRIMARY KEY, origin TEXT NOT NULL, destination VARCHAR(4), gate SMALLINT, is_late BOOLEAN NOT NULL DEFAULT false,
    price NUMERIC)";
const DECLARED: &str = "table flights: key flight:{id}, tag airport:{origin}, airport:{destination}";

/// Flights in a database of their own, with an outbox.
async fn flights() -> (PgPool, Outbox<sqlx::Postgres>) {
    let pool = databases::postgres().await;
    let outbox = Outbox::new(pool.clone());
    outbox.migrate().await.unwrap();
    run(&pool, FLIGHTS).await;
    run(&pool, "INSERT INTO flights VALUES (1, 'DFW', 'ORD', 7), (2, 'PIT', NULL, NULL)").await;
    (pool, outbox)
}

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn installed() -> (PgPool, Outbox<sqlx::Postgres>) {
    let (pool, outbox) = flights().await;
    Triggers::declare(DECLARED).unwrap().install(&pool).await.unwrap();
    (pool, outbox)
}

/// Takes what is written down: keys, tags, and whether everything is among it.
async fn noted(pool: &PgPool) -> (Vec<String>, Vec<String>, bool) {
    let rows: Vec<String> =
        sqlx::query_scalar("DELETE FROM cache_outbox RETURNING intent").fetch_all(pool).await.unwrap();
    let (mut keys, mut tags, mut everything) = (Vec::new(), Vec::new(), false);
    for row in rows {
        let _ = Invalidation::from_json(&row).unwrap_or_else(|error| panic!("{error}: {row}"));
        let mut row: serde_json::Value = serde_json::from_str(&row).unwrap();
        let texts = |list: &mut serde_json::Value| serde_json::from_value::<Vec<String>>(list.take()).unwrap();
        keys.extend(texts(&mut row["keys"]));
        tags.extend(texts(&mut row["tags"]));
        everything |= row["everything"].as_bool().unwrap();
    }
    keys.sort();
    tags.sort();
    (keys, tags, everything)
}

async fn refused(declaration: &str, pool: &PgPool, says: &str) {
    let error = Triggers::declare(declaration).unwrap().install(pool).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[derive(Serialize)]
struct Code(String);

/// Text made to be misread.
fn awkward_text() -> String {
    const PIECES: [&str; 28] = [
        ":",
        "%",
        "#",
        "*",
        "?",
        "[",
        "]",
        "\\",
        "{",
        "}",
        "~",
        "'",
        "+",
        ".",
        "!",
        "-",
        "0",
        "42",
        "true",
        "false",
        " ",
        "\n",
        "\u{85}",
        "\u{2003}",
        "é",
        "東",
        "\u{1F6EB}",
        "\"",
    ];
    (0..fastrand::usize(0..5)).map(|_| PIECES[fastrand::usize(..PIECES.len())]).collect()
}

#[tokio::test]
async fn text_is_spelled_as_the_library_spells_it() {
    let (pool, _) = installed().await;
    let seed = fastrand::u64(..);
    fastrand::seed(seed);
    let texts: Vec<String> = (0..3_000).map(|_| awkward_text()).collect();
    let spelled = "SELECT value, cache_outbox_escape(value), \
                       ARRAY(SELECT cache_outbox_key_parts(value, true, true)) FROM unnest($1::text[]) AS t (value)";
    let spelled: Vec<(String, String, Vec<String>)> =
        sqlx::query_as(spelled).bind(&texts).fetch_all(&pool).await.unwrap();
    assert_eq!(spelled.len(), texts.len());
    for (value, escaped, parts) in spelled {
        // With text around it: an empty name is none.
        let of_tag = tag!("t:{value}");
        assert_eq!(of_tag.as_str(), format!("t:{escaped}"), "seed {seed}");
        let (plain, option, code) = (&value, Some(&value), Code(value.clone()));
        let option_of_code = Some(&code);
        for key in [key!("k:{plain}"), key!("k:{option}"), key!("k:{code}"), key!("k:{option_of_code}")] {
            let found = parts.iter().any(|part| key.as_str() == format!("k:{part}"));
            assert!(found, "seed {seed}: {key} is none of {parts:?}");
        }
        assert!(parts.len() <= 4, "{parts:?}");
    }
}

#[tokio::test]
async fn every_character_is_escaped_as_the_library_escapes_it() {
    let (pool, _) = installed().await;
    let all = "SELECT i, cache_outbox_escape(chr(i)), cache_outbox_escape('a' || chr(i)) \
               FROM generate_series(1, 65535) AS i WHERE i NOT BETWEEN 55296 AND 57343";
    let all: Vec<(i32, String, String)> = sqlx::query_as(all).fetch_all(&pool).await.unwrap();
    for (code, alone, behind) in all {
        let c = char::from_u32(code as u32).unwrap();
        let text = format!("a{c}");
        assert_eq!(key!("k:{c}").as_str(), format!("k:{alone}"), "{code:x}");
        assert_eq!(key!("k:{text}").as_str(), format!("k:{behind}"), "{code:x}");
    }
}

#[tokio::test]
async fn other_values_are_spelled_as_the_library_spells_them() {
    let (pool, _) = flights().await;
    run(
        &pool,
        "CREATE DOMAIN code AS TEXT; CREATE DOMAIN short_code AS code;
         CREATE TABLE t (i2 SMALLINT NOT NULL, i4 INT, i8 BIGINT NOT NULL, b BOOLEAN NOT NULL, u UUID NOT NULL, d short_code NOT NULL)",
    )
    .await;
    let all = Triggers::declare("table t: key k:{i2}:{i8}:{b}:{u}:{d}, n:{i4}, tag n:{i4}, b:{b}").unwrap();
    all.install(&pool).await.unwrap();
    let uuid = "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11";
    run(&pool, &format!("INSERT INTO t VALUES (-7, NULL, -9223372036854775808, true, '{uuid}', 'x:y')")).await;
    let (i2, i4, i8, b, u, d) = (-7_i16, None::<i32>, i64::MIN, true, Code(uuid.to_lowercase()), "x:y");
    let spelled = key!("k:{i2}:{i8}:{b}:{u}:{d}").as_str().to_owned();
    let key_of_none = key!("n:{i4}").as_str().to_owned();
    assert_eq!(noted(&pool).await, (vec![spelled, key_of_none], vec![tag!("b:{b}").as_str().to_owned()], false));
    run(&pool, "UPDATE t SET i4 = 5").await;
    let (some, plain) = (Some(5), 5);
    let (keys, tags, _) = noted(&pool).await;
    assert!(
        keys.contains(&key!("n:{some}").as_str().to_owned()) && keys.contains(&key!("n:{plain}").as_str().to_owned())
    );
    assert_eq!(tags, ["b:true", "n:5"]);
}

#[tokio::test]
async fn each_kind_of_change_notes_the_old_and_the_new_row() {
    let (pool, _) = installed().await;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    run(&pool, "INSERT INTO flights VALUES (3, 'New York:1', NULL)").await;
    assert_eq!(noted(&pool).await, (texts(&["flight:3"]), texts(&["airport:New%20York%3A1"]), false));
    run(&pool, "UPDATE flights SET id = 4, origin = 'AUS' WHERE id = 1").await;
    let tags = texts(&["airport:AUS", "airport:DFW", "airport:ORD"]);
    assert_eq!(noted(&pool).await, (texts(&["flight:1", "flight:4"]), tags, false));
    run(&pool, "DELETE FROM flights WHERE id = 4").await;
    assert_eq!(noted(&pool).await, (texts(&["flight:4"]), texts(&["airport:AUS", "airport:ORD"]), false));
    let upsert = "INSERT INTO flights VALUES (2, 'PIT'), (5, 'LAX') ON CONFLICT (id) DO UPDATE SET gate = 9";
    run(&pool, upsert).await;
    let upserted = noted(&pool).await;
    assert!(upserted.0.contains(&"flight:2".to_owned()) && upserted.0.contains(&"flight:5".to_owned()));
    run(&pool, "UPDATE flights SET gate = 1 WHERE id = 99").await;
    run(&pool, "BEGIN; UPDATE flights SET gate = 1; ROLLBACK").await;
    assert_eq!(noted(&pool).await, (vec![], vec![], false));
    run(&pool, "TRUNCATE flights").await;
    assert_eq!(noted(&pool).await, (vec![], vec![], true));
}

#[tokio::test]
async fn a_statement_that_changes_many_rows_writes_few_intents() {
    let (pool, _) = installed().await;
    run(&pool, "INSERT INTO flights SELECT i, 'DFW' FROM generate_series(10, 2009) AS i").await;
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM cache_outbox").fetch_one(&pool).await.unwrap();
    assert_eq!(count, 2_001_i64.div_euclid(i64::from(INTENT_NAMES_MAX)) + 1);
    let (keys, tags, everything) = noted(&pool).await;
    assert_eq!((keys.len(), tags, everything), (2_000, vec!["airport:DFW".to_owned()], false));
}

#[tokio::test]
async fn a_name_too_long_to_be_read_back_is_everything() {
    let (pool, _) = installed().await;
    run(&pool, "UPDATE flights SET origin = repeat('x', 1016) WHERE id = 1").await;
    let (keys, tags, everything) = noted(&pool).await;
    assert_eq!((keys.len(), tags.len(), everything), (1, 3, false));
    run(&pool, "UPDATE flights SET origin = repeat('x', 1017) WHERE id = 1").await;
    let (keys, tags, everything) = noted(&pool).await;
    assert_eq!((keys.len(), tags.len(), everything), (1, 2, true));
    // Escapes count too.
    run(&pool, "UPDATE flights SET origin = repeat(':', 400) WHERE id = 1").await;
    assert!(noted(&pool).await.2);
}

#[tokio::test]
async fn writers_need_no_rights_on_the_outbox() {
    let (pool, _) = installed().await;
    let role = format!("w{:016x}", fastrand::u64(..));
    run(&pool, &format!("CREATE ROLE {role}; GRANT SELECT, UPDATE ON flights TO {role}")).await;
    run(&pool, &format!("BEGIN; SET LOCAL ROLE {role}; UPDATE flights SET gate = 1 WHERE id = 1; COMMIT")).await;
    assert_eq!(noted(&pool).await.0, ["flight:1"]);
    run(&pool, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_long_key_is_found_by_its_text() {
    let (pool, outbox) = installed().await;
    run(&pool, "CREATE TABLE notes (title TEXT NOT NULL)").await;
    Triggers::declare("table notes: key note:{title}").unwrap().install(&pool).await.unwrap();
    let (cache, title) = (Cache::in_memory(), "a long title: ".repeat(20));
    let loaded = cache.get_or_load(key!("note:{title}"), || async { Ok::<_, std::io::Error>(1) }).await;
    assert_eq!(loaded.unwrap(), 1);
    sqlx::query("INSERT INTO notes VALUES ($1)").bind(&title).execute(&pool).await.unwrap();
    outbox.relay(&cache).await.unwrap();
    assert_eq!(cache.peek::<i32>(key!("note:{title}")).await.unwrap(), None);
}

/// Caches flights, and tells which are still there.
async fn cached(cache: &Cache, ids: &[i64]) -> Vec<bool> {
    let mut there = Vec::new();
    for id in ids {
        there.push(cache.peek::<i32>(key!("flight:{id}")).await.unwrap().is_some());
        cache.get_or_load(key!("flight:{id}"), || async { Ok::<_, std::io::Error>(1) }).await.unwrap();
    }
    there
}

async fn rows(pool: &PgPool, due: bool) -> i64 {
    let rows = "SELECT COUNT(*) FROM cache_outbox WHERE (due <= clock_timestamp()) = $1";
    sqlx::query_scalar(rows).bind(due).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_transaction_does_what_its_triggers_wrote() {
    let (pool, outbox) = installed().await;
    let cache = Cache::in_memory();
    cached(&cache, &[1, 2, 3]).await;
    let mut tx = outbox.begin(&cache).await.unwrap();
    sqlx::query("UPDATE flights SET gate = 1 WHERE id = 1").execute(&mut *tx).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    sqlx::query("UPDATE flights SET gate = 1 WHERE id = 2").execute(&mut *savepoint).await.unwrap();
    savepoint.commit().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    sqlx::query("INSERT INTO flights VALUES (3, 'AUS')").execute(&mut *savepoint).await.unwrap();
    savepoint.rollback().await.unwrap();
    tx.commit().await.unwrap().invalidation.unwrap();
    assert_eq!(cached(&cache, &[1, 2, 3]).await, [false, false, true]);
    assert_eq!((rows(&pool, true).await, rows(&pool, false).await), (0, 0));
}

#[tokio::test]
async fn what_a_transaction_has_taken_and_not_done_falls_due() {
    let (pool, outbox) = installed().await;
    let cache = Cache::in_memory();
    cached(&cache, &[1, 2]).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = Cache::open(&format!("redis://127.0.0.1:{port}")).unwrap();
    let mut tx = outbox.begin(&away).await.unwrap();
    sqlx::query("UPDATE flights SET gate = 1 WHERE id = 1").execute(&mut *tx).await.unwrap();
    assert!(tx.commit_regardless().await.unwrap().invalidation.is_err());
    assert_eq!((rows(&pool, true).await, rows(&pool, false).await), (0, 1));
    run(&pool, "UPDATE flights SET gate = 1 WHERE id = 2").await;
    let listening = tokio::spawn({
        let (outbox, cache) = (outbox.clone(), cache.clone());
        async move { outbox.listen(&cache).await }
    });
    let is_gone = async |key: &str| cache.peek::<i32>(key).await.unwrap().is_none();
    cache_tests::until(async || is_gone("flight:2").await).await;
    assert!(!is_gone("flight:1").await, "the listener did not leave it to the transaction's process");
    cache_tests::until(async || is_gone("flight:1").await).await;
    cache_tests::until(async || rows(&pool, true).await + rows(&pool, false).await == 0).await;
    listening.abort();
}

#[tokio::test]
async fn more_than_a_transaction_can_close_is_left_to_the_relays() {
    let (pool, outbox) = installed().await;
    let cache = Cache::in_memory();
    for change in ["INSERT INTO flights SELECT i, 'DFW' FROM generate_series(10, 9000) AS i", "TRUNCATE flights"] {
        cached(&cache, &[1, 500]).await;
        let mut tx = outbox.begin(&cache).await.unwrap();
        sqlx::query(change).execute(&mut *tx).await.unwrap();
        tx.invalidates(Invalidation::new().key("flight:1"));
        tx.commit().await.unwrap().invalidation.unwrap();
        assert_eq!(cached(&cache, &[1, 500]).await, [false, true], "{change}");
        assert!(rows(&pool, true).await > 0 && rows(&pool, false).await == 0);
        outbox.relay(&cache).await.unwrap();
        assert!(!cached(&cache, &[500]).await[0], "{change}");
    }
}

#[tokio::test]
async fn bad_declarations_are_refused_with_the_way_out() {
    let (pool, _) = flights().await;
    refused("table gates: key gate:{id}", &pool, "there is no table `gates`").await;
    refused("table flights: key flight:{identity}", &pool, "has no column `identity`, but id, origin").await;
    refused("table flights: key flight:{price}", &pool, "`price`, which is of type numeric").await;
    run(&pool, "CREATE VIEW late AS SELECT * FROM flights WHERE is_late").await;
    refused("table late: key flight:{id}", &pool, "not an ordinary table").await;
    run(&pool, "CREATE TABLE parts (id INT) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts DEFAULT")
        .await;
    refused("table parts: key part:{id}", &pool, "not an ordinary table").await;
    refused("table part: key part:{id}", &pool, "not an ordinary table").await;
    // All at once, and nothing is made.
    let both = Triggers::declare("table flights: key flight:{id} table a: key a table b: key b").unwrap();
    assert_eq!(both.install(&pool).await.unwrap_err().to_string().lines().count(), 2);
    run(&pool, "UPDATE flights SET gate = 1").await;
    assert_eq!(noted(&pool).await, (vec![], vec![], false));
}

#[tokio::test]
async fn triggers_that_are_there_are_replaced_only_when_told_so() {
    let (pool, _) = installed().await;
    refused(DECLARED, &pool, "`flights` has triggers of the outbox already: use `replace`").await;
    let other = Triggers::declare("table flights: key other:{id}").unwrap();
    other.replace(&pool).await.unwrap();
    run(&pool, "UPDATE flights SET gate = 1 WHERE id = 1").await;
    assert_eq!(noted(&pool).await, (vec!["other:1".to_owned()], vec![], false));
    run(&pool, &other.to_sql(&pool).await.unwrap()).await;
    other.remove(&pool).await.unwrap();
    other.remove(&pool).await.unwrap();
    run(&pool, "UPDATE flights SET gate = 2").await;
    assert_eq!(noted(&pool).await, (vec![], vec![], false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_the_same_time_do_not_disturb_each_other() {
    let pool = databases::postgres().await;
    run(&pool, FLIGHTS).await;
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                Outbox::new(pool.clone()).migrate().await?;
                Triggers::declare(DECLARED)?.replace(&pool).await
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_outbox_must_be_there_first() {
    let pool = databases::postgres().await;
    refused(DECLARED, &pool, "make it with `Outbox::migrate` first").await;
}

#[tokio::test]
async fn odd_names_and_texts_are_quoted() {
    let (pool, _) = flights().await;
    let schema = r#"CREATE SCHEMA "Odd ""one"; CREATE TABLE "Odd ""one"."T" ("a'b" INT, "C" TEXT)"#;
    // A declaration has no white space in names, so this schema cannot be reached by it.
    run(&pool, schema).await;
    run(&pool, r#"CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."T" ("a'b" INT, "C" TEXT)"#).await;
    let odd = Triggers::declare("table Odd.T: tag it's:{a'b}:$cache_outbox0$:{{{C}}}").unwrap();
    odd.install(&pool).await.unwrap();
    run(&pool, r#"INSERT INTO "Odd"."T" VALUES (1, 'x')"#).await;
    assert_eq!(noted(&pool).await.1, ["it's:1:$cache_outbox0$:{x}"]);
}
