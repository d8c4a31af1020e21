//! How waits for another's load end.

use super::whole::labels;

labels! {
    /// How a call's wait for a load of the same key ended. The first ones are waits for a load of
    /// this process, the last three for a lease of another one.
    enum WaitEnd {
        /// The call takes the value.
        Value = "value",
        /// The value is stored by now, or another process loads it.
        Elsewhere = "elsewhere",
        /// The load failed.
        Failed = "failed",
        /// The load ended without a value that others may take.
        NotShared = "not_shared",
        /// The load began before this call did.
        TooOld = "too_old",
        /// The load was dropped or panicked.
        Abandoned = "abandoned",
        /// The call has waited for long enough.
        Patience = "patience",
        /// The value has changed in the store.
        LeaseValue = "lease_value",
        /// The lease has changed.
        LeaseChanged = "lease_changed",
        /// It is time to ask again.
        LeaseTime = "lease_time",
    }
}
