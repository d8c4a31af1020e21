//! The tour checks what it prints; this checks the tour, without a server and with all of them.

use std::process::Command;

use cache_tests::ServerKind;

fn tour(environment: &[(&str, &str)]) {
    let mut tour = Command::new(env!("CARGO_BIN_EXE_orders"));
    tour.env_remove("DATABASE_URL").env_remove("CACHE_URL").envs(environment.iter().copied());
    let output = tour.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "see its output for the claim that is not true");
}

fn postgres() -> String {
    std::env::var("CACHE_TEST_POSTGRES_URL")
        .expect("CACHE_TEST_POSTGRES_URL is not set: run the tests with `cargo xtask test`, which starts the servers")
}

#[test]
fn every_claim_is_true_without_a_server() {
    tour(&[]);
}

#[test]
fn every_claim_is_true_on_postgresql_and_redis() {
    tour(&[("DATABASE_URL", &postgres()), ("CACHE_URL", &ServerKind::Redis.shared_url())]);
}

#[test]
fn every_claim_is_true_on_postgresql_and_valkey() {
    tour(&[("DATABASE_URL", &postgres()), ("CACHE_URL", &ServerKind::Valkey.shared_url())]);
}
