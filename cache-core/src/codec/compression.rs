//! How encoded values are compressed.
//!
//! What is compressed begins with the length that it has inflated, 4 bytes, little endian. So a
//! reader knows before it allocates whether that is within its limit.

/// How large values are compressed: `compress` of [`#[cached]`](macro@crate::cached), and
/// [`Builder::compress`](crate::Builder::compress). The header of an entry says how it is
/// compressed, and each entry is read as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: the default.
    None,
    /// LZ4: costs the least time. Feature `lz4`.
    #[cfg(feature = "lz4")]
    Lz4,
    /// Zstandard at level 1: smaller than LZ4, and up to five times slower. Feature `zstd`, which
    /// builds C.
    #[cfg(feature = "zstd")]
    Zstd,
}

const NONE: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;
const LENGTH_BYTES: usize = 4;
/// The most that one byte of LZ4 can stand for.
#[cfg(feature = "lz4")]
const LZ4_RATIO_MAX: usize = 255;
/// The fastest of Zstandard's usual levels: a cache is written often.
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 1;

/// What became of compressed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inflation {
    /// This program does not have the way in which they are compressed.
    Unknown,
    /// They say that they are larger than the limit.
    TooLarge,
    /// They are none.
    Damaged,
}

impl Compression {
    /// What headers say.
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::None => NONE,
            #[cfg(feature = "lz4")]
            Self::Lz4 => LZ4,
            #[cfg(feature = "zstd")]
            Self::Zstd => ZSTD,
        }
    }

    /// What an id is called; `None`: not compressed.
    pub(crate) fn name_of(id: u8) -> Option<String> {
        match id {
            NONE => None,
            LZ4 => Some("lz4".to_owned()),
            ZSTD => Some("zstd".to_owned()),
            _ => Some(format!("unknown {id}")),
        }
    }

    /// The bytes compressed; `None`: that would not make them smaller.
    pub(crate) fn deflate(self, plain: &[u8]) -> Option<Vec<u8>> {
        let block = self.block(plain)?;
        let deflated = [&u32::try_from(plain.len()).ok()?.to_le_bytes()[..], &block].concat();
        (deflated.len() < plain.len()).then_some(deflated)
    }

    fn block(self, plain: &[u8]) -> Option<Vec<u8>> {
        let _ = plain;
        match self {
            Self::None => None,
            #[cfg(feature = "lz4")]
            Self::Lz4 => Some(lz4_flex::block::compress(plain)),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).ok(),
        }
    }

    /// What was compressed, of `bytes_max` bytes at most. Nothing larger is ever allocated.
    pub(crate) fn inflate(id: u8, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Inflation> {
        let (length, deflated) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(Inflation::Damaged)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > bytes_max {
            return Err(Inflation::TooLarge);
        }
        match id {
            #[cfg(feature = "lz4")]
            LZ4 => {
                if length > deflated.len().saturating_mul(LZ4_RATIO_MAX) {
                    return Err(Inflation::Damaged);
                }
                let mut plain = vec![0; length];
                let written = lz4_flex::block::decompress_into(deflated, &mut plain).map_err(|_| Inflation::Damaged)?;
                if written == length { Ok(plain) } else { Err(Inflation::Damaged) }
            }
            #[cfg(feature = "zstd")]
            ZSTD => {
                let plain = zstd::bulk::decompress(deflated, length).map_err(|_| Inflation::Damaged)?;
                if plain.len() == length { Ok(plain) } else { Err(Inflation::Damaged) }
            }
            _ => {
                let _ = deflated;
                Err(Inflation::Unknown)
            }
        }
    }
}
