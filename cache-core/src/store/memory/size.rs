//! What the parts of the store cost: estimates, because nobody can ask an allocator.
//!
//! `tests/tests/memory_size.rs` holds them to what is requested of the allocator, with
//! [`ALLOCATION`] for each allocation.

use crate::name::Name;

/// What an allocator needs for one allocation beside what was requested: a header, and the rounding
/// up.
pub(super) const ALLOCATION: usize = 16;

/// A slot of a hash table, with its control byte. A table grows to twice its size when it is seven
/// eighths full, and under steady removals when it is half full. So an element has from one slot to
/// four: two and a half where elements come and go.
pub(super) const fn slot<T>() -> usize {
    (size_of::<T>() + 1) * 5 / 2
}

/// An element of an ordered table: a node has room for 11, and is 7 elements full when elements
/// come in order. An inner node has 12 pointers more, and is needed for each seventh node.
pub(super) const fn ordered<T>() -> usize {
    node::<T>() / 7 + (node::<T>() + 96) / 49
}

/// A node of an ordered table.
pub(super) const fn node<T>() -> usize {
    11 * size_of::<T>() + 16 + ALLOCATION
}

/// The text of a name, once for all that share it: two counters stand before it.
pub(super) fn text(name: &Name) -> usize {
    2 * size_of::<usize>() + name.as_str().len() + ALLOCATION
}

/// Bytes that are shared, such as a value: three words beside them.
pub(super) fn shared(bytes: usize) -> usize {
    bytes + 3 * size_of::<usize>() + 2 * ALLOCATION
}

/// A list of names, whose texts are shared with their indexes.
pub(super) fn list(names: &[Name]) -> usize {
    if names.is_empty() { 0 } else { size_of_val(names) + ALLOCATION }
}
