//! The other process of tests with two processes.

#[tokio::main]
async fn main() {
    cache_tests::worker_main().await;
}
