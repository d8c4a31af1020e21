//! The Redis store.

#[allow(dead_code)] // until the store uses it
mod connect;
mod layout;
mod scripts;
