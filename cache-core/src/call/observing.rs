//! What users' tests ask of the calls that were observed.

use crate::name::IntoKeyName;
use crate::observe::{CallLog, CallRecord, CallResult};

/// For tests. Keys are what a function's companion makes (`seats::key(&42)`), or text.
impl CallLog {
    /// The calls with this key.
    pub fn of(&self, key: impl IntoKeyName) -> Vec<&CallRecord> {
        let Ok(key) = key.into_key_name() else { return Vec::new() };
        self.calls().iter().filter(|call| call.key.as_deref() == Some(key.as_str())).collect()
    }

    /// There were calls with this key, and each was served a stored value, or a copy of one, within
    /// its TTL.
    ///
    /// # Panics
    /// If there were none, or one was something else.
    #[track_caller]
    pub fn assert_hit(&self, key: impl IntoKeyName) {
        self.assert(key, "a hit", &[CallResult::Hit, CallResult::NearHit]);
    }

    /// There were calls with this key, and each loaded.
    ///
    /// # Panics
    /// If there were none, or one was something else.
    #[track_caller]
    pub fn assert_miss(&self, key: impl IntoKeyName) {
        self.assert(key, "a miss", &[CallResult::Miss]);
    }

    /// There were calls with this key, and each was served a value past its TTL.
    ///
    /// # Panics
    /// If there were none, or one was something else.
    #[track_caller]
    pub fn assert_stale(&self, key: impl IntoKeyName) {
        self.assert(key, "stale", &[CallResult::Stale, CallResult::StandIn]);
    }

    #[track_caller]
    fn assert(&self, key: impl IntoKeyName, what: &str, results: &[CallResult]) {
        let calls = self.of(key);
        assert!(!calls.is_empty(), "no call had this key: {self:#?}");
        for call in calls {
            assert!(results.contains(&call.result), "this call was not {what}: {call:?}");
        }
    }
}
