//! The rule that a build for experiments leaves out. Knows nothing of what rules are about.
//!
//! Only a build with `--cfg cache_ablation` leaves one out, which no feature brings about. In every
//! other one a rule is kept by a constant, and nothing of this is left.
//! `cargo xtask check-consistency --ablate` shows what the absence of a rule costs.

macro_rules! process_rules {
    ($($(#[$about:meta])+ $rule:ident,)+) => {
        /// A rule that a process keeps, whatever its store is. Stores: `store/rules.rs`.
        #[derive(Clone, Copy)]
        #[cfg_attr(cache_ablation, derive(Debug))]
        pub(crate) enum ProcessRule {
            $($(#[$about])+ $rule,)+
        }

        #[cfg(cache_ablation)]
        pub(crate) const OF_PROCESSES: &[&str] = &[$(stringify!($rule),)+];
    };
}

process_rules! {
    /// Nobody joins a flight whose fill is sent.
    FlightsCloseBeforeTheirFill,
    /// Who joins a load that has begun is not served what the store has refused.
    FollowersJoinBeforeTheLoad,
    /// A value that a leader finds stored is not shared: each follower looks for itself.
    LeaseHitsAreNotShared,
    /// A load hands its names to the load around it.
    ProvenanceIsInherited,
    /// What a load knows of the clock is from before its body began.
    ReadingsComeFirst,
    /// A write reads the clock before it changes the data, and `put` when it is called.
    WritesReadFirst,
    /// A process refuses a load that is too old by the process's own clock.
    #[cfg(feature = "redis")]
    ProcessesTellTheAge,
    /// While a process owes an invalidation, it serves nothing that this would remove.
    OwedEntriesAreNotServed,
    /// And no copies.
    DebtBypasses,
    /// A copy goes when its change is told.
    PushDropsCopies,
    /// A copy is made only if nothing was told since before its read.
    CopyNeedsPlaceholder,
    /// After a change of its own, a process serves a copy only after a later answer.
    OwnChangesAreDoubted,
    /// The right to serve copies ends with the silence of their connection.
    SilenceEndsTrust,
    /// A load is not made from copies.
    LoadsBypassCopies,
}

/// Whether a rule is kept.
#[cfg(not(cache_ablation))]
pub(crate) const fn keeps(_: ProcessRule) -> bool {
    true
}

/// Whether a rule is kept: all are but the one that `CACHE_ABLATE` names.
#[cfg(cache_ablation)]
pub(crate) fn keeps(rule: ProcessRule) -> bool {
    !is_left_out(&format!("{rule:?}"))
}

/// Whether `CACHE_ABLATE` names this rule.
#[cfg(cache_ablation)]
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

/// A limit that `CACHE_LIMIT` sets, as `name=number`.
#[cfg(cache_ablation)]
pub(crate) fn limit(name: &str, usual: usize) -> usize {
    use std::sync::LazyLock;

    static SET: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CACHE_LIMIT").ok());
    let (set, number) = SET.as_deref().and_then(|set| set.split_once('=')).unwrap_or_default();
    if set == name { number.parse().expect("a number") } else { usual }
}
