//! What a few bytes in the store say of their length costs no memory. One test, for the allocator
//! counts the threads of all.

use std::alloc::System;

use cache_core::__entry::{packed, payload_of, sealed, value_of};
use cache_core::{Compression, Format};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const INFLATED_BYTES_MAX: usize = 32 << 20;
const HEADER_BYTES: usize = 56;
const CHECKSUM_BYTES: usize = 4;

/// Whoever may write to the store can say that a hundred bytes inflate to as much as is allowed.
#[test]
fn a_length_that_compressed_bytes_cannot_have_is_not_allocated() {
    let text = "DFW".repeat(4_000);
    let (codec, compression, payload) = payload_of(&text, Format::Json, Compression::Lz4);
    let entry = packed(codec, compression, false, &payload);
    assert_eq!(value_of(entry.clone(), None, INFLATED_BYTES_MAX), Ok(text.clone()));

    let mut claim = entry[..entry.len() - CHECKSUM_BYTES].to_vec();
    claim[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&(INFLATED_BYTES_MAX as u32).to_le_bytes());
    let claim = sealed(&claim);
    let region = Region::new(ALLOCATOR);
    assert!(value_of::<String>(claim.clone(), None, INFLATED_BYTES_MAX).is_err());
    let allocated = region.change().bytes_allocated;
    assert!(allocated < 1 << 20, "{allocated} bytes for an entry of {}", claim.len());
}
