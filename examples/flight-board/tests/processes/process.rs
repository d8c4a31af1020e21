//! Other processes on the same file: this very test program in a role, and the board itself.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cache_core::Cache;
use cache_tests::PATIENCE;
use flight_board::db::Db;
use flight_board::{flights, setup};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

pub(crate) const FLIGHT: u64 = 14_714;
/// The board that shows it.
pub(crate) const BOARD: &str = "/airports/DFW/departures?day=2001-03-09";
const FILE: &str = "FLIGHT_BOARD_TEST_FILE";
const ROLE: &str = "FLIGHT_BOARD_TEST_ROLE";

/// What this very program does when a test starts it as another process; otherwise nothing.
#[tokio::test]
async fn another_process() {
    let Ok(role) = env::var(ROLE) else { return };
    let db = Db::open(Path::new(&env::var(FILE).unwrap())).unwrap();
    let settings = Cache::builder().namespace(db.namespace()).operation_deadline(PATIENCE);
    let (cache, _) = setup::install_cache(settings).unwrap();
    cache.ready(PATIENCE).await.unwrap();
    println!("\n@shows {} {}", delay(&db).await, delay_on_board(&db).await);
    if role == "changes" {
        let mut change = db.hold_query(1);
        let changing = tokio::spawn(async move { flights::set_delay(&db, FLIGHT, 999).await });
        change.has_read().await;
        println!("\n@committed");
        tokio::io::stdin().read_u8().await.unwrap();
        change.release();
        changing.await.unwrap().unwrap();
        // To be killed.
        std::future::pending().await
    }
}

async fn delay(db: &Db) -> i32 {
    flights::get_flight(db, FLIGHT).await.unwrap().unwrap().delay_min
}

async fn delay_on_board(db: &Db) -> i32 {
    let board = flights::get_departures(db, "DFW", "2001-03-09").await.unwrap();
    board.departures.iter().find(|line| line.flight.id == FLIGHT).unwrap().flight.delay_min
}

/// A file that the flight board has not been started on.
pub(crate) struct File {
    _directory: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.sqlite");
        Self { _directory: directory, path }
    }

    pub(crate) fn open(&self) -> Db {
        Db::open(&self.path).unwrap()
    }

    pub(crate) fn sql(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    pub(crate) fn note(&self, intent: &str) {
        self.sql().execute("INSERT INTO outbox (intent) VALUES (?)", [intent]).unwrap();
    }

    pub(crate) fn notes(&self) -> u32 {
        self.sql().query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap()
    }
}

/// Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(role: &str, file: &Path, url: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "process::another_process", "--nocapture"]).env(ROLE, role).env(FILE, file);
        Self::run(command, url)
    }

    fn run(mut command: Command, url: &str) -> Self {
        command.env("CACHE_URL", url).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("the process lives")
    }

    /// The next line that is not the test harness's.
    pub(crate) async fn says(&mut self) -> String {
        loop {
            if let Some(said) = self.line().await.strip_prefix('@') {
                return said.to_owned();
            }
        }
    }

    /// Lets it go on after its commit.
    pub(crate) async fn goes_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"!").await.unwrap();
    }

    /// SIGKILL: it does nothing more.
    pub(crate) async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        assert_eq!(self.child.wait().await.unwrap().signal(), Some(9));
    }
}

/// `flight-board serve`.
pub(crate) struct Serving {
    process: Process,
    address: String,
}

impl Serving {
    /// Returns when it says where it serves.
    pub(crate) async fn start(file: &Path, url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flight-board"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--database"]).arg(file);
        let mut process = Process::run(command, url);
        let line = process.line().await;
        let address = line.strip_prefix("flight board on http://").and_then(|rest| rest.split_once(','));
        let address = address.unwrap_or_else(|| panic!("no address: {line}")).0.to_owned();
        Self { process, address }
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let (head, body) = ask(&self.address, "GET", path, "").await;
        assert!(head.starts_with("HTTP/1.0 200"), "{head}\n{body}");
        Answer { is_cached: head.contains("x-served-from: cache"), body: serde_json::from_str(&body).unwrap() }
    }

    /// Asks for what has no end, and returns when it has begun.
    pub(crate) async fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: board\r\n\r\n").as_bytes()).await.unwrap();
        let mut begun = String::new();
        while !begun.contains("event: hello") {
            begun.push(char::from(stream.read_u8().await.unwrap()));
        }
        stream
    }

    /// SIGTERM: it ends by itself.
    pub(crate) async fn ends_when_told(&mut self) {
        let id = self.process.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.process.child.wait()).await;
        assert!(ended.expect("it ends").unwrap().success());
    }

    /// Whether an answer comes from the cache. A store that a busy machine kept from answering
    /// before the board's own deadline is no proof of the contrary.
    pub(crate) async fn serves_from_cache(&self, path: &str) -> bool {
        self.get(path).await.is_cached || self.errors().await > 0
    }

    /// How often the store failed it.
    pub(crate) async fn errors(&self) -> u64 {
        self.get("/admin/stats").await.body["total"]["errors"].as_u64().unwrap()
    }

    /// Reads on until it says so.
    pub(crate) async fn says(&mut self, what: &str) {
        while !self.process.line().await.contains(what) {}
    }
}

/// The head and the body of an answer over HTTP. What is sent is JSON, or nothing.
pub(crate) async fn ask(address: &str, method: &str, path: &str, sent: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("{method} {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", sent.len());
    stream.write_all((head + sent).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// With status 200.
pub(crate) struct Answer {
    pub(crate) is_cached: bool,
    pub(crate) body: Value,
}
