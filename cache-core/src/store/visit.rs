//! What one script of an invalidation is given, and what it answers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::closing::ClosingId;
use super::removal::Removal;
use crate::name::Name;

/// What becomes of the names of an operation beside their invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Intent {
    /// Nothing.
    Invalidate,
    /// They are closed: until the operation opens them, or for `lasts`, nothing that belongs to one
    /// of them is stored. By the same operation again: they stay closed for `lasts` from now on. A
    /// mark that ends without its operation fences its name.
    Close { by: ClosingId, lasts: Duration },
    /// The operation's own marks are taken away. Others may keep a name closed.
    Open { by: ClosingId },
}

/// What a process knows of the clock of one partition. It may be older than what the clock shows:
/// that refuses more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HomeReading {
    pub(crate) incarnation: Arc<str>,
    pub(crate) seq: u64,
}

impl HomeReading {
    /// The incarnation of a clock that was not read yet. It differs from every real one, so an
    /// operation that begins now takes its first visit for a loss, and visits every partition.
    pub(crate) const UNKNOWN: &str = "";

    pub(crate) fn is_known(&self) -> bool {
        &*self.incarnation != Self::UNKNOWN
    }
}

/// Where a script has stopped among the members of a name. Only the store that has said it knows
/// what it means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoppingPlace(pub(crate) Arc<str>);

/// The names of one script: all in one partition.
#[derive(Clone, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) partition: u16,
    pub(crate) names: Cow<'a, [Name]>,
    /// The members of the first name are visited already up to this place.
    pub(crate) after: Option<StoppingPlace>,
    /// The entries of the names stay: only what depends on them falls.
    pub(crate) spares_entries: bool,
    pub(crate) intent: Intent,
    /// How often the number of members that the script may visit is doubled.
    pub(crate) effort: u32,
}

impl<'a> Chunk<'a> {
    pub(crate) fn of_given(partition: u16, names: Cow<'a, [Name]>, intent: Intent) -> Self {
        Self { partition, names, after: None, spares_entries: false, intent, effort: 0 }
    }
}

/// What a script that was cut short has left of one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UnvisitedName {
    pub(crate) name: Name,
    pub(crate) after: Option<StoppingPlace>,
    pub(crate) spares_entry: bool,
    /// The script was not given it, but came to it from another one.
    pub(crate) is_reached: bool,
}

/// What a script did, and what is to be done after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct VisitReply {
    pub(crate) removal: Removal,
    /// The last one is to be visited first: the others lead to it, and fall after it.
    pub(crate) left: Vec<UnvisitedName>,
    /// `None`: there is one partition.
    pub(crate) encounter: Option<Box<Encounter>>,
}

/// What a script has met that concerns other partitions.
#[derive(Clone, Debug)]
pub(crate) struct Encounter {
    /// Of the clock, after the script.
    pub(crate) reading: HomeReading,
    /// Whether the partition has all the marks that it should have.
    pub(crate) is_complete: bool,
    /// Names that are at home there, and were emptied as far as the partition goes.
    pub(crate) drained: Vec<Name>,
    /// The marks of these.
    pub(crate) met: Vec<MetMark>,
    /// The names that have such marks, with the number that each was fenced with before the script.
    pub(crate) fenced: Vec<(Name, u64)>,
    /// Of the names that the script was given: those that still have members there.
    pub(crate) kept: Vec<Name>,
}

/// A partition that may have members of a name, as the name's home says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MetMark {
    pub(crate) name: Name,
    pub(crate) of: u16,
    /// Changes with each registration.
    pub(crate) stamp: u64,
}

/// A mark that is to be taken away, if nothing has happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FollowedMark {
    pub(crate) mark: MetMark,
    /// What the visit that met the mark has told of the clock: it fenced the name with that number.
    pub(crate) visited: HomeReading,
}
