//! What fills teach of a key, and who is told.

use super::*;

on_every_store! {
    what_a_fill_taught_comes_with_every_reading_that_asks_for_it
    what_was_learned_outlives_the_entry
    a_refused_fill_teaches_nothing
    a_load_of_many_names_that_is_refused_teaches_nothing
    a_fill_that_has_nothing_to_teach_leaves_what_is_known
    a_write_teaches_unless_it_is_refused
    a_resent_fill_teaches_the_same
    a_walk_neither_counts_nor_removes_what_was_learned
    what_was_learned_may_be_kept_for_ever
}

impl Rig {
    fn lesson(learned: &'static [u8]) -> Option<(Bytes, Duration)> {
        Some((Bytes::from_static(learned), Duration::from_secs(600)))
    }

    async fn teach(&self, key: &str, names: &[&str], clock: &ClockReading, learned: &'static [u8]) -> FillReply {
        let names = rig::parse(names);
        self.fill_teaching(key, &names, clock, Self::lesson(learned)).await
    }

    /// As a load is given it that begins without the lease.
    async fn recall(&self, key: &str) -> Option<Bytes> {
        self.another().read_clock(key, Recall::Learned, far()).await.unwrap().learned
    }

    async fn lease_reading(&self, key: &str, recall: Recall) -> (bool, Option<Bytes>) {
        match self
            .store
            .take_lease(key, LeaseRequest::waiting(Token::new(), SECOND, IfPresent::Ignore, recall), far())
            .await
            .unwrap()
        {
            LeaseReply::Granted(clock) => (true, clock.learned),
            LeaseReply::Held { clock, .. } => (false, clock.learned),
            LeaseReply::Hit(_) => unreachable!("present values are ignored"),
        }
    }
}

async fn what_a_fill_taught_comes_with_every_reading_that_asks_for_it(rig: Rig) {
    assert_eq!(rig.recall("a").await, None);
    let clock = rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap();
    assert_eq!(rig.teach("a", &["tT"], &clock, b"one").await, FillReply::Stored);
    let one = Some(Bytes::from_static(b"one"));
    assert_eq!(rig.recall("a").await, one);
    assert_eq!(rig.recall("b").await, None, "it is of one key");
    assert_eq!(rig.lease_reading("a", Recall::Learned).await, (true, one.clone()));
    assert_eq!(rig.lease_reading("a", Recall::Learned).await, (false, one));
    assert_eq!(rig.lease_reading("a", Recall::Nothing).await, (false, None));
    assert_eq!(rig.store.read_clock("a", Recall::Nothing, far()).await.unwrap().learned, None);
}

async fn what_was_learned_outlives_the_entry(rig: Rig) {
    let clock = rig.reading("a").await;
    rig.teach("a", &["tT"], &clock, b"one").await;
    assert_eq!(rig.invalidate(&["tT"]).await, 1);
    assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
}

/// What was not stored may be older than an invalidation.
async fn a_refused_fill_teaches_nothing(rig: Rig) {
    let clock = rig.reading("a").await;
    rig.invalidate(&["tT"]).await;
    assert_eq!(rig.teach("a", &["tT"], &clock, b"one").await, FillReply::Refused(Refusal::Fenced));
    assert_eq!(rig.recall("a").await, None);
}

/// Its first memberships are registered by steps of their own, which may succeed.
async fn a_load_of_many_names_that_is_refused_teaches_nothing(rig: Rig) {
    let clock = rig.reading("a").await;
    rig.invalidate(&["t0999"]).await;
    let refused = rig.fill_teaching("a", &many_names(), &clock, Rig::lesson(b"one")).await;
    assert_eq!(refused, FillReply::Refused(Refusal::Fenced));
    assert_eq!(rig.recall("a").await, None);
    let clock = rig.reading("a").await;
    assert_eq!(rig.fill_teaching("a", &many_names(), &clock, Rig::lesson(b"one")).await, FillReply::Stored);
    assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
}

async fn a_fill_that_has_nothing_to_teach_leaves_what_is_known(rig: Rig) {
    let clock = rig.reading("a").await;
    rig.teach("a", &[], &clock, b"one").await;
    rig.fill("a", &[]).await;
    assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
}

async fn a_write_teaches_unless_it_is_refused(rig: Rig) {
    let (first, second) = (rig.reading("a").await, rig.reading("a").await);
    let write = |clock, learned| rig.write_teaching("a", clock, Rig::lesson(learned));
    assert_eq!(write(&first, b"one").await.fill, FillReply::Stored);
    assert_eq!(write(&second, b"two").await.fill, FillReply::Refused(Refusal::Fenced));
    assert_eq!(rig.get("a").await, None);
    assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
}

async fn a_resent_fill_teaches_the_same(rig: Rig) {
    let clock = rig.reading("a").await;
    for _ in 0..2 {
        assert_eq!(rig.teach("a", &[], &clock, b"one").await, FillReply::Stored);
        assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
    }
    rig.invalidate(&["ka"]).await;
    assert!(matches!(rig.teach("a", &[], &clock, b"two").await, FillReply::Refused(_)));
    assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
}

async fn a_walk_neither_counts_nor_removes_what_was_learned(rig: Rig) {
    let clock = rig.reading("a").await;
    rig.teach("a", &["tT"], &clock, b"one").await;
    assert_eq!(rig.sweep("*", &[SweepScope::Values, SweepScope::AllIndexes]).await, 1);
    assert_eq!(rig.sweep("*learned*", &[SweepScope::Values, SweepScope::Dependents]).await, 0);
    assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
}

async fn what_was_learned_may_be_kept_for_ever(rig: Rig) {
    let clock = rig.reading("a").await;
    let lesson = Some((Bytes::from_static(b"one"), Duration::MAX));
    assert_eq!(rig.fill_teaching("a", &[], &clock, lesson).await, FillReply::Stored);
    assert_eq!(rig.recall("a").await.as_deref(), Some(&b"one"[..]));
}
