//! What a listing asks of a store, and what it is told.

/// Which names are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Catalogue {
    /// The logical keys of live entries.
    Keys,
    /// The tags that lead to something.
    Tags,
}

/// The names that one step of a listing has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CataloguePage {
    /// Texts without their kind, in no order. A name may be there twice.
    pub(crate) names: Vec<Box<str>>,
    /// Where the listing goes on; `None` at its end.
    pub(crate) next: Option<u64>,
}
