//! The rule that a build for experiments leaves out. Knows nothing of what rules are about.
//!
//! Only a build with `--cfg cache_ablation` leaves one out, which no feature brings about, and that
//! of the unit tests. In every other one a rule is kept by a constant, and nothing of this is left.
//! `cargo xtask check-consistency --ablate` shows what the absence of a rule costs.

macro_rules! process_rules {
    ($($(#[doc = $says:literal])+ $(#[cfg($built:meta)])? $rule:ident = $test:literal,)+) => {
        /// A rule that a process keeps, whatever its store is. Stores: `store/rules.rs`.
        #[derive(Clone, Copy)]
        #[cfg_attr(any(test, cache_ablation), derive(Debug))]
        pub(crate) enum ProcessRule {
            $($(#[doc = $says])+ $(#[cfg($built)])? $rule,)+
        }

        #[cfg(cache_ablation)]
        pub(crate) const OF_PROCESSES: &[&str] = &[$($(#[cfg($built)])? stringify!($rule),)+];

        /// The test of this package that fails without each.
        #[cfg(test)]
        const NEEDED: &[(&str, &str)] = &[$($(#[cfg($built)])? (stringify!($rule), $test),)+];
    };
}

// Each with the test that fails without it.
process_rules! {
    /// Nobody joins a flight whose fill is sent.
    FlightsCloseBeforeTheirFill = "tests::sharing::who_joins_after_the_fill_was_sent_does_not_share_it",
    /// Who joins a load that has begun is not served what the store has refused.
    FollowersJoinBeforeTheLoad = "tests::sharing::who_joined_during_the_load_does_not_take_a_value_that_was_refused",
    /// A value that a leader finds stored is not shared: each follower looks for itself.
    LeaseHitsAreNotShared = "tests::sharing::a_hit_in_the_leaders_lease_answer_is_not_shared",
    /// A load hands its names to the load around it.
    ProvenanceIsInherited = "tests::lineage::a_load_depends_on_what_was_not_stored_in_it",
    /// What a load knows of the clock is from before its body began.
    ReadingsComeFirst = "tests::invalidation::clear_removes_everything_and_refuses_what_is_under_way",
    /// A write reads the clock before it changes the data, and `put` when it is called.
    WritesReadFirst = "tests::writing::an_invalidation_after_put_was_called_wins",
    /// A process refuses a load that is too old by the process's own clock.
    #[cfg(feature = "redis")]
    ProcessesTellTheAge = "store::conformance::redis::a_load_older_than_the_retention_does_not_fill",
    /// While a process owes an invalidation, it serves nothing that this would remove.
    OwedEntriesAreNotServed = "tests::recovery::a_hit_with_a_tag_whose_invalidation_is_owed_is_bypassed",
    /// And no copies.
    DebtBypasses = "tests::near::no_copy_is_served_while_an_invalidation_is_owed",
    /// A copy goes when its change is told.
    PushDropsCopies = "runtime::near::tests::a_copy_is_served_until_its_entry_changes",
    /// So does the placeholder of a read under way.
    PushDropsPlaceholders = "runtime::near::tests::a_read_that_began_before_a_change_makes_no_copy",
    /// A copy is made only if nothing was told since before its read.
    CopyNeedsPlaceholder = "runtime::near::tests::a_read_that_began_before_a_change_makes_no_copy",
    /// All copies go when it is told that anything may have changed.
    #[cfg(feature = "redis")]
    NilPushDropsAll = "store::redis::connect::tests::copies::a_push_is_told_in_the_order_of_the_stream",
    /// The copies of a connection end with it.
    #[cfg(any(feature = "redis", test))]
    LossEndsCopies = "runtime::near::tests::a_connection_that_has_ended_makes_no_copy_and_vouches_for_none",
    /// What was read on a connection that has ended becomes no copy.
    LateReplyIsNoCopy = "runtime::near::tests::a_connection_that_has_ended_makes_no_copy_and_vouches_for_none",
    /// An answer counts from the moment of its question.
    #[cfg(feature = "redis")]
    TrustBeginsWithTheQuestion = "store::redis::connect::tests::copies::an_answer_to_an_earlier_question_resolves_no_doubt",
    /// After a change of its own, a process serves a copy only after a later answer.
    OwnChangesAreDoubted = "runtime::near::tests::after_a_change_of_this_process_a_later_answer_is_needed",
    /// The right to serve copies ends with the silence of their connection.
    SilenceEndsTrust = "store::copies::tests::an_answer_counts_from_its_question_and_for_a_second",
    /// A load is not made from copies.
    LoadsBypassCopies = "tests::near::a_load_is_not_made_from_a_copy",
}

/// Whether a rule is kept.
#[cfg(not(any(test, cache_ablation)))]
pub(crate) const fn keeps(_: ProcessRule) -> bool {
    true
}

/// Whether a rule is kept: all are but the one that `CACHE_ABLATE` names.
#[cfg(any(test, cache_ablation))]
pub(crate) fn keeps(rule: ProcessRule) -> bool {
    !is_left_out(&format!("{rule:?}"))
}

/// Whether `CACHE_ABLATE` names this rule.
#[cfg(any(test, cache_ablation))]
pub(crate) fn is_left_out(rule: &str) -> bool {
    use std::sync::LazyLock;

    static LEFT_OUT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CACHE_ABLATE").ok());
    LEFT_OUT.as_deref() == Some(rule)
}

/// A limit of a store.
#[cfg(not(cache_ablation))]
pub(crate) const fn limit(_name: &str, usual: usize) -> usize {
    usual
}

/// A limit that `CACHE_LIMITS` sets, as `name=number,name=number`.
#[cfg(cache_ablation)]
pub(crate) fn limit(name: &str, usual: usize) -> usize {
    use std::sync::LazyLock;

    static SET: LazyLock<String> = LazyLock::new(|| std::env::var("CACHE_LIMITS").unwrap_or_default());
    let mut set = SET.split(',').filter_map(|limit| limit.split_once('='));
    set.find(|(set, _)| *set == name).map_or(usual, |(_, number)| number.parse().expect("a number"))
}

#[cfg(test)]
mod tests {
    use std::env::current_exe;
    use std::process::Command;

    use super::NEEDED;

    /// What libtest says of a run of this test alone, without this rule.
    fn outcome(test: &str, left_out: &str) -> String {
        let mut command = Command::new(current_exe().expect("this program has a path"));
        let output = command.args(["--exact", test]).env("CACHE_ABLATE", left_out).output();
        let said = String::from_utf8_lossy(&output.expect("this program runs").stdout).into_owned();
        said.lines().rfind(|line| line.starts_with("test result: ")).unwrap_or("no result").to_owned()
    }

    /// Each test runs in a process of its own, once with every rule and once without its own.
    #[test]
    fn each_rule_of_a_process_is_taken_away_by_some_test() {
        for (rule, test) in NEEDED {
            let (kept, left_out) = (outcome(test, ""), outcome(test, rule));
            println!("without {rule}: {test}: {left_out}");
            assert!(kept.starts_with("test result: ok. 1 passed"), "{test} with every rule: {kept}");
            assert!(left_out.contains("FAILED. 0 passed; 1 failed"), "{test} holds without {rule}: {left_out}");
        }
    }
}
