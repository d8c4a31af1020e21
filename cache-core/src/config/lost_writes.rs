//! What a setting says about a server that has lost writes.

/// What becomes of the entries on a server that has lost writes: see
/// [`on_lost_writes`](crate::Builder::on_lost_writes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostWrites {
    /// They are removed, and this process serves none of them.
    Clear,
    /// They stay, and those that were invalidated are served until their TTL ends.
    Keep,
}
