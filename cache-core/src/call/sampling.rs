//! Which hits of a function are verified.

use crate::paths::verify;
use crate::runtime::Runtime;

/// Whose share of the hits of a function is verified.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// Those that the cache says.
    OfCache,
    /// Of the function, or of the type that it returns.
    Share(f64),
}

impl Sampling {
    /// What a type says of functions that return it.
    pub fn of_type(share: Option<f64>) -> Self {
        share.map_or(Self::OfCache, Self::Share)
    }

    /// Whether the hit of a call that begins now is to be verified.
    pub(crate) fn draws(self, runtime: &Runtime) -> bool {
        let share = match self {
            Self::OfCache => runtime.config.verify,
            Self::Share(share) => share,
        };
        share > 0.0 && fastrand::f64() < share && verify::may_verify()
    }
}
