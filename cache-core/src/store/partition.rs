//! Where names are at home, if there is more than one partition: the same for every process.

use super::rules::{Rule, Rules};
use crate::config::PARTITIONS_MAX;
use crate::error::{Error, ErrorKind};
use crate::name::Name;

/// Of a cursor: the place in a partition. The partition's number stands above.
const PLACE_BITS: u32 = 48;

/// The partition of a cursor, and the place in it.
pub(super) fn place_of(cursor: u64) -> (u16, u64) {
    ((cursor >> PLACE_BITS) as u16, cursor & ((1 << PLACE_BITS) - 1))
}

/// How many partitions there are, and so where each name is at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partitions(u16);

impl Partitions {
    pub(crate) const ONE: Self = Self(1);

    /// A power of two.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn new(count: u16) -> Self {
        Self(count)
    }

    /// What a URL asks for with `?partitions=…`, else the usual number.
    ///
    /// # Errors
    /// `Config` for what is no power of two, or too much.
    pub(crate) fn of_url(url: &str, usual: Self) -> Result<Self, Error> {
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters).split('&');
        let Some(asked) = parameters.into_iter().find_map(|parameter| parameter.strip_prefix("partitions=")) else {
            return Ok(usual);
        };
        match asked.parse::<u16>() {
            Ok(count) if count.is_power_of_two() && count <= PARTITIONS_MAX => Ok(Self(count)),
            _ => {
                let message = format!("`partitions` in the cache URL is a power of two, up to {PARTITIONS_MAX}");
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }

    pub(crate) fn count(self) -> u16 {
        self.0
    }

    /// Whether there is a partition of this number.
    pub(crate) fn has(self, number: u16) -> bool {
        number < self.0
    }

    /// Everything is at home in the same place, and nothing is foreign.
    pub(crate) fn is_one(self) -> bool {
        self.0 == 1
    }

    /// Where a key is stored, and where the marks of a name are. A spread tag is at home
    /// everywhere, and has no marks.
    pub(crate) fn home(self, name: &Name) -> u16 {
        self.home_of_key(name.text())
    }

    /// The same of a logical key.
    pub(crate) fn home_of_key(self, key: &str) -> u16 {
        if self.is_one() { 0 } else { home_of(key, self.0) }
    }

    pub(crate) fn is_home(self, name: &Name, partition: u16) -> bool {
        self.is_one() || name.is_spread() || self.home(name) == partition
    }

    /// The partition of a cursor that anybody may have written, and the place in it. `None`: there
    /// is no such partition.
    pub(super) fn place_of(self, cursor: u64) -> Option<(u16, u64)> {
        Some(place_of(cursor)).filter(|(number, _)| self.has(*number))
    }

    /// Where a walk goes on: at `next` in a partition, or else in the next partition.
    pub(super) fn cursor(self, partition: u16, next: Option<u64>) -> Option<u64> {
        let first_of_next = || self.has(partition + 1).then(|| u64::from(partition + 1) << PLACE_BITS);
        next.map(|at| u64::from(partition) << PLACE_BITS | at).or_else(first_of_next)
    }

    /// Where an operation on a name begins: at all of its homes.
    pub(crate) fn homes(self, name: &Name, rules: Rules) -> impl Iterator<Item = u16> {
        let is_spread = name.is_spread() && rules.keep(Rule::SpreadNamesBeginEverywhere);
        let home = self.home(name);
        (0..self.0).filter(move |partition| is_spread || *partition == home)
    }
}

/// The home of a key or a tag among so many partitions, by its text.
fn home_of(text: &str, partitions: u16) -> u16 {
    crc16(text.as_bytes()) % partitions
}

/// CRC-16/XMODEM, by which servers of a cluster find the slot of a key, too.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| crc16_next(crc, *byte))
}

/// Of a text that is one byte longer.
pub(crate) fn crc16_next(crc: u16, byte: u8) -> u16 {
    (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_documented_one() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    /// Golden: another home would hide what is stored.
    #[test]
    fn homes_do_not_change() {
        let homes = |partitions| ["flight:42", "airport:DFW", ""].map(|text| home_of(text, partitions));
        assert_eq!([homes(1), homes(4), homes(64)], [[0, 0, 0], [0, 3, 0], [60, 55, 0]]);
    }

    #[test]
    fn a_url_may_ask_for_a_power_of_two() {
        let asked = |url: &str| Partitions::of_url(url, Partitions::ONE).map(Partitions::count).ok();
        assert_eq!(asked("memory://"), Some(1));
        assert_eq!(asked("memory://?ca=x&partitions=16"), Some(16));
        assert_eq!(asked("memory://?partitions=1024"), Some(1_024));
        for wrong in ["0", "3", "2048", "", "x", "-2"] {
            assert_eq!(asked(&format!("memory://?partitions={wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn numbered_keys_are_spread_evenly() {
        let mut counts = [0; 64];
        (0..64_000).for_each(|id| counts[usize::from(home_of(&format!("flight:{id}"), 64))] += 1);
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
