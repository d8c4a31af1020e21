//! Physical keys. Only this module knows them. The scripts get the root and put bookkeeping under
//! `<root>~…`.
//!
//! | key | type | holds | TTL |
//! |---|---|---|---|
//! | `<root><logical key>` | string | an entry: header and payload | hard TTL |
//! | `<root>~clock` | sorted set | incarnation, seq, floor and fences | none |
//! | `<root>~index:<name>` | sorted set | keys that have the name, scored by expiry in ms | none |
//! | `<root>~due` | sorted set | names of indexes, by when there is something to reap | none |
//! | `<root>~pending` | set | names whose index an invalidation has not emptied yet | none |
//! | `<root>~leaving` | set | memberships that removed entries have still to leave | none |
//! | `<root>~lease:<logical key>` | string | token and reading of the call that loads | lease |
//! | `<root>~learned:<logical key>` | string | what its adaptive TTL goes by | 4 times its `max` |
//! | `<root>~staging:<token>` | string | a large value between two trips | seconds |
//! | `<root>~trial` | any | what a new connection tries | gone when its script ends |

use crate::name::escape_glob;
use crate::store::{StoreKey, Token};

/// The keys of one partition. Standalone Redis has one partition; its root is the namespace and a
/// colon.
#[derive(Clone, Debug)]
pub(in crate::store::redis) struct Layout {
    root: String,
}

impl Layout {
    pub(in crate::store::redis) fn new(namespace: &str) -> Self {
        Self { root: format!("{namespace}:") }
    }

    pub(in crate::store::redis) fn root(&self) -> &str {
        &self.root
    }

    pub(in crate::store::redis) fn value(&self, key: &str) -> String {
        [&self.root, key].concat()
    }

    /// As [`value`](Self::value), for who need not have it in one piece.
    pub(in crate::store::redis) fn value_parts<'a>(&'a self, key: &'a str) -> [&'a str; 2] {
        [&self.root, key]
    }

    /// The logical key of a value.
    pub(in crate::store::redis) fn logical<'a>(&self, value: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(value.strip_prefix(self.root.as_bytes())?).ok()
    }

    pub(in crate::store::redis) fn clock(&self) -> String {
        [&self.root, "~clock"].concat()
    }

    pub(in crate::store::redis) fn lease(&self, key: &str) -> String {
        [&self.root, "~lease:", key].concat()
    }

    pub(in crate::store::redis) fn learned(&self, key: &str) -> String {
        [&self.root, "~learned:", key].concat()
    }

    pub(in crate::store::redis) fn staging(&self, token: Token) -> String {
        format!("{}~staging:{:032x}", self.root, token.0)
    }

    /// The key on which a connection tries what it may do. It exists while one script runs.
    pub(in crate::store::redis) fn trial(&self) -> String {
        [&self.root, "~trial"].concat()
    }

    /// For programs that look at the server themselves.
    pub(in crate::store::redis) fn key_of(&self, of: StoreKey<'_>) -> String {
        let root = &*self.root;
        match of {
            StoreKey::Value(key) => self.value(key),
            StoreKey::Dependents(key) => [root, "~index:k", key].concat(),
            StoreKey::Tagged(tag) => [root, "~index:t", tag].concat(),
            StoreKey::Clock => self.clock(),
            StoreKey::Due => [root, "~due"].concat(),
        }
    }

    /// A glob over physical keys that matches the values whose logical key matches `pattern`.
    pub(in crate::store::redis) fn values_matching(&self, pattern: &str) -> String {
        [&escape_glob(&self.root), pattern].concat()
    }

    /// A glob that matches the indexes of the dependents of keys that match `pattern`.
    pub(in crate::store::redis) fn dependents_matching(&self, pattern: &str) -> String {
        [&escape_glob(&self.root), "~index:k", pattern].concat()
    }

    /// A glob that matches the indexes of tags that match `pattern`.
    pub(in crate::store::redis) fn tags_matching(&self, pattern: &str) -> String {
        [&escape_glob(&self.root), "~index:t", pattern].concat()
    }

    /// The tag of an index.
    pub(in crate::store::redis) fn tag<'a>(&self, index: &'a [u8]) -> Option<&'a str> {
        self.logical(index)?.strip_prefix("~index:t")
    }

    /// A glob that matches every index.
    pub(in crate::store::redis) fn all_indexes(&self) -> String {
        [&escape_glob(&self.root), "~index:*"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_documented_ones() {
        let layout = Layout::new("shop");
        assert_eq!(layout.value("flight:42"), "shop:flight:42");
        assert_eq!(layout.logical(b"shop:flight:42"), Some("flight:42"));
        assert_eq!(layout.logical(b"shops:flight:42"), None);
        assert_eq!(layout.clock(), "shop:~clock");
        assert_eq!(layout.lease("flight:42"), "shop:~lease:flight:42");
        assert_eq!(layout.learned("flight:42"), "shop:~learned:flight:42");
        assert_eq!(layout.staging(Token(255)), "shop:~staging:000000000000000000000000000000ff");
        assert_eq!(layout.dependents_matching("flight:*"), "shop:~index:kflight:*");
        assert_eq!(layout.tags_matching("airport:*"), "shop:~index:tairport:*");
        let keys =
            [StoreKey::Value("x"), StoreKey::Dependents("x"), StoreKey::Tagged("x"), StoreKey::Clock, StoreKey::Due];
        let documented = ["shop:x", "shop:~index:kx", "shop:~index:tx", "shop:~clock", "shop:~due"];
        assert_eq!(keys.map(|of| layout.key_of(of)), documented);
        assert_eq!(layout.tag(b"shop:~index:tairport:DFW"), Some("airport:DFW"));
        assert_eq!(layout.tag(b"shop:~index:kflight:42"), None);
    }

    #[test]
    fn a_namespace_is_not_a_pattern() {
        assert_eq!(Layout::new("a*[b]").values_matching("x:*"), r"a\*\[b\]:x:*");
    }
}
