//! One process that keeps copies.

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cache_tests::near_main(&arguments).await;
}
