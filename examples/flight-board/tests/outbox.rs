//! A process that is killed between the commit of a change and its invalidation, on a real file and a real Redis.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cache_core::{Builder, Cache};
use flight_board::db::Db;
use flight_board::outbox::{self, Relayed};
use flight_board::{flights, setup};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const FLIGHT: u64 = 14_714;
const FILE: &str = "FLIGHT_BOARD_TEST_FILE";
const NAMESPACE: &str = "FLIGHT_BOARD_TEST_NAMESPACE";
const ROLE: &str = "FLIGHT_BOARD_TEST_ROLE";

fn settings(namespace: &str) -> Builder {
    Cache::builder().namespace(namespace).operation_deadline(Duration::from_secs(10))
}

/// What this very program does when a test below starts it as another process; otherwise nothing.
#[tokio::test]
async fn another_process() {
    let Ok(role) = env::var(ROLE) else { return };
    let db = Db::open(Path::new(&env::var(FILE).unwrap())).unwrap();
    let (cache, _) = setup::install_cache(settings(&env::var(NAMESPACE).unwrap())).unwrap();
    if role == "restarts" {
        let relayed = outbox::relay(&db, &cache).await.unwrap();
        println!("\n@relayed {} {}", relayed.done, relayed.left);
    }
    println!("\n@shows {} {}", delay(&db).await, delay_on_board(&db).await);
    if role == "changes" {
        let mut change = db.hold_query(1);
        let changing = db.clone();
        let changing = tokio::spawn(async move { flights::set_delay(&changing, FLIGHT, 999).await });
        change.has_read().await;
        println!("\n@committed");
        changing.await.unwrap().unwrap();
    }
}

async fn delay(db: &Db) -> i32 {
    flights::get_flight(db, FLIGHT).await.unwrap().unwrap().delay_min
}

async fn delay_on_board(db: &Db) -> i32 {
    let board = flights::get_departures(db, "DFW", "2001-03-09").await.unwrap();
    board.departures.iter().find(|line| line.flight.id == FLIGHT).unwrap().flight.delay_min
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str, file: &Path, namespace: &str, url: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "another_process", "--nocapture"])
            .envs([(ROLE, role), (NAMESPACE, namespace), ("CACHE_URL", url)])
            .env(FILE, file)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that is not the test harness's.
    async fn says(&mut self) -> String {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("the process lives");
            if let Some(said) = line.strip_prefix('@') {
                return said.to_owned();
            }
        }
    }
}

#[tokio::test]
async fn nothing_stale_is_served_after_a_crash_between_commit_and_invalidation() {
    let url = env::var("CACHE_TEST_REDIS_URL")
        .expect("CACHE_TEST_REDIS_URL is not set: run the tests with `cargo xtask test`, which starts the servers");
    let namespace = format!("board{:016x}", fastrand::u64(..));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("board.sqlite");

    let mut crashing = Process::start("changes", &file, &namespace, &url);
    let before = crashing.says().await;
    assert!(before.starts_with("shows "), "{before}");
    assert_eq!(crashing.says().await, "committed");
    crashing.child.start_kill().unwrap();
    assert_eq!(crashing.child.wait().await.unwrap().signal(), Some(9));

    // The change is there, and the cache knows nothing of it: what a visitor of another process gets now is old.
    let mut visited = Process::start("visits", &file, &namespace, &url);
    assert_eq!(visited.says().await, before);

    let mut restarted = Process::start("restarts", &file, &namespace, &url);
    assert_eq!(restarted.says().await, "relayed 1 0");
    assert_eq!(restarted.says().await, "shows 999 999");
    let mut again = Process::start("restarts", &file, &namespace, &url);
    assert_eq!(again.says().await, "relayed 0 0", "done once, struck");

    let cache = settings(&namespace).url(url).build().unwrap();
    cache.ready(Duration::from_secs(10)).await.unwrap();
    cache.clear().await.unwrap();
}

#[tokio::test]
async fn a_note_that_cannot_be_read_stays_and_keeps_nothing_else_from_being_done() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("board.sqlite");
    let (db, cache) = (Db::open(&file).unwrap(), Cache::in_memory());
    assert_eq!(outbox::relay(&db, &cache).await.unwrap(), Relayed::default());
    let note = |text: &str| {
        rusqlite::Connection::open(&file).unwrap().execute("INSERT INTO outbox (intent) VALUES (?)", [text]).unwrap()
    };
    note("garbage");
    note(r#"{"version":2,"keys":["a"]}"#);
    note(r#"{"version":1,"keys":["flight:1"],"tags":[],"patterns":[],"everything":false}"#);
    for done in [1, 0] {
        assert_eq!(outbox::relay(&db, &cache).await.unwrap(), Relayed { done, left: 2 });
    }
}

#[tokio::test]
async fn a_note_stays_while_the_store_is_not_there() {
    let db = Db::in_memory().unwrap();
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = Cache::open(&format!("redis://127.0.0.1:{port}")).unwrap();
    // The change itself is made with the cache that is installed: held after its commit, and dropped there.
    let mut committed = db.hold_query(1);
    let changing = db.clone();
    let changing = tokio::spawn(async move { flights::set_delay(&changing, FLIGHT, 999).await });
    committed.has_read().await;
    changing.abort();
    assert!(changing.await.unwrap_err().is_cancelled());
    assert_eq!(outbox::relay(&db, &gone).await.unwrap(), Relayed { done: 0, left: 1 });
    assert_eq!(outbox::relay(&db, &Cache::in_memory()).await.unwrap(), Relayed { done: 1, left: 0 });
}
