//! Inputs made from others.

use crate::INPUT_BYTES_MAX;

/// Changes an input here and there, by chance.
pub struct Mutator {
    random: fastrand::Rng,
}

/// Numbers at which something may begin or end.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999",
];

impl Mutator {
    /// The same seed makes the same inputs.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed) }
    }

    /// One of these.
    pub fn pick<'a>(&mut self, inputs: &'a [Vec<u8>]) -> &'a [u8] {
        &inputs[self.random.usize(..inputs.len())]
    }

    /// A changed copy of `input`; `other` lends a part of itself.
    pub fn mutate(&mut self, input: &[u8], other: &[u8], pieces: &[&str]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..self.random.usize(1..=6) {
            self.step(&mut bytes, other, pieces);
        }
        bytes.truncate(INPUT_BYTES_MAX);
        bytes
    }

    fn step(&mut self, bytes: &mut Vec<u8>, other: &[u8], pieces: &[&str]) {
        let at = self.random.usize(..=bytes.len());
        let range = at..(at + self.random.usize(..=16)).min(bytes.len());
        match self.random.u8(..9) {
            0 => bytes.insert(at, self.random.u8(..)),
            1 => drop(bytes.drain(range)),
            2 if at < bytes.len() => bytes[at] ^= 1 << self.random.u8(..8),
            3 if at < bytes.len() => bytes[at] = self.random.u8(..),
            4 => insert(bytes, at, NUMBERS[self.random.usize(..NUMBERS.len())].as_bytes()),
            5 => {
                let repeated = bytes[range].repeat(self.random.usize(1..=64));
                insert(bytes, at, &repeated);
            }
            6 if !other.is_empty() => {
                let from = self.random.usize(..other.len());
                let to = self.random.usize(from..=other.len());
                insert(bytes, at, &other[from..to]);
            }
            7 => bytes.truncate(at),
            _ if !pieces.is_empty() => insert(bytes, at, pieces[self.random.usize(..pieces.len())].as_bytes()),
            _ => {}
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, inserted: &[u8]) {
    drop(bytes.splice(at..at, inserted.iter().copied()));
}
