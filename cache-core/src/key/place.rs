//! Where a copy of an entry stands in this process, by the function and the arguments alone: no key
//! is spelled for it.

use std::any::type_name;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use super::CachedFunction;
use crate::config::NEAR_PLACE_BYTES_MAX;
use crate::name::{KeyPart, Part, type_part};

/// A place in the table of copies: a hash, the function, and its arguments in their canonical
/// encoding. Two calls have one place only if they have one key.
#[derive(Debug)]
pub struct NearPlace {
    bytes: Vec<u8>,
    /// An argument could not be encoded: the call is not cached at all.
    is_nowhere: bool,
}

/// The hash stands in front.
const HASH_BYTES: usize = size_of::<u64>();

thread_local! {
    /// The buffer of the last place, so that a call allocates none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl NearPlace {
    /// The place of a call without arguments.
    pub fn new(function: &'static CachedFunction) -> Self {
        let mut bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        bytes.clear();
        // One piece of a known length: the compiler writes it without a call.
        let mut start = [0; HASH_BYTES + size_of::<usize>()];
        start[HASH_BYTES..].copy_from_slice(&std::ptr::from_ref(function).addr().to_le_bytes());
        bytes.extend_from_slice(&start);
        Self { bytes, is_nowhere: false }
    }

    /// The next parameter.
    pub fn part<T: KeyPart + ?Sized>(mut self, value: &T) -> Self {
        self.is_nowhere |= !value.push_canonical(&mut self.bytes);
        self
    }

    /// The next parameter, appended by `push`; `false`: it cannot be encoded.
    pub fn with(mut self, push: impl FnOnce(&mut Vec<u8>) -> bool) -> Self {
        self.is_nowhere |= !push(&mut self.bytes);
        self
    }

    /// The next type parameter, as a key has it.
    pub fn type_part<T: ?Sized>(mut self) -> Self {
        match type_part(typeid::of::<T>(), type_name::<T>()).text() {
            Some(text) => {
                self.bytes.extend_from_slice(&text.len().to_le_bytes());
                self.bytes.extend_from_slice(text.as_bytes());
            }
            None => self.is_nowhere = true,
        }
        self
    }

    /// Of an explicit `key`. Its literal text is the same for all calls of a function.
    pub fn template(self) -> Self {
        self
    }

    /// See [`template`](Self::template).
    pub fn text(self, _: &str) -> Self {
        self
    }

    /// See [`template`](Self::template).
    pub fn into_key(self) -> Self {
        self
    }

    /// The next parameter, encoded before: only types and constants are.
    pub fn encoded(mut self, part: &Part) -> Self {
        match part.text() {
            Some(text) => {
                self.bytes.extend_from_slice(&text.len().to_le_bytes());
                self.bytes.extend_from_slice(text.as_bytes());
            }
            None => self.is_nowhere = true,
        }
        self
    }

    /// The place, with its hash. `None`: there is no copy of such a call.
    pub(crate) fn finish(mut self) -> Option<Self> {
        if self.is_nowhere || self.bytes.len() > NEAR_PLACE_BYTES_MAX {
            return None;
        }
        let hash = hash(&self.bytes[HASH_BYTES..]);
        self.bytes[..HASH_BYTES].copy_from_slice(&hash.to_le_bytes());
        Some(self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for NearPlace {
    fn drop(&mut self) {
        // A larger buffer is not used again.
        if self.bytes.capacity() > NEAR_PLACE_BYTES_MAX {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that ends has none.
        let _ = SPARE.try_with(|spare| spare.set(bytes));
    }
}

/// The hash in front of the bytes of a finished place.
pub(crate) fn hash_of(place: &[u8]) -> u64 {
    place.first_chunk().map_or(0, |hash| u64::from_le_bytes(*hash))
}

/// Only says where to look: places are compared byte by byte. Keyed by chance, so that nobody can
/// choose arguments that meet. A multiplication for every 8 bytes, the halves of the product mixed,
/// as in wyhash; std's hasher takes three times as long.
fn hash(bytes: &[u8]) -> u64 {
    static SEEDS: LazyLock<[u64; 2]> = LazyLock::new(|| [0_u8, 1].map(|n| RandomState::new().hash_one(n)));
    let [seed, factor] = *SEEDS;
    let mut hash = seed ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = folded(hash ^ u64::from_le_bytes(word), factor);
    }
    // The last 8 once more, for the rest: a copy of a known length is no call.
    if let (false, Some(last)) = (chunks.remainder().is_empty(), bytes.last_chunk()) {
        hash = folded(hash ^ u64::from_le_bytes(*last), factor);
    }
    folded(hash, seed | 1)
}

fn folded(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right | 1);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    static ONE: CachedFunction = CachedFunction::of_one("one", ":{}");
    static OTHER: CachedFunction = CachedFunction::of_one("other", ":{}");

    fn place<T: KeyPart + ?Sized>(function: &'static CachedFunction, value: &T) -> Vec<u8> {
        NearPlace::new(function).part(value).finish().unwrap().bytes().to_vec()
    }

    #[test]
    fn calls_of_two_functions_or_with_two_arguments_have_two_places() {
        assert_eq!(place(&ONE, &1_u64), place(&ONE, &1_u64));
        assert_ne!(place(&ONE, &1_u64), place(&OTHER, &1_u64));
        assert_ne!(place(&ONE, &1_u64), place(&ONE, &2_u64));
        let two = |a: &str, b: &str| NearPlace::new(&ONE).part(a).part(b).finish().unwrap().bytes().to_vec();
        assert_ne!(two("a", "bc"), two("ab", "c"));
        assert_ne!(
            NearPlace::new(&ONE).type_part::<u8>().finish().unwrap().bytes(),
            NearPlace::new(&ONE).type_part::<u16>().finish().unwrap().bytes()
        );
    }

    #[test]
    fn what_cannot_be_a_key_has_no_place() {
        assert!(NearPlace::new(&ONE).part(&f64::NAN).finish().is_none());
        assert!(NearPlace::new(&ONE).part(&0.5).finish().is_some());
    }

    /// A copy holds its place, so arguments of a megabyte would be a megabyte for each copy.
    #[test]
    fn what_is_long_has_no_place() {
        let place = |bytes: usize| NearPlace::new(&ONE).part(&*"x".repeat(bytes)).finish();
        let most = NEAR_PLACE_BYTES_MAX - place(0).unwrap().bytes().len();
        assert!(place(most).is_some() && place(most + 1).is_none());
    }

    #[test]
    fn hashes_spread() {
        let hashes: HashSet<u64> = (0..10_000_u64).map(|id| hash_of(&place(&ONE, &id))).collect();
        assert_eq!(hashes.len(), 10_000);
        let shards: HashSet<u64> = hashes.iter().map(|hash| hash % 64).collect();
        assert_eq!(shards.len(), 64);
    }
}
