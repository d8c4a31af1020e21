//! The tour checks what it prints; this checks the tour.

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_of_the_tour_is_true() {
    assert!(flight_board::tour::run().await.unwrap(), "see its output for the claim that is not");
}
