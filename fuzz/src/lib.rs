//! What in cache-core reads bytes and texts that may be anybody's, as functions of any bytes.
//!
//! A target panics if what it reads breaks a promise: a panic inside, two ways of reading that
//! differ, or more memory than it may take. `cargo xtask fuzz` makes inputs without end; the test
//! `replay` runs those that are committed, and some thousands more.

use std::alloc::System;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

mod corpus;
mod mutate;
mod targets;

pub use corpus::{committed, keep, write_down};
pub use mutate::Mutator;
pub use targets::TARGETS;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The longest input that is made.
pub const INPUT_BYTES_MAX: usize = 4_096;

/// Something that reads.
pub struct Target {
    /// Its name on the command line, and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Reads an input, and says what came of it in words that are the same for inputs of a kind.
    read: fn(&[u8]) -> String,
    /// What it may allocate for an input, all told: so much, and so much for each byte.
    bytes_max: usize,
    bytes_max_per_byte: usize,
    /// Inputs that are well-formed.
    seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that such inputs are made of.
    pieces: &'static [&'static str],
}

impl Target {
    /// Reads an input. Returns a hash of what came of it.
    ///
    /// # Panics
    /// A promise is broken.
    pub fn read(&self, input: &[u8]) -> u64 {
        let region = Region::new(ALLOCATOR);
        let outcome = (self.read)(input);
        let (allocated, max) =
            (region.change().bytes_allocated, self.bytes_max + self.bytes_max_per_byte * input.len());
        assert!(allocated <= max, "{} allocates {allocated} bytes for {} of input", self.name, input.len());
        let mut hasher = DefaultHasher::new();
        // A number in it is of no kind of its own.
        outcome.replace(|character: char| character.is_ascii_digit(), "").hash(&mut hasher);
        hasher.finish()
    }

    /// What the first inputs are made from.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = (self.seeds)();
        seeds.extend(committed(self.name));
        seeds
    }

    /// See [`Mutator`].
    pub fn pieces(&self) -> &'static [&'static str] {
        self.pieces
    }
}
