//! What a preview of an invalidation asks of a store, and what it is told.

use super::scope::SweepScope;
use crate::name::Name;

/// One look at what an invalidation would reach. It visits about as much as one chunk of the
/// invalidation does, and changes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look<'a> {
    /// Whether members were lost: any invalidation clears then.
    Losses,
    /// Names that the invalidation names: the entries of those that are keys fall.
    Given(&'a [Name]),
    /// The members of these names: those of the first one from this place on.
    Members { names: &'a [Name], from: u64 },
    /// One page of a pattern walk; `pattern` and `cursor` as in
    /// [`Store::sweep`](super::Store::sweep).
    Page { pattern: &'a str, scope: SweepScope, cursor: u64 },
}

/// What one look has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The keys of live entries that fall, each with the place of its name among those that were
    /// looked at; 0 for a page.
    pub(crate) falling: Vec<(Box<str>, usize)>,
    /// Names that have members.
    pub(crate) leads: Vec<Name>,
    /// Where a look has to go on: the place of a name and of its member, or 0 and the cursor of a
    /// page. `None`: all was seen.
    pub(crate) next: Option<(usize, u64)>,
    /// Members were lost, so the next invalidation removes everything.
    pub(crate) has_lost: bool,
}
