//! What entries there are, what each is made from, and by which names an invalidation reaches it.

/// Rows of the database.
pub(crate) const DATA: u16 = 32;
/// Rows share these tags: so few that an invalidation of one takes more than one script.
pub(crate) const GROUPS: u16 = 2;

/// The kinds of entries, a cached function each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A row, alone and in batches; with tags.
    Leaf,
    /// Two leaves, called inside; expires soon.
    Pair,
    /// Two pairs, called inside.
    Board,
    /// Declared to depend on `ChainB`.
    ChainA,
    /// Declared to depend on `ChainC`.
    ChainB,
    /// Has tags.
    ChainC,
    /// Declared to depend on `RingB`; has a tag.
    RingA,
    /// Declared to depend on `RingA`.
    RingB,
    /// `stale_while_revalidate`.
    Revalidated,
    /// `early_refresh`.
    Early,
    /// `adaptive_ttl`.
    Adaptive,
    /// `stale_if_error` with loads that fail, and `load_timeout`.
    Covered,
    /// `near`, made from a leaf.
    Near,
    /// `get_or_load` under a text key, made from a leaf and from what may be served as a copy.
    Text,
}

impl Kind {
    pub(crate) const ALL: [Self; 14] = [
        Self::Leaf,
        Self::Pair,
        Self::Board,
        Self::ChainA,
        Self::ChainB,
        Self::ChainC,
        Self::RingA,
        Self::RingB,
        Self::Revalidated,
        Self::Early,
        Self::Adaptive,
        Self::Covered,
        Self::Near,
        Self::Text,
    ];

    pub(crate) fn of(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Pair => "pair",
            Self::Board => "board",
            Self::ChainA => "chain_a",
            Self::ChainB => "chain_b",
            Self::ChainC => "chain_c",
            Self::RingA => "ring_a",
            Self::RingB => "ring_b",
            Self::Revalidated => "revalidated",
            Self::Early => "early",
            Self::Adaptive => "adaptive",
            Self::Covered => "covered",
            Self::Near => "near",
            Self::Text => "text",
        }
    }

    /// Whether its load reads the row itself.
    pub(crate) fn reads_row(self) -> bool {
        !matches!(self, Self::Pair | Self::Board | Self::Near | Self::Text)
    }

    /// What an entry depends on, called inside or declared.
    pub(crate) fn dependencies(self, at: u16) -> Vec<(Self, u16)> {
        let next = |by: u16| (at + by) % DATA;
        match self {
            Self::Pair => vec![(Self::Leaf, at), (Self::Leaf, next(1))],
            Self::Board => vec![(Self::Pair, at), (Self::Pair, next(2))],
            Self::ChainA => vec![(Self::ChainB, at)],
            Self::ChainB => vec![(Self::ChainC, at)],
            Self::RingA => vec![(Self::RingB, at)],
            Self::RingB => vec![(Self::RingA, at)],
            Self::Near => vec![(Self::Leaf, at)],
            Self::Text => vec![(Self::Leaf, at), (Self::Near, at)],
            _ => Vec::new(),
        }
    }

    fn tags(self, at: u16) -> Vec<Name> {
        match self {
            Self::Leaf | Self::ChainC => vec![Name::Row(at), Name::Group(at % GROUPS)],
            Self::RingA | Self::Revalidated | Self::Early | Self::Adaptive | Self::Covered => vec![Name::Row(at)],
            _ => Vec::new(),
        }
    }
}

/// What an invalidation may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Name {
    /// A key.
    Key(Kind, u16),
    /// The tag of a row.
    Row(u16),
    /// A tag that rows share.
    Group(u16),
    /// The pattern of all keys of a kind.
    Prefix(Kind),
    /// The pattern of all keys that end in a row's number.
    Suffix(u16),
    /// `clear`.
    All,
}

impl Name {
    /// How many keys there are: their numbers are the first ones.
    pub(crate) const KEYS: usize = Kind::ALL.len() * DATA as usize;
    const ROWS: usize = Self::KEYS;
    const GROUPS: usize = Self::ROWS + DATA as usize;
    const PREFIXES: usize = Self::GROUPS + GROUPS as usize;
    const SUFFIXES: usize = Self::PREFIXES + Kind::ALL.len();
    const EVERYTHING: usize = Self::SUFFIXES + DATA as usize;
    /// How many there are.
    pub(crate) const COUNT: usize = Self::EVERYTHING + 1;

    /// A number below [`COUNT`](Self::COUNT).
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Key(kind, at) => kind as usize * usize::from(DATA) + usize::from(at),
            Self::Row(at) => Self::ROWS + usize::from(at),
            Self::Group(group) => Self::GROUPS + usize::from(group),
            Self::Prefix(kind) => Self::PREFIXES + kind as usize,
            Self::Suffix(at) => Self::SUFFIXES + usize::from(at),
            Self::All => Self::EVERYTHING,
        }
    }

    pub(crate) fn of(index: usize) -> Option<Self> {
        let number = |from: usize| (index - from) as u16;
        Some(match index {
            _ if index < Self::ROWS => Self::Key(Kind::ALL[index / usize::from(DATA)], number(0) % DATA),
            _ if index < Self::GROUPS => Self::Row(number(Self::ROWS)),
            _ if index < Self::PREFIXES => Self::Group(number(Self::GROUPS)),
            _ if index < Self::SUFFIXES => Self::Prefix(Kind::ALL[index - Self::PREFIXES]),
            _ if index < Self::EVERYTHING => Self::Suffix(number(Self::SUFFIXES)),
            Self::EVERYTHING => Self::All,
            _ => return None,
        })
    }

    /// As the library is given it.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Key(kind, at) => format!("{}:{at}", kind.prefix()),
            Self::Row(at) => format!("row:{at}"),
            Self::Group(group) => format!("group:{group}"),
            Self::Prefix(kind) => format!("{}:*", kind.prefix()),
            Self::Suffix(at) => format!("*:{at}"),
            Self::All => "everything".to_owned(),
        }
    }
}

/// The names that reach each entry: its own, and those of all that it depends on. And the same the
/// other way round.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    names: Vec<Vec<Name>>,
    entries: Vec<Vec<(Kind, u16)>>,
}

impl Reach {
    pub(crate) fn new() -> Self {
        let mut reach = Self { names: Vec::new(), entries: vec![Vec::new(); Name::COUNT] };
        for (kind, at) in Kind::ALL.into_iter().flat_map(|kind| (0..DATA).map(move |at| (kind, at))) {
            let names = Self::collect(kind, at);
            names.iter().for_each(|name| reach.entries[name.index()].push((kind, at)));
            reach.names.push(names);
        }
        reach
    }

    /// What reaches an entry.
    pub(crate) fn of(&self, kind: Kind, at: u16) -> &[Name] {
        &self.names[Name::Key(kind, at).index()]
    }

    /// What a name reaches.
    pub(crate) fn from(&self, name: Name) -> &[(Kind, u16)] {
        &self.entries[name.index()]
    }

    fn collect(kind: Kind, at: u16) -> Vec<Name> {
        let (mut entries, mut next) = (vec![(kind, at)], 0);
        let mut names = vec![Name::All];
        while let Some((kind, at)) = entries.get(next).copied() {
            next += 1;
            names.extend([Name::Key(kind, at), Name::Prefix(kind), Name::Suffix(at)]);
            names.extend(kind.tags(at));
            for dependency in kind.dependencies(at) {
                if !entries.contains(&dependency) {
                    entries.push(dependency);
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_one_to_one() {
        for index in 0..Name::COUNT {
            assert_eq!(Name::of(index).unwrap().index(), index);
        }
        assert_eq!(Name::of(Name::COUNT), None);
    }

    #[test]
    fn an_entry_is_reached_by_the_names_of_all_that_it_is_made_from() {
        let reach = Reach::new();
        let board = reach.of(Kind::Board, DATA - 1);
        for name in
            [Name::Row(DATA - 1), Name::Row(0), Name::Row(2), Name::Key(Kind::Pair, 1), Name::Prefix(Kind::Leaf)]
        {
            assert!(board.contains(&name), "{name:?}");
        }
        assert!(!board.contains(&Name::Row(4)));
        assert!(reach.of(Kind::RingB, 3).contains(&Name::Row(3)), "by the circle");
        assert!(reach.of(Kind::ChainA, 3).contains(&Name::Group(3 % GROUPS)), "by the chain");
    }
}
