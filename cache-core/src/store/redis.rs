//! The Redis store.

mod layout;
mod scripts;
