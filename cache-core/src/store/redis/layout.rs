//! Physical keys. Only this module knows them. The scripts get the root and put bookkeeping under
//! `<root>~…`.
//!
//! | key | type | holds | TTL |
//! |---|---|---|---|
//! | `<root><logical key>` | string | an entry: header and payload | hard TTL |
//! | `<root>~clock` | sorted set | incarnation, seq, floor and fences | none |
//! | `<root>~index:<name>` | sorted set | keys that have the name, scored by expiry in ms | none |
//! | `<root>~due` | sorted set | names of indexes, by when there is something to reap | none |
//! | `<root>~lease:<logical key>` | string | token and reading of the call that loads | lease |
//! | `<root>~learned:<logical key>` | string | what its adaptive TTL goes by | 4 times its `max` |
//! | `<root>~staging:<token>` | string | a large value between two trips | seconds |
//! | `<root>~trial` | any | what a new connection tries | gone when its script ends |
//! | `<root>~never` | none | nothing, ever: see [`Layout::declared`] | |
//! | `<root>~marked` | sorted set | of one of several: names with marks to be reaped | none |
//! | `<root>~partitions` | string | of one of a cluster: how many there are | none |

use super::connect::StripeKey;
use crate::config::PARTITIONS_MAX;
use crate::name::escape_glob;
use crate::store::{StoreKey, Token, crc16, crc16_next};

/// Slots of a cluster, for which its nodes share.
const SLOTS: u16 = 1 << 14;
/// The slots that lie closest to each other are so far apart.
const SLOTS_BETWEEN: u16 = SLOTS / PARTITIONS_MAX;

/// The keys of one partition.
#[derive(Clone, Debug)]
pub(in crate::store::redis) struct Layout {
    root: String,
    /// Its number in a cluster. There it lies in one slot, which may be moved to another node.
    number: Option<u16>,
}

impl Layout {
    /// The only partition of a server. Its root is the namespace and a colon.
    pub(in crate::store::redis) fn new(namespace: &str) -> Self {
        Self { root: format!("{namespace}:"), number: None }
    }

    /// One partition of a cluster. Its root begins with a hash tag, so all of its keys are in one
    /// slot. However many partitions there are, a power of two, they are spread evenly over the
    /// slots, and those of fewer partitions are among those of more.
    ///
    /// Namespaces have no braces.
    pub(in crate::store::redis) fn of_partition(namespace: &str, number: u16) -> Self {
        let tag = format!("{namespace}/{number}");
        let slot = SLOTS_BETWEEN * (number.reverse_bits() >> (16 - PARTITIONS_MAX.ilog2())) + SLOTS_BETWEEN / 2;
        Self { root: format!("{{{tag}{}}}:", salt(&tag, slot)), number: Some(number) }
    }

    /// Of the tenant of this cache that has this namespace. On a cluster it lies in the slot of the
    /// cache, so that a call of either goes the same way.
    pub(in crate::store::redis) fn of_tenant(&self, namespace: &str) -> Self {
        let own = self.root.trim_end_matches(':');
        let name = namespace.rsplit('@').next().unwrap_or_default();
        Self { root: format!("{own}@{name}:"), number: self.number }
    }

    /// Of keys that begin so, for scripts that are sent by hand.
    #[cfg(test)]
    pub(in crate::store::redis) fn at(root: &str) -> Self {
        Self { root: root.to_owned(), number: None }
    }

    /// The key that each script declares first that touches more keys than one: the clock. On a
    /// cluster a key that never exists, so that a node runs no script while it moves the slot key
    /// by key: it refuses what is not whole there, and asks for the keys that are declared alone.
    pub(in crate::store::redis) fn declared(&self) -> String {
        if self.is_in_slot() { [&self.root, "~never"].concat() } else { self.clock() }
    }

    /// Whether it is one partition of a cluster.
    pub(in crate::store::redis) fn is_in_slot(&self) -> bool {
        self.number.is_some()
    }

    /// The connection for calls about a key of this partition.
    pub(in crate::store::redis) fn stripe(&self, key: &str) -> StripeKey {
        StripeKey::new(key).of_partition(self.number.unwrap_or_default())
    }

    /// That for large values.
    pub(in crate::store::redis) fn large_stripe(&self) -> StripeKey {
        StripeKey::LARGE.of_partition(self.number.unwrap_or_default())
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

    /// Of one partition of a cluster: how many the namespace has.
    pub(in crate::store::redis) fn partitions(&self) -> String {
        [&self.root, "~partitions"].concat()
    }

    /// For programs that look at the server themselves.
    pub(in crate::store::redis) fn key_of(&self, of: StoreKey<'_>) -> String {
        let root = &*self.root;
        match of {
            StoreKey::Value(key) => self.value(key),
            StoreKey::Dependents(key) => [root, "~index:k", key].concat(),
            StoreKey::Tagged(tag) => [root, "~index:t", tag].concat(),
            StoreKey::Clock | StoreKey::ClockOf(_) => self.clock(),
            StoreKey::Partitions => self.partitions(),
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

/// What is to follow a text for its slot to be this one: six letters of eight. A checksum of this
/// kind is linear. So each bit of the letters changes it in one way, whatever the text is, and
/// letters that lead to each slot from one text do so from every text.
fn salt(text: &str, slot: u16) -> String {
    let after = |begun, letters: [u8; 6]| letters.iter().fold(begun, |crc, letter| crc16_next(crc, *letter));
    let with_bit = |bit: usize| std::array::from_fn(|at| if at == bit / 3 { 1 << (bit % 3) } else { 0 });
    let changes: [u16; 18] = std::array::from_fn(|bit| after(0, with_bit(bit)));
    let (mut letters, mut crc) = ([b'h'; 6], after(crc16(text.as_bytes()), [b'h'; 6]));
    // In the order of a Gray code: each next one differs in one bit.
    for step in 1_u32.. {
        if crc % SLOTS == slot {
            break;
        }
        let bit = step.trailing_zeros() as usize;
        (letters[bit / 3], crc) = (letters[bit / 3] ^ 1 << (bit % 3), crc ^ changes[bit]);
    }
    letters.map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(layout: &Layout) -> u16 {
        let tag = layout.root.strip_prefix('{').and_then(|root| root.strip_suffix("}:")).unwrap();
        crc16(tag.as_bytes()) % SLOTS
    }

    #[test]
    fn every_slot_has_a_salt() {
        for slot in 0..SLOTS {
            assert_eq!(crc16(salt("", slot).as_bytes()) % SLOTS, slot);
        }
    }

    #[test]
    fn partitions_are_spread_evenly_however_many_there_are() {
        let all: Vec<u16> = (0..PARTITIONS_MAX).map(|number| slot(&Layout::of_partition("shop", number))).collect();
        for doubled in 0..=PARTITIONS_MAX.ilog2() {
            let partitions = 1 << doubled;
            let mut slots = all[..partitions].to_vec();
            slots.sort_unstable();
            let between: Vec<u16> = slots.windows(2).map(|next| next[1] - next[0]).collect();
            assert_eq!(between, vec![SLOTS / partitions as u16; partitions - 1]);
            assert_eq!(slots[0], SLOTS_BETWEEN / 2);
        }
    }

    /// Golden: another root would lose what is stored.
    #[test]
    fn the_keys_of_a_partition_are_the_documented_ones() {
        let layout = Layout::of_partition("shop", 3);
        assert_eq!(layout.value("flight:42"), "{shop/3nkmhmh}:flight:42");
        assert_eq!(layout.declared(), "{shop/3nkmhmh}:~never");
        assert_eq!(slot(&layout), 16 * 0b11_0000_0000 + 8);
        assert_eq!(Layout::new("shop").declared(), "shop:~clock");
        assert_eq!(layout.of_tenant("shop@7").declared(), "{shop/3nkmhmh}@7:~never");
        assert_eq!(Layout::new("shop").of_tenant("shop@7").declared(), "shop@7:~clock");
    }

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
