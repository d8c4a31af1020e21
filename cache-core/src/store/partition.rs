//! Where names are at home, if there is more than one partition: the same for every process.

/// The home of a key or a tag among so many partitions, by its text.
#[cfg_attr(not(test), expect(dead_code, reason = "for clusters, which are on their way"))]
pub(crate) fn home_of(text: &str, partitions: u16) -> u16 {
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
    fn numbered_keys_are_spread_evenly() {
        let mut counts = [0; 64];
        (0..64_000).for_each(|id| counts[usize::from(home_of(&format!("flight:{id}"), 64))] += 1);
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
