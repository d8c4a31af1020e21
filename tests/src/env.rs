//! Where `cargo xtask test` put the servers, and the runtime that tests run on.

use std::path::PathBuf;
use std::time::Duration;

/// Ten times what any test takes: a race that never comes fails instead of hanging,
/// and a busy machine fails nothing.
const TEST_DEADLINE: Duration = Duration::from_secs(180);

/// Longer than any test: whoever waits for it fails with the test's deadline.
pub const FOREVER: Duration = Duration::from_secs(3_600);
/// Far longer than an answer takes, even on a busy machine, and shorter than a test may take: what
/// never answers is told as such.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The servers that the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Redis 7.0, as in Debian.
    Redis,
    /// Valkey 9.1.
    Valkey,
}

impl ServerKind {
    /// The server that all tests share, each in its own namespace.
    ///
    /// # Panics
    /// If `cargo xtask test` did not say where it is.
    pub fn shared_url(self) -> String {
        require(match self {
            Self::Redis => "CACHE_TEST_REDIS_URL",
            Self::Valkey => "CACHE_TEST_VALKEY_URL",
        })
    }

    /// The cluster that all tests share, each in its own namespace.
    ///
    /// # Panics
    /// If `cargo xtask test` did not say where it is.
    pub fn shared_cluster_url(self) -> String {
        require(match self {
            Self::Redis => "CACHE_TEST_REDIS_CLUSTER_URL",
            Self::Valkey => "CACHE_TEST_VALKEY_CLUSTER_URL",
        })
    }

    /// The program, for tests that start and torture a [`Server`](crate::Server) of their own.
    ///
    /// # Panics
    /// If `cargo xtask test` did not say where it is.
    pub fn program(self) -> PathBuf {
        require(match self {
            Self::Redis => "CACHE_TEST_REDIS_BIN",
            Self::Valkey => "CACHE_TEST_VALKEY_BIN",
        })
        .into()
    }
}

/// Prometheus. `promtool` lies beside it.
///
/// # Panics
/// If `cargo xtask test` did not say where it is.
pub fn prometheus() -> PathBuf {
    require("CACHE_TEST_PROMETHEUS_BIN").into()
}

/// Varnish, with `vmod_xkey`.
///
/// # Panics
/// If `cargo xtask test` did not say where it is.
pub fn varnish() -> PathBuf {
    require("CACHE_TEST_VARNISH_BIN").into()
}

fn require(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `cargo xtask test`, which starts the servers")
    })
}

/// Runs one test body to its end on a runtime of its own: current-thread without `workers`.
///
/// # Panics
/// If the body panics, or does not end within three minutes.
pub fn run(workers: usize, body: impl Future<Output = ()>) {
    let mut builder = if workers == 0 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers);
        builder
    };
    let runtime = builder.enable_all().build().expect("a tokio runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(TEST_DEADLINE, body).await });
    // Tasks that a test left behind, blocking ones too, must not keep it from ending.
    runtime.shutdown_background();
    assert!(ended.is_ok(), "the test did not end within {TEST_DEADLINE:?}");
}

/// Asks again until the answer is yes: for what happens in a server, or on its
/// clock, which no test can pause.
///
/// # Panics
/// If the answer is still no after three minutes.
pub async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let came = tokio::time::timeout(TEST_DEADLINE, asking).await;
    assert!(came.is_ok(), "what this test waits for did not happen within {TEST_DEADLINE:?}");
}
