//! What must be true before a connection is used, and what users are told when it is not.

use super::fake::Door;
use super::*;
use crate::store::redis::{layout::Layout, trial};

const LONG: Duration = Duration::from_secs(60);

/// A pool that tries on each connection what the library needs.
fn trying(fake: &Arc<Fake>, config: &Config) -> Pool {
    let on_connection = trial::trial(&[Layout::new("shop")]);
    hooked(
        fake,
        config,
        Hooks { on_connection, on_new_primary: finding_all(), on_loss: Box::new(|_| ()), on_change: Box::new(|_| ()) },
    )
}

#[tokio::test(start_paused = true)]
async fn the_handshake_logs_in_and_loads_every_script_before_any_call() {
    let fake = Fake::new();
    let pool = pool(&fake);
    assert_eq!(fake.dials(), 0, "nothing is opened before it is needed");
    get(&pool, "k").await.unwrap();
    let seen: Vec<String> = fake.seen("").into_iter().map(|(_, command)| command).collect();
    assert_eq!(seen[0], "HELLO 3 AUTH zoe s3cr3t");
    assert_eq!(seen[1], "SELECT 1");
    assert_eq!(seen.last().unwrap(), "GET k");
    assert_eq!(fake.seen("SCRIPT LOAD").len(), scripts::ALL.len());
    assert!(fake.seen("CLIENT SETNAME cache-core").len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_for_good_is_reported_at_once() {
    let garbage = "HTTP/1.1 400 Bad Request\r\nprivate\r\n\r\n";
    let unknown_to_redis_7 = "-ERR unknown command 'HELLO', with args beginning with: '3' 'private' \r\n";
    let too_old = "%3\r\n+server\r\n+redis\r\n+version\r\n+6.2.14\r\n+role\r\n+master\r\n";
    let in_cluster = "%2\r\n+role\r\n+master\r\n+mode\r\n+cluster\r\n";
    for (command, reply, expected) in [
        ("HELLO", "-WRONGPASS private\r\n", "HELLO: the user or password"),
        ("HELLO", "-NOAUTH private\r\n", "password"),
        ("HELLO", "-NOPROTO private\r\n", "RESP3"),
        ("HELLO", "-ERR unknown command `HELLO`, private\r\n", "HELLO: RESP3"),
        ("HELLO", unknown_to_redis_7, "HELLO: RESP3"),
        ("HELLO", "-ERR unsupported command 'private'\r\n", "HELLO: RESP3"),
        ("HELLO", "-unsupported command 'private'\r\n", "HELLO: RESP3"),
        ("HELLO", "-invalid request\r\n", "HELLO: RESP3"),
        ("HELLO", "-DENIED private\r\n", "protected mode"),
        ("HELLO", garbage, "not a Redis server"),
        ("HELLO 3", in_cluster, "Redis Cluster"),
        ("HELLO 3", too_old, "Redis 6.2.14, and Redis 7.0 or later is needed"),
        ("HELLO 3", "%2\r\n+server\r\n+redis\r\n+mode\r\n+sentinel\r\n", "redis-sentinel://"),
        ("HELLO 3", "%1\r\n+server\r\n+redis\r\n", "role"),
        ("HELLO 3", "+OK\r\n", "role"),
        ("SELECT", "-ERR DB index is out of range private\r\n", "database 1"),
        ("SELECT", "-NOPERM private\r\n", "SELECT: the user has no permission"),
        ("EVALSHA", "-NOPERM User private has no permissions to run the 'evalsha' command\r\n", "EVALSHA: the user"),
        ("EVALSHA", "-NOPERM No permissions to access a key\r\n", "~<namespace>:*"),
        (
            "EVALSHA",
            "-ERR unknown command 'EVALSHA', with args beginning with: private\r\n",
            "EVALSHA: it does not know",
        ),
        ("EVALSHA", "*2\r\n+TIME\r\n+ZADD\r\n", "refuses TIME, ZADD"),
    ] {
        let fake = Fake::new();
        fake.on(command, Answer::raw(reply));
        let pool = trying(&fake, &config(1));
        let (outcome, took) = timed(pool.ready(LONG)).await;
        let error = outcome.expect_err(reply);
        assert_eq!((error.kind(), took), (ErrorKind::Config, Duration::ZERO), "{reply}: {error}");
        assert!(error.to_string().contains(expected), "{reply}: {error}");
        check_discreet(&error);
        let error = get(&pool, "k").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{reply}: calls say the same");
        check_discreet(&error);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_words_before_a_hang_up_are_heard() {
    let fake = Fake::new();
    fake.on("EVALSHA", Answer::Cut(b"-NOPERM private\r\n".to_vec()));
    let error = trying(&fake, &config(1)).ready(LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

/// In the words of a server, which are not repeated if they are no version.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_new_enough_or_no_version_serves() {
    for (server, version) in [("redis", "7.0.15"), ("redis", "10.2"), ("redis", "private"), ("valkey", "1.0.0")] {
        let fake = Fake::new();
        let hello = format!("%3\r\n+server\r\n+{server}\r\n+version\r\n+{version}\r\n+role\r\n+master\r\n");
        fake.on("HELLO", Answer::raw(&hello));
        pool(&fake).ready(LONG).await.unwrap();
    }
}

/// twemproxy and its like end a connection at a command that they do not know.
#[tokio::test(start_paused = true)]
async fn a_command_at_which_the_connection_ends_is_named() {
    for (ends_at, expected) in [
        ("CLIENT SETNAME", "lost at CLIENT:"),
        ("CLIENT TRACKING", "lost at CLIENT:"),
        ("INFO memory", "lost at INFO:"),
        ("SCRIPT LOAD", "lost at SCRIPT:"),
        ("SELECT", "lost at SELECT:"),
        ("EVALSHA", "lost at EVALSHA:"),
    ] {
        let fake = Fake::new();
        fake.on("EVALSHA", Answer::raw("*0\r\n"));
        fake.on(ends_at, Answer::Cut(Vec::new()));
        let pool = trying(&fake, &config(1));
        let error = pool.ready(LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "it may have ended by chance");
        assert!(error.to_string().contains(expected), "{ends_at}: {error}");
        check_discreet(&error);
        fake.on("", Answer::raw("*0\r\n"));
        fake.set_role("master");
        fake.become_primary("a");
        pool.ready(LONG).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_may_come_round_is_waited_for() {
    for (command, reply, expected) in [
        ("HELLO", "-ERR max number of clients reached\r\n", "maxclients"),
        ("SELECT", "-LOADING private\r\n", "LOADING"),
        ("SCRIPT LOAD", "-LOADING private\r\n", "LOADING"),
        ("SCRIPT LOAD", "-BUSY private\r\n", "BUSY"),
        ("INFO", "-CLUSTERDOWN private\r\n", "CLUSTERDOWN"),
        ("HELLO 3", "%1\r\n+role\r\n+replica\r\n", "replica"),
    ] {
        let fake = Fake::new();
        fake.on(command, Answer::raw(reply));
        let pool = pool(&fake);
        let (outcome, took) = timed(pool.ready(LONG)).await;
        let error = outcome.expect_err(reply);
        assert_eq!((error.kind(), took), (ErrorKind::Unavailable, LONG), "{reply}: {error}");
        assert!(error.to_string().contains(expected), "{reply}: {error}");
        check_discreet(&error);
        fake.on("", Answer::raw("+OK\r\n"));
        fake.set_role("master");
        fake.become_primary("a");
        pool.ready(LONG).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ready_gives_up_with_the_reason() {
    for (door, expected) in [(Door::Refuse, "refused"), (Door::Lost, "within 1s")] {
        let fake = Fake::new();
        fake.set_door(door);
        let (outcome, took) = timed(pool(&fake).ready(LONG)).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), took), (ErrorKind::Unavailable, LONG));
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn ready_means_that_every_connection_stands() {
    let fake = Fake::new();
    let pool = pool_with(&fake, &config(3), finding_all());
    pool.ready(LONG).await.unwrap();
    assert_eq!(fake.seen("SELECT").len(), 3);
    fake.set_door(Door::Refuse);
    pool.ready(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_evicts_any_key_is_noticed() {
    let fake = Fake::new();
    let pool = pool(&fake);
    pool.ready(LONG).await.unwrap();
    assert!(!pool.evicts_any_key());
    let fake = Fake::new();
    fake.on("INFO memory", Answer::text("maxmemory_policy:allkeys-lru\r\n"));
    let pool = pool_with(&fake, &config(2), finding_all());
    pool.ready(LONG).await.unwrap();
    assert!(pool.evicts_any_key());
}

#[tokio::test(start_paused = true)]
async fn what_can_be_done_without_is_done_without() {
    for refused in ["INFO", "SCRIPT LOAD", "CLIENT SETNAME", "CLIENT TRACKING"] {
        for reply in ["-NOPERM private\r\n", "-ERR unknown command 'private'\r\n"] {
            let fake = Fake::new();
            fake.on(refused, Answer::raw(reply));
            fake.on("EVALSHA", Answer::raw("*0\r\n"));
            let pool = trying(&fake, &config(2));
            pool.ready(LONG).await.unwrap();
            assert_eq!(get(&pool, "k").await.unwrap(), "k");
            tokio::time::sleep(LONG).await;
            assert_eq!((pool.is_connected(), fake.dials()), (true, 2), "{refused}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_may_not_load_scripts_is_sent_their_text() {
    let fake = Fake::new();
    fake.on("SCRIPT LOAD", Answer::raw("-NOPERM private\r\n"));
    fake.on("EVALSHA", Answer::raw("-NOSCRIPT No matching script\r\n"));
    fake.on("EVAL ", Answer::raw("*0\r\n"));
    trying(&fake, &config(1)).ready(LONG).await.unwrap();
    assert_eq!(fake.seen("EVAL ").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_server_is_fit() {
    let fake = Fake::new();
    fake.on("EVALSHA", Answer::raw("-OOM private\r\n"));
    trying(&fake, &config(1)).ready(LONG).await.unwrap();
}

/// Such a primary may be another server on each connection, and lag behind the one before.
#[tokio::test(start_paused = true)]
async fn a_primary_that_does_not_tell_its_run_id_is_prepared_for_each_connection_but_the_first() {
    for without in [Answer::raw("-NOPERM private\r\n"), Answer::text("# Server\r\n")] {
        let fake = Fake::new();
        fake.on("INFO", without);
        let (hook, on_new_primary) = counting_hook();
        let pool = pool_with(&fake, &config(3), on_new_primary);
        pool.ready(LONG).await.unwrap();
        assert_eq!(hook.runs.load(Ordering::SeqCst), 2);
        fake.on("GET", Answer::Cut(Vec::new()));
        get(&pool, "k").await.unwrap_err();
        pool.ready(LONG).await.unwrap();
        tokio::time::sleep(LONG).await;
        assert_eq!((hook.runs.load(Ordering::SeqCst), fake.dials()), (3, 4));
        // A primary that tells its run id is another one than those before.
        fake.become_primary("a");
        get(&pool, "k").await.unwrap_err();
        pool.ready(LONG).await.unwrap();
        assert_eq!(hook.runs.load(Ordering::SeqCst), 4);
    }
}

/// A hook that counts its runs, and fails while it is told to.
struct Preparations {
    runs: AtomicUsize,
    fails: std::sync::atomic::AtomicBool,
}

fn counting_hook() -> (Arc<Preparations>, MeetingHook) {
    let hook = Arc::new(Preparations { runs: AtomicUsize::new(0), fails: false.into() });
    let counted = hook.clone();
    let on_new_primary = move |connection: Connection| {
        let hook = counted.clone();
        let prepare = async move {
            hook.runs.fetch_add(1, Ordering::SeqCst);
            connection.run(&scripts::MEET, &["clock"], &[b"root"]).await?;
            match hook.fails.load(Ordering::SeqCst) {
                true => Err(Error::new(ErrorKind::Protocol, "not prepared")),
                false => Ok(Inheritance::Whole),
            }
        };
        Box::pin(prepare) as Pin<Box<dyn Future<Output = Result<Inheritance, Error>> + Send>>
    };
    (hook, Box::new(on_new_primary))
}

/// Ends the connection, and lets the next one lead to another primary.
async fn fail_over(fake: &Arc<Fake>, pool: &Pool, run_id: &str) {
    fake.become_primary(run_id);
    fake.on("GET", Answer::Cut(Vec::new()));
    get(pool, "k").await.unwrap_err();
    fake.on("GET", Answer::Echo);
}

#[tokio::test(start_paused = true)]
async fn another_primary_is_prepared_before_any_call_may_use_it() {
    let fake = Fake::new();
    let (hook, on_new_primary) = counting_hook();
    let pool = pool_with(&fake, &config(1), on_new_primary);
    pool.ready(LONG).await.unwrap();
    fail_over(&fake, &pool, "a").await;
    pool.ready(LONG).await.unwrap();
    assert_eq!(hook.runs.load(Ordering::SeqCst), 0, "the first one, met again");

    fail_over(&fake, &pool, "b").await;
    pool.ready(LONG).await.unwrap();
    get(&pool, "after").await.unwrap();
    assert_eq!(hook.runs.load(Ordering::SeqCst), 1);
    let order: Vec<_> = fake.seen("").into_iter().map(|(_, command)| command).collect();
    let renewed = order.iter().position(|command| command.starts_with("EVALSHA")).unwrap();
    assert_eq!(order[renewed + 1..], ["HELLO 3", "GET after"]);

    fail_over(&fake, &pool, "a").await;
    pool.ready(LONG).await.unwrap();
    assert_eq!(hook.runs.load(Ordering::SeqCst), 2, "one that comes back may have missed something");
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_cannot_be_prepared_is_not_used() {
    let fake = Fake::new();
    let (hook, on_new_primary) = counting_hook();
    let pool = pool_with(&fake, &config(1), on_new_primary);
    pool.ready(LONG).await.unwrap();
    hook.fails.store(true, Ordering::SeqCst);
    fail_over(&fake, &pool, "b").await;
    let calls = fake.seen("GET").len();
    let error = pool.ready(LONG).await.unwrap_err();
    assert!(error.to_string().contains("not prepared"), "{error}");
    get(&pool, "k").await.unwrap_err();
    assert_eq!(fake.seen("GET").len(), calls);
    hook.fails.store(false, Ordering::SeqCst);
    pool.ready(LONG).await.unwrap();
    get(&pool, "k").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn when_one_connection_meets_another_primary_the_others_follow() {
    let fake = Fake::new();
    let (hook, on_new_primary) = counting_hook();
    let pool = pool_with(&fake, &config(3), on_new_primary);
    pool.ready(LONG).await.unwrap();
    fail_over(&fake, &pool, "b").await;
    fake.closed(3).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(fake.dials(), 6);
    assert_eq!(hook.runs.load(Ordering::SeqCst), 1, "prepared once");
}

/// ★ It has followed another primary, and has the data of that one.
#[tokio::test(start_paused = true)]
async fn a_primary_with_another_replication_id_is_another_primary() {
    let fake = Fake::new();
    let history =
        |id: &str| fake.on("INFO replication", Answer::text(&format!("role:master\r\nmaster_replid:{id}\r\n")));
    history("one");
    let (hook, on_new_primary) = counting_hook();
    let pool = pool_with(&fake, &config(1), on_new_primary);
    pool.ready(LONG).await.unwrap();
    for (id, runs) in [("one", 0), ("two", 1), ("two", 1), ("one", 2)] {
        history(id);
        fail_over(&fake, &pool, "a").await;
        pool.ready(LONG).await.unwrap();
        assert_eq!(hook.runs.load(Ordering::SeqCst), runs, "{id}");
    }
}
