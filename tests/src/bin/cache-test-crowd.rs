//! One process full of callers.

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cache_tests::crowd_main(&arguments).await;
}
