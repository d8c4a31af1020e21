//! The rule that a build for experiments leaves out. Knows nothing of what rules are about.
//!
//! Only a build with `--cfg cache_ablation` leaves one out, which no feature brings about. In every
//! other one a rule is kept by a constant, and nothing of this is left.
//! `cargo xtask check-consistency --ablate` shows what the absence of a rule costs.

/// Whether a rule is kept.
#[cfg(not(cache_ablation))]
pub(crate) const fn keeps(_rule: &str) -> bool {
    true
}

/// Whether a rule is kept: all are but the one that `CACHE_ABLATE` names.
#[cfg(cache_ablation)]
pub(crate) fn keeps(rule: &str) -> bool {
    use std::sync::LazyLock;

    static LEFT_OUT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CACHE_ABLATE").ok());
    LEFT_OUT.as_deref() != Some(rule)
}
