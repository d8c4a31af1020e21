//! Leases that calls take over which have waited long enough.

use super::*;

on_every_store! {
    a_lease_is_taken_over_only_by_who_has_waited_long_enough
    who_lost_its_lease_still_fills_and_leaves_the_new_one_alone
    a_lease_is_taken_over_in_half_the_time_each_time_that_the_takeovers_have_doubled
    a_lease_that_was_free_begins_anew
}

const LONG: Duration = Duration::from_secs(3_600);

impl Rig {
    async fn ask(&self, token: Token, if_held: IfHeld) -> LeaseReply {
        let request =
            LeaseRequest { if_held, ..LeaseRequest::waiting(token, LONG, IfPresent::Return, Recall::Nothing) };
        self.store.take_lease("a", request, far()).await.unwrap()
    }

    async fn takes_over(&self, token: Token) {
        assert!(matches!(self.ask(token, IfHeld::TakeOver(Duration::ZERO)).await, LeaseReply::Granted(_)));
    }

    /// For how long the lease is safe from a call that takes over after 80 s.
    async fn is_spared_for(&self) -> Duration {
        match self.ask(Token::new(), IfHeld::TakeOver(80 * SECOND)).await {
            LeaseReply::Held { remaining, .. } => remaining,
            reply => panic!("{reply:?}"),
        }
    }
}

async fn a_lease_is_taken_over_only_by_who_has_waited_long_enough(rig: Rig) {
    let (first, second) = (Token::new(), Token::new());
    assert!(matches!(rig.ask(first, IfHeld::TakeOver(LONG)).await, LeaseReply::Granted(_)));
    assert!(matches!(rig.ask(second, IfHeld::Wait).await, LeaseReply::Held { .. }));
    assert!(matches!(rig.ask(second, IfHeld::TakeOver(LONG)).await, LeaseReply::Held { .. }));
    rig.takes_over(second).await;
    assert!(!rig.store.renew_lease("a", first, SECOND, far()).await.unwrap());
    assert!(rig.store.renew_lease("a", second, SECOND, far()).await.unwrap());
    assert!(matches!(rig.ask(Token::new(), IfHeld::Wait).await, LeaseReply::Held { .. }));
}

async fn who_lost_its_lease_still_fills_and_leaves_the_new_one_alone(rig: Rig) {
    let first = Token::new();
    let LeaseReply::Granted(clock) = rig.ask(first, IfHeld::Wait).await else { panic!("it is free") };
    rig.takes_over(Token::new()).await;
    assert_eq!(rig.fill_as(first, "a", &[], &clock, b"a").await, FillReply::Stored);
    rig.lose_entry("a").await;
    assert!(matches!(rig.ask(Token::new(), IfHeld::Wait).await, LeaseReply::Held { .. }));
}

async fn a_lease_is_taken_over_in_half_the_time_each_time_that_the_takeovers_have_doubled(rig: Rig) {
    rig.ask(Token::new(), IfHeld::Wait).await;
    for seconds in [80, 80, 40, 40, 20, 20, 20, 20, 10] {
        let spared = rig.is_spared_for().await;
        assert!(spared <= seconds * SECOND && spared > seconds * SECOND - 2 * SECOND, "{seconds}: {spared:?}");
        rig.takes_over(Token::new()).await;
    }
}

async fn a_lease_that_was_free_begins_anew(rig: Rig) {
    let last = Token::new();
    rig.ask(Token::new(), IfHeld::Wait).await;
    rig.takes_over(Token::new()).await;
    rig.takes_over(last).await;
    rig.store.release_lease("a", last, far()).await.unwrap();
    rig.ask(Token::new(), IfHeld::Wait).await;
    assert!(rig.is_spared_for().await > 70 * SECOND);
}
